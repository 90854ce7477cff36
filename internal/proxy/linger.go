package proxy

import (
	"io"
	"net"
	"sync"
	"time"
)

// A connection that is closed while its peer still sends ends with a reset, which may overtake the answer. So one whose request was
// answered before its body was read is read on for a while (RFC 9112 §9.6).
const (
	lingerTime = 30 * time.Second // in all
	lingerIdle = 5 * time.Second  // between two pieces
)

// WorthReading is how much of a request's body fasthttp reads behind an answer, so that the connection can go on.
const WorthReading = 256 << 10

// Linger ends the writing side of a connection and reads what still comes, until the peer has had time to take the answer in, or stop is
// closed. The connection is the caller's to close.
func Linger(c net.Conn, stop <-chan struct{}) {
	if !endWriting(c) {
		return
	}
	over := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-stop:
			_ = c.SetReadDeadline(time.Unix(1, 0)) // fails on a closed connection, as reading does
		case <-over:
		}
	})
	discard(c, stop)
	close(over)
	watch.Wait()
}

// discard reads until nothing comes any more, or for too long.
func discard(c net.Conn, stop <-chan struct{}) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	end := time.Now().Add(lingerTime)
	for now := time.Now(); now.Before(end); now = time.Now() {
		if c.SetReadDeadline(now.Add(min(lingerIdle, end.Sub(now)))) != nil {
			return
		}
		select {
		case <-stop: // before the deadline was set
			return
		default:
		}
		if _, err := c.Read(*buf); err != nil {
			return
		}
	}
}

// endWriting tells the peer that nothing follows, and reports whether it could.
func endWriting(c net.Conn) bool {
	half, ok := handedOver(c).(interface{ CloseWrite() error })
	return ok && half.CloseWrite() == nil
}

// handedOver is what fasthttp has wrapped of a connection that it has handed over; others are returned as they are.
func handedOver(c net.Conn) net.Conn {
	if u, ok := c.(interface{ UnsafeConn() net.Conn }); ok {
		return u.UnsafeConn()
	}
	return c
}

// isUnread reports whether so much of the request's body is not read that its connection ends with the answer. closing says that it
// does so if anything is left, as it does behind an upload that is ended for its answer.
func (r *request) isUnread(closing bool) bool {
	if r.rc.RequestBodyStream() == nil {
		return false
	}
	body, ok := r.body.Reader.(*clientBody)
	if !ok {
		body = &clientBody{}
	}
	if body.ended.Load() {
		return false
	}
	closing = closing || body.aborted.Load() || r.rc.Request.Header.ConnectionClose()
	length := int64(r.rc.Request.Header.ContentLength())
	left := length - body.n.Load()
	return length < 0 || left > WorthReading || closing && left > 0
}

// finalPiece is a body that is here whole.
type finalPiece []byte

func (p finalPiece) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(p)
	return int64(n), err
}

func (finalPiece) Close() error { return nil }
