package origin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	"cdnlab/internal/duplex"
	"cdnlab/internal/stats"
	"cdnlab/topology"
)

// How the app is reached. There is no limit on the time that it takes to answer: long polling is legitimate.
const (
	appDialTimeout = 5 * time.Second
	appIdleConns   = 512
	appIdleTime    = 4 * time.Second // Node closes after 5 s: a POST that meets that fails, as it may not be sent again
)

// app forwards to the user's own application. It is built on net/http alone, front and back, because all that an app may do
// passes there unharmed: upgrades, flushed events, trailers, interim responses, bodies of any length in both directions.
type app struct {
	s         *Server
	url       *url.URL
	transport strictTransport
	buffers   bufferPool
}

func newApp(s *Server, u *url.URL) *app {
	d := &net.Dialer{Timeout: appDialTimeout}
	return &app{s: s, url: u, transport: strictTransport{&http.Transport{
		// Proxy stays nil: the lab's own proxy variables must not send the app's traffic around in a circle.
		DialContext:           wired(d.DialContext),
		DialTLSContext:        wired((&tls.Dialer{NetDialer: d}).DialContext),
		ExpectContinueTimeout: time.Second,
		MaxIdleConnsPerHost:   appIdleConns,
		IdleConnTimeout:       appIdleTime,
		DisableCompression:    true, // else it would decompress what the app compressed
	}}}
}

// ServeHTTP answers a request that is not for the node itself.
func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a.takeInner(w, r) {
		return
	}
	at := a.s.position(r.Header.Get(secretHeader)) // before the app is asked
	rec := &recorder{ResponseWriter: w, start: a.s.cfg.Now(), now: a.s.cfg.Now, position: at}
	body := &countedBody{ReadCloser: r.Body}
	r.Body = body
	defer func() { a.count(rec, body.n.Load()) }() // a broken transfer ends in a panic that net/http expects
	host := hostName(r.Host)
	site := a.s.sites[host]
	switch {
	case site == nil:
		rec.local = true
		reply(rec, http.StatusNotFound, a.s.unknownHost(host))
	case looped(r.Header, a.s.loopToken()):
		rec.local = true
		reply(rec, http.StatusLoopDetected, fmt.Sprintf("the request has been here before: the app %s leads back to this CDN", a.url.Redacted()))
	default:
		duplex.Serve(a.proxy(site, rec), rec, r)
	}
}

func (a *app) count(rec *recorder, in int64) {
	result := stats.Pass
	if rec.local {
		result = stats.Failed
	}
	a.s.cfg.Stats.Request(uint64(rec.start.UnixNano()), stats.Request{Result: result, Status: rec.finalStatus(), In: in, Out: rec.out, TTFB: rec.ttfb})
}

// proxy returns the way to the app for one request.
func (a *app) proxy(site *topology.Site, rec *recorder) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport:     a.transport,
		BufferPool:    &a.buffers,
		FlushInterval: -1, // an app that waits between two pieces means them to arrive
		ErrorLog:      a.s.errorLog(),
		Rewrite:       func(p *httputil.ProxyRequest) { a.rewrite(p, site) },
		ModifyResponse: func(resp *http.Response) error {
			for name := range resp.Header {
				if isInternal(name) {
					delete(resp.Header, name)
				}
			}
			resp.Header.Add("Via", a.s.via())
			resp.Header.Add("Server-Timing", a.s.serverTiming(rec.start))
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, err error) { a.unreachable(rec, r, err) },
	}
}

// rewrite turns the request of a tier into the app's. What the client sent stays as it is.
func (a *app) rewrite(p *httputil.ProxyRequest, site *topology.Site) {
	p.SetURL(a.url)
	p.Out.URL.RawQuery = joinQuery(a.url.RawQuery, p.In.URL.RawQuery) // byte for byte: ReverseProxy drops parameters it cannot parse
	p.Out.Host = p.In.Host
	if site.HostHeader != "" {
		p.Out.Host = site.HostHeader
	}
	a.s.rewriteHeader(p.Out.Header, p.In, site)
	p.Out.Header.Set("X-Forwarded-Host", p.In.Host)
	p.Out.Header.Add("Via", a.s.via())
	p.Out.Header.Add("CDN-Loop", a.s.loopToken())
}

func joinQuery(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "&" + b
}

// unreachable answers when no response came from the app. The header tells the tiers that the 502 is not the app's own.
func (a *app) unreachable(rec *recorder, r *http.Request, err error) {
	rec.local = true
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client went away, or the origin is stopping: nobody waits for a sentence
	}
	rec.Header().Set(errorHeader, "origin-unreachable")
	advice := "start it there, or name another address with --app or origins." + a.s.origin.Name + ".app"
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "dial" {
		advice = "look at its own log"
	}
	a.s.cfg.Log.Warn("app does not answer", "app", a.url.Redacted(), "error", err)
	reply(rec, http.StatusBadGateway, fmt.Sprintf("the app %s does not answer (%v): %s", a.url.Redacted(), err, advice))
}

// reply answers with a plain sentence.
func reply(w http.ResponseWriter, status int, sentence string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, sentence) // the peer went away: nobody is left to tell
}

// looped reports whether CDN-Loop names this node (RFC 8586 §2).
func looped(h http.Header, token string) bool {
	for _, line := range h.Values("CDN-Loop") {
		for member := range strings.SplitSeq(line, ",") {
			id, _, _ := strings.Cut(member, ";")
			if strings.EqualFold(strings.TrimSpace(id), token) {
				return true
			}
		}
	}
	return false
}

// serve runs the server of the app until ctx ends.
func (a *app) serve(ctx context.Context) error {
	defer a.transport.CloseIdleConnections()
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	var running sync.WaitGroup // connections, and handlers, which outlive a connection that was hijacked
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			running.Add(1)
			defer running.Done()
			a.s.probe.ServeHTTP(w, r, a)
		}),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				running.Add(1)
			case http.StateClosed, http.StateHijacked:
				running.Done()
			}
		},
		ReadHeaderTimeout: headTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHead,
		ErrorLog:          a.s.errorLog(),
		BaseContext:       func(net.Listener) context.Context { return base },
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(a.s.cfg.Listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	grace, stop := context.WithTimeout(base, a.s.cfg.Drain)
	defer stop()
	err := server.Shutdown(grace)
	cut() // ends tunnels, which Shutdown does not know, and what did not end in time
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	<-failed
	running.Wait()
	return err
}

// bufferPool keeps the buffers that bodies are copied through.
type bufferPool struct{ pool sync.Pool }

const copyBuffer = 32 << 10

func (b *bufferPool) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, copyBuffer)
}

func (b *bufferPool) Put(p []byte) { b.pool.Put(&p) }
