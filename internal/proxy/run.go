package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// Limits of a client's connection.
const (
	requestHead  = 15 * time.Second // for the head of a request
	requestIdle  = 2 * time.Minute  // between two requests
	responseTime = time.Minute      // for a response that is written in one piece
)

// Run serves until ctx ends, then waits up to Config.Drain for the requests under way. It runs once.
func (s *Server) Run(ctx context.Context) error {
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	conns := &connections{open: map[net.Conn]bool{}, gone: func(c net.Conn) {
		s.tunnels.gone(c)
		s.untilEnd.gone(c)
	}}
	server := s.front(work, conns)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(s.cfg.Listener) }()
	var err error
	select {
	case err = <-failed:
		if err == nil { // fasthttp's way to tell
			err = net.ErrClosed
		}
		err = fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
		_ = s.cfg.Listener.Close() // ends Serve, even one that has not begun, which Shutdown would not know of
		<-failed
	}
	s.tunnels.end() // a tunnel has no end to wait for
	late := time.AfterFunc(s.cfg.Drain, func() {
		cut()
		s.cfg.Parents.Close()
		conns.closeAll()
		s.untilEnd.end()
	})
	defer late.Stop()
	if down := server.Shutdown(); !errors.Is(down, net.ErrClosed) { // returns once every connection has ended, or was taken over
		err = errors.Join(err, down)
	}
	s.untilEnd.active.Wait()
	cut()
	s.cfg.Parents.Close() // ends what goes on for the cache alone
	s.tunnels.active.Wait()
	s.tasks.Wait()
	return err
}

// front is the HTTP server that clients talk to.
func (s *Server) front(work context.Context, conns *connections) *fasthttp.Server {
	return &fasthttp.Server{
		Handler:                      func(rc *fasthttp.RequestCtx) { s.serve(work, rc) },
		ErrorHandler:                 s.malformed,
		ConnState:                    conns.changed,
		Logger:                       slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug), // about peers that went away, mostly
		StreamRequestBody:            true,
		DisablePreParseMultipartForm: true,
		MaxRequestBodySize:           math.MaxInt, // bodies are streamed
		ReadBufferSize:               s.cfg.MaxHead,
		ReadTimeout:                  requestHead,
		IdleTimeout:                  requestIdle,
		WriteTimeout:                 responseTime,
		LazyRequestTime:              true, // the clock is Config.Now
		NoDefaultServerHeader:        true,
		NoDefaultDate:                true,
		NoDefaultContentType:         true,
		CloseOnShutdown:              true,
	}
}

// malformed answers what fasthttp could not parse; the connection is closed behind it.
func (s *Server) malformed(rc *fasthttp.RequestCtx, err error) {
	if _, bare := err.(net.Error); bare { // before the first byte: what comes of a head that has begun is wrapped
		_ = rc.Conn().Close() // no request, no response: a spare connection that its client has no use for
		return
	}
	why := refuse(http.StatusBadRequest, "malformed request")
	var small *fasthttp.ErrSmallBuffer
	switch {
	case errors.As(err, &small):
		why = refuse(http.StatusRequestHeaderFieldsTooLarge, "the head of the request exceeds %d bytes", s.cfg.MaxHead)
	case timedOut(err):
		why = refuse(http.StatusRequestTimeout, "the request did not arrive within %s", requestHead)
	}
	s.fail(s.begin(rc), why) // the response is as new: a Reset would bring fasthttp's own Date and Content-Type back
}

// connections are those that the front has open.
type connections struct {
	gone   func(net.Conn) // told of those that are closed
	mu     sync.Mutex     // guards the fields below
	open   map[net.Conn]bool
	closed bool
}

func (c *connections) changed(conn net.Conn, state fasthttp.ConnState) {
	switch state {
	case fasthttp.StateNew:
		c.add(conn)
	case fasthttp.StateClosed:
		c.gone(conn)
		c.remove(conn)
	case fasthttp.StateHijacked:
		c.remove(conn)
	}
}

func (c *connections) add(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[conn] = true
	if c.closed {
		_ = conn.Close() // came in while the server was closing
	}
}

func (c *connections) remove(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
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
