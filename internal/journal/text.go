package journal

import (
	"strconv"
	"strings"
)

// AppendText appends the position as it stands in fields of HTTP: the epoch in hexadecimal, a hyphen, the number of the event.
func (p Position) AppendText(b []byte) ([]byte, error) {
	b = append(strconv.AppendUint(b, uint64(p.Epoch), 16), '-')
	return strconv.AppendUint(b, uint64(p.Seq), 10), nil
}

// String returns what AppendText appends.
func (p Position) String() string {
	b, _ := p.AppendText(nil) // never fails
	return string(b)
}

// ParsePosition reads what AppendText has written; ok is false for anything else.
func ParsePosition(s string) (p Position, ok bool) {
	epoch, seq, found := strings.Cut(s, "-")
	e, err := strconv.ParseUint(epoch, 16, 64)
	if !found || err != nil {
		return Position{}, false
	}
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil {
		return Position{}, false
	}
	p = Position{Epoch(e), Seq(n)}
	return p, p.String() == s
}
