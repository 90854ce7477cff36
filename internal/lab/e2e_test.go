package lab_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"cdnlab/topology"
)

// tool finds a program that the test needs: without it the test is skipped at a desk and fails in CI.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
	return path
}

var builds sync.Map // package → func() (string, error)

// binary builds a main package once for all tests.
func binary(t *testing.T, pkg string) string {
	t.Helper()
	build, _ := builds.LoadOrStore(pkg, sync.OnceValues(func() (string, error) {
		dir, err := os.MkdirTemp("", "cdnlab-test-")
		if err != nil {
			return "", err
		}
		out := filepath.Join(dir, filepath.Base(pkg))
		if msg, err := exec.Command("go", "build", "-o", out, pkg).CombinedOutput(); err != nil {
			return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, msg)
		}
		return out, nil
	}))
	path, err := build.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDigAnswersEachCityWithItsNearestPoP(t *testing.T) {
	l := startLab(t, "three-continents")
	l.digAnswersEachCity(t)
}

func (l suite) digAnswersEachCity(t *testing.T) {
	dig := tool(t, "dig")
	for _, c := range l.net.Topology().Clients {
		place, _ := l.net.Plan().Place(c.Name)
		nearest, best := "", time.Duration(math.MaxInt64)
		for _, e := range l.net.Topology().Edges {
			p := l.net.Topology().Path(topology.Ref{Kind: topology.KindClient, Name: c.Name}, topology.Ref{Kind: topology.KindEdge, Name: e.Name})
			if p.RTT < best {
				nearest, best = e.Name, p.RTT
			}
		}
		want := map[string]bool{}
		for _, n := range l.net.Plan().Group(topology.Ref{Kind: topology.KindEdge, Name: nearest}) {
			want[n.HTTP.Addr().String()] = true
		}
		servers := l.net.State().DNS
		ways := map[string][]string{
			"ECS":                     {"@" + servers[0].Addr().String(), "-p", port(servers[0]), "+subnet=" + c.Networks[0].String()},
			"ECS, second server":      {"@" + servers[1].Addr().String(), "-p", port(servers[1]), "+subnet=" + c.Networks[0].String()},
			"ECS, second server, TCP": {"@" + servers[1].Addr().String(), "-p", port(servers[1]), "+subnet=" + c.Networks[0].String(), "+tcp"},
			"the resolver":            {"@" + place.Resolver.Addr().String(), "-p", port(place.Resolver)},
			"the resolver, TCP":       {"@" + place.Resolver.Addr().String(), "-p", port(place.Resolver), "+tcp"},
		}
		if place.Client.IsValid() {
			ways["source address"] = []string{"@" + servers[0].Addr().String(), "-p", port(servers[0]), "-b", place.Client.String()}
			ways["source address, TCP"] = []string{"@" + servers[1].Addr().String(), "-p", port(servers[1]), "-b", place.Client.String(), "+tcp"}
		}
		for what, args := range ways {
			out, err := exec.CommandContext(t.Context(), dig, append(args, "+short", l.site, "A")...).CombinedOutput()
			answers := strings.Fields(string(out))
			if err != nil || len(answers) != len(want) {
				t.Errorf("%s by %s: dig gave %q, %v, want %s's %d servers", c.Name, what, out, err, nearest, len(want))
			}
			for _, a := range answers {
				if !want[a] {
					t.Errorf("%s by %s: dig gave %s, which is not in %s", c.Name, what, a, nearest)
				}
			}
		}
	}
}

func port(a netip.AddrPort) string { return fmt.Sprint(a.Port()) }

func TestCurlThroughTheGatewayIsAClientInTheCity(t *testing.T) {
	l := startLab(t, "three-continents")
	l.curlIsAClientInTheCity(t)
}

func (l suite) curlIsAClientInTheCity(t *testing.T) {
	curl := tool(t, "curl")
	for city, pop := range map[string]string{"tokyo": "tokyo", "Sao Paulo": "sao-paulo", "LON": "london"} {
		for _, want := range []string{"MISS", "HIT"} {
			// A PoP's two servers have a cache each: asking until the first one's turn comes round again is the resolver's affair,
			// so the test keeps to one connection's server by asking twice in one command.
			out, err := exec.CommandContext(t.Context(), curl, "-s", "-i", "-x", l.net.State().Gateway.String(), "--proxy-user", city+":",
				"http://"+l.site+"/style.css?"+want, "http://"+l.site+"/style.css?"+want).CombinedOutput()
			if err != nil {
				t.Fatalf("curl from %s: %v\n%s", city, err, out)
			}
			if !strings.Contains(string(out), "X-Cache: "+"MISS, "+pop) || !strings.Contains(string(out), "X-Cache: HIT, "+pop) {
				t.Errorf("curl from %s gave\n%s\nwant a miss and a hit at %s", city, out, pop)
			}
		}
	}
	out, err := exec.CommandContext(t.Context(), curl, "-s", "-o", os.DevNull, "-w", "%{http_code}", "-x", l.net.State().Gateway.String(), "http://example.org/").CombinedOutput()
	if err != nil || string(out) != "403" {
		t.Errorf("the gateway answered a foreign host with %s, %v, want 403: it is no open proxy", out, err)
	}
}

func TestVegetaThroughACitysResolverAndThroughTheGateway(t *testing.T) {
	l := startLab(t, "three-continents")
	l.vegetaFindsNoErrors(t)
}

func (l suite) vegetaFindsNoErrors(t *testing.T) {
	vegeta := binary(t, "github.com/tsenart/vegeta/v12")
	place, _ := l.net.Plan().Place("paris")
	duration := "10s"
	if testing.Short() {
		duration = "2s"
	}
	for name, via := range map[string]struct {
		hostport string
		args     []string
		env      string
	}{
		"resolver": {fmt.Sprintf("%s:%d", l.site, l.net.Plan().HTTPPort()), []string{"-resolvers", place.Resolver.String()}, ""},
		"gateway":  {l.site, nil, "HTTP_PROXY=http://paris:@" + l.net.State().Gateway.String()},
	} {
		t.Run(name, func(t *testing.T) {
			before := l.edgeFigures(t)
			cmd := exec.CommandContext(t.Context(), vegeta, append([]string{"attack", "-duration=" + duration, "-rate=1000"}, via.args...)...)
			cmd.Stdin = bytes.NewReader(readmeTargets(t, "http://"+via.hostport+"/synthetic/2KiB/"+name+"-"))
			cmd.Env = append(os.Environ(), via.env)
			var results, problems bytes.Buffer
			cmd.Stdout, cmd.Stderr = &results, &problems
			if err := cmd.Run(); err != nil {
				t.Fatalf("vegeta attack: %v\n%s", err, problems.String())
			}
			report := exec.CommandContext(t.Context(), vegeta, "report", "-type=json")
			report.Stdin = &results
			out, err := report.Output()
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				Success float64  `json:"success"`
				Errors  []string `json:"errors"`
			}
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatal(err)
			}
			if got.Success != 1 || len(got.Errors) > 0 {
				t.Errorf("success %v, errors %v", got.Success, got.Errors)
			}
			after := l.edgeFigures(t)
			hits, all := after.hits-before.hits, after.all-before.all
			if ratio := float64(hits) / float64(all); !testing.Short() && ratio < 0.95 {
				t.Errorf("edge hit ratio %.3f of %d requests, want over 0.95", ratio, all)
			}
		})
	}
}

// readmeTargets runs the README's recipe for a target list, with prefix for the beginning of each URL.
func readmeTargets(t *testing.T, prefix string) []byte {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, recipe, found := strings.Cut(string(readme), "    awk '")
	recipe, _, ended := strings.Cut(recipe, "' > targets.txt")
	const url = "http://www.cdn.test/synthetic/2KiB/"
	if !found || !ended || !strings.Contains(recipe, url) {
		t.Fatalf("README.md has no awk recipe for targets with %s", url)
	}
	targets, err := exec.CommandContext(t.Context(), tool(t, "awk"), strings.Replace(recipe, url, prefix, 1)).Output()
	if err != nil {
		t.Fatalf("awk: %v", err)
	}
	return targets
}

type figures struct{ hits, all uint64 }

// edgeFigures sums what the edges count.
func (l suite) edgeFigures(t *testing.T) (f figures) {
	t.Helper()
	for _, n := range l.edges() {
		var s struct {
			Requests map[string]uint64 `json:"requests"`
		}
		_, body := l.get(t, newClient(t, &http.Transport{DisableKeepAlives: true}), "http://"+n.HTTP.String()+"/-/stats")
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			t.Fatal(err)
		}
		f.hits += s.Requests["hit"]
		for _, c := range s.Requests {
			f.all += c
		}
	}
	return f
}

// cdn is a CDN whose nodes are processes of their own, so that one can be killed.
type cdn struct {
	t     *testing.T
	bin   string
	dir   string
	file  string
	ports []uint16
	plan  *topology.Plan
	procs map[string]*exec.Cmd
}

const twoPoPs = `
version: 1
dns: { servers: 1, health: { interval: 200ms, timeout: 500ms, fall: 3, rise: 2 } }
origins: { main: { at: Ashburn } }
hubs: { eu: { at: Frankfurt }, na: { at: Chicago } }
edges: { paris: {}, london: {} }
clients: { paris: {} }
`

func startCDN(t *testing.T) *cdn {
	t.Helper()
	c := &cdn{t: t, bin: binary(t, "cdnlab/cmd/cdnlab"), dir: t.TempDir(), ports: freePorts(t, 3), procs: map[string]*exec.Cmd{}}
	c.file = filepath.Join(c.dir, "topology.yaml")
	if err := os.WriteFile(c.file, []byte(twoPoPs), 0o600); err != nil {
		t.Fatal(err)
	}
	top, err := topology.Load(c.file, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.plan, err = top.Plan(topology.PlanOptions{HTTPPort: c.ports[0], DNSPort: c.ports[1], GatewayPort: c.ports[2]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for name := range c.procs {
			c.kill(name)
		}
	})
	for _, n := range c.plan.Nodes {
		c.start(n.Kind.String(), string(n.Name))
	}
	return c
}

// start runs a node and waits until it answers its health check.
func (c *cdn) start(role, name string) {
	c.t.Helper()
	cmd := exec.Command(c.bin, "node", role, name, "-f", c.file, "--data-dir", filepath.Join(c.dir, "data"), "--no-netem",
		"--http-port", fmt.Sprint(c.ports[0]), "--dns-port", fmt.Sprint(c.ports[1]), "--gateway-port", fmt.Sprint(c.ports[2]))
	cmd.Stderr = c.t.Output()
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.procs[name] = cmd
	n, _ := c.plan.Node(topology.NodeName(name))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	waitFor(c.t, name, func() error {
		resp, err := client.Get("http://" + n.HTTP.String() + "/-/health")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != 200 {
			return fmt.Errorf("%s", resp.Status)
		}
		return nil
	})
}

// kill ends a node as a power cut would.
func (c *cdn) kill(name string) {
	cmd := c.procs[name]
	delete(c.procs, name)
	_ = cmd.Process.Kill() // it may have ended already
	_ = cmd.Wait()         // its error is the kill
}

// fetch gets a path as a client that resolves anew: from the first server of the DNS answer.
func (c *cdn) fetch(path string) (server string, err error) {
	resolver := dns.Client{Timeout: patience}
	answer, _, err := resolver.Exchange(new(dns.Msg).SetQuestion("www.cdn.test.", dns.TypeA), fmt.Sprintf("127.0.0.1:%d", c.ports[1]))
	if err != nil {
		return "dns", err
	}
	if len(answer.Answer) == 0 {
		return "dns", fmt.Errorf("no answer: %v", answer)
	}
	server = answer.Answer[0].(*dns.A).A.String()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	u := url.URL{Scheme: "http", Host: net.JoinHostPort(server, fmt.Sprint(c.ports[0])), Path: path}
	req, err := http.NewRequest("GET", u.String(), nil)
	if err != nil {
		return server, err
	}
	req.Host = "www.cdn.test"
	resp, err := client.Do(req)
	if err != nil {
		return server, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return server, err
}

// failure is a request that failed under load.
type failure struct {
	at     time.Time
	server string
	err    error
}

// during runs f while a client asks for one path after another, and returns what failed meanwhile. f may wait until a number
// of further requests have been made.
func (c *cdn) during(path func(i int) string, f func(wait func(requests int))) (failures []failure) {
	var made atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			began := time.Now()
			if server, err := c.fetch(path(i)); err != nil {
				failures = append(failures, failure{began, server, err})
			}
			made.Add(1)
		}
	})
	f(func(requests int) {
		target := made.Load() + int64(requests)
		waitFor(c.t, "load", func() error {
			if n := made.Load(); n < target {
				return fmt.Errorf("%d requests to go", target-n)
			}
			return nil
		})
	})
	close(stop)
	wg.Wait()
	return failures
}

func TestKillingAnEdgeAHubAndTheOriginUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes and waits for health checks")
	}
	c := startCDN(t)
	cached := func(i int) string { return fmt.Sprintf("/synthetic/4KiB/%d", i%50) }
	cold := func() func(int) string {
		run := time.Now().UnixNano()
		return func(i int) string { return fmt.Sprintf("/synthetic/1KiB/cold-%d-%d", run, i) }
	}
	for i := range 50 { // warm both PoPs' way through their hub
		if _, err := c.fetch(cached(i)); err != nil {
			t.Fatal(err)
		}
	}
	paris, _ := c.plan.Node("paris-1")
	deadAddr := paris.HTTP.Addr().String()

	var killed time.Time
	failures := c.during(cached, func(func(int)) {
		killed = time.Now()
		c.kill("paris-1")
		waitFor(t, "an answer without paris-1", func() error {
			if server, err := c.fetch("/hello.txt"); err != nil || server == deadAddr {
				return fmt.Errorf("answered %s: %v", server, err)
			}
			return nil
		})
		t.Logf("paris-1 left the answers %v after it was killed", time.Since(killed).Round(10*time.Millisecond))
	})
	for _, f := range failures {
		if f.server != deadAddr || f.at.Sub(killed) > 5*time.Second {
			t.Errorf("edge killed: %v after it %s failed: %v", f.at.Sub(killed), f.server, f.err)
		}
	}
	for _, f := range c.during(cold(), func(wait func(int)) {
		c.kill("eu-1")
		wait(500)
	}) {
		t.Errorf("hub killed: %s failed: %v", f.server, f.err)
	}
	for i := range 50 { // london has to hold what is asked for without origin
		if _, err := c.fetch(cached(i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range c.during(cached, func(wait func(int)) {
		c.kill("main")
		wait(500)
	}) {
		t.Errorf("origin killed: %s failed: %v", f.server, f.err)
	}
	for role, name := range map[string]string{"edge": "paris-1", "hub": "eu-1", "origin": "main"} {
		c.start(role, name)
	}
	waitFor(t, "a cold object from paris-1", func() error {
		server, err := c.fetch(cold()(0))
		if err != nil || server != deadAddr {
			return fmt.Errorf("%s: %v", server, err)
		}
		return nil
	})
	for _, f := range c.during(cold(), func(wait func(int)) { wait(200) }) {
		t.Errorf("after recovery: %s failed: %v", f.server, f.err)
	}
}
