package proxy

import (
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

// watch closes gone when the client ends its connection, or its half of it, as clients do that wait no longer. It cannot tell once
// something has come behind the request, nor of a connection without a socket. unwatch ends it; nobody else may read meanwhile.
func watch(rc *fasthttp.RequestCtx) (gone <-chan struct{}, unwatch func()) {
	raw := socket(rc.Conn())
	if raw == nil {
		return nil, func() {}
	}
	_ = rc.SetReadDeadline(time.Time{}) // a closed connection shows below
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		if awaitEnd(raw) {
			close(end)
		}
	}()
	return end, func() {
		_ = rc.SetReadDeadline(time.Unix(1, 0)) // ends the wait
		<-ended
		_ = rc.SetReadDeadline(time.Now().Add(stallLimit)) // of no use to a closed connection
	}
}

// awaitEnd waits until the peer has ended the connection, and is false when it can no longer tell.
func awaitEnd(raw syscall.RawConn) (ended bool) {
	err := raw.Read(func(fd uintptr) bool {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if errors.Is(err, syscall.EAGAIN) {
			return false
		}
		ended = err != nil || n == 0
		return true
	})
	return ended && err == nil
}

// socket is what a connection reads from; nil for one that has none.
func socket(c net.Conn) syscall.RawConn {
	for {
		if sc, ok := c.(syscall.Conn); ok {
			raw, err := sc.SyscallConn()
			if err != nil {
				return nil
			}
			return raw
		}
		w, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		c = w.NetConn()
	}
}
