package proxy

import (
	"errors"
	"os"
	"syscall"
)

// question is a request in one piece on its way over a connection that is a bare socket.
type question struct {
	visit func(fd uintptr) bool // onSocket, made once; nil for a connection that is no bare socket
	rest  []byte                // what is left to send
	sent  bool                  // it has been tried
	err   error
}

// errSpoilt says that something had come on an idle connection, or that it had ended: nothing was sent.
var errSpoilt = errors.New("the connection was not idle")

// asks reports whether a request goes by ask.
func (c *upConn) asks(out *outgoing) bool { return c.visit != nil && out.body.Reader == nil }

// ask sends a request and waits until something comes back, or the read deadline. It saves two system calls of an exchange: the
// look whether an idle connection is quiet, without which what a server sends unasked would be taken for the answer, is the read
// that has to fail before the poller waits; one behind the write, which nearly always came too early, is not made.
func (c *upConn) ask(request []byte) error {
	c.rest, c.sent, c.err = request, false, nil
	err := c.raw.Read(c.visit)
	rest := c.rest
	c.rest = nil
	switch {
	case c.err != nil:
		return c.err
	case err != nil:
		return err
	case len(rest) > 0: // more than the socket has room for
		_, err = rolling{c, stallLimit}.Write(rest)
	}
	return err
}

// onSocket is called by the poller, first at once and then whenever there may be something to read. It is false to wait for that:
// since the poller forgot, before the first call, what it knew, nothing that comes after quiet is missed.
func (c *upConn) onSocket(fd uintptr) bool {
	if c.sent {
		return true
	}
	c.sent = true
	if c.used && !quiet(fd) {
		c.err = errSpoilt
		return true
	}
	n, err := syscall.Write(int(fd), c.rest)
	if err != nil && err != syscall.EAGAIN {
		c.err = os.NewSyscallError("write", err)
		return true
	}
	c.rest = c.rest[max(n, 0):]
	return len(c.rest) > 0
}
