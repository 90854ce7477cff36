package dnsredirect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/valyala/fasthttp"
)

// drainHTTP is how long a request to the node's own endpoints may still take when the server stops.
const drainHTTP = time.Second

// serveHTTP answers the node's own endpoints: those of probe, and
//
//	GET /-/explain?name=www.cdn.test&addr=198.18.2.7    Decision as JSON
func (s *Server) serveHTTP(ctx context.Context) error {
	srv := &fasthttp.Server{
		Handler:               s.http,
		Name:                  "cdnlab",
		ReadTimeout:           10 * time.Second,
		WriteTimeout:          10 * time.Second,
		MaxRequestBodySize:    4096,
		Concurrency:           1024,
		NoDefaultContentType:  true,
		SecureErrorLogMessage: true,
		CloseOnShutdown:       true,
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(s.cfg.HTTP) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	closed := ignoreClosed(s.cfg.HTTP.Close()) // Shutdown knows the listener only once Serve has got to it
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainHTTP)
	defer cancel()
	err := srv.ShutdownWithContext(stop)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return errors.Join(closed, err, ignoreClosed(<-done))
}

func (s *Server) http(ctx *fasthttp.RequestCtx) {
	if string(ctx.Path()) == "/-/explain" && s.probe.Own(string(ctx.Request.Header.Host())) {
		s.explainHTTP(ctx)
		return
	}
	if !s.probe.Serve(ctx) {
		ctx.Error("this is the DNS server "+string(s.cfg.Node.Name)+": it serves /-/health, /-/metrics, /-/stats and /-/explain on its own address\n",
			fasthttp.StatusNotFound)
	}
}

func (s *Server) explainHTTP(ctx *fasthttp.RequestCtx) {
	args := ctx.QueryArgs()
	addr, err := netip.ParseAddr(string(args.Peek("addr")))
	if err != nil {
		ctx.Error("addr: "+err.Error()+"\n", fasthttp.StatusBadRequest)
		return
	}
	d, err := s.Explain(string(args.Peek("name")), addr)
	if err != nil {
		ctx.Error(err.Error()+"\n", fasthttp.StatusNotFound)
		return
	}
	body, err := json.Marshal(d)
	if err != nil {
		ctx.Error(err.Error()+"\n", fasthttp.StatusInternalServerError)
		return
	}
	ctx.SetContentType("application/json")
	ctx.Response.Header.Set("Cache-Control", "no-store")
	ctx.SetBody(append(body, '\n'))
}
