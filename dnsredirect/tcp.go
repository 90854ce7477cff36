package dnsredirect

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// The limits of DNS over TCP.
const (
	maxTCP    = 1024             // connections
	idleTCP   = 10 * time.Second // for the next query to arrive whole (RFC 7766 §6.2.3)
	answerTCP = 5 * time.Second  // for a client to take an answer
)

// acceptPause is how long a listener rests that cannot accept, out of descriptors for instance.
const acceptPause = 50 * time.Millisecond

// serveTCP accepts connections until the listener closes, and waits for them to end.
func (s *Server) serveTCP(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := s.cfg.Listener.Accept()
		switch {
		case err == nil && s.tcp.add(c):
			wg.Go(func() { s.serveConn(c) })
		case err == nil:
			_ = c.Close() // one too many: nothing is lost with it
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept DNS connection: %w", err)
		default:
			s.cfg.Log.Warn("accept DNS connection", "error", err)
			if !pause(ctx, acceptPause) {
				return nil
			}
		}
	}
}

// pause waits, and reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// serveConn answers the queries of one connection in their order, as many as come.
func (s *Server) serveConn(c net.Conn) {
	defer s.tcp.remove(c)
	from := addrPort(c.RemoteAddr()).Addr()
	var (
		r   reply
		raw []byte
		out []byte
	)
	for s.tcp.await(c) {
		var head [2]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint16(head[:]))
		if cap(raw) < n {
			raw = make([]byte, n)
		}
		if _, err := io.ReadFull(c, raw[:n]); err != nil {
			return
		}
		answer := s.respond(&r, raw[:n], from, overTCP)
		if answer == nil {
			return
		}
		out = append(binary.BigEndian.AppendUint16(out[:0], uint16(len(answer))), answer...)
		if err := c.SetWriteDeadline(time.Now().Add(answerTCP)); err != nil {
			return
		}
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

// tcpConns are the open TCP connections.
type tcpConns struct {
	mu      sync.Mutex // guards open, stopped
	open    map[net.Conn]struct{}
	stopped bool
}

// add takes a connection in, unless there are too many or the server has stopped.
func (t *tcpConns) add(c net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped || len(t.open) >= maxTCP {
		return false
	}
	t.open[c] = struct{}{}
	return true
}

func (t *tcpConns) remove(c net.Conn) {
	_ = c.Close() // whatever it was that could not be sent, the peer is gone
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, c)
}

// await gives a connection the time to send its next query; false when the server has stopped or the connection is unusable.
func (t *tcpConns) await(c net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.stopped && c.SetReadDeadline(time.Now().Add(idleTCP)) == nil
}

// stop ends all reading; a query that is being answered still is.
func (t *tcpConns) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	for c := range t.open {
		_ = c.SetReadDeadline(time.Unix(1, 0)) // fails on a closed connection only
	}
}
