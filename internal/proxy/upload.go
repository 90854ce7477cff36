package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// upload is a request's body that is being sent. A nil upload has been sent.
type upload struct {
	body requestBody
	conn *upConn
	bw   *bufio.Writer
	last atomic.Bool // all has been read from the client
	done chan struct{}
	err  error // valid after done

	mu       sync.Mutex // guards answered, and the connection's read deadline until then
	answered bool
}

func startUpload(c *upConn, bw *bufio.Writer, b requestBody) *upload {
	u := &upload{body: b, conn: c, bw: bw, done: make(chan struct{})}
	go func() {
		u.err = u.copy()
		putWriter(bw)
		if !isClients(u.err) {
			u.awaitHead()
			close(u.done)
			return
		}
		close(u.done)      // first, so that whoever meets the closed connection finds the reason
		_ = c.Conn.Close() // what was sent must not look complete, nor has it an answer to wait for
	}()
	return u
}

// awaitHead limits the time until the head of the response comes.
func (u *upload) awaitHead() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.answered {
		_ = u.conn.SetReadDeadline(time.Now().Add(headTimeout)) // fails on a closed connection, as reading from it does
	}
}

// headCame leaves the read deadline to the body of the response.
func (u *upload) headCame() {
	if u == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answered = true
}

// copy sends the body in its framing, each piece as it comes.
func (u *upload) copy() error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for left := u.body.length; left != 0; {
		n, err := u.body.Read(*buf)
		left -= int64(n)
		u.last.Store(left == 0 || left < 0 && err == io.EOF)
		if n > 0 {
			u.writePiece((*buf)[:n])
			if u.bw.Flush() != nil {
				return errUpload
			}
		}
		switch {
		case err == io.EOF && left > 0:
			return clientError{io.ErrUnexpectedEOF}
		case err == io.EOF && left < 0:
			_, _ = u.bw.WriteString("0\r\n\r\n")
			return u.bw.Flush()
		case err != nil && left != 0:
			return clientError{err}
		}
	}
	return nil
}

func (u *upload) writePiece(p []byte) {
	if u.body.length >= 0 {
		_, _ = u.bw.Write(p) // an error stays in bw until Flush
		return
	}
	_, _ = fmt.Fprintf(u.bw, "%x\r\n", len(p))
	_, _ = u.bw.Write(p)
	_, _ = u.bw.Write(crlf)
}

// errUpload says that the server does not read on; its answer may be there all the same.
var errUpload = errors.New("the server stopped reading the request")

// stop ends the upload, if it has not ended by itself, and waits until nothing of it is under way.
func (u *upload) stop() {
	if u == nil || u.hasEnded() {
		return
	}
	if u.last.Load() { // nothing is being read: the client's connection may go on, and this one if all was written, heard of or not
		u.conn.halt()
		<-u.done
		if u.err == nil {
			u.conn.halted.Store(false)
			return
		}
	} else {
		_ = u.conn.Conn.Close() // what was sent must not look complete
		u.body.abort()
		<-u.done
	}
	u.err = errUpload // an error of the client's would be of this side's making
}

// hasEnded reports whether the body has been sent, or has failed to be. The answer may be quicker than the news of that: the
// last piece gets a moment.
func (u *upload) hasEnded() bool {
	select {
	case <-u.done:
		return true
	default:
	}
	if !u.last.Load() {
		return false
	}
	select {
	case <-u.done:
		return true
	case <-time.After(lastPiece):
		return false
	}
}
