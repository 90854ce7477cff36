package regional_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cdnlab/internal/stats"
	"cdnlab/regional"
	"cdnlab/topology"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

const (
	source = `
origins: { main: { at: Ashburn }, other: { at: Tokyo } }
hubs:    { eu: { at: Frankfurt } }
edges:   { paris: {} }
sites:
  www.cdn.test:   { origin: main, cache: { stale_if_error: 1h } }
  other.cdn.test: { origin: other }
`
	secret   = "of the lab"
	patience = 30 * time.Second // for what has no reason to take long
)

// fixture is a hub between a client that plays an edge and two origins, with a clock that only tests move.
type fixture struct {
	t     *testing.T
	top   *topology.Topology
	url   string
	stop  func() // ends the hub
	now   atomic.Int64
	held  chan struct{} // closed to let origins answer for what is below /held/
	calls atomic.Int64  // of origins

	mu      sync.Mutex // guards the fields below
	origins map[topology.NodeName]string
	ends    map[topology.NodeName]func()
	last    http.Header // what an origin was told last
}

func start(t *testing.T, source string, drain time.Duration) *fixture {
	t.Helper()
	top, err := topology.Parse("net.yaml", []byte(source), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := top.Plan(topology.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, top: top, held: make(chan struct{}), origins: map[topology.NodeName]string{}, ends: map[topology.NodeName]func(){}}
	f.now.Store(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	f.startOrigin("main")
	f.startOrigin("other")
	node, _ := plan.Node("eu-1")
	ln := f.listen()
	hub, err := regional.New(regional.Config{Node: node, Topology: top, Plan: plan, Listener: ln, Dial: f.dial, Secret: secret,
		Stats: stats.New(f.clock()), Log: slog.New(slog.DiscardHandler), Now: f.clock, Drain: drain})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- hub.Run(ctx) }()
	f.url = "http://" + ln.Addr().String()
	f.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	t.Cleanup(func() {
		f.stop()
		f.kill("main")
		f.kill("other")
	})
	return f
}

func (f *fixture) clock() time.Time { return time.Unix(0, f.now.Load()).UTC() }

func (f *fixture) listen() net.Listener {
	f.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	return ln
}

// startOrigin starts an origin that answers with its name and the number of the call, fresh for a minute below /obj/.
func (f *fixture) startOrigin(name topology.NodeName) {
	f.t.Helper()
	ln := f.listen()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		number := f.calls.Add(1)
		f.mu.Lock()
		f.last = r.Header
		f.mu.Unlock()
		if strings.HasPrefix(r.URL.Path, "/held/") {
			select {
			case <-f.held:
			case <-r.Context().Done():
			}
		}
		w.Header().Set("Date", f.clock().Format(http.TimeFormat))
		if strings.HasPrefix(r.URL.Path, "/obj/") {
			w.Header().Set("Cache-Control", "max-age=60")
		}
		_, _ = fmt.Fprintf(w, "%s %d", name, number) // a hub that went away is no fault here
	})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(ln) // always of being closed
	}()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.origins[name] = ln.Addr().String()
	f.ends[name] = func() {
		_ = server.Close() // the listener cannot fail to close
		<-ended
	}
}

func (f *fixture) kill(name topology.NodeName) {
	f.mu.Lock()
	end := f.ends[name]
	delete(f.ends, name)
	delete(f.origins, name)
	f.mu.Unlock()
	if end != nil {
		end()
	}
}

func (f *fixture) dial(ctx context.Context, to topology.Node) (net.Conn, error) {
	f.mu.Lock()
	addr, ok := f.origins[to.Name]
	f.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("%s is dead", to.Name)
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

// told is what an origin was told last.
func (f *fixture) told() http.Header {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

type answer struct {
	status int
	header http.Header
	body   string
}

// asEdge are the fields of a request that an edge sends.
func asEdge() http.Header {
	return http.Header{"Cdnlab-Secret": {secret}, "X-Forwarded-For": {"198.18.0.7"}, "Cdn-Client-City": {"Tokyo"}, "Cdn-Client-Country": {"JP"},
		"X-Request-Id": {"edge's"}, "Cdn-Loop": {"paris-1.cdnlab"}, "Via": {"1.1 paris-1 (cdnlab)"}, "X-Forwarded-Proto": {"https"}}
}

// get asks the hub for something of www.cdn.test; a Host among the fields asks for another site.
func (f *fixture) get(path string, header http.Header) *answer {
	f.t.Helper()
	a, err := f.try(path, header)
	if err != nil {
		f.t.Fatal(err)
	}
	return a
}

func (f *fixture) try(path string, header http.Header) (*answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+path, nil)
	if err != nil {
		return nil, err
	}
	req.Host = "www.cdn.test"
	for name, values := range header {
		if name == "Host" {
			req.Host = values[0]
		} else {
			req.Header[name] = values
		}
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	return &answer{resp.StatusCode, resp.Header, strings.TrimSpace(string(body))}, nil
}

func (f *fixture) want(what string, a *answer, status int, cacheStatus, body string) {
	f.t.Helper()
	if got := a.header.Get("Cache-Status"); a.status != status || got != cacheStatus || a.body != body {
		f.t.Errorf("%s = %d, Cache-Status %q, body %q\nwant %d, Cache-Status %q, body %q", what, a.status, got, a.body, status, cacheStatus, body)
	}
}

func (f *fixture) wait(what string, met func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(patience); !met(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("still waiting for %s after %s", what, patience)
		}
	}
}
