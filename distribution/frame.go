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
	kindReport = 'R' // flags 1 | turn 8 | epoch 8 | sequence 8 | beat 8 | received 8 | pending 8 | length of the node's name 1 | name | parent's name
	frameHead  = 5
	maxFrame   = max(96<<10, merkle.MaxRequest, merkle.MaxAnswer, maxDemand) // 96 KiB are longer than any record of an event
)

var errFrame = errors.New("distribution: malformed frame")

// beat is a sign of life of the origin: all events up to Seq were in its journal at Time, by the origin's clock in nanoseconds.
type beat struct {
	Time int64
	Seq  journal.Seq
}

// report is how far a node is, as its parent is told.
type report struct {
	Node, Via string // Via is the parent that it follows, or has followed last
	Turn      uint64 // numbers the reports of the node: reports come by several ways, in any order
	At        journal.Position
	Beat      int64      // Time of the last beat up to which it has applied everything
	Pending   int        // objects that were pushed to it and have not come yet
	Open      openPushes // the events that pushed these
	Received  int64      // bytes of what was pushed to it
	Gone      bool       // it no longer follows Via: that one says so, in the turn of the node's last report to it
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

func appendHello(b []byte, at journal.Position) []byte {
	return appendPair(b, kindHello, uint64(at.Epoch), uint64(at.Seq))
}

func appendBeat(b []byte, last beat) []byte {
	return appendPair(b, kindBeat, uint64(last.Time), uint64(last.Seq))
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
	for _, n := range [...]uint64{r.Turn, uint64(r.At.Epoch), uint64(r.At.Seq), uint64(r.Beat), uint64(r.Received), uint64(r.Pending)} {
		p = binary.BigEndian.AppendUint64(p, n)
	}
	p = append(binary.BigEndian.AppendUint16(p, uint16(len(r.Open))), r.Open...)
	p = append(append(p, byte(len(r.Node))), r.Node...)
	return appendFrame(b, kindReport, append(p, r.Via...))
}

func parseReport(p []byte) (r report, err error) {
	const fixed = 1 + 6*8 + 2
	if len(p) < fixed || p[0] > 1 {
		return r, errFrame
	}
	r.Gone = p[0] == 1
	number := func(i int) uint64 { return binary.BigEndian.Uint64(p[1+8*i:]) }
	r.Turn, r.At, r.Beat = number(0), journal.Position{Epoch: journal.Epoch(number(1)), Seq: journal.Seq(number(2))}, int64(number(3))
	r.Received, r.Pending = int64(number(4)), int(number(5))
	names := p[fixed:]
	n := int(binary.BigEndian.Uint16(p[fixed-2:]))
	if len(names) <= n {
		return r, errFrame
	}
	r.Open, names = openPushes(names[:n]), names[n:]
	n, names = int(names[0]), names[1:]
	if !r.Open.valid() || n == 0 || len(names) < n || len(names) > n+maxName {
		return r, errFrame
	}
	r.Node, r.Via = string(names[:n]), string(names[n:])
	return r, nil
}
