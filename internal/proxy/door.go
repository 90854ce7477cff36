package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// maxRequestLine is how long a request line may be: a target, with a method and a version.
const maxRequestLine = maxTarget + 64

// door is a listener that lets clients in: each address with so many connections at a time, and none whose first bytes are no head
// of HTTP. fasthttp forgives a bare LF behind the request line, waits for more behind another, and says nothing of either to the
// handler (RFC 9112 §2.2). The bytes are looked at where they lie, so that the connection stays the bare socket that writev and
// sendfile need. Requests after the first are not looked at.
type door struct {
	net.Listener
	most  int                   // connections of one address; 0 is no limit
	known func(netip.Addr) bool // addresses without a limit; nil knows none
	ready chan net.Conn
	ended chan struct{}
	err   error // of the listener, valid once ended
	tasks sync.WaitGroup

	mu      sync.Mutex         // guards the fields below
	open    map[netip.Addr]int // connections that are counted
	waiting map[net.Conn]bool  // for their first bytes
	closed  bool
}

func openDoor(l net.Listener, most int, known func(netip.Addr) bool) *door {
	d := &door{Listener: l, most: most, known: known, ready: make(chan net.Conn), ended: make(chan struct{}),
		open: map[netip.Addr]int{}, waiting: map[net.Conn]bool{}}
	d.tasks.Go(d.accept)
	return d
}

func (d *door) accept() {
	defer close(d.ended)
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			d.err = err
			return
		}
		if !d.enter(c) {
			_ = c.Close() // at once: an answer could wait for a client that does not read
			continue
		}
		d.tasks.Go(func() { d.look(c) })
	}
}

// Accept returns the next connection that has begun to send.
func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.ready:
		return c, nil
	case <-d.ended:
		return nil, d.err
	}
}

// Close closes the listener and the connections that wait.
func (d *door) Close() error {
	err := d.Listener.Close()
	d.mu.Lock()
	d.closed = true
	for c := range d.waiting {
		_ = c.Close() // nothing came on it
	}
	d.mu.Unlock()
	d.tasks.Wait()
	return err
}

func (d *door) counts(addr netip.Addr) bool {
	return d.most > 0 && (d.known == nil || !d.known(addr))
}

func (d *door) enter(c net.Conn) bool {
	addr := addrOf(c.RemoteAddr())
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.counts(addr) && d.open[addr] >= d.most {
		return false
	}
	if d.counts(addr) {
		d.open[addr]++
	}
	d.waiting[c] = true
	return true
}

// leave is told of a connection that is closed, or is no longer one for requests.
func (d *door) leave(c net.Conn) {
	addr := addrOf(c.RemoteAddr())
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.counts(addr) {
		return
	}
	if d.open[addr]--; d.open[addr] <= 0 {
		delete(d.open, addr)
	}
}

// look waits for the first bytes of a connection, and hands it on if they may begin a request.
func (d *door) look(c net.Conn) {
	_ = c.SetReadDeadline(time.Now().Add(requestHead)) // fails on a closed connection, as waiting for bytes does
	why, ok := firstLines(c)
	d.mu.Lock()
	delete(d.waiting, c)
	ok = ok && !d.closed
	d.mu.Unlock()
	if why != nil {
		turnAway(c, why)
	}
	if why != nil || !ok {
		d.leave(c)
		_ = c.Close() // it is not used any more
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	select {
	case d.ready <- c:
	case <-d.ended:
		d.leave(c)
		_ = c.Close() // nobody is there to serve it
	}
}

// turnAway answers a beginning that is none. What has come is read behind the answer: closing over it would be a reset, which may
// overtake the answer.
func turnAway(c net.Conn, why *refusal) {
	_ = c.SetWriteDeadline(time.Now().Add(stallLimit))
	_, _ = fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s\n",
		why.status, http.StatusText(why.status), len(why.sentence)+1, why.sentence) // the client may have gone
	if !endWriting(c) {
		return
	}
	_ = c.SetReadDeadline(time.Now().Add(lastPiece))
	_, _ = io.CopyN(io.Discard, c, maxDrained)
}

// maxDrained is how much is read of a connection that is turned away.
const maxDrained = 64 << 10

// firstLines looks at what has come first. It is not ok when nothing did; a connection without a socket is taken as it is.
func firstLines(c net.Conn) (why *refusal, ok bool) {
	raw := socket(c)
	if raw == nil {
		return nil, true
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	n := 0
	err := raw.Read(func(fd uintptr) bool {
		var err error
		n, _, err = syscall.Recvfrom(int(fd), *buf, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return !errors.Is(err, syscall.EAGAIN)
	})
	if err != nil || n <= 0 {
		return nil, false
	}
	return checkLines((*buf)[:n]), true
}

// checkLines says what is wrong with the lines of a head, which may not be here whole.
func checkLines(b []byte) *refusal {
	for first := true; ; first = false {
		end := bytes.IndexByte(b, '\n')
		switch {
		case end < 0 && first && len(b) > maxRequestLine:
			return refuse(http.StatusRequestURITooLong, "the request target exceeds %d bytes", maxTarget)
		case end < 0:
			return nil
		case end == 0 || b[end-1] != '\r':
			return refuse(http.StatusBadRequest, "a line of the head does not end with CR LF")
		case end == 1 && !first:
			return nil
		}
		b = b[end+1:]
	}
}
