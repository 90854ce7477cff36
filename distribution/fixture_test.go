package distribution

import (
	"bufio"
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cdnlab/internal/journal"
	"cdnlab/internal/proxy"
	"cdnlab/topology"
)

func TestMain(m *testing.M) {
	if args := os.Getenv(treeChild); args != "" {
		if err := runNode(args); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// long is for what has no reason to take it.
const long = 30 * time.Second

// await waits for a condition.
func await(t testing.TB, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(long); !met(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s after %s", what, long)
		}
	}
}

// purgeOf is a purge of a URL.
func purgeOf(seq journal.Seq) journal.Event {
	return journal.Event{Seq: seq, Kind: journal.Purge, Scope: journal.ScopeURL, Site: "www.cdn.test", Value: fmt.Sprint("/", seq)}
}

// notes is a Sink that writes down what it is told.
type notes struct {
	mu       sync.Mutex // guards the fields below
	values   []string
	outdated int
	pulled   []string
	pushed   []string
	before   func() // called before an event is applied; nil for nothing
}

func (n *notes) Apply(e journal.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.before != nil {
		n.before()
	}
	n.values = append(n.values, e.Value)
}

func (n *notes) Outdated(string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.values = append(n.values, "outdated")
	n.outdated++
}

func (n *notes) list() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.values)
}

// network connects the nodes of a topology in memory.
type network struct {
	t    *testing.T
	top  *topology.Topology
	plan *topology.Plan
	log  *slog.Logger

	tasks sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	takes  map[topology.NodeName]func(string) func(net.Conn)
	conns  map[*link]bool
	events map[topology.NodeName]int // that nodes were sent, by the sender
	cuts   map[[2]topology.NodeName]bool
}

// link is an end of a connection: whoever dials counts the events that come.
type link struct {
	net.Conn
	br       *bufio.Reader
	from, to topology.NodeName
}

func (l *link) Read(p []byte) (int, error) { return l.br.Read(p) }

func newNetwork(t *testing.T, file string) *network {
	t.Helper()
	top, err := topology.Parse("net.yaml", []byte(file), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := top.Plan(topology.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n := &network{t: t, top: top, plan: plan, log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})), takes: map[topology.NodeName]func(string) func(net.Conn){},
		conns: map[*link]bool{}, events: map[topology.NodeName]int{}, cuts: map[[2]topology.NodeName]bool{}}
	t.Cleanup(n.tasks.Wait)
	return n
}

// dialer connects from a node, as long as the other one is up.
func (n *network) dialer(from topology.NodeName) func(context.Context, topology.Node) (net.Conn, error) {
	return func(_ context.Context, to topology.Node) (net.Conn, error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.takes[to.Name] == nil || n.cuts[[2]topology.NodeName{from, to.Name}] {
			return nil, errors.New("connection refused")
		}
		near, far := net.Pipe()
		down, up := net.Pipe() // between them what goes down is looked at
		client := &link{down, bufio.NewReader(down), from, to.Name}
		server := &link{far, bufio.NewReader(far), from, to.Name}
		n.conns[client], n.conns[server] = true, true
		n.tasks.Go(func() { n.answer(server) })
		n.tasks.Go(func() { n.count(near, up, to.Name) })
		n.tasks.Go(func() {
			defer near.Close()
			defer up.Close()
			_, _ = io.Copy(near, up) // either end may go away
		})
		return client, nil
	}
}

// answer reads the head of a request and hands the connection over.
func (n *network) answer(c *link) {
	defer n.forget(c)
	defer c.Close()
	req, err := http.ReadRequest(c.br)
	if err != nil {
		return
	}
	n.mu.Lock()
	take := n.takes[c.to]
	n.mu.Unlock()
	if take == nil {
		return
	}
	if run := take(req.RequestURI); run != nil {
		run(c)
	}
}

// count passes on what a node sends and counts the events in it.
func (n *network) count(from, to net.Conn, sender topology.NodeName) {
	defer from.Close()
	defer to.Close()
	br := bufio.NewReader(from)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		return
	}
	if resp.Header.Get("Content-Type") != "application/octet-stream" { // no stream of events
		_ = resp.Write(to) // whoever asked may have gone
		return
	}
	if _, err := io.WriteString(to, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	var b []byte
	for {
		kind, payload, err := readFrame(br, nil)
		if err != nil {
			return
		}
		if b = appendFrame(b[:0], kind, payload); kind == kindEvent {
			n.mu.Lock()
			n.events[sender]++
			n.mu.Unlock()
		}
		if _, err := to.Write(b); err != nil {
			return
		}
	}
}

func (n *network) forget(c *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, c)
}

// put has a node answer with take; nil has it down, with its connections broken.
func (n *network) put(name topology.NodeName, take func(string) func(net.Conn)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.takes[name] = take
	if take != nil {
		return
	}
	for c := range n.conns {
		if c.from == name || c.to == name {
			_ = c.Close()
			delete(n.conns, c)
		}
	}
}

// cut breaks the connections of a node to another, and refuses new ones, until it is mended.
func (n *network) cut(from, to topology.NodeName, broken bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts[[2]topology.NodeName{from, to}] = broken
	for c := range n.conns {
		if broken && c.from == from && c.to == to {
			_ = c.Close()
			delete(n.conns, c)
		}
	}
}

// sent returns how many events a node has sent.
func (n *network) sent(by topology.NodeName) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.events[by]
}

// ask sends a node a request and returns the answer.
func (n *network) ask(to topology.NodeName, target string) (status int, body string) {
	n.t.Helper()
	node, _ := n.plan.Node(to)
	c, err := n.dialer("test")(context.Background(), node)
	if err != nil {
		n.t.Fatal(err)
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target); err != nil {
		n.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		n.t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// member is a node that runs.
type member struct {
	*Node
	sink *notes
	stop func() // returns when it has ended
}

// run runs a hub or an edge until the test ends or it is stopped.
func (n *network) run(name topology.NodeName, cfg Config) *member {
	n.t.Helper()
	node, ok := n.plan.Node(name)
	if !ok {
		n.t.Fatalf("no node %s", name)
	}
	cfg.Node, cfg.Topology, cfg.Plan, cfg.Dial, cfg.Secret, cfg.Log = node, n.top, n.plan, n.dialer(name), "secret", n.log.With("node", string(name))
	cfg.Rand = rand.New(rand.NewPCG(1, uint64(len(name))))
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	m := &member{New(cfg), &notes{}, nil}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx, m.sink) }()
	n.put(name, m.Take)
	m.stop = sync.OnceFunc(func() {
		cancel()
		n.put(name, nil)
		if err := <-ended; err != nil {
			n.t.Errorf("%s: Run = %v, want nil", name, err)
		}
	})
	n.t.Cleanup(m.stop)
	return m
}

// root runs the root of main until the test ends or it is stopped. prepare, which may be nil, changes it before.
func (n *network) root(cfg RootConfig, prepare func(*Root)) (r *Root, stop func()) {
	n.t.Helper()
	node, _ := n.plan.Node("main")
	cfg.Node, cfg.Topology, cfg.Plan, cfg.Rand, cfg.Log = node, n.top, n.plan, crand.Reader, n.log
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Get == nil {
		cfg.Get = newShelf(10).get
	}
	if cfg.Dir == "" {
		cfg.Dir = n.t.TempDir()
	}
	r, err := NewRoot(cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	if prepare != nil {
		prepare(r)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	n.put("main", r.Take)
	stop = sync.OnceFunc(func() {
		cancel()
		n.put("main", nil)
		if err := <-ended; err != nil {
			n.t.Errorf("the root: Run = %v, want nil", err)
		}
	})
	n.t.Cleanup(stop)
	return r, stop
}

// clock is a clock that only tests move.
type clock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Pull notes a piece.
func (n *notes) Pull(ctx context.Context, p *proxy.Piece) (bool, error) {
	if strings.HasPrefix(p.Target, "/never") {
		<-ctx.Done()
		return false, ctx.Err()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pulled = append(n.pulled, fmt.Sprintf("%s %s %d", p.Target, p.ETag, p.Span.First))
	return true, nil
}

func (n *notes) Keeps(string, string) bool { return true }

func (n *notes) Pushed(_, path string, _ int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pushed = append(n.pushed, path)
}

func (n *notes) had() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.pushed)
}
