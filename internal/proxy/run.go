package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"

	"cdnlab/internal/cache"
)

// Run serves until ctx ends, then waits up to Config.Drain for the requests under way. It runs once.
func (s *Server) Run(ctx context.Context) error {
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	defer s.conns.stop()
	s.openDisk()
	close(s.opened)
	defer s.store.Close()
	server := s.front(work)
	failed := make(chan error, 1)
	front := openDoor(s.cfg.Listener, s.cfg.ClientConns, s.cfg.Known)
	s.conns.left, s.tunnels.left, s.untilEnd.left = front.leave, front.leave, front.leave
	go func() { failed <- server.Serve(front) }()
	var err error
	select {
	case err = <-failed:
		if err == nil { // fasthttp's way to tell
			err = net.ErrClosed
		}
		err = fmt.Errorf("serve HTTP: %w", err)
		_ = front.Close() // it has failed already
	case <-ctx.Done():
		_ = front.Close() // ends Serve, even one that has not begun, which Shutdown would not know of
		<-failed
	}
	s.tunnels.end() // a tunnel has no end to wait for
	late := time.AfterFunc(s.cfg.Drain, func() {
		cut()
		s.cfg.Parents.Close()
		s.conns.closeAll()
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

// openDisk brings back what the cache had on disk.
func (s *Server) openDisk() {
	if s.cfg.Disk == 0 || s.cfg.CacheDir == "" {
		return
	}
	err := s.store.UseDisk(cache.DiskConfig{Dir: s.cfg.CacheDir, Budget: int64(s.cfg.Disk), Seek: s.cfg.Seek, Log: s.cfg.Log})
	if err != nil {
		s.cfg.Log.Warn("the cache goes without its disk", "error", err)
	}
}

// front is the HTTP server that clients talk to.
func (s *Server) front(work context.Context) *fasthttp.Server {
	return &fasthttp.Server{
		Handler:                       func(rc *fasthttp.RequestCtx) { s.serve(work, rc) },
		ErrorHandler:                  s.malformed,
		ConnState:                     s.conns.changed,
		Logger:                        slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug), // about peers that went away, mostly
		DisableHeaderNamesNormalizing: true,                                                    // names are read from the raw head
		StreamRequestBody:             true,
		DisablePreParseMultipartForm:  true,
		MaxRequestBodySize:            math.MaxInt, // bodies are streamed
		ReadBufferSize:                s.cfg.MaxHead,
		LazyRequestTime:               true, // the clock is Config.Now
		NoDefaultServerHeader:         true,
		NoDefaultDate:                 true,
		NoDefaultContentType:          true,
		CloseOnShutdown:               true,
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
	case TimedOut(err):
		why = refuse(http.StatusRequestTimeout, "the request did not arrive within %s", requestHead)
	}
	s.fail(s.begin(rc), why) // the response is as new: a Reset would bring fasthttp's own Date and Content-Type back
}
