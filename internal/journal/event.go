package journal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Seq numbers events from 1; 0 is before the first.
type Seq uint64

// Epoch tells a restored or reset journal from the one before it. It is random and never 0.
type Epoch uint64

// Position is a place in a journal. The zero Position is in none.
type Position struct {
	Epoch Epoch
	Seq   Seq
}

// Kind of an event.
type Kind uint8

// The kinds.
const (
	Publish Kind = iota + 1
	Push
	Purge
)

// Scope says what a purge names.
type Scope uint8

// The scopes.
const (
	ScopeURL Scope = iota + 1
	ScopePrefix
	ScopeKey
	ScopeAll
)

// Event is one entry. Zero fields are left out of its record.
type Event struct {
	Seq     Seq
	Time    int64 // nanoseconds since 1970, when it was appended
	Kind    Kind
	Site    string // host of the site; "" for all sites (purges only)
	Scope   Scope  // purges
	Value   string // purges: URL, prefix or surrogate key; else: path of the object
	Soft    bool   // purges: stale, not gone
	Version string // publish, push: entity tag or version of the object
	Size    int64  // push
	To      string // push: place or tier; "" for everywhere
	Who     string // who asked, for the audit
}

// MaxText is the limit of all strings of an event together, in bytes.
const MaxText = 64 << 10

// Shape of a record. Tags and numbers of an event take less than 96 bytes.
const (
	recordHead = 8
	maxPayload = MaxText + 96
)

// ErrCorrupt says that bytes are no record: they do not match their sum, or are not what Append writes.
var ErrCorrupt = errors.New("journal: corrupt record")

// Tags of fields. Those before tagSite are of numbers, the others of texts.
const (
	tagSeq = iota + 1
	tagTime
	tagKind
	tagScope
	tagSoft
	tagSize
	tagSite
	tagValue
	tagVersion
	tagTo
	tagWho
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Append appends the record of e: length, CRC-32C and payload.
func (e *Event) Append(b []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, recordHead)...)
	b = appendNumber(b, tagSeq, uint64(e.Seq))
	b = appendNumber(b, tagTime, uint64(e.Time))
	b = appendNumber(b, tagKind, uint64(e.Kind))
	b = appendNumber(b, tagScope, uint64(e.Scope))
	if e.Soft {
		b = appendNumber(b, tagSoft, 1)
	}
	b = appendNumber(b, tagSize, uint64(e.Size))
	b = appendText(b, tagSite, e.Site)
	b = appendText(b, tagValue, e.Value)
	b = appendText(b, tagVersion, e.Version)
	b = appendText(b, tagTo, e.To)
	b = appendText(b, tagWho, e.Who)
	record := b[start:]
	binary.LittleEndian.PutUint32(record, uint32(len(record)-recordHead))
	binary.LittleEndian.PutUint32(record[4:], crc32.Checksum(record[recordHead:], castagnoli))
	return b
}

func appendNumber(b []byte, tag byte, n uint64) []byte {
	if n == 0 {
		return b
	}
	return binary.AppendUvarint(append(b, tag), n)
}

func appendText(b []byte, tag byte, s string) []byte {
	if s == "" {
		return b
	}
	return append(appendNumber(b, tag, uint64(len(s))), s...)
}

// check tells what would make e no event. What passes is at most maxPayload long.
func (e *Event) check() error {
	switch {
	case e.Kind < Publish || e.Kind > Purge:
		return fmt.Errorf("unknown kind %d", e.Kind)
	case e.Kind == Purge && (e.Scope < ScopeURL || e.Scope > ScopeAll):
		return fmt.Errorf("unknown scope %d of a purge", e.Scope)
	case e.Kind != Purge && (e.Scope != 0 || e.Soft):
		return errors.New("only a purge has a scope or is soft")
	case e.Kind != Purge && e.Site == "":
		return errors.New("only a purge is for all sites")
	case e.Value == "" && e.Scope != ScopeAll:
		return errors.New("no path, URL, prefix or key")
	case e.Size < 0:
		return fmt.Errorf("size %d", e.Size)
	}
	if n := len(e.Site) + len(e.Value) + len(e.Version) + len(e.To) + len(e.Who); n > MaxText {
		return fmt.Errorf("texts of %d bytes, at most %d are allowed", n, MaxText)
	}
	return nil
}

// payloadSize returns the length that a record's head announces.
func payloadSize(head []byte) (int, error) {
	n := binary.LittleEndian.Uint32(head)
	if n > maxPayload {
		return 0, ErrCorrupt
	}
	return int(n), nil
}

// Decode returns the event whose record b begins with, and the length of that record. The error is io.EOF if b is empty,
// io.ErrUnexpectedEOF if it ends within the record, so that more is needed, and ErrCorrupt if it begins with none.
func Decode(b []byte) (Event, int, error) {
	if len(b) == 0 {
		return Event{}, 0, io.EOF
	}
	if len(b) < recordHead {
		return Event{}, 0, io.ErrUnexpectedEOF
	}
	n, err := payloadSize(b)
	if err != nil {
		return Event{}, 0, err
	}
	if len(b) < recordHead+n {
		return Event{}, 0, io.ErrUnexpectedEOF
	}
	record := b[:recordHead+n]
	if binary.LittleEndian.Uint32(record[4:]) != crc32.Checksum(record[recordHead:], castagnoli) {
		return Event{}, 0, ErrCorrupt
	}
	e, ok := parse(record[recordHead:])
	if !ok || e.check() != nil {
		return Event{}, 0, ErrCorrupt
	}
	return e, len(record), nil
}

// ReadEvent reads one record. The errors are those of Decode, where the stream ends, and those of the reader.
func ReadEvent(r *bufio.Reader) (Event, error) {
	head, err := r.Peek(recordHead)
	if err == io.EOF && len(head) > 0 {
		return Event{}, io.ErrUnexpectedEOF
	}
	if err != nil {
		return Event{}, err
	}
	n, err := payloadSize(head)
	if err != nil {
		return Event{}, err
	}
	record := make([]byte, recordHead+n)
	if _, err := io.ReadFull(r, record); err != nil {
		return Event{}, err
	}
	e, _, err := Decode(record)
	return e, err
}

// parse reads a payload strictly: what it takes, Append writes byte for byte. Texts share one copy of the payload.
func parse(p []byte) (e Event, ok bool) {
	all := string(p)
	for i, last := 0, byte(0); i < len(p); {
		tag := p[i]
		n, size := binary.Uvarint(p[i+1:])
		if tag <= last || tag > tagWho || n == 0 || size <= 0 || size > 1 && p[i+size] == 0 {
			return e, false // out of order, unknown, zero, cut off, or longer than need be
		}
		i, last = i+1+size, tag
		if tag < tagSite {
			if !e.setNumber(tag, n) {
				return e, false
			}
			continue
		}
		if n > uint64(len(p)-i) {
			return e, false
		}
		e.setText(tag, all[i:i+int(n)])
		i += int(n)
	}
	return e, true
}

func (e *Event) setNumber(tag byte, n uint64) bool {
	switch tag {
	case tagSeq:
		e.Seq = Seq(n)
	case tagTime:
		e.Time = int64(n)
	case tagKind:
		e.Kind = Kind(n)
		return n <= uint64(Purge)
	case tagScope:
		e.Scope = Scope(n)
		return n <= uint64(ScopeAll)
	case tagSoft:
		e.Soft = true
		return n == 1
	case tagSize:
		e.Size = int64(n)
	}
	return true
}

func (e *Event) setText(tag byte, s string) {
	switch tag {
	case tagSite:
		e.Site = s
	case tagValue:
		e.Value = s
	case tagVersion:
		e.Version = s
	case tagTo:
		e.To = s
	case tagWho:
		e.Who = s
	}
}
