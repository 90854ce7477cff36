package origin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"cdnlab/internal/proxy"
	"cdnlab/internal/stats"
)

// Limits of a connection.
const (
	headTimeout = 15 * time.Second // for a request's head
	idleTimeout = 2 * time.Minute  // between two requests
	maxHead     = 32 << 10         // bytes
)

// handle answers one request of an origin whose content is its own.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	start := s.cfg.Now()
	if s.probe.Serve(ctx) {
		return
	}
	if s.takeInner(ctx) {
		return
	}
	at := s.position(string(ctx.Request.Header.Peek(secretHeader))) // before the content is read
	known := s.route(ctx)
	if at != "" {
		ctx.Response.Header.Set(positionHeader, at)
	}
	ctx.Response.Header.Add("Server-Timing", s.serverTiming(start))
	s.count(ctx, start, known)
	if ctx.Response.StatusCode() >= http.StatusBadRequest && stillComes(ctx) {
		endUnread(ctx)
	}
}

// stillComes reports whether a request's body may not be here whole when the answer ends the connection.
func stillComes(ctx *fasthttp.RequestCtx) bool {
	length := ctx.Request.Header.ContentLength()
	closing := ctx.Response.ConnectionClose() || ctx.Request.Header.ConnectionClose()
	return ctx.RequestBodyStream() != nil && (closing || length < 0 || length > proxy.WorthReading)
}

// endUnread answers a request whose body still comes, and closes the connection so that the answer is heard.
func endUnread(ctx *fasthttp.RequestCtx) {
	ctx.Response.SkipBody = ctx.IsHead()
	ctx.SetConnectionClose()
	c := ctx.Conn()
	bw := bufio.NewWriter(c)
	err := c.SetWriteDeadline(time.Now().Add(stall))
	if err == nil {
		err = errors.Join(ctx.Response.Write(bw), bw.Flush())
	}
	if err == nil {
		proxy.Linger(c, ctx.Done())
	}
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(net.Conn) {}) // is closed behind it
}

// route hands the request to the content of its site and reports whether there was one.
func (s *Server) route(ctx *fasthttp.RequestCtx) (known bool) {
	t, err := parseTarget(string(ctx.Request.Header.RequestURI()), string(ctx.Request.Header.Host()))
	if err != nil {
		say(ctx, http.StatusBadRequest, "%v", err)
		return false
	}
	// A site comes first: the tiers add the lab's secret to whatever a client asks of a site, so a site must never reach the API.
	if site := s.sites[t.host]; site != nil {
		s.rewriteRequest(ctx, site)
		if s.dir != nil {
			s.dir.serve(ctx, site, t)
		} else {
			s.builtin.serve(ctx, site, t)
		}
		return true
	}
	if s.builtin != nil && s.probe.Own(t.host) && strings.HasPrefix(t.path, "/-/") {
		s.builtin.serveAPI(ctx, s.sites, t)
		return true
	}
	say(ctx, http.StatusNotFound, "%s", s.unknownHost(t.host))
	return false
}

// count records the request. Of a streamed body it knows the length that is going to be sent.
func (s *Server) count(ctx *fasthttp.RequestCtx, start time.Time, known bool) {
	out := int64(max(ctx.Response.Header.ContentLength(), 0))
	if !ctx.Response.IsBodyStream() {
		out = int64(len(ctx.Response.Body()))
	}
	if ctx.IsHead() {
		out = 0
	}
	result := stats.Served
	if !known {
		result = stats.Failed
	}
	s.cfg.Stats.Request(ctx.ConnID(), stats.Request{Result: result, Status: ctx.Response.StatusCode(),
		In: int64(max(ctx.Request.Header.ContentLength(), 0)), Out: out, TTFB: s.cfg.Now().Sub(start)})
}

// expect answers an upload that waits for permission (Expect: 100-continue) before its body is on the way.
func (s *Server) expect(ctx *fasthttp.RequestCtx) int {
	if s.builtin == nil || !isWrite(ctx) || s.builtin.keys.isToken(string(ctx.Request.Header.Peek("Authorization"))) {
		return http.StatusContinue
	}
	if s.probe.Own(hostName(string(ctx.Request.Header.Host()))) {
		return http.StatusContinue // the API has other keys too
	}
	start := s.cfg.Now()
	refuse(ctx, s.builtin.keys.denyToken(string(ctx.Request.Header.Peek("Authorization"))))
	s.count(ctx, start, true)
	return ctx.Response.StatusCode()
}

// serve runs the server until ctx ends.
func (s *Server) serve(ctx context.Context) error {
	conns := connections{open: map[net.Conn]bool{}}
	server := &fasthttp.Server{
		Handler: s.handle, ExpectHandler: s.expect, ConnState: conns.changed, Logger: s.errorLog(),
		StreamRequestBody: true, DisablePreParseMultipartForm: true, MaxRequestBodySize: math.MaxInt, // the store has its own limit
		ReadBufferSize: maxHead, ReadTimeout: headTimeout, IdleTimeout: idleTimeout,
		NoDefaultServerHeader: true, NoDefaultContentType: true, CloseOnShutdown: true,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(s.cfg.Listener) }()
	var err error
	select {
	case err = <-failed:
		err = fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
		_ = s.cfg.Listener.Close() // ends Serve, even one that has not begun, which Shutdown would not know of
		<-failed
	}
	late := time.AfterFunc(s.cfg.Drain, func() {
		close(s.closing)
		conns.closeAll()
	})
	defer late.Stop()
	if down := server.Shutdown(); !errors.Is(down, net.ErrClosed) { // returns once every connection has ended
		err = errors.Join(err, down)
	}
	return err
}

// connections are those that a server has open.
type connections struct {
	mu     sync.Mutex // guards the fields below
	open   map[net.Conn]bool
	closed bool
}

func (c *connections) changed(conn net.Conn, state fasthttp.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case fasthttp.StateNew:
		c.open[conn] = true
		if c.closed {
			_ = conn.Close() // came in while the server was closing
		}
	case fasthttp.StateClosed, fasthttp.StateHijacked:
		delete(c.open, conn)
	}
}

// closeAll breaks every connection off.
func (c *connections) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for conn := range c.open {
		_ = conn.Close() // its goroutine meets the error
	}
}
