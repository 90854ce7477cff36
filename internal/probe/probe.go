// Package probe is what every node answers about itself, on its own address or name and never through a site's Host:
//
//	GET /-/health    200 "ok", or 503 and the reason
//	GET /-/metrics   Prometheus' text format
//	GET /-/stats     stats.Snapshot as JSON
package probe

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/valyala/fasthttp"

	"cdnlab/internal/stats"
	"cdnlab/topology"
)

// Config says whose endpoints they are. Ready is nil for a node that is ready once it listens.
type Config struct {
	Node  topology.Node
	Zone  string
	Stats *stats.Node
	Ready func() error // why the node is not ready to serve; nil when it is
}

// Handler answers the endpoints of one node.
type Handler struct {
	cfg      Config
	hosts    map[string]bool
	registry *prometheus.Registry
}

// New returns the endpoints of cfg.Node.
func New(cfg Config) *Handler {
	h := &Handler{cfg: cfg, hosts: map[string]bool{}, registry: prometheus.NewRegistry()}
	for _, a := range append([]netip.Addr{cfg.Node.HTTP.Addr()}, cfg.Node.Public...) {
		h.hosts[a.String()] = true
	}
	name := strings.ToLower(string(cfg.Node.Name))
	h.hosts[name] = true
	h.hosts[name+"."+cfg.Zone] = true
	h.registry.MustRegister(collector{cfg})
	return h
}

// Own reports whether host, with or without a port, is the node's own address or name.
func (h *Handler) Own(host string) bool {
	return h.hosts[strings.ToLower(hostOnly(host))]
}

func hostOnly(host string) string {
	if rest, ok := strings.CutPrefix(host, "["); ok {
		addr, _, _ := strings.Cut(rest, "]")
		return addr
	}
	name, _, _ := strings.Cut(host, ":")
	return name
}

// reply is an answer before it takes the form of one HTTP library or the other.
type reply struct {
	status      int
	contentType string
	body        []byte
}

const plainText = "text/plain; charset=utf-8"

func (h *Handler) answer(method, host, path string) (reply, bool) {
	if !strings.HasPrefix(path, "/-/") || !h.Own(host) {
		return reply{}, false
	}
	var serve func() reply
	switch path {
	case "/-/health":
		serve = h.health
	case "/-/metrics":
		serve = h.metrics
	case "/-/stats":
		serve = h.stats
	default:
		return reply{}, false
	}
	if method != http.MethodGet && method != http.MethodHead {
		return reply{http.StatusMethodNotAllowed, plainText, []byte(path + " answers GET and HEAD only\n")}, true
	}
	return serve(), true
}

func (h *Handler) health() reply {
	if h.cfg.Ready != nil {
		if err := h.cfg.Ready(); err != nil {
			return reply{http.StatusServiceUnavailable, plainText, []byte(err.Error() + "\n")}
		}
	}
	return reply{http.StatusOK, plainText, []byte("ok\n")}
}

func (h *Handler) stats() reply {
	body, err := json.Marshal(h.cfg.Stats.Snapshot())
	if err != nil {
		return reply{http.StatusInternalServerError, plainText, []byte(err.Error() + "\n")}
	}
	return reply{http.StatusOK, "application/json", append(body, '\n')}
}

func (h *Handler) metrics() reply {
	families, err := h.registry.Gather()
	if err != nil {
		return reply{http.StatusInternalServerError, plainText, []byte(err.Error() + "\n")}
	}
	var buf bytes.Buffer
	format := expfmt.NewFormat(expfmt.TypeTextPlain)
	enc := expfmt.NewEncoder(&buf, format)
	for _, f := range families {
		if err := enc.Encode(f); err != nil {
			return reply{http.StatusInternalServerError, plainText, []byte(err.Error() + "\n")}
		}
	}
	return reply{http.StatusOK, string(format), buf.Bytes()}
}

// Serve answers ctx when it asks the node about itself and reports whether it did.
func (h *Handler) Serve(ctx *fasthttp.RequestCtx) bool {
	path := ctx.Request.Header.RequestURI()
	if !bytes.HasPrefix(path, []byte("/-/")) {
		return false
	}
	path, _, _ = bytes.Cut(path, []byte("?"))
	r, ok := h.answer(string(ctx.Method()), string(ctx.Request.Header.Host()), string(path))
	if !ok {
		return false
	}
	ctx.Response.Header.Set("Cache-Control", "no-store")
	ctx.SetStatusCode(r.status)
	ctx.SetContentType(r.contentType)
	ctx.SetBody(r.body)
	return true
}

// ServeHTTP answers r when it asks the node about itself and hands everything else to next.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next http.Handler) {
	a, ok := h.answer(r.Method, r.Host, r.URL.EscapedPath())
	if !ok {
		next.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", a.contentType)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the peer went away: nobody is left to tell
}
