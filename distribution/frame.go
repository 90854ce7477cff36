package distribution

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"cdnlab/internal/journal"
	"cdnlab/internal/merkle"
)

// Frames go both ways over a followed connection, behind the heads of HTTP:
//
//	kind 1 | length of the payload 4 | payload        numbers are big-endian
//
// Down: a hello, then events in their order and beats between them. Up: reports.
const (
	kindHello  = 'H' // epoch 8 | sequence 8: events from the next one on follow
	kindEvent  = 'E' // a record of package journal
	kindPin    = 'P' // the same: an event of before the hello, of something that is still pushed
	kindBeat   = 'B' // time 8 | sequence 8
	kindReport = 'R' // flags 1 | sequence 8 | beat 8 | pending 4 | received 8 | length of the node's name 1 | name | parent's name
	frameHead  = 5
	maxFrame   = max(96<<10, merkle.MaxRequest, merkle.MaxAnswer) // 96 KiB are longer than any record of an event
)

var errFrame = errors.New("distribution: malformed frame")

// beat is a sign of life of the origin: all events up to Seq were in its journal at Time, by the origin's clock in nanoseconds.
type beat struct {
	Time int64
	Seq  journal.Seq
}

// report is how far a node is, as its parent is told.
type report struct {
	Node, Via string // Via is the parent that it follows; "" when it follows none
	Seq       journal.Seq
	Beat      int64 // Time of the last beat up to which it has applied everything
	Pending   int   // objects that were pushed to it and have not come yet
	Received  int64 // bytes of what was pushed to it
	Gone      bool  // it no longer follows Via
}

func appendFrame(b []byte, kind byte, payload []byte) []byte {
	b = binary.BigEndian.AppendUint32(append(b, kind), uint32(len(payload)))
	return append(b, payload...)
}

// readFrame reads a frame. The payload holds until the next one is read into the same room.
func readFrame(br *bufio.Reader, room []byte) (kind byte, payload []byte, err error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(br, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > uint32(maxFrame) {
		return 0, nil, fmt.Errorf("%w: %d bytes", errFrame, n)
	}
	if int(n) > cap(room) {
		room = make([]byte, n)
	}
	payload = room[:n]
	if _, err := io.ReadFull(br, payload); err != nil {
		return 0, nil, err
	}
	return head[0], payload, nil
}

func appendPair(b []byte, kind byte, x, y uint64) []byte {
	var p [16]byte
	binary.BigEndian.PutUint64(p[:], x)
	binary.BigEndian.PutUint64(p[8:], y)
	return appendFrame(b, kind, p[:])
}

func parsePair(p []byte) (x, y uint64, err error) {
	if len(p) != 16 {
		return 0, 0, errFrame
	}
	return binary.BigEndian.Uint64(p), binary.BigEndian.Uint64(p[8:]), nil
}

// maxName is how long the name of a node may be in a report.
const maxName = 255

func (r *report) append(b []byte) []byte {
	flags := byte(0)
	if r.Gone {
		flags = 1
	}
	p := []byte{flags}
	p = binary.BigEndian.AppendUint64(p, uint64(r.Seq))
	p = binary.BigEndian.AppendUint64(p, uint64(r.Beat))
	p = binary.BigEndian.AppendUint32(p, uint32(r.Pending))
	p = binary.BigEndian.AppendUint64(p, uint64(r.Received))
	p = append(append(p, byte(len(r.Node))), r.Node...)
	return appendFrame(b, kindReport, append(p, r.Via...))
}

func parseReport(p []byte) (r report, err error) {
	const fixed = 1 + 8 + 8 + 4 + 8 + 1
	if len(p) < fixed || p[0] > 1 {
		return r, errFrame
	}
	r.Gone = p[0] == 1
	r.Seq, r.Beat = journal.Seq(binary.BigEndian.Uint64(p[1:])), int64(binary.BigEndian.Uint64(p[9:]))
	r.Pending, r.Received = int(binary.BigEndian.Uint32(p[17:])), int64(binary.BigEndian.Uint64(p[21:]))
	n := int(p[29])
	if n == 0 || len(p) < fixed+n || len(p) > fixed+n+maxName {
		return r, errFrame
	}
	r.Node, r.Via = string(p[fixed:fixed+n]), string(p[fixed+n:])
	return r, nil
}
