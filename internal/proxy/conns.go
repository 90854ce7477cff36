package proxy

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// Limits of a client's connection, kept by a sweep: fasthttp's own limits set a deadline, which costs a reading of the clock and
// a timer, four times a request.
const (
	sweepEvery = 500 * time.Millisecond

	requestHead  = 14 * time.Second // for the head of a request, and on a new connection until it begins
	requestIdle  = 2 * time.Minute  // between two requests
	responseTime = time.Minute      // for a response that is written in one piece
)

// phase is what a connection is waited for. Where others see to the time it is phaseBusy: upstream, or a body that is paced.
type phase = uint32

const (
	phaseNew phase = iota
	phaseHead
	phaseBusy
	phaseWrite
	phaseIdle
	phaseOver
)

// phaseLimits are in sweeps; 0 is none.
var phaseLimits = [...]int64{
	phaseNew: sweeps(requestHead), phaseHead: sweeps(requestHead), phaseBusy: 0, phaseWrite: sweeps(responseTime), phaseIdle: sweeps(requestIdle), phaseOver: 0,
}

func sweeps(d time.Duration) int64 { return int64(d / sweepEvery) }

// clientConn is what a tier keeps of a client's connection from one request to the next.
type clientConn struct {
	conn    net.Conn
	phase   atomic.Uint32
	since   atomic.Int64 // the sweep before which the phase began
	request request      // the one under way, or the last
}

// connections are those that the front has open.
type connections struct {
	gone  func(net.Conn) // told of those that are closed
	left  func(net.Conn) // told of those that are closed; may be nil
	open  sync.Map       // net.Conn to *clientConn
	count atomic.Int64
	now   atomic.Int64 // sweeps so far

	mu     sync.Mutex // guards the fields below
	closed bool
	timer  *time.Timer // of the next sweep; nil while nothing is open
}

// find returns what is kept of a connection that is open.
func (c *connections) find(conn net.Conn) *clientConn {
	v, _ := c.open.Load(conn)
	return v.(*clientConn)
}

func (c *connections) enter(k *clientConn, p phase) {
	k.since.Store(c.now.Load())
	k.phase.Store(p)
}

// changed follows what fasthttp says of a connection.
func (c *connections) changed(conn net.Conn, state fasthttp.ConnState) {
	switch state {
	case fasthttp.StateNew:
		c.add(conn)
	case fasthttp.StateActive:
		c.enter(c.find(conn), phaseHead)
	case fasthttp.StateIdle:
		c.enter(c.find(conn), phaseIdle)
	case fasthttp.StateClosed:
		c.gone(conn)
		c.remove(conn)
		if c.left != nil {
			c.left(conn)
		}
	case fasthttp.StateHijacked:
		c.remove(conn)
	}
}

func (c *connections) add(conn net.Conn) {
	k := &clientConn{conn: conn}
	k.request.init(k)
	c.enter(k, phaseNew)
	c.open.Store(conn, k)
	c.count.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = conn.Close() // came in while the server was closing
	}
	c.armLocked()
}

func (c *connections) remove(conn net.Conn) {
	if _, ok := c.open.LoadAndDelete(conn); ok {
		c.count.Add(-1)
	}
}

// armLocked sees to it that a sweep comes while anything is open.
func (c *connections) armLocked() {
	if c.timer == nil && c.count.Load() > 0 {
		c.timer = time.AfterFunc(sweepEvery, func() {
			c.sweep()
			c.mu.Lock()
			defer c.mu.Unlock()
			c.timer = nil
			c.armLocked()
		})
	}
}

// sweep ends the waiting for connections that have been in their phase for too long. What was waited for fails with a timeout.
func (c *connections) sweep() {
	now := c.now.Add(1)
	for _, v := range c.open.Range {
		k := v.(*clientConn)
		p := k.phase.Load()
		if limit := phaseLimits[p]; limit > 0 && now-k.since.Load() > limit && k.phase.CompareAndSwap(p, phaseOver) {
			k.expire(p)
		}
	}
}

// expire ends the waiting of a phase. The deadlines are of no use to a connection that is closed.
func (k *clientConn) expire(p phase) {
	_ = k.conn.SetReadDeadline(time.Unix(1, 0))
	if p == phaseWrite { // in the others an answer may yet be written, to say that the time is over
		_ = k.conn.SetWriteDeadline(time.Unix(1, 0))
	}
}

// closeAll breaks every connection off.
func (c *connections) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for conn := range c.open.Range {
		_ = conn.(net.Conn).Close() // its goroutine meets the error
	}
}

// stop ends the sweeping.
func (c *connections) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
}
