package gateway

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"

	"cdnlab/internal/duplex"
	"cdnlab/topology"
)

// proxy is the forward proxy. With a fixed city it is that city's own; without, the user name of the credentials says which.
type proxy struct {
	gateway *Server
	fixed   *city
	reverse map[*city]*httputil.ReverseProxy
}

func newProxy(g *Server, fixed *city) *proxy {
	p := &proxy{gateway: g, fixed: fixed, reverse: map[*city]*httputil.ReverseProxy{}}
	buffers := &bufferPool{sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}}
	for _, c := range g.cities {
		p.reverse[c] = &httputil.ReverseProxy{
			Rewrite:       rewrite,
			Transport:     c,
			FlushInterval: -1, // events and chunks pass when they come
			BufferPool:    buffers,
			ErrorHandler:  p.failed,
			ErrorLog:      slog.NewLogLogger(g.cfg.Log.Handler(), slog.LevelDebug),
		}
	}
	return p
}

// rewrite keeps the request as the client made it: the proxy stands in for the client's own network, and adds no word of its own.
func rewrite(r *httputil.ProxyRequest) {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if v, ok := r.In.Header[name]; ok && !httpguts.HeaderValuesContainsToken(r.In.Header["Connection"], name) {
			r.Out.Header[name] = v
		}
	}
	r.Out.URL.Scheme = "http"
	r.Out.URL.RawQuery = r.In.URL.RawQuery
	if path := rawPath(r.In.RequestURI); !strings.HasPrefix(path, "//") { // as Opaque that would be read as a host
		r.Out.URL.Opaque = path
	}
}

// rawPath is the path of a target in absolute form as the client spelt it. Encoded anew it could be another cache key.
func rawPath(target string) string {
	_, rest, _ := strings.Cut(target, "://")
	rest, _, _ = strings.Cut(rest, "?")
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return rest[i:]
	}
	return "/"
}

// ServeHTTP answers one request to the proxy.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !r.URL.IsAbs() && r.Method != http.MethodConnect {
		if r.URL.Path == "/-/health" {
			_, _ = fmt.Fprintln(w, "ok") // the peer went away: nobody is left to tell
			return
		}
		http.Error(w, "this is a forward proxy: configure it as one, for instance curl -x http://"+r.Host+" http://"+p.gateway.cfg.Topology.Sites[0].Host+"/", http.StatusBadRequest)
		return
	}
	c, ok := p.city(w, r)
	if !ok {
		return
	}
	if why, status := p.refuse(r); status != 0 {
		http.Error(w, why, status)
		return
	}
	w.Header()["Content-Type"] = nil // no type is guessed for a response that has none
	if !r.ProtoAtLeast(1, 1) {
		defer resetBroken(r)
	}
	duplex.Serve(p.reverse[c], w, r)
}

// connKey is the key of a connection in the context of its requests.
type connKey struct{}

// resetBroken makes a response that broke off end with a reset: a client of HTTP/1.0, which knows no chunks, would take the end of the
// connection for the end of the body.
func resetBroken(r *http.Request) {
	broke := recover() // ReverseProxy panics to have the connection closed
	if broke == nil {
		return
	}
	if c, ok := r.Context().Value(connKey{}).(interface{ SetLinger(sec int) error }); ok {
		_ = c.SetLinger(0) // one that is closed already is as good
	}
	panic(broke)
}

// refuse says why a request is not for this proxy.
func (p *proxy) refuse(r *http.Request) (why string, status int) {
	t := p.gateway.cfg.Topology
	switch {
	case r.Method == http.MethodConnect:
		return "CONNECT is not supported: the lab serves plain http", http.StatusNotImplemented
	case r.URL.Scheme != "http" && r.URL.Scheme != "ws":
		return "the lab serves http, not " + r.URL.Scheme, http.StatusNotImplemented
	case r.URL.Host == "":
		return "the URL names no host", http.StatusBadRequest
	case r.URL.User != nil:
		return "a URL with a user name is not accepted: the city goes into the proxy's credentials", http.StatusBadRequest
	}
	if _, ok := t.Site(r.URL.Hostname()); !ok {
		names := make([]string, len(t.Sites))
		for i, s := range t.Sites {
			names[i] = s.Host
		}
		return fmt.Sprintf("%s is no site of the lab; its sites are %s", r.URL.Hostname(), strings.Join(names, ", ")), http.StatusForbidden
	}
	if port := r.URL.Port(); port != "" && port != "80" && port != fmt.Sprint(p.gateway.cfg.Plan.HTTPPort()) {
		return fmt.Sprintf("port %s is not open: the lab serves ports 80 and %d", port, p.gateway.cfg.Plan.HTTPPort()), http.StatusForbidden
	}
	return "", 0
}

// city finds the place of a request. When there is none it answers the request.
func (p *proxy) city(w http.ResponseWriter, r *http.Request) (*city, bool) {
	if p.fixed != nil {
		return p.fixed, true
	}
	credentials := r.Header.Get("Proxy-Authorization")
	if credentials == "" {
		return p.gateway.find(p.gateway.cfg.Topology.Fallback), true
	}
	why := "the proxy takes Basic credentials"
	if name, ok := userName(credentials); ok {
		if c := p.gateway.find(name); c != nil {
			return c, true
		}
		why = fmt.Sprintf("no client place %q", name)
		if near := p.gateway.find(topology.SuggestCity(name)); near != nil {
			why += fmt.Sprintf(" (did you mean %q?)", near.place.Name)
		}
	}
	names := make([]string, len(p.gateway.cities))
	for i, c := range p.gateway.cities {
		names[i] = c.place.Name
	}
	w.Header().Set("Proxy-Authenticate", `Basic realm="cdnlab: the user name is a city"`)
	http.Error(w, why+"; the user name of the proxy is one of "+strings.Join(names, ", "), http.StatusProxyAuthRequired)
	return nil, false
}

// userName is the user name of Basic credentials (RFC 7617 §2).
func userName(credentials string) (name string, ok bool) {
	scheme, encoded, _ := strings.Cut(credentials, " ")
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil || !strings.EqualFold(scheme, "Basic") {
		return "", false
	}
	name, _, _ = strings.Cut(string(raw), ":")
	return name, true
}

// find finds a city by its place's name, or by another name of the place's city.
func (s *Server) find(name string) *city {
	for _, c := range s.cities {
		if strings.EqualFold(c.place.Name, name) {
			return c
		}
	}
	at, known := topology.FindCity(name)
	for _, c := range s.cities {
		if known && c.client.At == at {
			return c
		}
	}
	return nil
}

// failed answers a request that no server answered.
func (p *proxy) failed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client has gone
	}
	p.gateway.cfg.Log.Warn("request through the gateway", "url", r.RequestURI, "error", err)
	status := http.StatusBadGateway
	if isTimeout(err) {
		status = http.StatusGatewayTimeout
	}
	http.Error(w, fmt.Sprintf("no server answered for %s: %v", r.URL.Host, err), status)
}

type bufferPool struct{ sync.Pool }

func (p *bufferPool) Get() []byte  { return *p.Pool.Get().(*[]byte) }
func (p *bufferPool) Put(b []byte) { p.Pool.Put(&b) }
