package netem

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// conn delays what passes through a connection. Reading and writing may go on at the same time, each by one goroutine.
type conn struct {
	net.Conn
	link    *Link
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
}

func newConn(c net.Conn, l *Link, read, write direction) *conn {
	n := &conn{Conn: c, link: l, in: read, out: write, closed: make(chan struct{})}
	n.read.changed, n.write.changed = make(chan struct{}), make(chan struct{})
	return n
}

// Listen returns ln with every accepted connection crossing the link that between chooses for its peer; nil leaves it bare.
// Connecting and the first request each cost an RTT, which the first request pays.
func Listen(ln net.Listener, between func(peer netip.Addr) *Link) net.Listener {
	return &listener{ln, between}
}

type listener struct {
	net.Listener
	between func(netip.Addr) *Link
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	var peer netip.Addr
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		peer = a.AddrPort().Addr().Unmap()
	}
	link := l.between(peer)
	if link == nil {
		return c, nil
	}
	n := newConn(c, link, inward, outward)
	n.turn.due, n.turn.connects = true, link.Params().RTT
	return n, nil
}

// Dial connects across a link: it takes an RTT longer than dial.
func Dial(ctx context.Context, link *Link, dial func(context.Context) (net.Conn, error)) (net.Conn, error) {
	c, err := dial(ctx)
	if err != nil || link == nil {
		return c, err
	}
	select {
	case <-time.After(link.Params().RTT):
		return newConn(c, link, outward, inward), nil
	case <-ctx.Done():
		_ = c.Close() // nothing was sent
		return nil, ctx.Err()
	}
}

// Read reads at most what the link carries at once, and returns when it would have arrived.
func (c *conn) Read(b []byte) (int, error) {
	if c.pending == nil {
		n, err := c.Conn.Read(b[:min(len(b), c.link.Params().chunk())])
		if n == 0 {
			return 0, err
		}
		if c.due = c.arrival(n); time.Until(c.due) <= 0 {
			return n, err
		}
		if werr := c.read.wait(c.due, c.closed); werr == nil {
			return n, err
		}
		c.pending = append([]byte(nil), b[:n]...) // for the read after the deadline
		return 0, os.ErrDeadlineExceeded
	}
	if err := c.read.wait(c.due, c.closed); err != nil {
		return 0, err
	}
	n := copy(b, c.pending)
	if c.pending = c.pending[n:]; len(c.pending) == 0 {
		c.pending = nil
	}
	return n, nil
}

// arrival says when n bytes that the connection gave now are due.
func (c *conn) arrival(n int) time.Time {
	at := c.link.carry(time.Now(), n, c.in)
	c.turn.Lock()
	defer c.turn.Unlock()
	if c.turn.due {
		at = at.Add(c.link.Params().RTT + c.turn.connects)
		c.turn.due, c.turn.connects = false, 0
	}
	return at
}

// Write writes as fast as the link carries. What answers it begins a turn.
func (c *conn) Write(b []byte) (written int, err error) {
	c.turn.Lock()
	c.turn.due = true
	c.turn.Unlock()
	for written < len(b) {
		part := b[written:min(len(b), written+min(c.link.Params().chunk(), len(b)))]
		if err := c.write.wait(c.link.carry(time.Now(), len(part), c.out), c.closed); err != nil {
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

// Close ends the delays under way too.
func (c *conn) Close() error {
	c.close.Do(func() { close(c.closed) })
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

// wait sleeps until a time. It returns early with an error when the deadline comes first or the connection is closed.
func (w *waiter) wait(until time.Time, closed <-chan struct{}) error {
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
		case <-closed:
			timer.Stop()
			return net.ErrClosed
		}
		timer.Stop()
	}
}
