package proxy

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/time/rate"

	"cdnlab/internal/stats"
	"cdnlab/topology"
)

// Limits of the connections to one upstream server.
const (
	dialTimeout = 3 * time.Second
	maxIdle     = 256              // connections kept between requests
	idleLimit   = 30 * time.Second // well below what any tier waits for the next request
)

// Dialer connects to a node.
type Dialer func(ctx context.Context, to topology.Node) (net.Conn, error)

// Upstream is one server that requests are forwarded to, with the connections to it. It is an HTTP client of its own rather
// than a fasthttp.HostClient because that one puts a single deadline on a whole response, however long its body, hides
// whether a connection had been used before, cannot hand a connection over for a tunnel, and leaves a goroutine behind.
type Upstream struct {
	Node   topology.Node
	dial   Dialer
	stats  *stats.Node
	pushes *rate.Limiter // of bytes of what is pushed; nil for none
	ended  context.Context
	end    func() // of Close

	mu   sync.Mutex // guards the fields below, and end
	idle []*upConn  // the one used last at the end
	open map[*upConn]bool
}

// upConn is a connection to an upstream server. One exchange at a time uses it.
type upConn struct {
	net.Conn
	question
	raw   syscall.RawConn // the socket; nil for a connection that has none
	br    *bufio.Reader   // during an exchange
	used  bool            // an earlier exchange went well on it
	since time.Time       // when it became idle
	until time.Time       // the read deadline, as it was last set

	halted atomic.Bool // nothing more of the request is to be written
}

func newUpConn(conn net.Conn) *upConn {
	c := &upConn{Conn: conn, raw: socket(conn)}
	if _, bare := conn.(*net.TCPConn); bare && c.raw != nil {
		c.visit = c.onSocket
	}
	return c
}

// NewUpstream returns the way to a node; it connects when first used. pushes, which may be nil, bounds the bytes of what is pushed.
func NewUpstream(node topology.Node, dial Dialer, counters *stats.Node, pushes *rate.Limiter) *Upstream {
	u := &Upstream{Node: node, dial: dial, stats: counters, pushes: pushes, open: map[*upConn]bool{}}
	u.ended, u.end = context.WithCancel(context.Background())
	return u
}

var errClosed = errors.New("the node is stopping")

// dialError says that no connection came about: nothing of the request was sent.
type dialError struct{ error }

func (e dialError) Unwrap() error { return e.error }

// get returns a connection: one that is idle, unless fresh asks for a new one.
func (u *Upstream) get(ctx context.Context, fresh bool, now time.Time) (*upConn, error) {
	if !fresh {
		if c := u.pop(now); c != nil {
			c.br = acquireReader(c)
			return c, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	raw, err := u.dial(ctx, u.Node)
	if err != nil {
		return nil, dialError{err}
	}
	c := newUpConn(raw)
	u.mu.Lock()
	closed := u.ended.Err() != nil
	if !closed {
		u.open[c] = true
	}
	u.mu.Unlock()
	if closed {
		_ = raw.Close() // it was never used
		return nil, dialError{errClosed}
	}
	c.br = acquireReader(c)
	return c, nil
}

// pop takes the idle connection that was used last, if it is not too old.
func (u *Upstream) pop(now time.Time) *upConn {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.expireLocked(now)
	n := len(u.idle)
	if n == 0 {
		return nil
	}
	c := u.idle[n-1]
	u.idle[n-1] = nil
	u.idle = u.idle[:n-1]
	return c
}

// expireLocked closes what has been idle for too long.
func (u *Upstream) expireLocked(now time.Time) {
	old := 0
	for old < len(u.idle) && now.Sub(u.idle[old].since) > idleLimit {
		u.closeLocked(u.idle[old])
		old++
	}
	if old > 0 {
		n := copy(u.idle, u.idle[old:])
		clear(u.idle[n:])
		u.idle = u.idle[:n]
	}
}

func (u *Upstream) closeLocked(c *upConn) {
	delete(u.open, c)
	_ = c.Conn.Close() // nothing is in flight on it
}

// put ends an exchange. The connection is kept if it can carry another one.
func (u *Upstream) put(c *upConn, keep bool, now time.Time) {
	releaseReader(c.br)
	c.br = nil
	c.used = true
	u.mu.Lock()
	defer u.mu.Unlock()
	if !keep || u.ended.Err() != nil || len(u.idle) >= maxIdle {
		u.closeLocked(c)
		return
	}
	c.since = now
	u.idle = append(u.idle, c)
	u.expireLocked(now)
}

// Load returns how many requests are under way.
func (u *Upstream) Load() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return int64(len(u.open) - len(u.idle))
}

// forget closes every idle connection: the server was restarted, or is gone.
func (u *Upstream) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, c := range u.idle {
		u.closeLocked(c)
	}
	clear(u.idle)
	u.idle = u.idle[:0]
}

// Close breaks off every exchange and lets no new one begin.
func (u *Upstream) Close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.end()
	u.idle = nil
	for c := range u.open {
		_ = c.Conn.Close() // its exchange meets the error
	}
	clear(u.open)
}

// alive reports whether the peer has neither closed an idle connection nor sent anything on it, as far as this side has heard. It
// cannot tell for a connection without a socket, and says yes.
func (c *upConn) alive() bool {
	if c.raw == nil {
		return true
	}
	if c.SetReadDeadline(time.Time{}) != nil { // that of the exchange before may have passed
		return false
	}
	still := false
	err := c.raw.Read(func(fd uintptr) bool {
		still = quiet(fd)
		return true
	})
	return err == nil && still
}

// quiet reports whether there is nothing to read. What it finds is lost: data or an end out of turn make a connection useless alike.
func quiet(fd uintptr) bool {
	var b [1]byte
	_, err := syscall.Read(int(fd), b[:])
	return err == syscall.EAGAIN
}

// SetReadDeadline implements net.Conn.
func (c *upConn) SetReadDeadline(t time.Time) error {
	c.until = t
	return c.Conn.SetReadDeadline(t)
}

// halt ends a Write that waits, and all to come.
func (c *upConn) halt() {
	c.halted.Store(true) // before the deadline, which a Write that has just begun may overwrite
	_ = c.SetWriteDeadline(time.Unix(1, 0))
}

// limit has reads fail once a time has passed since now, or a 32nd of it later: a deadline that is near enough stays, since its
// timer costs more than the clock.
func (c *upConn) limit(now time.Time, d time.Duration) error {
	if left := c.until.Sub(now); left >= d && left <= d+d/32 {
		return nil
	}
	return c.SetReadDeadline(now.Add(d + d/32))
}

// readers are the buffers for what upstream servers send; their size limits a response's head.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, maxResponseHead) }}

func acquireReader(c net.Conn) *bufio.Reader {
	br := readers.Get().(*bufio.Reader)
	br.Reset(c)
	return br
}

func releaseReader(br *bufio.Reader) {
	br.Reset(nil)
	readers.Put(br)
}

// pace waits until so many bytes more of what is pushed may come, or the upstream is closed.
func (u *Upstream) pace(n int) { _ = u.pushes.WaitN(u.ended, n) } // the next read meets the end
