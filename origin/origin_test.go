package origin

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cdnlab/internal/place"
	"cdnlab/internal/stats"
	"cdnlab/topology"
)

const (
	testToken  = "token-of-the-tests"
	testSecret = "secret-of-the-tests"
	testSite   = "www.cdn.test"
)

// lab is an origin under test and a client that reaches it under any host name.
type lab struct {
	t      *testing.T
	addr   string
	client *http.Client
	stats  *stats.Node
	stop   func() error
}

// testTopology has one origin of the given kind, which two sites use, and a site of another origin.
func testTopology(o topology.Origin) *topology.Topology {
	o.Name = "main"
	return &topology.Topology{
		Zone: "cdn.test", Seed: 7,
		Origins: []topology.Origin{o, {Name: "other"}},
		Sites: []topology.Site{
			{Host: testSite, Origin: "main", Access: []topology.AccessRule{
				{Prefix: "/secret/", Kind: topology.AccessToken},
				{Prefix: "/secret/open/", Kind: topology.AccessPublic},
				{Prefix: "/paid/", Kind: topology.AccessSigned},
				{Prefix: "/dynamic/closed", Kind: topology.AccessToken},
			}},
			{Host: "img.cdn.test", Origin: "main"},
			{Host: "elsewhere.test", Origin: "other"},
		},
	}
}

func testConfig(t *testing.T, top *topology.Topology) Config {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := ln.Addr().(*net.TCPAddr).AddrPort()
	return Config{
		Node:     topology.Node{Name: "main", Kind: topology.KindOrigin, Group: "main", Index: 1, HTTP: at, Public: []netip.Addr{at.Addr()}},
		Topology: top, Listener: ln, DataDir: t.TempDir(), Token: testToken, Secret: testSecret,
		Stats: stats.New(time.Now()), Log: slog.New(slog.DiscardHandler), Drain: 2 * time.Second,
	}
}

// start runs an origin; change may alter its configuration first.
func start(t *testing.T, o topology.Origin, change ...func(*Config)) *lab {
	t.Helper()
	cfg := testConfig(t, testTopology(o))
	for _, f := range change {
		f(&cfg)
	}
	return run(t, cfg)
}

func run(t *testing.T, cfg Config) *lab {
	t.Helper()
	ignored := []goleak.Option{goleak.IgnoreCurrent(),
		// fasthttp's own: the one lives as long as the process, the other wakes up within 10 s and sees that its server has stopped
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2")}
	t.Cleanup(func() { goleak.VerifyNone(t, ignored...) })
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	addr := cfg.Listener.Addr().String()
	transport := &http.Transport{DisableCompression: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", addr)
	}}
	client := &http.Client{Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	stopped := false
	l := &lab{t: t, addr: addr, client: client, stats: cfg.Stats, stop: func() error {
		if stopped {
			return nil
		}
		stopped = true
		transport.CloseIdleConnections()
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(30 * time.Second):
			t.Fatal("Run does not return")
			return nil
		}
	}}
	t.Cleanup(func() {
		if err := l.stop(); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	return l
}

// answer is a response that has been read.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request to a site; fields are "Name: value".
func (l *lab) do(method, target string, body io.Reader, fields ...string) answer {
	l.t.Helper()
	return l.at(testSite, method, target, body, fields...)
}

func (l *lab) at(host, method, target string, body io.Reader, fields ...string) answer {
	l.t.Helper()
	r, err := http.NewRequest(method, "http://"+host+target, body)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	return l.send(r)
}

func (l *lab) send(r *http.Request) answer {
	l.t.Helper()
	resp, err := l.client.Do(r)
	if err != nil {
		l.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatalf("%s %s: read body: %v", r.Method, r.URL, err)
	}
	return answer{resp.StatusCode, resp.Header, string(got)}
}

func (l *lab) get(target string, fields ...string) answer {
	l.t.Helper()
	return l.do(http.MethodGet, target, nil, fields...)
}

const withToken = "Authorization: Bearer " + testToken

func (l *lab) put(target, body string, fields ...string) answer {
	l.t.Helper()
	return l.do(http.MethodPut, target, strings.NewReader(body), append(fields, withToken)...)
}

// api calls the objects API with the token and decodes the answer into v unless that is nil.
func (l *lab) api(method, call string, params url.Values, body io.Reader, v any, fields ...string) answer {
	l.t.Helper()
	if params == nil {
		params = url.Values{}
	}
	if !params.Has("site") {
		params.Set("site", testSite)
	}
	a := l.at(l.addr, method, call+"?"+params.Encode(), body, append(fields, withToken)...)
	if v != nil {
		if err := json.Unmarshal([]byte(a.body), v); err != nil {
			l.t.Fatalf("%s %s: %d %s: %v", method, call, a.status, a.body, err)
		}
	}
	return a
}

// raw sends bytes as they are and returns the first line of what comes back.
func (l *lab) raw(request string) string {
	l.t.Helper()
	conn, err := net.Dial("tcp", l.addr)
	if err != nil {
		l.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		l.t.Fatal(err)
	}
	var buf bytes.Buffer
	_, _ = io.Copy(&buf, conn)
	line, _, _ := strings.Cut(buf.String(), "\r\n")
	return line
}

func (a answer) want(t *testing.T, what string, status int, inBody string) {
	t.Helper()
	if a.status != status || !strings.Contains(a.body, inBody) {
		t.Errorf("%s = %d %.300q, want %d with %q", what, a.status, a.body, status, inBody)
	}
}

// fakeLocator places everybody in Tokyo.
type fakeLocator struct{}

func (fakeLocator) Locate(netip.Addr) place.Answer {
	return place.Answer{Place: "tokyo", Location: topology.Location{City: "Tokyo", Country: "JP"}, Client: netip.MustParseAddr("198.18.2.7")}
}

func TestHostsAreRouted(t *testing.T) {
	l := start(t, topology.Origin{})
	for _, c := range []struct {
		name, host, target string
		status             int
		body               string
	}{
		{"a site", testSite, "/hello.txt", 200, "Hello from the origin"},
		{"the port is ignored", testSite + ":8080", "/hello.txt", 200, "Hello"},
		{"capitals and the root's dot are ignored", "WWW.CDN.test.", "/hello.txt", 200, "Hello"},
		{"another site of this origin", "img.cdn.test", "/hello.txt", 200, "Hello"},
		{"an unknown host is told which exist", "nowhere.test", "/hello.txt", 404, `unknown host "nowhere.test": this origin serves img.cdn.test, www.cdn.test`},
		{"a site of another origin is unknown", "elsewhere.test", "/hello.txt", 404, "unknown host"},
		{"the node itself has no content", l.addr, "/hello.txt", 404, "this is the origin main itself"},
		{"the node's health", l.addr, "/-/health", 200, "ok"},
		{"the node's health by name", "main.cdn.test", "/-/health", 200, "ok"},
		{"not through a site", testSite, "/-/health", 404, "no such object"},
		{"the API is not there through a site", testSite, "/-/objects?site=" + testSite, 404, "no such object"},
	} {
		l.at(c.host, http.MethodGet, c.target, nil, "Cdnlab-Secret: "+testSecret).want(t, c.name, c.status, c.body)
	}
	if got := l.raw("GET http://img.cdn.test/hello.txt HTTP/1.1\r\nHost: nowhere.test\r\nConnection: close\r\n\r\n"); got != "HTTP/1.1 200 OK" {
		t.Errorf("absolute target with another Host = %q, want 200: the target's host counts", got)
	}
	if got := l.raw("OPTIONS * HTTP/1.1\r\nHost: " + testSite + "\r\nConnection: close\r\n\r\n"); got != "HTTP/1.1 400 Bad Request" {
		t.Errorf("asterisk form = %q, want 400", got)
	}
}

func TestEveryAnswerCarriesItsTimingAndIsCounted(t *testing.T) {
	l := start(t, topology.Origin{})
	a := l.get("/hello.txt?x=1")
	if got := a.header.Get("Server-Timing"); !strings.HasPrefix(got, "origin;dur=") || !strings.HasSuffix(got, `;desc="main"`) {
		t.Errorf("Server-Timing = %q", got)
	}
	l.at("nowhere.test", http.MethodGet, "/", nil)
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	snap := l.stats.Snapshot()
	if snap.Requests["served"] != 1 || snap.Requests["failed"] != 1 || snap.Out["served"] != uint64(len(a.body)) {
		t.Errorf("counted %v, bytes %v; want 1 served with %d bytes and 1 failed", snap.Requests, snap.Out, len(a.body))
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for name, c := range map[string]struct {
		origin topology.Origin
		change func(*Config)
		want   string
	}{
		"a store without a token":     {topology.Origin{}, func(c *Config) { c.Token = "" }, "needs a token"},
		"a store without a secret":    {topology.Origin{}, func(c *Config) { c.Secret = "" }, "needs a token and a secret"},
		"a directory that is missing": {topology.Origin{Kind: topology.Dir, Dir: "/nonexistent/cdnlab"}, func(*Config) {}, "open the directory to serve"},
		"a node of no origin":         {topology.Origin{}, func(c *Config) { c.Node.Group = "moon" }, `no origin "moon"`},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t, testTopology(c.origin))
			defer cfg.Listener.Close()
			c.change(&cfg)
			if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("New = %v, want %q", err, c.want)
			}
		})
	}
}
