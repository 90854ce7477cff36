package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"

	"cdnlab/internal/httpcache"
)

// maxResponseHead is how long the head of an upstream response may be.
const maxResponseHead = 64 << 10

// responseHead is a parsed status line and header section.
type responseHead struct {
	status int
	reason string
	http10 bool
	header httpcache.Header // as it came: order, case and repetition kept
}

// readHead reads the head of a response. It is strict (RFC 9112 §2.2, §5): what another recipient could read differently is
// an error, because a cache would hand the other reading on.
func readHead(br *bufio.Reader) (responseHead, error) {
	for searched, need := 0, 1; ; {
		if _, err := br.Peek(need); err != nil {
			if errors.Is(err, bufio.ErrBufferFull) {
				err = fmt.Errorf("head of the response exceeds %d bytes", maxResponseHead)
			}
			return responseHead{}, err
		}
		seen, _ := br.Peek(br.Buffered()) // never fails: it is buffered
		if i := bytes.Index(seen[searched:], crlfcrlf); i >= 0 {
			end := searched + i + len(crlfcrlf)
			head, err := parseHead(seen[:end])
			_, _ = br.Discard(end) // never fails: it is buffered
			return head, err
		}
		searched, need = max(len(seen)-len(crlfcrlf)+1, 0), len(seen)+1
	}
}

var (
	crlf     = []byte("\r\n")
	crlfcrlf = []byte("\r\n\r\n")
)

// parseHead parses a complete head, which ends with an empty line.
func parseHead(raw []byte) (h responseHead, err error) {
	line, rest, _ := bytes.Cut(raw, crlf)
	if h, err = parseStatusLine(string(line)); err != nil {
		return h, err
	}
	fields := make([]byte, 0, len(rest))
	for {
		line, rest, _ = bytes.Cut(rest, crlf)
		if len(line) == 0 {
			h.header = httpcache.Header(fields)
			return h, nil
		}
		name, value, err := parseField(line)
		if err != nil {
			return h, err
		}
		fields = httpcache.AppendField(fields, name, value)
	}
}

// parseStatusLine reads "HTTP/1.1 200 OK" (RFC 9112 §4); the reason may be empty, and so may the space before it be missing.
func parseStatusLine(line string) (h responseHead, err error) {
	bad := func() (responseHead, error) { return h, fmt.Errorf("malformed status line %.80q", line) }
	if len(line) < len("HTTP/1.1 200") || !validValue(line) {
		return bad()
	}
	switch line[:len("HTTP/1.1 ")] {
	case "HTTP/1.1 ":
	case "HTTP/1.0 ":
		h.http10 = true
	default:
		return bad()
	}
	for _, c := range []byte(line[9:12]) {
		if c < '0' || c > '9' {
			return bad()
		}
		h.status = h.status*10 + int(c-'0')
	}
	if h.status < 100 || len(line) > 12 && line[12] != ' ' {
		return bad()
	}
	if len(line) > 13 {
		h.reason = line[13:]
	}
	return h, nil
}

// parseField splits a header line. Space around the name, folded lines and control characters are refused (RFC 9112 §5).
func parseField(line []byte) (name, value []byte, err error) {
	name, value, ok := bytes.Cut(line, colon)
	if !ok || !validName(name) || !validValue(value) {
		return nil, nil, fmt.Errorf("malformed header line %.80q", line)
	}
	return name, value, nil
}

var colon = []byte(":")

// tokenChars are the bytes of a token (RFC 9110 §5.6.2).
var tokenChars = func() (t [256]bool) {
	for c := range t {
		t[c] = 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", byte(c)) >= 0
	}
	return t
}()

// validName reports whether s is a token.
func validName[T string | []byte](s T) bool {
	for i := range len(s) {
		if !tokenChars[s[i]] {
			return false
		}
	}
	return len(s) > 0
}

// validValue reports whether s holds no control character but tabs (RFC 9110 §5.5).
func validValue[T string | []byte](s T) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
