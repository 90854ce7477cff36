package edge_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cdnlab/edge"
	"cdnlab/internal/place"
	"cdnlab/internal/stats"
	"cdnlab/regional"
	"cdnlab/topology"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

const (
	small = `
origins: { main: { at: Ashburn } }
hubs:    { eu: { at: Frankfurt }, na: { at: Chicago } }
edges:   { paris: {}, london: {} }
clients: { paris: {}, tokyo: {} }
sites:   { www.cdn.test: { origin: main, cache: { stale_if_error: 1h } } }
`
	secret   = "of the lab"
	patience = 30 * time.Second // for what has no reason to take long
)

// network is a small CDN on free ports of the loopback interface, with a clock that only tests move.
type network struct {
	t      *testing.T
	top    *topology.Topology
	plan   *topology.Plan
	place  *place.Locator
	now    atomic.Int64 // nanoseconds since the epoch
	access io.Writer    // of the edges; nil without
	drain  time.Duration
	probe  time.Duration // of the edges
	held   chan struct{} // closed to let the origin answer for what is below /held/

	mu    sync.Mutex // guards the fields below
	stats map[topology.NodeName]*stats.Node
	nodes map[topology.NodeName]*running
	dials map[topology.NodeName]int
	seen  []*http.Request // by the origin, their bodies read
}

// running is a node that serves.
type running struct {
	addr string
	stop func() // returns when it has ended
}

// newNetwork prepares a network; none of its nodes run yet.
func newNetwork(t *testing.T, source string) *network {
	t.Helper()
	top, err := topology.Parse("net.yaml", []byte(source), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	n := &network{t: t, top: top, held: make(chan struct{}), probe: time.Hour, nodes: map[topology.NodeName]*running{}, stats: map[topology.NodeName]*stats.Node{}, dials: map[topology.NodeName]int{}}
	n.now.Store(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	if n.plan, err = top.Plan(topology.PlanOptions{}); err != nil {
		t.Fatal(err)
	}
	if n.place, err = place.New(top, n.plan, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, node := range n.plan.Nodes {
			n.kill(node.Name)
		}
	})
	return n
}

// startNetwork starts every origin, hub and edge.
func startNetwork(t *testing.T, source string) *network {
	t.Helper()
	n := newNetwork(t, source)
	n.start("main", "eu-1", "na-1", "paris-1", "london-1")
	return n
}

func (n *network) clock() time.Time { return time.Unix(0, n.now.Load()).UTC() }

func (n *network) pass(d time.Duration) { n.now.Add(int64(d)) }

// start starts nodes, also such as have been killed.
func (n *network) start(names ...topology.NodeName) {
	n.t.Helper()
	for _, name := range names {
		node, ok := n.plan.Node(name)
		if !ok {
			n.t.Fatalf("the topology has no node %s", name)
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			n.t.Fatal(err)
		}
		stop := n.serve(node, ln)
		n.mu.Lock()
		n.nodes[name] = &running{ln.Addr().String(), stop}
		n.mu.Unlock()
	}
}

func (n *network) serve(node topology.Node, ln net.Listener) (stop func()) {
	n.t.Helper()
	var run interface{ Run(context.Context) error }
	var err error
	log, counters := slog.New(slog.DiscardHandler), stats.New(n.clock())
	n.mu.Lock()
	n.stats[node.Name] = counters
	n.mu.Unlock()
	switch node.Kind {
	case topology.KindHub:
		run, err = regional.New(regional.Config{Node: node, Topology: n.top, Plan: n.plan, Listener: ln, Dial: n.dial, Secret: secret,
			Stats: counters, Log: log, Now: n.clock, Drain: n.drain})
	case topology.KindEdge:
		run, err = edge.New(edge.Config{Node: node, Topology: n.top, Plan: n.plan, Listener: ln, Dial: n.dial, Locator: n.place, Secret: secret,
			Stats: counters, Log: log, AccessLog: n.access, Now: n.clock, Drain: n.drain, Probe: n.probe})
	default:
		return n.serveOrigin(ln)
	}
	if err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			n.t.Errorf("%s ended with %v", node.Name, err)
		}
	}
}

// serveOrigin answers with the request's number and path, fresh for a minute below /obj/.
func (n *network) serveOrigin(ln net.Listener) (stop func()) {
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.mu.Lock()
		n.seen = append(n.seen, r)
		number := len(n.seen)
		n.mu.Unlock()
		if strings.HasPrefix(r.URL.Path, "/held/") {
			select {
			case <-n.held:
			case <-r.Context().Done():
			}
		}
		w.Header().Set("Date", n.clock().Format(http.TimeFormat))
		w.Header().Set("Cache-Control", "max-age=60")
		if !strings.HasPrefix(r.URL.Path, "/obj/") {
			w.Header().Set("Cache-Control", "no-store")
		}
		_, _ = fmt.Fprintf(w, "%d %s", number, r.URL.Path) // a hub that went away is no fault here
	})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(ln) // always of being closed
	}()
	return func() {
		_ = server.Close() // the listener cannot fail to close
		<-ended
	}
}

// kill ends nodes, and with them their connections.
func (n *network) kill(names ...topology.NodeName) {
	for _, name := range names {
		n.mu.Lock()
		node := n.nodes[name]
		delete(n.nodes, name)
		n.mu.Unlock()
		if node != nil {
			node.stop()
		}
	}
}

// dial connects to a node; one that does not run refuses.
func (n *network) dial(ctx context.Context, to topology.Node) (net.Conn, error) {
	n.mu.Lock()
	n.dials[to.Name]++
	node := n.nodes[to.Name]
	n.mu.Unlock()
	if node == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", node.addr)
}

func (n *network) addr(name topology.NodeName) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.nodes[name].addr
}

// refuses reports whether nobody listens.
func refuses(addr string) bool {
	c, err := net.Dial("tcp", addr)
	if err == nil {
		_ = c.Close() // nothing was sent
	}
	return err != nil
}

// wait waits for a condition.
func (n *network) wait(what string, met func() bool) {
	n.t.Helper()
	for deadline := time.Now().Add(patience); !met(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			n.t.Fatalf("still waiting for %s after %s", what, patience)
		}
	}
}

func (n *network) dialed(name topology.NodeName) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials[name]
}

// asked returns the requests that have come to the origin.
func (n *network) asked() []*http.Request {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]*http.Request(nil), n.seen...)
}

// request is one that a client sends.
type request struct {
	to     topology.NodeName
	method string // "" is GET
	path   string
	host   string // "" is www.cdn.test
	from   string // source address; "" leaves it to the machine
	header http.Header
}

// answer is what the client gets.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a *answer) cacheStatus() string { return a.header.Get("Cache-Status") }

func (n *network) get(to topology.NodeName, path string) *answer {
	n.t.Helper()
	return n.do(request{to: to, path: path})
}

func (n *network) do(r request) *answer {
	n.t.Helper()
	a, err := n.try(r)
	if err != nil {
		n.t.Fatal(err)
	}
	return a
}

// try returns an error when no whole answer comes.
func (n *network) try(r request) (*answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, cmp.Or(r.method, http.MethodGet), "http://"+n.addr(r.to)+r.path, nil)
	if err != nil {
		return nil, err
	}
	req.Host = "www.cdn.test"
	if r.host != "" {
		req.Host = r.host
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	var d net.Dialer
	if r.from != "" {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(r.from), 0))
	}
	client := &http.Client{Transport: &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	return &answer{resp.StatusCode, resp.Header, string(bytes.TrimSpace(body))}, nil
}
