package distribution

import (
	"bufio"
	"context"
	"errors"
	"net"
	"time"

	"cdnlab/internal/journal"
	"cdnlab/internal/merkle"
	"cdnlab/topology"
)

// Anti-entropy: that a node has applied every event is what its position says. That it still knows what they said is shown by a
// comparison with its parent. Only the ranges in which their memories differ travel (package merkle). What the node lacks is done again:
// a purge is applied, a push pulled.

const (
	comparePath  = treePath + "compare" // ?origin=: answers frames of kindCompare and kindFind
	compareEvery = time.Minute
	compareLimit = 1024 // differences that are mended at a time

	kindCompare = 'M' // up a request of package merkle, down its answer
	kindFind    = 'F' // up a key; down the record of the event, nothing if there is none
)

// serveCompare answers the questions of a child about what this node remembers.
func (r *relay) serveCompare(c net.Conn, m *memory) {
	if _, err := c.Write(streamHead); err != nil {
		return
	}
	br := bufio.NewReader(c)
	room := make([]byte, 4<<10)
	for {
		if c.SetDeadline(time.Now().Add(silence)) != nil {
			return
		}
		kind, payload, err := readFrame(br, room)
		if err != nil {
			return
		}
		var reply []byte
		switch kind {
		case kindCompare:
			if reply, err = m.compared().Answer(nil, payload); err != nil {
				return
			}
		case kindFind:
			if e, ok := m.find(string(payload)); ok {
				reply = e.Append(nil)
			}
		default:
			return
		}
		if _, err := c.Write(appendFrame(nil, kind, reply)); err != nil {
			return
		}
	}
}

// comparison is a connection to a parent on which its memory is asked about.
type comparison struct {
	conn net.Conn
	br   *bufio.Reader
}

func (c *comparison) ask(kind byte, payload []byte) ([]byte, error) {
	if err := c.conn.SetDeadline(time.Now().Add(2 * headTime)); err != nil {
		return nil, err
	}
	if _, err := c.conn.Write(appendFrame(nil, kind, payload)); err != nil {
		return nil, err
	}
	got, reply, err := readFrame(c.br, nil)
	if err == nil && got != kind {
		err = errFrame
	}
	return reply, err
}

// compare holds what the node remembers against the memory of a parent, and mends what it lacks. It returns how much that was.
func (n *Node) compare(ctx context.Context, f *Feed, parent topology.Node) (mended int, stats merkle.Stats, err error) {
	dialing, cancel := context.WithTimeout(ctx, headTime)
	defer cancel()
	conn, err := n.cfg.Dial(dialing, parent)
	if err != nil {
		return 0, stats, err
	}
	defer conn.Close() // nothing is under way on it
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	c := &comparison{conn, bufio.NewReader(conn)}
	resp, err := ask(conn, c.br, parent, n.cfg.Secret, comparePath+"?origin="+f.origin)
	if err != nil {
		return 0, stats, err
	}
	if resp.StatusCode != 200 {
		return 0, stats, errors.New("the parent answered " + resp.Status)
	}
	found, stats, err := merkle.Diff(f.memory.compared(), func(request []byte) ([]byte, error) { return c.ask(kindCompare, request) }, compareLimit)
	if err != nil {
		return 0, stats, err
	}
	for _, d := range found {
		if d.Remote == "" {
			continue // the parent has forgotten it, or not heard of it yet
		}
		record, err := c.ask(kindFind, []byte(d.Key))
		if err != nil {
			return mended, stats, err
		}
		if len(record) == 0 {
			continue
		}
		e, err := decodeEvent(record)
		if err != nil {
			return mended, stats, err
		}
		if f.again(e) {
			mended++
		}
	}
	return mended, stats, nil
}

// again does what an event says that the node should have done already. It is false for one that is still to come, or that it has done.
func (f *Feed) again(e journal.Event) bool {
	if e.Seq > f.Applied().Seq {
		return false
	}
	if known, ok := f.memory.find(entry(&e)); ok && known.Seq >= e.Seq {
		return false
	}
	if e.Kind == journal.Push && f.memory.ended(e) {
		return false // the parent has yet to hear of the purge
	}
	f.memory.note(e)
	if e.Kind == journal.Purge && e.Seq <= f.Base().Seq {
		return false // nothing is stored of before it
	}
	f.sink.Apply(e)
	if e.Kind == journal.Push && f.pushes != nil {
		f.pushes.add(e)
	}
	return true
}

// compareAlways compares with the parent that is followed, again and again.
func (n *Node) compareAlways(ctx context.Context, f *Feed) {
	for {
		pause(ctx, n.cfg.Compare)
		if ctx.Err() != nil {
			return
		}
		f.mu.Lock()
		via := f.via
		f.mu.Unlock()
		for _, p := range n.parents[f.origin] {
			if string(p.Name) != via {
				continue
			}
			mended, stats, err := n.compare(ctx, f, p)
			switch {
			case err != nil && ctx.Err() == nil:
				n.cfg.Log.Debug("cannot compare with a parent in the tree", "origin", f.origin, "parent", via, "error", err)
			case mended > 0:
				n.cfg.Log.Warn("a node had forgotten what its parent knows: it is mended", "origin", f.origin, "parent", via, "events", mended,
					"bytes", stats.Sent+stats.Received)
			}
		}
	}
}
