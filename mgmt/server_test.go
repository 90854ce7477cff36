package mgmt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cdnlab/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testToken  = "token-of-the-lab"
	testSecret = "secret-of-the-lab"
)

const testFile = `
version: 1
name: test
fallback: frankfurt
dns: { servers: 1 }
origins: { web: { at: Ashburn, app: "http://127.0.0.1:3000" }, main: { at: Ashburn } }
hubs:    { eu: { at: Frankfurt, parent: main } }
edges:   { paris: {}, tokyo: {} }
clients: { far-east: { at: Tokyo }, frankfurt: {} }
sites:   { app.cdn.test: { origin: web }, www.cdn.test: { origin: main } }
`

// The nodes of testFile's plan.
const (
	web = iota
	origin
	hub
	paris
	tokyo
	dnsServer
)

// testTopology is testFile, planned. Nothing listens on its addresses until a test says so.
func testTopology(t *testing.T) (*topology.Topology, *topology.Plan) {
	t.Helper()
	top, err := topology.Parse("test", []byte(testFile), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := top.Plan(topology.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range plan.Nodes {
		plan.Nodes[i].HTTP = netip.MustParseAddrPort("127.0.0.1:1")
	}
	return top, plan
}

// fakeLab explains everything by the same answer, or fails.
type fakeLab struct {
	err       error
	url, from string

	mu      sync.Mutex // guards the fields below
	faults  []Fault
	blocked []Blocked
}

func (f *fakeLab) Faults() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.faults)
}

func (f *fakeLab) AddFault(spec FaultSpec) (Fault, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fault := Fault{ID: "f1", FaultSpec: spec}
	if f.err == nil {
		f.faults = append(f.faults, fault)
	}
	return fault, f.err
}

func (f *fakeLab) Scrub() Scrub {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Scrub{Blocked: slices.Clone(f.blocked)}
}

func (f *fakeLab) Block(p netip.Prefix, ttl time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blocked = append(f.blocked, Blocked{Prefix: p, By: ttl.String()})
	return f.err
}

func (f *fakeLab) Unblock(p netip.Prefix) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.blocked)
	f.blocked = slices.DeleteFunc(f.blocked, func(b Blocked) bool { return b.Prefix == p })
	return len(f.blocked) < n
}

func (f *fakeLab) RemoveFault(id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.faults) == 0 || f.faults[0].ID != id {
		return ErrNoFault
	}
	f.faults = nil
	return f.err
}

func (f *fakeLab) Explain(_ context.Context, url, from string) (Explanation, error) {
	f.url, f.from = url, from
	return Explanation{URL: url, From: from, Status: 200}, f.err
}

// logBuffer collects log lines of several goroutines.
type logBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// rig is a server that runs, and what it was built from.
type rig struct {
	base string
	cfg  Config
	lab  *fakeLab
	log  *logBuffer
}

// serve runs a server until the test ends; change adjusts its configuration first.
func serve(t *testing.T, change func(*Config)) rig {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	top, plan := testTopology(t)
	r := rig{base: "http://" + ln.Addr().String(), lab: &fakeLab{}, log: &logBuffer{}}
	r.cfg = Config{Listener: ln, Topology: top, Plan: plan, Lab: r.lab, Token: testToken, Secret: testSecret,
		Drain: 5 * time.Second, Log: slog.New(slog.NewTextHandler(r.log, nil))}
	if change != nil {
		change(&r.cfg)
	}
	s, err := New(r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil after its context was cancelled", err)
		}
	})
	return r
}

// head returns the response header of a read.
func (r rig) head(t *testing.T, path string, header ...string) http.Header {
	t.Helper()
	resp, _ := r.send(t, "GET", path, header...)
	return resp.Header
}

// call returns status and body.
func (r rig) call(t *testing.T, method, path string, header ...string) (int, string) {
	t.Helper()
	resp, body := r.send(t, method, path, header...)
	return resp.StatusCode, body
}

func (r rig) send(t *testing.T, method, path string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, r.base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func decode[T any](t *testing.T, body string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("body %q: %v", body, err)
	}
	return v
}

func TestNewRefusesToServeWithoutKeys(t *testing.T) {
	top, plan := testTopology(t)
	for name, cfg := range map[string]Config{
		"no token":  {Topology: top, Plan: plan, Secret: testSecret},
		"no secret": {Topology: top, Plan: plan, Token: testToken},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: New = nil error, want a refusal", name)
		}
	}
}

func TestIndexNamesEveryCall(t *testing.T) {
	r := serve(t, nil)
	status, body := r.call(t, "GET", "/")
	if status != 200 {
		t.Fatalf("GET / = %d, want 200", status)
	}
	for _, route := range (&Server{}).newRoutes() {
		if !strings.Contains(body, route.method+" ") || !strings.Contains(body, route.path+" ") {
			t.Errorf("GET / does not name %s %s:\n%s", route.method, route.path, body)
		}
	}
}

func TestHealth(t *testing.T) {
	if status, body := serve(t, nil).call(t, "GET", "/-/health"); status != 200 || body != "ok\n" {
		t.Errorf("GET /-/health = %d %q, want 200 ok", status, body)
	}
}

func TestCallsThatDoNotExistAreSaidToBeSo(t *testing.T) {
	r := serve(t, nil)
	tests := []struct {
		name, method, path string
		status             int
		says               string
	}{
		{"unknown path", "GET", "/api/v1/nodes", 404, "no such call: GET /api/v1/nodes"},
		{"wrong method", "POST", "/api/v1/status", 405, "it takes GET"},
		{"several methods", "PATCH", "/api/v1/objects/item", 405, "it takes GET, PUT, DELETE"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, body := r.call(t, tt.method, tt.path)
			if got := decode[Error](t, body).Error; status != tt.status || !strings.Contains(got, tt.says) {
				t.Errorf("%s %s = %d %q, want %d and %q", tt.method, tt.path, status, got, tt.status, tt.says)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	tests := []struct {
		name, query string
		err         error
		status      int
		want        string // the URL and place that the lab is asked for, or words of the error
	}{
		{name: "by place", query: "url=http://www.cdn.test/a%3Fb&from=far-east", status: 200, want: "http://www.cdn.test/a?b far-east"},
		{name: "by city", query: "url=http://www.cdn.test/&from=TOKYO", status: 200, want: "http://www.cdn.test/ far-east"},
		{name: "by IATA code", query: "url=http://www.cdn.test/&from=fra", status: 200, want: "http://www.cdn.test/ frankfurt"},
		{name: "from the fallback place", query: "url=http://www.cdn.test/", status: 200, want: "http://www.cdn.test/ frankfurt"},
		{name: "port in the URL", query: "url=http://www.cdn.test:8080/", status: 200, want: "http://www.cdn.test:8080/ frankfurt"},
		{name: "unknown place", query: "url=http://www.cdn.test/&from=atlantis", status: 404, want: "the places are far-east, frankfurt"},
		{name: "unknown site", query: "url=http://www.example.com/", status: 404, want: "the sites are app.cdn.test, www.cdn.test"},
		{name: "no absolute URL", query: "url=/hello.txt", status: 400, want: "want an absolute URL"},
		{name: "https", query: "url=https://www.cdn.test/", status: 400, want: "want an absolute URL"},
		{name: "lab fails", query: "url=http://www.cdn.test/", err: errors.New("no resolver"), status: 502, want: "no resolver"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := serve(t, nil)
			r.lab.err = tt.err
			status, body := r.call(t, "GET", "/api/v1/explain?"+tt.query)
			got := decode[Error](t, body).Error
			if status == 200 {
				got = r.lab.url + " " + r.lab.from
			}
			if status != tt.status || !strings.Contains(got, tt.want) {
				t.Errorf("explain?%s = %d %q, want %d %q", tt.query, status, got, tt.status, tt.want)
			}
		})
	}
}

func TestTopologyTellsAddresses(t *testing.T) {
	_, body := serve(t, nil).call(t, "GET", "/api/v1/topology")
	v := decode[Topology](t, body)
	if len(v.Nodes) != 6 || v.Nodes[hub].Parent != "main" || v.Nodes[paris].Parent != "eu" || v.Nodes[dnsServer].DNS != "127.0.0.1:8053" {
		t.Errorf("nodes = %+v", v.Nodes)
	}
	if p, err := v.Place("tokyo"); err != nil || p.Resolver != "127.101.0.53:8053" {
		t.Errorf("Place(tokyo) = %+v, %v, want the resolver 127.101.0.53:8053", p, err)
	}
	if p, err := v.Place(""); err != nil || p.Name != "frankfurt" {
		t.Errorf(`Place("") = %+v, %v, want the fallback place`, p, err)
	}
}

func TestRunCutsCallsOffAfterTheDrainTime(t *testing.T) {
	arrived := make(chan struct{})
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/-/stats" {
			return // of the collector
		}
		close(arrived)
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	defer store.Close()
	ctx, cancel := context.WithCancel(context.Background())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	top, plan := testTopology(t)
	plan.Nodes[origin].HTTP = netip.MustParseAddrPort(store.Listener.Addr().String())
	s, err := New(Config{Listener: ln, Topology: top, Plan: plan, Lab: &fakeLab{}, Token: testToken, Secret: testSecret,
		Drain: 10 * time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()

	body, feed := io.Pipe()
	req, _ := http.NewRequest("PUT", "http://"+ln.Addr().String()+"/api/v1/objects/item?path=/slow", body)
	req.Header.Set("Authorization", "Bearer "+testToken)
	failed := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	_, _ = feed.Write([]byte("x"))
	<-arrived
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	feed.CloseWithError(io.ErrUnexpectedEOF)
	if err := <-failed; err == nil {
		t.Error("an upload that never ends survived the drain time")
	}
	http.DefaultClient.CloseIdleConnections()
}
