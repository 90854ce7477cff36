package merkle

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// The bounds of the messages. An answer ends after the range that brought it over answerSize; the rest is asked for again.
const (
	maxRanges  = 1024
	answerSize = 64 << 10

	// MaxRequest and MaxAnswer are the longest messages in bytes: who reads one from the network need not read on.
	MaxRequest = 1 + maxRanges*(1+maxDepth/2+len(Digest{}))
	MaxAnswer  = answerSize + few*(5+MaxKey+MaxVersion)
)

const format = 1 // the first byte of a message

// question is a range and what the one who asks holds of it.
type question struct {
	span
	digest Digest
}

type kind byte

const (
	same     kind = iota // both hold the same
	inside               // more than few entries: the digests of the sixteen parts
	contents             // the entries
)

// reply tells of one range.
type reply struct {
	kind    kind
	parts   [fanOut]Digest // of inside; zero where there is nothing
	entries []entry        // of contents
}

var errShort = errors.New("the message ends early")

func appendRequest(b []byte, questions []question) []byte {
	b = append(b, format)
	for _, q := range questions {
		b = append(b, byte(q.depth))
		for i := range (q.depth + 1) / 2 {
			b = append(b, byte(q.at>>(56-8*i)))
		}
		b = append(b, q.digest[:]...)
	}
	return b
}

func decodeRequest(b []byte) ([]question, error) {
	r, err := open(b, MaxRequest)
	if err != nil {
		return nil, err
	}
	var questions []question
	for len(r.rest) > 0 {
		if len(questions) == maxRanges {
			return nil, fmt.Errorf("more than %d ranges", maxRanges)
		}
		q := question{span: span{depth: int(r.byte())}}
		if q.depth > maxDepth {
			return nil, fmt.Errorf("a range of depth %d is below %d", q.depth, maxDepth)
		}
		for i, part := range r.take((q.depth + 1) / 2) {
			q.at |= uint64(part) << (56 - 8*i)
		}
		if q.at&^q.mask() != 0 {
			return nil, fmt.Errorf("a range of depth %d has more digits", q.depth)
		}
		copy(q.digest[:], r.take(len(q.digest)))
		questions = append(questions, q)
	}
	return questions, r.err
}

func (r *reply) append(b []byte) []byte {
	b = append(b, byte(r.kind))
	switch r.kind {
	case inside:
		var mask uint16
		at := len(b)
		b = append(b, 0, 0)
		for i, part := range r.parts {
			if part != (Digest{}) {
				mask |= 1 << i
				b = append(b, part[:]...)
			}
		}
		binary.BigEndian.PutUint16(b[at:], mask)
	case contents:
		b = binary.AppendUvarint(b, uint64(len(r.entries)))
		for _, e := range r.entries {
			b = appendString(appendString(b, e.key), e.version)
		}
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decodeAnswer reads an answer to so many questions at most.
func decodeAnswer(b []byte, asked int) ([]reply, error) {
	r, err := open(b, MaxAnswer)
	if err != nil {
		return nil, err
	}
	var replies []reply
	for len(r.rest) > 0 {
		if len(replies) == asked {
			return nil, fmt.Errorf("an answer to more than %d questions", asked)
		}
		one, err := r.reply()
		if err != nil {
			return nil, err
		}
		replies = append(replies, one)
	}
	return replies, nil
}

func (r *reader) reply() (one reply, err error) {
	switch one.kind = kind(r.byte()); one.kind {
	case same:
	case inside:
		mask := binary.BigEndian.Uint16(r.take(2))
		for ; mask != 0; mask &= mask - 1 {
			copy(one.parts[bits.TrailingZeros16(mask)][:], r.take(len(Digest{})))
		}
	case contents:
		n := r.number(len(r.rest) / 3)
		one.entries = make([]entry, 0, n)
		for range n {
			e := entry{r.string(MaxKey), r.string(MaxVersion)}
			if e.version == "" && r.err == nil {
				return one, fmt.Errorf("key %q has no version", e.key)
			}
			one.entries = append(one.entries, e)
		}
	default:
		return one, fmt.Errorf("unknown kind of reply %d", one.kind)
	}
	return one, r.err
}

// reader takes a message apart. After the first fault it reads zeros.
type reader struct {
	rest []byte
	err  error
}

// open begins to read a message of at most limit bytes.
func open(b []byte, limit int) (reader, error) {
	switch {
	case len(b) > limit:
		return reader{}, fmt.Errorf("a message of %d bytes is over %d", len(b), limit)
	case len(b) == 0:
		return reader{}, errShort
	case b[0] != format:
		return reader{}, fmt.Errorf("format %d is not %d", b[0], format)
	}
	return reader{rest: b[1:]}, nil
}

func (r *reader) fail(err error) {
	r.rest, r.err = nil, cmp.Or(r.err, err)
}

// take returns the next n bytes, n being small.
func (r *reader) take(n int) []byte {
	if n > len(r.rest) {
		r.fail(errShort)
		return make([]byte, n)
	}
	part := r.rest[:n]
	r.rest = r.rest[n:]
	return part
}

func (r *reader) byte() byte { return r.take(1)[0] }

func (r *reader) number(limit int) int {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail(errShort)
		return 0
	}
	if v > uint64(limit) {
		r.fail(fmt.Errorf("a size of %d is over %d", v, limit))
		return 0
	}
	r.rest = r.rest[n:]
	return int(v)
}

func (r *reader) string(limit int) string { return string(r.take(r.number(limit))) }
