package mgmt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"cdnlab/topology"
)

// Lab is what mgmt asks of the lab that it manages.
type Lab interface {
	// Explain resolves the host of an absolute http URL as a client in the named place and fetches it once.
	Explain(ctx context.Context, url, from string) (Explanation, error)
	// Faults are those that hold, the oldest first.
	Faults() []Fault
	// AddFault makes a fault hold; its error says what is wrong with the spec.
	AddFault(FaultSpec) (Fault, error)
	// RemoveFault ends a fault; ErrNoFault when there is none.
	RemoveFault(id string) error
	// Scrub tells what the limits and block lists of the edges have done.
	Scrub() Scrub
	// Block keeps a network out of every edge for a time, or until Unblock when ttl is 0.
	Block(p netip.Prefix, ttl time.Duration) error
	// Unblock lets it in again and reports whether it was kept out.
	Unblock(p netip.Prefix) bool
}

// Config configures a Server. Listener, Topology, Plan, Lab, Token, Secret and Log are required.
type Config struct {
	Listener net.Listener
	Topology *topology.Topology
	Plan     *topology.Plan
	Lab      Lab
	Token    string        // of people and tools: Authorization: Bearer
	Secret   string        // of the lab's nodes among themselves
	Hosts    []string      // names besides 127.0.0.1, localhost and ::1 under which the API may be called
	Drain    time.Duration // how long Run waits for calls under way when it is cancelled; 0 is no time
	Log      *slog.Logger
}

// Server serves the admin API.
type Server struct {
	cfg           Config
	view          Topology
	routes        []route
	objects       *httputil.ReverseProxy
	live          *live
	audit         audit
	purges        *rate.Limiter
	invalidations invalidations
	stopping      chan struct{} // closed when Run's context has ended
	client        *http.Client  // towards the nodes
}

const (
	readTimeout  = 30 * time.Second
	writeTimeout = time.Minute
)

// New returns a server that Run starts.
func New(cfg Config) (*Server, error) {
	if cfg.Token == "" || cfg.Secret == "" {
		return nil, errors.New("mgmt: a token and a secret are required")
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second}
	s := &Server{
		cfg:    cfg,
		view:   newTopology(cfg.Topology, cfg.Plan),
		client: &http.Client{Transport: transport},
		purges: rate.NewLimiter(purgeRate, purgeBurst),
		live:   newLive(), stopping: make(chan struct{}),
	}
	s.objects = s.newObjectProxy(transport)
	s.routes = s.newRoutes()
	return s, nil
}

// Run serves until ctx is cancelled, then waits for the calls under way, at most for the drain time.
func (s *Server) Run(ctx context.Context) error {
	srv := &http.Server{
		Handler:           s.audited(s.guard(s.purgeURLs(s.mux()))),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
	defer s.client.CloseIdleConnections()
	var watching sync.WaitGroup
	defer watching.Wait()
	watch, end := context.WithCancel(ctx)
	defer end()
	watching.Go(func() { s.watch(watch) })
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(s.cfg.Listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve admin API: %w", err)
	case <-ctx.Done():
	}
	close(s.stopping)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Drain)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		s.cfg.Log.Warn("admin calls cut off", "error", err)
		_ = srv.Close() // its connections are gone either way
	}
	<-failed
	return nil
}

// route is one call of the API. Those that need the token are the ones that change state or hand out stored bodies.
type route struct {
	method, path, does string
	token              bool
	handle             http.HandlerFunc
}

func (s *Server) newRoutes() []route {
	return []route{
		{"GET", "/api/v1/status", "every node with its figures, totals per tier, origin offload", false, s.getStatus},
		{"GET", "/api/v1/events", "server-sent events: what every node did in the last second, and what changed", false, s.getEvents},
		{"GET", "/api/v1/series", "?of=ROLE|NODE&window=300: figures second by second, of at most an hour", false, s.getSeries},
		{"GET", "/api/v1/audit", "the last calls that changed something, or were to", false, s.getAudit},
		{"GET", "/api/v1/topology", "nodes, client places and sites with their addresses", false, s.getTopology},
		{"GET", "/api/v1/explain", "?url=&from=: why this PoP, what each tier did", false, s.getExplain},
		{"POST", "/api/v1/purge", "the body says what the caches are to forget: one of url, prefix, key and all; site, soft, wait", true, s.addPurge},
		{"POST", "/api/v1/push", "the body says what to bring to the caches before it is asked for: urls, to, wait", true, s.addPush},
		{"GET", "/api/v1/tree", "how far each hub and edge has followed the journals of the origins", false, s.getTree},
		{"GET", "/api/v1/faults", "the faults that hold", false, s.getFaults},
		{"POST", "/api/v1/faults", "the body says what goes wrong: target, down, reset, latency, jitter, loss, bandwidth, slow_disk, for", true, s.addFault},
		{"DELETE", "/api/v1/faults", "?id=: end a fault", true, s.removeFault},
		{"GET", "/api/v1/scrub", "what limits have decided, and who is blocked", false, s.getScrub},
		{"POST", "/api/v1/scrub/blocks", "the body says whom to block: prefix, for", true, s.addBlock},
		{"DELETE", "/api/v1/scrub/blocks", "?prefix=: unblock", true, s.removeBlock},
		{"GET", "/api/v1/objects", "?site=&prefix=: the stored objects", false, s.serveObjects},
		{"GET", "/api/v1/objects/item", "?site=&path=[&version=]: one object's body", true, s.serveObjects},
		{"PUT", "/api/v1/objects/item", "?site=&path=: store the body; Cdnlab-Header: NAME: VALUE adds a header", true, s.serveObjects},
		{"DELETE", "/api/v1/objects/item", "?site=&path=: remove an object", true, s.serveObjects},
		{"GET", "/api/v1/objects/versions", "?site=&path=: the versions of an object", false, s.serveObjects},
		{"POST", "/api/v1/objects/rollback", "?site=&path=&version=: make an older version the current one", true, s.serveObjects},
		{"POST", "/api/v1/objects/sign", "?site=&path=&for=1h: a signed URL", true, s.serveObjects},
	}
}

func (s *Server) mux() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes {
		handle := r.handle
		if r.token {
			handle = s.requireToken(handle)
		}
		mux.HandleFunc(r.method+" "+r.path, handle)
	}
	s.addDialects(mux)
	mux.HandleFunc("GET /{$}", s.servePage)
	mux.HandleFunc("GET /ui/", s.serveUI)
	mux.HandleFunc("GET /-/health", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("/", s.noSuchCall)
	return mux
}

// getIndex names the calls.
func (s *Server) getIndex(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "cdnlab %s: admin API\n\n", s.cfg.Topology.Name)
	for _, r := range s.routes {
		token := ""
		if r.token {
			token = " (token)"
		}
		fmt.Fprintf(w, "%-6s %-26s %s%s\n", r.method, r.path, r.does, token)
	}
	_, _ = io.WriteString(w, "\n(token): send Authorization: Bearer and the content of the file named token in the data directory.\n")
}

func (s *Server) noSuchCall(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, known := range s.routes {
		if known.path == r.URL.Path {
			allowed = append(allowed, known.method)
		}
	}
	if len(allowed) == 0 {
		writeError(w, http.StatusNotFound, "no such call: %s %s; GET / lists the calls", r.Method, r.URL.Path)
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	writeError(w, http.StatusMethodNotAllowed, "%s does not take %s; it takes %s", r.URL.Path, r.Method, strings.Join(allowed, ", "))
}

func (s *Server) getTopology(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, s.view)
}

func (s *Server) getExplain(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	target, err := url.Parse(query.Get("url"))
	if err != nil || target.Scheme != "http" || target.Host == "" {
		writeError(w, http.StatusBadRequest, "url: want an absolute URL such as http://www.%s/hello.txt, got %q", s.cfg.Topology.Zone, query.Get("url"))
		return
	}
	if _, ok := s.cfg.Topology.Site(target.Hostname()); !ok {
		writeError(w, http.StatusNotFound, "no site %q; the sites are %s", target.Hostname(), s.view.siteNames())
		return
	}
	place, err := s.view.Place(query.Get("from"))
	if err != nil {
		writeError(w, http.StatusNotFound, "from: %v", err)
		return
	}
	explanation, err := s.cfg.Lab.Explain(r.Context(), target.String(), place.Name)
	if err != nil {
		writeError(w, http.StatusBadGateway, "explain %s from %s: %v", target, place.Name, err)
		return
	}
	writeJSON(w, http.StatusOK, explanation)
}

// Error is the body of every answer that is not a success.
type Error struct {
	Error string `json:"error"`
}

func writeError(w http.ResponseWriter, status int, format string, args ...any) {
	writeJSON(w, status, Error{fmt.Sprintf(format, args...)})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // fails only when the client is gone
}
