package lab

import (
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

// acceptPause is how long a listener rests that cannot accept because the machine has run out of something.
const acceptPause = 50 * time.Millisecond

// listener goes on where accepting fails for want of descriptors or memory, which the end of other connections gives back;
// fasthttp would end its server.
type listener struct {
	net.Listener
	log    *slog.Logger
	once   sync.Once
	closed chan struct{}
}

func newListener(ln net.Listener, log *slog.Logger) *listener {
	return &listener{Listener: ln, log: log, closed: make(chan struct{})}
}

func (l *listener) Accept() (net.Conn, error) {
	for tries := 0; ; tries++ {
		c, err := l.Listener.Accept()
		if err == nil || !scarce(err) {
			return c, err
		}
		if tries == 0 {
			l.log.Warn("cannot accept connections for now", "address", l.Addr(), "error", err)
		}
		select {
		case <-l.closed:
			return nil, net.ErrClosed
		case <-time.After(acceptPause):
		}
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

func scarce(err error) bool {
	return slices.ContainsFunc([]error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM}, func(lack error) bool { return errors.Is(err, lack) })
}
