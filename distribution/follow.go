package distribution

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"cdnlab/topology"
)

// Times of a followed connection.
const (
	beatEvery = time.Second      // between two signs of life
	silence   = 3 * time.Second  // after which a connection is given up
	steady    = 10 * time.Second // after which a parent's failures are forgotten
	headTime  = 3 * time.Second  // for connecting and the head of the answer, distance not included
)

// follower keeps a feed up to date: it follows the best parent that can be had.
type follower struct {
	feed   *Feed
	node   topology.Node
	dial   func(context.Context, topology.Node) (net.Conn, error)
	secret string
	rng    *rand.Rand // of run alone
	log    interface{ Debug(string, ...any) }
	ids    *atomic.Uint64 // names streams

	lookAround time.Duration

	list  []candidate
	reset bool // not even the origin can replay: begin anew
}

// stream is a connection to a parent on which events come.
type stream struct {
	id     uint64
	parent int
	conn   net.Conn
	br     *bufio.Reader
	began  time.Time
	pins   bool // were asked for
}

// errNoReplay says that a parent cannot replay what comes after the position of the follower.
var errNoReplay = errors.New("the parent cannot replay from here")

// run follows until ctx ends.
func (f *follower) run(ctx context.Context) {
	defer f.feed.left()
	var next *stream
	for ctx.Err() == nil {
		s := next
		if s == nil {
			if s = f.connectBest(ctx); s == nil {
				continue
			}
		}
		var err error
		next, err = f.follow(ctx, s)
		f.log.Debug("left a parent in the tree", "origin", f.feed.origin, "parent", string(f.list[s.parent].node.Name), "error", err)
		now := f.feed.now()
		if now.Sub(s.began) > steady {
			f.list[s.parent].followed()
		}
		if next == nil && ctx.Err() == nil {
			f.feed.left()
			f.list[s.parent].failed(now, f.rng.Float64())
		}
	}
	if next != nil {
		_ = next.conn.Close() // nothing was read from it
	}
}

// connectBest tries the candidates in their order. It returns nil when it has waited for one to be tried again, or ctx has ended.
func (f *follower) connectBest(ctx context.Context) *stream {
	i, wait := choose(f.list, f.feed.now())
	if i < 0 {
		pause(ctx, wait)
		return nil
	}
	s, err := f.connect(ctx, i)
	if err == nil {
		f.reset = false
		return s
	}
	f.log.Debug("cannot follow a parent in the tree", "origin", f.feed.origin, "parent", string(f.list[i].node.Name), "error", err)
	if errors.Is(err, errNoReplay) && f.list[i].node.Kind == topology.KindOrigin {
		f.reset = true
		for i := range f.list {
			f.list[i].followed() // those that could not replay can be followed from where they are
		}
		return nil
	}
	if ctx.Err() == nil {
		f.list[i].failed(f.feed.now(), f.rng.Float64())
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// connect asks a candidate for its events.
func (f *follower) connect(ctx context.Context, i int) (*stream, error) {
	to := f.list[i].node
	dialing, cancel := context.WithTimeout(ctx, headTime)
	defer cancel()
	conn, err := f.dial(dialing, to)
	if err != nil {
		return nil, err
	}
	s := &stream{id: f.ids.Add(1), parent: i, conn: conn, br: bufio.NewReaderSize(conn, 32<<10), began: f.feed.now()}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // what reads meets the error
	err = f.ask(s, to)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close() // its own error says less
		return nil, err
	}
	return s, nil
}

func (f *follower) ask(s *stream, to topology.Node) error {
	at := f.feed.Applied()
	query := url.Values{"origin": {f.feed.origin}, "node": {f.feed.node}}
	if s.pins = f.reset || f.feed.asksPins(); s.pins {
		query.Set("pins", "true")
	}
	if f.reset || at.Epoch == 0 {
		query.Set("reset", "true")
	} else {
		query.Set("epoch", strconv.FormatUint(uint64(at.Epoch), 16))
		query.Set("after", strconv.FormatUint(uint64(at.Seq), 10))
	}
	resp, err := ask(s.conn, s.br, to, f.secret, followPath+"?"+query.Encode())
	if err != nil {
		return err
	}
	switch resp.StatusCode { // the body begins behind the head, and is the connection's
	case http.StatusOK:
	case http.StatusConflict:
		return errNoReplay
	default:
		return fmt.Errorf("the parent answered %s", resp.Status)
	}
	if p, ok := s.conn.(interface{ Pushed() }); ok {
		p.Pushed()
	}
	return s.conn.SetDeadline(time.Time{})
}

// ask sends a request to a node of the lab and reads the head of the answer.
func ask(c net.Conn, br *bufio.Reader, to topology.Node, secret, target string) (*http.Response, error) {
	if err := c.SetDeadline(time.Now().Add(2 * headTime)); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nCdnlab-Secret: %s\r\n\r\n", target, to.HTTP, secret); err != nil {
		return nil, err
	}
	return http.ReadResponse(br, nil)
}

// follow takes what comes on a stream until it ends. Meanwhile it looks for a better parent; when one is found, that is the next stream.
func (f *follower) follow(ctx context.Context, s *stream) (next *stream, err error) {
	var tasks sync.WaitGroup
	inner, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(inner, func() { _ = s.conn.Close() }) // what reads or writes meets the error
	via := string(f.list[s.parent].node.Name)
	tasks.Go(func() { f.tell(inner, s) })
	found := make(chan *stream, 1)
	wait := f.lookAround + time.Duration(f.rng.Float64()*float64(f.lookAround))
	tasks.Go(func() {
		if b := f.lookForBetter(inner, s.parent, wait); b != nil {
			found <- b
			cancel()
		}
	})
	err = f.take(s, via)
	cancel()
	stop()
	_ = s.conn.Close() // it is of no more use
	tasks.Wait()
	select {
	case next = <-found:
	default:
	}
	return next, err
}

// take applies what comes.
func (f *follower) take(s *stream, via string) error {
	room := make([]byte, 4<<10)
	greeted := false
	f.feed.greet(s.pins)
	for unsettled := 0; ; unsettled++ {
		if greeted && (s.br.Buffered() < frameHead || unsettled >= batchEvents) {
			unsettled = 0
			if err := f.feed.settle(via, s.id); err != nil {
				f.log.Debug("the position in the tree is not kept", "origin", f.feed.origin, "error", err)
			}
		}
		if err := s.conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return err
		}
		kind, payload, err := readFrame(s.br, room)
		if err != nil {
			return err
		}
		if pin := kind == kindPin && !greeted; !pin {
			if greeted != (kind != kindHello) {
				return errFrame
			}
			greeted = true
		}
		if err := f.feed.take(kind, payload); err != nil {
			return err
		}
	}
}

// tell sends the reports of this node and of those below it up the stream, as they change.
func (f *follower) tell(ctx context.Context, s *stream) {
	var sent uint64
	var b []byte
	var demand <-chan time.Time
	if f.feed.demand != nil {
		t := time.NewTicker(demandEvery)
		defer t.Stop()
		demand = t.C
	}
	for {
		changed := f.feed.reports.changed.wait()
		list, version := f.feed.reports.since(sent)
		sent = version
		for i := range list {
			b = list[i].append(b)
		}
		if len(b) > 0 {
			if s.conn.SetWriteDeadline(time.Now().Add(silence)) != nil {
				return
			}
			if _, err := s.conn.Write(b); err != nil {
				_ = s.conn.Close() // the reading side meets the end
				return
			}
		}
		b = b[:0]
		select {
		case <-changed:
		case <-demand:
			b = f.feed.demand.append(b, f.node.Group, f.feed.now())
		case <-ctx.Done():
			return
		}
	}
}

// lookForBetter connects to a parent that is to be preferred to the one that is followed, once there is one. One that is cut off itself
// says so by its silence about the journal.
func (f *follower) lookForBetter(ctx context.Context, current int, wait time.Duration) *stream {
	for {
		pause(ctx, wait)
		if ctx.Err() != nil {
			return nil
		}
		now := f.feed.now()
		if i := better(f.list, current, f.feed.deaf(now), now); i >= 0 {
			s, err := f.connect(ctx, i)
			if err == nil {
				return s
			}
			f.list[i].until = f.feed.now().Add(wait)
		}
		wait = f.lookAround
	}
}
