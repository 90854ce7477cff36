package lab

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// scriptedListener fails with one error after the other, and then gives conn.
type scriptedListener struct {
	net.Listener
	failures []error
	conn     net.Conn
	failed   chan struct{} // told of every failure
}

func (l *scriptedListener) Accept() (net.Conn, error) {
	if len(l.failures) == 0 {
		return l.conn, nil
	}
	err := l.failures[0]
	l.failures = l.failures[1:]
	l.failed <- struct{}{}
	return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", err)}
}

func (l *scriptedListener) Addr() net.Addr { return &net.TCPAddr{} }
func (l *scriptedListener) Close() error   { return nil }

func TestAListenerOutlivesTheLackOfDescriptors(t *testing.T) {
	conn, peer := net.Pipe()
	defer conn.Close()
	defer peer.Close()
	var log strings.Builder
	ln := newListener(&scriptedListener{failures: []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS}, conn: conn, failed: make(chan struct{}, 3)},
		slog.New(slog.NewTextHandler(&log, nil)))
	if got, err := ln.Accept(); got != conn || err != nil {
		t.Errorf("Accept() = %v, %v, want the connection that came after the lack", got, err)
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 {
		t.Errorf("%d warnings of one lack, want 1:\n%s", lines, log.String())
	}
}

func TestAListenerPassesOtherFailuresOn(t *testing.T) {
	ln := newListener(&scriptedListener{failures: []error{syscall.EINVAL}, failed: make(chan struct{}, 1)}, slog.New(slog.DiscardHandler))
	if _, err := ln.Accept(); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Accept() = %v, want %v", err, syscall.EINVAL)
	}
}

func TestAListenerThatWaitsCloses(t *testing.T) {
	failures := make([]error, 10_000)
	for i := range failures {
		failures[i] = syscall.EMFILE
	}
	under := &scriptedListener{failures: failures, failed: make(chan struct{}, len(failures))}
	ln := newListener(under, slog.New(slog.DiscardHandler))
	ended := make(chan error, 1)
	go func() {
		_, err := ln.Accept()
		ended <- err
	}()
	<-under.failed
	for range 2 { // closing twice is no mistake
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept() = %v, want %v", err, net.ErrClosed)
	}
}
