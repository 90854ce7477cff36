package netem

import (
	"cmp"
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// conn delays what passes through a connection. Reading and writing may go on at the same time, each by one goroutine.
type conn struct {
	net.Conn
	path    Path
	in, out direction // of reads and writes
	read    waiter
	write   waiter
	closed  chan struct{}
	close   sync.Once

	turn struct {
		sync.Mutex
		due      bool          // the next byte read begins a turn: it pays the RTT
		connects time.Duration // RTTs of connecting that the first turn pays as well
	}

	pending []byte    // read from the connection, not yet due; the reader's alone
	due     time.Time // when pending may be handed out
	pushed  atomic.Bool
}

func newConn(c net.Conn, p Path, read, write direction) *conn {
	n := &conn{Conn: c, path: p, in: read, out: write, closed: make(chan struct{})}
	n.read.changed, n.write.changed = make(chan struct{}), make(chan struct{})
	return n
}

// Listen returns ln with every accepted connection crossing the path that between chooses for its peer. Connecting and the
// first request each cost an RTT, which the first request pays.
func Listen(ln net.Listener, between func(peer netip.Addr) Path) net.Listener {
	return &listener{ln, between}
}

type listener struct {
	net.Listener
	between func(netip.Addr) Path
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		var peer netip.Addr
		if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
			peer = a.AddrPort().Addr().Unmap()
		}
		path := l.between(peer)
		if len(path) == 0 {
			return c, nil
		}
		n := newConn(c, path, inward, outward)
		n.turn.due, n.turn.connects = true, path.turn()
		if path.add(n) {
			return n, nil
		}
		n.abort()
	}
}

// Dial connects across a path: it takes an RTT longer than dial.
func Dial(ctx context.Context, path Path, dial func(context.Context) (net.Conn, error)) (net.Conn, error) {
	c, err := dial(ctx)
	if err != nil || len(path) == 0 {
		return c, err
	}
	n := newConn(c, path, outward, inward)
	arrives := time.NewTimer(path.turn())
	defer arrives.Stop()
	select {
	case <-arrives.C:
	case <-ctx.Done():
		_ = c.Close() // nothing was sent
		return nil, ctx.Err()
	}
	for lifted := path.down(); lifted != nil; lifted = path.down() {
		select {
		case <-lifted:
		case <-ctx.Done():
			_ = c.Close() // as above
			return nil, ctx.Err()
		}
	}
	if !path.add(n) {
		n.abort()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: c.RemoteAddr(), Err: syscall.ECONNRESET}
	}
	return n, nil
}

// NetConn returns what the connection wraps, so that its state can be asked for. Reading or writing there goes past the link.
func (c *conn) NetConn() net.Conn { return c.Conn }

// Pushed makes the connection one on which both ends send unasked from now on: what has the reader wait, and what is written, takes
// half an RTT each, and no turns are paid for.
func (c *conn) Pushed() { c.pushed.Store(true) }

// abort breaks the connection off: its peer gets a RST.
func (c *conn) abort() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // one that is closed already is as good
	}
	c.end()
	_ = c.Conn.Close() // as above
}

// end wakes what waits.
func (c *conn) end() { c.close.Do(func() { close(c.closed) }) }

// Read reads at most what the link carries at once, and returns when it would have arrived.
func (c *conn) Read(b []byte) (int, error) {
	if c.pending == nil {
		began := time.Now()
		n, err := c.Conn.Read(b[:min(len(b), c.path.chunk())])
		c.due = time.Time{}
		if n > 0 {
			c.due = c.arrival(n, began)
		} else if err != io.EOF {
			return 0, err
		}
		if werr := c.cross(&c.read, c.due, c.in); werr == nil || n == 0 {
			return n, cmp.Or(werr, err)
		}
		c.pending = append([]byte(nil), b[:n]...) // for the read after the deadline
		return 0, os.ErrDeadlineExceeded
	}
	if err := c.cross(&c.read, c.due, c.in); err != nil {
		return 0, err
	}
	n := copy(b, c.pending)
	if c.pending = c.pending[n:]; len(c.pending) == 0 {
		c.pending = nil
	}
	return n, nil
}

// arrival says when n bytes are due that the connection gave now to a read that began earlier.
func (c *conn) arrival(n int, began time.Time) time.Time {
	now := time.Now()
	at := c.path.carry(now, n, c.in)
	if c.pushed.Load() {
		if half := c.path.turn() / 2; now.Sub(began) > half/2 { // else they set out together with what was read last
			at = at.Add(half)
		}
		return at
	}
	c.turn.Lock()
	defer c.turn.Unlock()
	if c.turn.due {
		at = at.Add(c.path.turn() + c.turn.connects)
		c.turn.due, c.turn.connects = false, 0
	}
	return at
}

// Write writes as fast as the link carries. What answers it begins a turn.
func (c *conn) Write(b []byte) (written int, err error) {
	if c.pushed.Load() {
		if err := c.cross(&c.write, time.Now().Add(c.path.turn()/2), c.out); err != nil {
			return 0, err
		}
	} else {
		c.turn.Lock()
		c.turn.due = true
		c.turn.Unlock()
	}
	for written < len(b) {
		part := b[written:min(len(b), written+min(c.path.chunk(), len(b)))]
		if err := c.cross(&c.write, c.path.carry(time.Now(), len(part), c.out), c.out); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(part)
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// cross sleeps until a time, and for as long as a link is down.
func (c *conn) cross(w *waiter, until time.Time, d direction) error {
	if time.Until(until) > 0 {
		if err := w.wait(until, nil, c.closed); err != nil {
			return err
		}
		c.path.late(time.Since(until), d)
	}
	for lifted := c.path.down(); lifted != nil; lifted = c.path.down() {
		if err := w.wait(endless, lifted, c.closed); err != nil {
			return err
		}
	}
	return nil
}

// endless is later than any deadline.
var endless = time.Unix(1<<40, 0)

// Close ends the delays under way too.
func (c *conn) Close() error {
	c.end()
	c.path.remove(c)
	return c.Conn.Close()
}

// CloseWrite shuts down the writing side, for tunnels.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// SetDeadline and its kin hold for delays as for the connection.
func (c *conn) SetDeadline(t time.Time) error {
	c.read.set(t)
	c.write.set(t)
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline bounds reads.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.read.set(t)
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline bounds writes.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.write.set(t)
	return c.Conn.SetWriteDeadline(t)
}

// waiter sleeps under a deadline that may move meanwhile.
type waiter struct {
	mu       sync.Mutex // guards all below
	deadline time.Time
	changed  chan struct{} // closed when the deadline moves
}

func (w *waiter) set(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = t
	close(w.changed)
	w.changed = make(chan struct{})
}

// wait sleeps until a time, or until early is closed, which may be nil. It returns early with an error when the deadline comes
// first or the connection is closed.
func (w *waiter) wait(until time.Time, early, closed <-chan struct{}) error {
	for {
		left := time.Until(until)
		if left <= 0 {
			return nil
		}
		w.mu.Lock()
		deadline, changed := w.deadline, w.changed
		w.mu.Unlock()
		expires := !deadline.IsZero() && deadline.Before(until)
		if expires {
			if left = time.Until(deadline); left <= 0 {
				return os.ErrDeadlineExceeded
			}
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-changed:
		case <-early:
			timer.Stop()
			return nil
		case <-closed:
			timer.Stop()
			return net.ErrClosed
		}
		timer.Stop()
	}
}
