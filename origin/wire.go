package origin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"syscall"

	"cdnlab/internal/proxy"
)

// strictTransport lets an app's answers through that can be understood in one way only. net/http is more forgiving: it takes
// chunks beside a length, folded lines and bare LFs, and what comes behind an answer may become that of the next request.
type strictTransport struct{ *http.Transport }

// RoundTrip implements http.RoundTripper.
func (t strictTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if w, ok := info.Conn.(*wire); ok {
			w.begin(r.Method == http.MethodHead, r.Header.Get("Upgrade") != "")
		}
	}}
	return t.Transport.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
}

// wire is a connection to an app. It follows the answers that come on it and fails where one is malformed.
type wire struct {
	net.Conn
	raw syscall.RawConn // nil where Conn is no bare socket

	mu      sync.Mutex // guards the fields below
	state   wireState
	isHead  bool
	upgrade bool
	sent    bool // something of the request
	left    int64
	chunks  chunkScanner
	err     error // found once and for all

	buf   []byte // read, not yet handed out; the reader's alone
	ready int    // of buf, so much is in order
	room  []byte
}

// wired makes what dials return connections that are watched.
func wired(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return newWire(c), nil
	}
}

func newWire(c net.Conn) *wire {
	w := &wire{Conn: c}
	if s, ok := c.(syscall.Conn); ok {
		w.raw, _ = s.SyscallConn() // nil if it is closed already: its first use says so
	}
	return w
}

// CloseWrite ends the writing side of a tunnel.
func (w *wire) CloseWrite() error {
	if half, ok := w.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return w.Close()
}

// wireState is what is expected next.
type wireState int8

const (
	wireIdle wireState = iota
	wireHead
	wireLength
	wireChunks
	wireClose // all until the end, tunnels as well
)

var errUnsolicited = errors.New("the app sent more than its answer")

// begin is told that a request is about to be sent.
func (w *wire) begin(isHead, upgrade bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state != wireIdle {
		w.err = errUnsolicited
	}
	w.state, w.isHead, w.upgrade, w.sent = wireHead, isHead, upgrade, false
}

// Write refuses to send a request on a connection that is of no use: net/http takes another one.
func (w *wire) Write(p []byte) (int, error) {
	if err := w.send(); err != nil {
		return 0, err
	}
	return w.Conn.Write(p)
}

// send notes that the request goes out. What is already here cannot be its answer.
func (w *wire) send() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil && !w.sent && w.raw != nil && pending(w.raw) {
		w.err = errUnsolicited
	}
	w.sent = true
	return w.err
}

// pending reports whether there is something to read.
func pending(raw syscall.RawConn) (yes bool) {
	_ = raw.Control(func(fd uintptr) { // a closed connection has nothing
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		yes = err == nil && n > 0
	})
	return yes
}

// wireRoom is how much is read at once.
const wireRoom = 16 << 10

// Read hands out what is in order. What a fault follows comes before it.
func (w *wire) Read(p []byte) (int, error) {
	for w.ready == 0 {
		if err := w.fault(); err != nil {
			return 0, err
		}
		if err := w.receive(); err != nil && w.ready == 0 {
			if ferr := w.fault(); ferr != nil {
				err = ferr
			} else if err == io.EOF && len(w.buf) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
	}
	n := copy(p, w.buf[:w.ready])
	w.ready -= n
	if w.buf = w.buf[:copy(w.buf, w.buf[n:])]; len(w.buf) == 0 && cap(w.buf) > wireRoom {
		w.buf = nil
	}
	return n, nil
}

// receive reads once and follows what came, in one step as seen from send: so bytes that were here before a request went out
// are told from those that came after it. Under TLS a reader that is late takes one for the other.
func (w *wire) receive() error {
	if w.room == nil {
		w.room = make([]byte, wireRoom)
	}
	if w.raw == nil {
		n, err := w.Conn.Read(w.room)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.followLocked(w.room[:n])
		return err
	}
	var failed error
	err := w.raw.Read(func(fd uintptr) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		n, err := syscall.Read(int(fd), w.room)
		for err == syscall.EINTR {
			n, err = syscall.Read(int(fd), w.room)
		}
		switch {
		case err == syscall.EAGAIN:
			return false
		case err != nil:
			failed = os.NewSyscallError("read", err)
		case n == 0:
			failed = io.EOF
		default:
			w.followLocked(w.room[:n])
		}
		return true
	})
	return cmp.Or(failed, err)
}

func (w *wire) fault() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// followLocked goes through what has been read, b at last, as far as it can.
func (w *wire) followLocked(b []byte) {
	w.buf = append(w.buf, b...)
	for rest := w.buf[w.ready:]; len(rest) > 0 && w.err == nil; rest = w.buf[w.ready:] {
		n := 0
		if w.state != wireClose && !w.sent {
			w.err = errUnsolicited
			return
		}
		switch w.state {
		case wireIdle:
			w.err = errUnsolicited
		case wireHead:
			n, w.err = w.headLocked(rest)
		case wireLength:
			n = int(min(w.left, int64(len(rest))))
			if w.left -= int64(n); w.left == 0 {
				w.state = wireIdle
			}
		case wireChunks:
			if n, w.err = w.chunks.scan(rest); w.chunks.done() {
				w.state = wireIdle
			}
		case wireClose:
			n = len(rest)
		}
		w.ready += n
		if n == 0 {
			return
		}
	}
}

// headLocked takes a head, once it is complete.
func (w *wire) headLocked(b []byte) (int, error) {
	end, err := proxy.HeadEnd(b)
	if err != nil || end < 0 {
		return 0, err
	}
	status, framing, length, err := proxy.ParseHead(b[:end], w.isHead)
	switch {
	case err != nil:
		return 0, err
	case status == http.StatusSwitchingProtocols && !w.upgrade:
		return 0, errors.New("the app switched protocols unasked")
	case status == http.StatusSwitchingProtocols:
		w.state = wireClose
	case status < 200: // the final one is still to come
	case framing == proxy.FramedByChunks:
		w.state, w.chunks = wireChunks, chunkScanner{}
	case framing == proxy.FramedByClose:
		w.state = wireClose
	case length > 0:
		w.state, w.left = wireLength, length
	default:
		w.state = wireIdle
	}
	return end, nil
}

// chunkScanner follows a chunked body byte by byte (RFC 9112 §7.1).
type chunkScanner struct {
	state chunkState
	size  int64 // of the chunk, then what is left of it
	n     int   // digits of the size, or bytes of the line
	line  []byte
}

type chunkState int8

const (
	chunkSize chunkState = iota
	chunkExtension
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	chunkTrailer
	chunkTrailerLF
	chunkEnd
)

// Bounds of what comes beside a chunk's data.
const (
	maxChunkDigits    = 15
	maxChunkExtension = 4 << 10
	maxChunkTrailer   = 16 << 10
)

func (c *chunkScanner) done() bool { return c.state == chunkEnd }

// scan returns how much of b belongs to the body and is in order.
func (c *chunkScanner) scan(b []byte) (int, error) {
	for i := 0; i < len(b); {
		if c.state == chunkEnd {
			return i, nil
		}
		if c.state == chunkData {
			n := int(min(c.size, int64(len(b)-i)))
			if c.size -= int64(n); c.size == 0 {
				c.state = chunkDataCR
			}
			i += n
			continue
		}
		if !c.step(b[i]) {
			return i, fmt.Errorf("malformed chunk at %.20q", b[i:])
		}
		i++
	}
	return len(b), nil
}

// step takes one byte outside of a chunk's data and reports whether it may be there.
func (c *chunkScanner) step(b byte) bool {
	c.n++
	switch c.state {
	case chunkSize:
		return c.sizeByte(b)
	case chunkExtension:
		if b == '\r' {
			c.state = chunkSizeLF
			return true
		}
		return (b >= ' ' || b == '\t') && b != 0x7f && c.n < maxChunkExtension
	case chunkSizeLF:
		if c.state, c.n = chunkData, 0; c.size == 0 {
			c.state = chunkTrailer
		}
		return b == '\n'
	case chunkDataCR:
		c.state = chunkDataLF
		return b == '\r'
	case chunkDataLF:
		c.state, c.n = chunkSize, 0
		return b == '\n'
	case chunkTrailer:
		return c.trailerByte(b)
	case chunkTrailerLF:
		return b == '\n' && c.endLine()
	}
	return false
}

func (c *chunkScanner) sizeByte(b byte) bool {
	digit := strings.IndexByte("0123456789abcdef", b|0x20)
	if b < '0' { // a control character that the bit above makes a digit
		digit = -1
	}
	switch {
	case digit >= 0:
		c.size = c.size<<4 | int64(digit)
		return c.n <= maxChunkDigits
	case c.n == 1:
		return false
	case b == '\r':
		c.state = chunkSizeLF
	case b == ';', b == ' ', b == '\t':
		c.state = chunkExtension
	default:
		return false
	}
	return true
}

func (c *chunkScanner) trailerByte(b byte) bool {
	if b == '\r' {
		c.state = chunkTrailerLF
		return true
	}
	c.line = append(c.line, b)
	return (b >= ' ' || b == '\t') && b != 0x7f && c.n < maxChunkTrailer
}

// endLine ends a line of the trailer; an empty one ends the body.
func (c *chunkScanner) endLine() bool {
	if len(c.line) == 0 {
		c.state = chunkEnd
		return true
	}
	name, _, ok := strings.Cut(string(c.line), ":")
	c.state, c.line = chunkTrailer, c.line[:0]
	return ok && name != "" && !strings.ContainsAny(name, " \t")
}
