package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http/httputil"
	"sync/atomic"
	"time"
)

// Lengths of a body that are not a number of bytes.
const (
	lengthUnknown  = -1 // chunked, or until the connection closes
	maxTrailer     = 16 << 10
	bodyIdle       = 5 * time.Minute  // the longest silence in a body without a length that goes through: an event stream may well wait
	bodyStall      = 10 * time.Second // the same in any other, which the server has whole or will have soon
	maxLengthField = 18               // digits; any more could overflow
)

// body reads the body of a response by its framing (RFC 9112 §6.3). It returns io.EOF only after all of it; anything else
// that ends it is an error, so that a truncated body is never taken for a whole one.
type body struct {
	length int64 // lengthUnknown when the framing does not tell it beforehand
	src    io.Reader
	known  exactly // room for src
	idle   time.Duration
	conn   *upConn
	n      int64        // bytes read so far
	done   bool         // all of it was read
	waited bool         // it did not all come with the head
	failed bool         // it broke off
	pace   func(n int)  // waits until so many bytes more may come; nil when that is at once
	wanted *atomic.Bool // by a client: it does not wait any more; nil for one that no client can come to
}

// init works out the framing of a response to a request of the given method.
func (b *body) init(c *upConn, h *responseHead, head bool) error {
	*b = body{conn: c, length: lengthUnknown, idle: bodyIdle}
	f, length, err := h.framing(head)
	switch {
	case err != nil:
		return err
	case f == FramedByChunks:
		b.src = &chunks{br: c.br, data: httputil.NewChunkedReader(c.br)}
	case f == FramedByClose:
		b.src = untilClose{c.br}
	default:
		b.length, b.done, b.idle = length, length == 0, bodyStall
		b.known = exactly{c.br, length}
		b.src = &b.known
	}
	return nil
}

// Read reads what has come, waiting if nothing has.
func (b *body) Read(p []byte) (int, error) {
	if b.done {
		return 0, io.EOF
	}
	b.waited = true
	held := b.held()
	if held {
		p = p[:min(len(p), pushPiece)]
	}
	// Also with something in the buffer, which may be no more than half a chunk's size.
	if err := b.conn.limit(time.Now(), b.idle); err != nil {
		return 0, err
	}
	n, err := b.src.Read(p)
	b.n += int64(n)
	b.done = err == io.EOF
	b.failed = err != nil && !b.done
	if held {
		b.pace(n)
	}
	return n, err
}

// held reports whether what comes has to wait.
func (b *body) held() bool { return b.pace != nil && (b.wanted == nil || !b.wanted.Load()) }

// arrived reports whether all of it is here.
func (b *body) arrived() bool {
	left := b.length - b.n
	return b.done || left >= 0 && left <= int64(b.conn.br.Buffered())
}

// WriteTo implements io.WriterTo: every piece is written as it comes.
func (b *body) WriteTo(w io.Writer) (total int64, err error) {
	if b.arrived() {
		return b.writeRest(w)
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for {
		n, err := b.Read(*buf)
		if n > 0 {
			written, werr := w.Write((*buf)[:n])
			total += int64(written)
			if werr != nil {
				return total, werr
			}
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// writeRest writes what has arrived from where it lies.
func (b *body) writeRest(w io.Writer) (int64, error) {
	if b.done {
		return 0, nil
	}
	left := int(b.length - b.n)
	rest, _ := b.conn.br.Peek(left) // never fails: it is buffered
	if b.held() {
		b.pace(left)
	}
	n, err := w.Write(rest)
	_, _ = b.conn.br.Discard(left) // the same
	b.n, b.done = b.length, true
	return int64(n), err
}

// exactly reads a body of known length.
type exactly struct {
	br   *bufio.Reader
	left int64
}

func (e *exactly) Read(p []byte) (int, error) {
	if int64(len(p)) > e.left {
		p = p[:e.left]
	}
	n, err := e.br.Read(p)
	e.left -= int64(n)
	switch {
	case e.left == 0:
		return n, io.EOF
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// chunks reads a chunked body and the trailer behind it, which is dropped (RFC 9112 §7.1.2 leaves that to the recipient).
type chunks struct {
	br   *bufio.Reader
	data io.Reader
}

func (c *chunks) Read(p []byte) (int, error) {
	n, err := c.data.Read(p)
	if err != io.EOF {
		return n, err
	}
	for size := 0; ; {
		line, err := c.br.ReadSlice('\n')
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return n, err
		}
		if string(line) == "\r\n" {
			return n, io.EOF
		}
		if size += len(line); size > maxTrailer {
			return n, errors.New("trailer of the response is too long")
		}
		if _, _, err := parseField(bytes.TrimSuffix(line, crlf)); err != nil {
			return n, err
		}
	}
}

// untilClose reads a body that ends with the connection.
type untilClose struct{ br *bufio.Reader }

func (u untilClose) Read(p []byte) (int, error) { return u.br.Read(p) }
