package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"cdnlab/internal/httpcache"
	"cdnlab/internal/stats"
)

// tunnelLinger is how long one direction of a tunnel may go on after the other has ended.
const tunnelLinger = 10 * time.Second

// openTunnel forwards a request for a WebSocket. When the app agrees, the connection becomes a tunnel (RFC 9110 §7.8).
func (s *Server) openTunnel(ctx context.Context, r *request) {
	r.out.status.Fwd = httpcache.FwdBypass
	resp, err := s.forward(ctx, s.outgoing(r, want{}), r.site.Site, hash(r.host))
	if err != nil {
		s.fail(r, s.noAnswer(r, err))
		return
	}
	r.out.result, r.out.below, r.out.status.FwdStatus = stats.Pass, resp.below(), resp.status
	if resp.status != http.StatusSwitchingProtocols {
		s.sendPassed(r, resp, nil)
		return
	}
	b := append(s.appendPassed(r.buf, r, resp), "Connection: Upgrade\r\nUpgrade: websocket\r\n"...)
	s.send(r, resp.status, b)
	head := append(statusLine(resp.status), r.buf...)
	head = append(append(append(head, ": "...), s.viaValue...), "\r\n\r\n"...)
	s.tunnels.take(r.rc, func(c net.Conn) {
		n := int64(0)
		if _, err := c.Write(head); err == nil {
			n = join(c, resp)
		}
		resp.close()
		s.finish(r, n)
	}, func() {
		resp.close()
		s.finish(r, 0)
	})
}

// join copies both ways until both have ended, and returns how much the client was sent.
func join(client net.Conn, resp *response) (sent int64) {
	up := resp.conn
	_ = up.SetDeadline(time.Time{}) // a connection that is gone fails at once below
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(up.Conn, client) // either end may go away at any time
		halfClose(up.Conn, client)
	}()
	sent, _ = io.Copy(client, up.br)
	halfClose(client, up.Conn)
	<-done
	return sent
}

// halfClose passes the end of one direction on and gives the other a while to end as well.
func halfClose(to, from net.Conn) {
	deadline := time.Now().Add(tunnelLinger)
	if !endWriting(to) {
		deadline = time.Now()
	}
	_ = to.SetDeadline(deadline) // closed connections need none
	_ = from.SetDeadline(deadline)
}

// hijacks are the connections that were taken from fasthttp, which forgets about them, or are about to be.
type hijacks struct {
	left func(net.Conn) // told of those that have ended

	mu     sync.Mutex          // guards the fields below
	conns  map[net.Conn]func() // what to do if the connection ends before it is taken over; nil once it is
	ended  bool
	active sync.WaitGroup
}

func (h *hijacks) init() { h.conns = map[net.Conn]func(){} }

// take takes a connection over once the handler has returned; abandon is called instead if that does not come about.
func (h *hijacks) take(rc *fasthttp.RequestCtx, run func(net.Conn), abandon func()) {
	key := rc.Conn()
	h.active.Add(1)
	h.mu.Lock()
	h.conns[key] = abandon
	h.mu.Unlock()
	rc.HijackSetNoResponse(true)
	rc.Hijack(func(c net.Conn) {
		defer h.active.Done()
		h.mu.Lock()
		h.conns[key] = nil
		ended := h.ended
		h.mu.Unlock()
		if ended {
			_ = key.Close() // what runs on it ends at once
		}
		run(c)
		h.mu.Lock()
		delete(h.conns, key)
		h.mu.Unlock()
		h.left(key)
	})
}

// gone is told that fasthttp has closed a connection.
func (h *hijacks) gone(c net.Conn) {
	h.mu.Lock()
	abandon := h.conns[c]
	if abandon != nil {
		delete(h.conns, c)
	}
	h.mu.Unlock()
	if abandon != nil {
		abandon()
		h.active.Done()
	}
}

// end closes every connection and those that are still taken over.
func (h *hijacks) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	for c := range h.conns {
		_ = c.Close() // what runs on it meets the error
	}
}
