package distribution

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"cdnlab/internal/journal"
)

// Paths below which a node answers the nodes of its lab, on its own address.
const (
	treePath     = "/-/tree/"
	followPath   = treePath + "follow"
	manifestPath = treePath + "manifest" // ?origin=&site=&path=&version=
)

// source is what a follower is served from: the root at the origin, a Feed elsewhere.
type source interface {
	events() eventLog
	lastBeat() beat
	change() *signal
	table() *reports
	remembers() *memory
	wants() *demand // nil where nobody counts it
	// strange is told of a follower whose position, of the same epoch, is none of the source's journal: it lies beyond that, or another
	// event was there.
	strange(journal.Position)
	ready() bool
}

// relay serves those who follow this node.
type relay struct {
	now func() time.Time
	ids *atomic.Uint64

	quiet  time.Duration // after which a follower that says nothing is given up
	over   chan struct{} // closed when the node stops
	active sync.WaitGroup

	mu    sync.Mutex // guards the fields below
	conns map[net.Conn]bool
	ended bool
}

func newRelay(now func() time.Time, ids *atomic.Uint64) *relay {
	return &relay{now: now, ids: ids, quiet: 2 * silence, over: make(chan struct{}), conns: map[net.Conn]bool{}}
}

// enter takes a connection; false says that the node is stopping.
func (r *relay) enter(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return false
	}
	r.conns[c] = true
	r.active.Add(1)
	return true
}

func (r *relay) leave(c net.Conn) {
	defer r.active.Done()
	_ = c.Close() // it has ended, or is of no use
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
}

// end closes every connection, and returns when nothing goes on any more.
func (r *relay) end() {
	r.mu.Lock()
	if !r.ended {
		r.ended = true
		close(r.over)
	}
	for c := range r.conns {
		_ = c.Close() // what runs on it meets the error
	}
	r.mu.Unlock()
	r.active.Wait()
}

// served returns what serve does about a connection, which ends with it or with the node.
func (r *relay) served(serve func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		c = bare(c)
		if !r.enter(c) {
			_ = c.Close() // the node is stopping
			return
		}
		defer r.leave(c)
		serve(c)
	}
}

// within returns a context for what a connection is served with: it ends after a time, or with the node.
func (r *relay) within(d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	r.active.Go(func() {
		select {
		case <-r.over:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, cancel
}

// patience is how long a follower waits for a node that is about to know the journal itself.
const patience = 2 * time.Second

// serve has a follower follow, until the connection ends.
func (r *relay) serve(c net.Conn, src source, query url.Values) {
	if !r.awaitReady(src) {
		answer(c, http.StatusServiceUnavailable, "text/plain", []byte("this node does not know the journal at the moment\n"))
		return
	}
	after, err := parsePlace(query)
	if err != nil {
		answer(c, http.StatusBadRequest, "text/plain", []byte(err.Error()+"\n"))
		return
	}
	at, ok := begin(src, after)
	if !ok {
		answer(c, http.StatusConflict, "text/plain", []byte("the events behind that position are not here\n"))
		return
	}
	_ = c.SetDeadline(time.Time{}) // what reads or writes meets the error of a connection that is gone
	if _, err := c.Write(streamHead); err != nil {
		return
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		defer c.Close() // ends the writing side
		r.listen(c, src)
	}()
	var before []byte
	if query.Get("pins") != "" {
		for _, e := range src.remembers().pinned() {
			if e.Seq <= at.Seq {
				before = appendFrame(before, kindPin, e.Append(nil))
			}
		}
	}
	r.feed(c, src, at, before, gone)
	_ = c.Close() // ends the reading side
	<-gone
}

// streamHead is the head of an answer that goes on until the connection ends.
var streamHead = []byte("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n")

func (r *relay) awaitReady(src source) bool {
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		changed := src.change().wait()
		if src.ready() {
			return true
		}
		select {
		case <-changed:
		case <-late.C:
			return false
		case <-r.over:
			return false
		}
	}
}

// place is where a follower is.
type place struct {
	journal.Position       // zero for one that takes any
	time             int64 // of the event there; 0 when it is not known any more
}

// begin returns from where a follower is served; ok is false when the events behind its place cannot be replayed.
func begin(src source, after place) (at journal.Position, ok bool) {
	log := src.events()
	at = log.Position()
	if after.Epoch == 0 {
		return at, true
	}
	if after.Epoch == at.Epoch && (after.Seq > at.Seq || after.differs(log)) {
		src.strange(after.Position)
		if at = log.Position(); after.Epoch == at.Epoch && after.Seq <= at.Seq {
			return at, false
		}
	}
	return after.Position, after.Epoch == at.Epoch && after.Seq >= log.Horizon()
}

// differs reports whether a log has another event at a place.
func (p place) differs(log eventLog) bool {
	if p.time == 0 || p.Seq == 0 {
		return false
	}
	there, err := log.Read(p.Seq-1, 1)
	return err == nil && len(there) == 1 && there[0].Seq == p.Seq && there[0].Time != p.time
}

func parsePlace(q url.Values) (p place, err error) {
	if q.Get("reset") != "" {
		return p, nil
	}
	epoch, err := strconv.ParseUint(q.Get("epoch"), 16, 64)
	if err != nil {
		return p, fmt.Errorf("epoch: want a number in hexadecimal, got %.40q", q.Get("epoch"))
	}
	seq, err := strconv.ParseUint(q.Get("after"), 10, 64)
	if err != nil {
		return p, fmt.Errorf("after: want the number of an event, got %.40q", q.Get("after"))
	}
	at, err := strconv.ParseInt(q.Get("time"), 10, 64)
	if err != nil || epoch == 0 {
		return p, fmt.Errorf("time: want that of the event in nanoseconds, and an epoch, got %.40q", q.Get("time"))
	}
	return place{journal.Position{Epoch: journal.Epoch(epoch), Seq: journal.Seq(seq)}, at}, nil
}

// Sizes of what is written at a time.
const (
	batchEvents = 256
	writeBuffer = 16 << 10
)

// feed writes b, then a hello, then events and beats as they come.
func (r *relay) feed(c net.Conn, src source, at journal.Position, b []byte, gone <-chan struct{}) {
	w := bufio.NewWriterSize(c, writeBuffer)
	s := sender{src: src, at: at}
	b = appendHello(b, at)
	for {
		changed := src.change().wait()
		frames, more, err := s.next(b)
		if err != nil || c.SetWriteDeadline(time.Now().Add(silence)) != nil {
			return
		}
		_, _ = w.Write(frames) // an error stays until Flush
		b = frames[:0]
		if more {
			continue
		}
		if w.Flush() != nil {
			return
		}
		alive := time.NewTimer(beatEvery)
		select {
		case <-changed:
		case <-gone:
			alive.Stop()
			return
		case <-alive.C: // tells a parent that is cut off from one that is gone
			_, _ = w.Write(appendBeat(nil, s.told)) // as above
		}
		alive.Stop()
	}
}

// sender is what a follower is sent.
type sender struct {
	src  source
	at   journal.Position // up to which it has been sent events
	told beat             // that it was sent last
}

var errOtherEpoch = errors.New("distribution: the journal has another epoch")

// next appends what has come to be sent; more says that there is more already. After an error nothing can be sent any more: the follower
// is too slow for what is remembered, or what follows belongs to another journal.
func (s *sender) next(b []byte) (_ []byte, more bool, err error) {
	last := s.src.lastBeat() // before the events: all that it stands for are among them
	log := s.src.events()
	events, err := log.Read(s.at.Seq, batchEvents)
	if err != nil {
		return b, false, err
	}
	now := log.Position()
	if now.Epoch != s.at.Epoch { // after reading: an epoch that has ended does not come back
		return b, false, errOtherEpoch
	}
	for i := range events {
		b = appendFrame(b, kindEvent, events[i].Append(nil))
		s.at.Seq = events[i].Seq
	}
	if s.at.Seq < now.Seq { // fewer come at once where a segment of the journal ends
		return b, true, nil
	}
	if last != s.told {
		b = appendBeat(b, last)
		s.told = last
	}
	return b, false, nil
}

// listen takes the reports of the follower and those below it.
func (r *relay) listen(c net.Conn, src source) {
	id := r.ids.Add(1)
	defer func() { src.table().end(id, r.now()) }()
	demand := src.wants()
	if demand != nil {
		defer demand.end(id)
	}
	br := bufio.NewReader(c)
	room := make([]byte, 1<<10)
	for {
		if c.SetReadDeadline(time.Now().Add(r.quiet)) != nil {
			return
		}
		kind, payload, err := readFrame(br, room)
		switch {
		case err != nil:
			return
		case kind == kindDemand && demand != nil:
			err = demand.set(id, payload, r.now())
		case kind == kindReport:
			var rep report
			if rep, err = parseReport(payload); err == nil {
				src.table().set(rep, id, r.now())
			}
		default:
			return
		}
		if err != nil {
			return
		}
	}
}

// bare returns a connection that closing closes: that of a fasthttp server closes itself once its handler has returned, and not before.
func bare(c net.Conn) net.Conn {
	if u, ok := c.(interface{ UnsafeConn() net.Conn }); ok {
		return &taken{c, u.UnsafeConn()}
	}
	return c
}

// taken is a connection that was taken over from a server; it may not be used once its handler has returned.
type taken struct {
	net.Conn // has what the server had read already
	socket   net.Conn
}

// Close closes the socket.
func (t *taken) Close() error { return t.socket.Close() }

// answer sends a complete response; the connection is closed behind it.
func answer(c net.Conn, status int, contentType string, body []byte) {
	_ = c.SetDeadline(time.Now().Add(silence)) // as above
	head := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
		status, http.StatusText(status), contentType, len(body))
	_, _ = c.Write(append([]byte(head), body...)) // whoever asked has gone
}
