package lab_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cdnlab/internal/lab"
	"cdnlab/mgmt"
	"cdnlab/topology"
)

func TestMain(m *testing.M) {
	if args := os.Getenv(labChild); args != "" {
		if err := runChild(args); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m,
		// fasthttp's own: the one lives as long as the process, the other wakes up within 10 s and sees that its server has stopped
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// testLab is a running lab on ports of its own.
type testLab struct {
	*lab.Lab
	suite
	dir string
}

// subject is what the tests of a suite need of a running CDN: a lab in this process, or one in containers.
type subject interface {
	Topology() *topology.Topology
	Plan() *topology.Plan
	State() lab.State
	Explain(ctx context.Context, url, from string) (mgmt.Explanation, error)
	Stop(topology.NodeName) error
	Restart(topology.NodeName) error
}

// suite are the tests that any running CDN passes, with what they use.
type suite struct {
	net   subject
	place topology.Place // the fallback place
	site  string
}

func newSuite(t *testing.T, n subject) suite {
	t.Helper()
	place, ok := n.Plan().Place(n.Topology().Fallback)
	if !ok {
		t.Fatalf("no place %q", n.Topology().Fallback)
	}
	return suite{net: n, place: place, site: n.Topology().Sites[0].Host}
}

// startLab runs a preset with settings until the test ends.
func startLab(t *testing.T, preset string, sets ...string) *testLab {
	t.Helper()
	return startLabWith(t, preset, lab.Options{NoNetem: true}, sets...)
}

func startLabWith(t *testing.T, preset string, opt lab.Options, sets ...string) *testLab {
	t.Helper()
	top, err := topology.Preset(preset, sets)
	if err != nil {
		t.Fatal(err)
	}
	ports := freePorts(t, 4)
	opt.DataDir = t.TempDir()
	opt.HTTPPort, opt.DNSPort, opt.AdminPort, opt.GatewayPort = ports[0], ports[1], ports[2], ports[3]
	opt.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	ctx, cancel := context.WithCancel(context.Background())
	l, err := lab.Start(ctx, top, opt)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := l.Wait(); err != nil {
			t.Errorf("the lab ended with %v", err)
		}
	})
	return &testLab{Lab: l, suite: newSuite(t, l), dir: opt.DataDir}
}

var nextPort atomic.Int64

// freePorts finds ports that no loopback address uses, below those that the kernel gives to outgoing connections. It counts
// upwards from a place of this process's own, and keeps each port until the test ends: whoever else looks for one finds it in use at
// an address where no node is.
func freePorts(t *testing.T, n int) (ports []uint16) {
	t.Helper()
	nextPort.CompareAndSwap(0, int64(10_000+os.Getpid()*97%15_000))
	for tries := 0; len(ports) < n; tries++ {
		port := nextPort.Add(1)
		tcp, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			if tries > 1000 {
				t.Fatal(err)
			}
			continue
		}
		udp, err := net.ListenPacket("udp", fmt.Sprintf(":%d", port))
		tcp.Close()
		if err != nil {
			continue
		}
		udp.Close()
		if kept, err := net.Listen("tcp", fmt.Sprintf("127.255.255.254:%d", port)); err == nil {
			t.Cleanup(func() { kept.Close() })
			ports = append(ports, uint16(port))
		}
	}
	return ports
}

// client is an HTTP client in a place, through the place's gateway. It follows no redirects.
func (l suite) client(t *testing.T, p topology.Place) *http.Client {
	t.Helper()
	proxy := &url.URL{Scheme: "http", Host: p.Gateway.String()}
	return newClient(t, &http.Transport{Proxy: http.ProxyURL(proxy), DisableCompression: true, MaxIdleConnsPerHost: 64})
}

// direct is an HTTP client in the fallback place that connects to the first edge whatever the host.
func (l suite) direct(t *testing.T) *http.Client {
	t.Helper()
	return l.to(t, l.edges()[0])
}

func (l suite) to(t *testing.T, n topology.Node) *http.Client {
	t.Helper()
	var d net.Dialer
	if l.place.Client.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(l.place.Client, 0))
	}
	return newClient(t, &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 600,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", n.HTTP.String())
		}})
}

func newClient(t *testing.T, tr *http.Transport) *http.Client {
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (l suite) nodes(kind topology.Kind) (out []topology.Node) {
	for _, n := range l.net.Plan().Nodes {
		if n.Kind == kind {
			out = append(out, n)
		}
	}
	return out
}

func (l suite) edges() []topology.Node { return l.nodes(topology.KindEdge) }

func (l suite) get(t *testing.T, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return l.do(t, c, req)
}

func (l suite) do(t *testing.T, c *http.Client, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	return resp, string(body)
}

func TestFirstAMissThroughHubAndOriginThenAHit(t *testing.T) {
	l := startLab(t, "tiny")
	l.firstAMissThenAHit(t)
}

func (l suite) firstAMissThenAHit(t *testing.T) {
	c := l.client(t, l.place)
	url := "http://" + l.site + "/hello.txt?first"
	explained, err := l.net.Explain(t.Context(), "http://"+l.site+"/hello.txt", l.place.Name)
	if err != nil {
		t.Fatal(err)
	}
	pop := topology.Ref{Kind: topology.KindEdge, Name: explained.DNS.Winner}
	first, body := l.get(t, c, url)
	edge, hub := string(l.net.Plan().Group(pop)[0].Name), l.net.Topology().Parents(pop.Name, "main")[0].Name+"-1"
	if first.StatusCode != 200 || body == "" {
		t.Fatalf("first: %d %q", first.StatusCode, body)
	}
	if got := first.Header.Get("X-Cache"); got != "MISS, "+edge {
		t.Errorf("first X-Cache = %q, want MISS, %s", got, edge)
	}
	status := first.Header.Get("Cache-Status")
	if h, e := strings.Index(status, hub+";"), strings.Index(status, edge+";"); h < 0 || e < h || !strings.Contains(status, "fwd=uri-miss") {
		t.Errorf("first Cache-Status = %q, want %s before %s", status, hub, edge)
	}
	timing := first.Header.Get("Server-Timing")
	for _, tier := range []string{"origin;", "hub;", "edge;"} {
		if !strings.Contains(timing, tier) {
			t.Errorf("first Server-Timing = %q lacks %s", timing, tier)
		}
	}
	second, again := l.get(t, c, url)
	if got := second.Header.Get("X-Cache"); got != "HIT, "+edge || again != body {
		t.Errorf("second X-Cache = %q, same body %v", got, again == body)
	}
	if got := second.Header.Get("Cache-Status"); !strings.HasPrefix(got, edge+";hit") || strings.Contains(got, hub) {
		t.Errorf("second Cache-Status = %q, want the edge alone", got)
	}
	if second.Header.Get("Age") == "" || second.Header.Get("X-Request-Id") == first.Header.Get("X-Request-Id") {
		t.Errorf("second Age %q, X-Request-Id %q after %q", second.Header.Get("Age"), second.Header.Get("X-Request-Id"), first.Header.Get("X-Request-Id"))
	}
}

func TestFiveHundredClientsOfAColdObjectMakeOneOriginRequest(t *testing.T) {
	l := startLab(t, "tiny")
	l.oneOriginRequest(t)
}

func (l suite) oneOriginRequest(t *testing.T) {
	c := l.direct(t)
	before := l.originRequests(t)
	var wg sync.WaitGroup
	for range 500 {
		wg.Go(func() {
			resp, err := c.Get("http://" + l.site + "/dynamic/delay/200ms?ttl=60s&size=10KiB")
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if n, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 || n != 10<<10 {
				t.Errorf("status %d, %d bytes, %v", resp.StatusCode, n, err)
			}
		})
	}
	wg.Wait()
	got := 0
	waitFor(t, "the origin's count, whose answer may be quicker", func() error {
		if got = l.originRequests(t) - before; got == 0 {
			return errors.New("none is counted")
		}
		return nil
	})
	if got != 1 {
		t.Errorf("the origin got %d requests, want 1", got)
	}
}

// originRequests is what the origins have served so far, by their own count.
func (l suite) originRequests(t *testing.T) (n int) {
	t.Helper()
	for _, o := range l.nodes(topology.KindOrigin) {
		_, body := l.get(t, newClient(t, &http.Transport{DisableKeepAlives: true}), "http://"+o.HTTP.String()+"/-/metrics")
		for line := range strings.SplitSeq(body, "\n") {
			if strings.HasPrefix(line, "cdnlab_requests_total{") {
				var count int
				if _, err := fmt.Sscan(line[strings.LastIndex(line, " ")+1:], &count); err != nil {
					t.Fatal(err)
				}
				n += count
			}
		}
	}
	return n
}

func TestCachedContentOutlivesHubAndOrigin(t *testing.T) {
	l := startLab(t, "three-continents")
	l.cachedContentOutlivesHubAndOrigin(t)
}

func (l suite) cachedContentOutlivesHubAndOrigin(t *testing.T) {
	c := l.client(t, l.place)
	cached, cold := "http://"+l.site+"/hello.txt", "http://"+l.site+"/logo.svg?cold"
	_, want := l.get(t, c, cached)

	for _, hub := range l.nodes(topology.KindHub) {
		if err := l.net.Stop(hub.Name); err != nil {
			t.Fatal(err)
		}
	}
	if resp, _ := l.get(t, c, cold); resp.StatusCode != 200 {
		t.Errorf("without hubs: %d, want the origin's answer", resp.StatusCode)
	}
	origin := l.nodes(topology.KindOrigin)[0]
	if err := l.net.Stop(origin.Name); err != nil {
		t.Fatal(err)
	}
	if resp, got := l.get(t, c, cached); resp.StatusCode != 200 || got != want {
		t.Errorf("without origin: %d %q, want what was cached", resp.StatusCode, got)
	}
	if resp, body := l.get(t, c, "http://"+l.site+"/style.css?cold"); resp.StatusCode != 504 && resp.StatusCode != 502 || !strings.Contains(body, string(origin.Name)) {
		t.Errorf("cold without origin: %d %q, want an error that names %s", resp.StatusCode, body, origin.Name)
	}
	for _, n := range append(l.nodes(topology.KindHub), origin) {
		if err := l.net.Restart(n.Name); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "a cold object after everything is back", func() error {
		resp, body := l.get(t, c, "http://"+l.site+"/style.css?cold")
		if resp.StatusCode != 200 || !strings.Contains(resp.Header.Get("Cache-Status"), "-1;") {
			return fmt.Errorf("%d %q %q", resp.StatusCode, resp.Header.Get("Cache-Status"), body)
		}
		return nil
	})
}

func TestADeadEdgeLeavesTheAnswersAndComesBack(t *testing.T) {
	l := startLab(t, "three-continents", "dns.health={interval: 50ms, timeout: 500ms, fall: 2, rise: 2}")
	l.deadEdgeLeavesAndComesBack(t)
}

func (l suite) deadEdgeLeavesAndComesBack(t *testing.T) {
	winner := func() string {
		e, err := l.net.Explain(t.Context(), "http://"+l.site+"/hello.txt", l.place.Name)
		if err != nil {
			return err.Error()
		}
		return e.DNS.Winner
	}
	first := winner()
	var servers []topology.NodeName
	for _, n := range l.net.Plan().Group(topology.Ref{Kind: topology.KindEdge, Name: first}) {
		servers = append(servers, n.Name)
		if err := l.net.Stop(n.Name); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "another PoP", func() error {
		e, err := l.net.Explain(t.Context(), "http://"+l.site+"/hello.txt", l.place.Name)
		if err != nil || e.DNS.Winner == first || e.Status != 200 {
			return fmt.Errorf("winner %q, status %d, %v", e.DNS.Winner, e.Status, err)
		}
		return nil
	})
	for _, name := range servers {
		if err := l.net.Restart(name); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, first+" again", func() error {
		if got := winner(); got != first {
			return fmt.Errorf("winner %q", got)
		}
		return nil
	})
}

const patience = 30 * time.Second // for what has no reason to take long

// waitFor repeats a check until it passes, for as long as any machine may need.
func waitFor(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come: %v", what, err)
		}
		<-tick.C
	}
}

func TestAPortInUseIsOneLineWithTheRemedy(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	top, err := topology.Preset("tiny", nil)
	if err != nil {
		t.Fatal(err)
	}
	ports := freePorts(t, 3)
	_, err = lab.Start(t.Context(), top, lab.Options{DataDir: t.TempDir(), HTTPPort: ports[0], DNSPort: ports[1], GatewayPort: ports[2],
		AdminPort: uint16(ln.Addr().(*net.TCPAddr).Port)})
	if err == nil || !strings.Contains(err.Error(), "in use") || !strings.Contains(err.Error(), "--admin-port") || strings.Contains(err.Error(), "\n") {
		t.Errorf("Start on a taken port = %v, want one line that names --admin-port", err)
	}
}

func TestASecondLabOnTheSameDirectoryIsRefused(t *testing.T) {
	l := startLab(t, "tiny")
	top, err := topology.Preset("tiny", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lab.Start(t.Context(), top, lab.Options{DataDir: l.dir}); err == nil || !strings.Contains(err.Error(), "another lab") {
		t.Errorf("second Start = %v, want a refusal", err)
	}
}

func TestStateTellsOtherCommandsWhereTheLabIs(t *testing.T) {
	l := startLab(t, "tiny")
	s, err := lab.ReadState(l.dir)
	if err != nil {
		t.Fatal(err)
	}
	if s.Admin != l.AdminURL() || len(s.DNS) == 0 || s.Zone != "cdn.test" || s.HTTPPort != l.Plan().HTTPPort() {
		t.Errorf("state = %+v", s)
	}
	resp, body := l.get(t, newClient(t, &http.Transport{DisableKeepAlives: true}), s.Admin+"/api/v1/status")
	if resp.StatusCode != 200 || !strings.Contains(body, string(l.edges()[0].Name)) {
		t.Errorf("status: %d %s", resp.StatusCode, body)
	}
}
