package proxy

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"golang.org/x/time/rate"

	"cdnlab/internal/stats"
	"cdnlab/topology"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

const (
	networkFile = `
origins: { main: { at: Ashburn } }
hubs:    { eu: { at: Frankfurt, servers: 2 } }
edges:   { paris: {} }
sites:
  www.cdn.test:   { origin: main, cache: { stale_if_error: 1h } }
  alone.cdn.test: { origin: main, cache: { collapse: false } }
`
	secret   = "of the lab"
	patience = 30 * time.Second // for what has no reason to take long
)

// tier is the edge paris-1 on a free port between clients and scripted parents, with a clock that only tests move.
type tier struct {
	t       testing.TB
	proxy   *Server
	stats   *stats.Node
	parents *parents
	addr    string
	now     atomic.Int64 // nanoseconds since the epoch
	stop    func()       // returns when Run has ended
	records chan Record  // of the finished requests, without their bytes
}

// setup is what tests vary of a tier; its zero value is an edge with one parent, without a budget to speak of.
type setup struct {
	ram      topology.Bytes // 64 MiB by default
	drain    time.Duration
	wrap     func(net.Conn) net.Conn // of connections upstream; nil leaves them bare
	guard    Guard
	patience time.Duration
	encode   bool
	cache    string // options of www.cdn.test
	dir      string // of a cache on disk; "" for none
	feed     Feed   // of the only origin; nil follows none
	pushes   *rate.Limiter
	most     int // connections of one address; 0 is no limit

	admission topology.Admission
}

// start starts a tier whose parents answer as the scripts say, each on a server of its own.
func start(t testing.TB, set setup, scripts ...script) *tier {
	t.Helper()
	f := prepare(t, set, scripts...)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.proxy.Run(ctx) }()
	f.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	t.Cleanup(f.stop)
	return f
}

// prepare makes a tier that does not run yet.
func prepare(t testing.TB, set setup, scripts ...script) *tier {
	t.Helper()
	file := networkFile
	if set.cache != "" {
		file = strings.Replace(file, "stale_if_error: 1h", set.cache, 1)
	}
	top, err := topology.Parse("net.yaml", []byte(file), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := top.Plan(topology.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f := &tier{t: t, records: make(chan Record, 4096)}
	f.now.Store(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	f.stats = stats.New(f.clock())
	f.parents = &parents{failures: map[topology.NodeName]int{}}
	for i, name := range []topology.NodeName{"eu-1", "eu-2", "main"}[:len(scripts)] {
		node, _ := plan.Node(name)
		o := newOrigin(t, scripts[i])
		f.parents.origins = append(f.parents.origins, o)
		o.wrap = set.wrap
		f.parents.upstreams = append(f.parents.upstreams, NewUpstream(node, o.dial, f.stats, set.pushes))
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = ln.Addr().String()
	if set.ram == 0 {
		set.ram = 64 << 20
	}
	node, _ := plan.Node("paris-1")
	var feed func(string) Feed
	if set.feed != nil {
		feed = func(string) Feed { return set.feed }
	}
	f.proxy = New(Config{Feed: feed, Node: node, Topology: top, Listener: ln, Parents: f.parents, RAM: set.ram, Admission: set.admission, MaxHead: 16 << 10, Secret: secret,
		Stats: f.stats, Log: slog.New(slog.DiscardHandler), Now: f.clock, Drain: set.drain, Record: f.record, Locate: locate,
		Guard: set.guard, Patience: set.patience, Encode: set.encode, Disk: 256 << 20, CacheDir: set.dir, ClientConns: set.most})
	return f
}

// in makes failures those of a subtest while that runs.
func (f *tier) in(t *testing.T) {
	parent := f.t
	f.t = t
	t.Cleanup(func() { f.t = parent })
}

func (f *tier) clock() time.Time { return time.Unix(0, f.now.Load()).UTC() }

func (f *tier) pass(d time.Duration) { f.now.Add(int64(d)) }

func (f *tier) record(r *Record) {
	select {
	case f.records <- Record{Status: r.Status, Bytes: r.Bytes, Cache: r.Cache, Client: r.Client}:
	default: // nobody looks
	}
}

// locate puts every client into Paris.
func locate(netip.Addr) Client {
	return Client{Addr: netip.MustParseAddr("198.18.1.7"), Place: "paris", City: "Paris", Country: "FR"}
}

// finished returns the record of the next finished request.
func (f *tier) finished() Record {
	f.t.Helper()
	select {
	case r := <-f.records:
		return r
	case <-time.After(patience):
		f.t.Fatalf("no request has finished after %s", patience)
		return Record{}
	}
}

// origin returns the first parent.
func (f *tier) origin() *origin { return f.parents.origins[0] }

// wait waits for a condition.
func (f *tier) wait(what string, met func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(patience); !met(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("still waiting for %s after %s", what, patience)
		}
	}
}

// parents offers all upstreams in the same order.
type parents struct {
	origins   []*origin
	upstreams []*Upstream

	mu       sync.Mutex // guards failures
	failures map[topology.NodeName]int
}

// Choose implements Parents.
func (p *parents) Choose(dst []*Upstream, _ *topology.Site, _ uint64, _ time.Time) []*Upstream {
	return append(dst, p.upstreams...)
}

// Report implements Parents.
func (p *parents) Report(u *Upstream, err error, _ time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.failures[u.Node.Name]++
	}
}

// Close implements Parents.
func (p *parents) Close() {
	for _, u := range p.upstreams {
		u.Close()
	}
}

func (p *parents) failed(name topology.NodeName) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failures[name]
}

// script answers one request to an origin. A connection on which it returns false is closed.
type script func(*call) bool

// call is one request as it came to an origin.
type call struct {
	number int    // counted from 1
	head   string // request line and fields, with the empty line
	conn   net.Conn
	br     io.Reader // what follows the head
}

// line returns the request line.
func (c *call) line() string {
	line, _, _ := strings.Cut(c.head, "\r\n")
	return line
}

// target returns the request target.
func (c *call) target() string { return strings.Split(c.line(), " ")[1] }

// field returns the values of the request's fields of that name, joined by a bar.
func (c *call) field(name string) string {
	var values []string
	for _, line := range strings.Split(c.head, "\r\n")[1:] {
		if n, v, ok := strings.Cut(line, ": "); ok && strings.EqualFold(n, name) {
			values = append(values, v)
		}
	}
	return strings.Join(values, "|")
}

// write sends bytes as they are and says to keep the connection.
func (c *call) write(raw ...string) bool {
	_, err := io.WriteString(c.conn, strings.Join(raw, ""))
	return err == nil
}

// origin is a server that follows a script and remembers what it was asked.
type origin struct {
	addr   string
	script script
	wrap   func(net.Conn) net.Conn

	mu     sync.Mutex // guards the fields below
	calls  []*call
	conns  map[net.Conn]bool
	opened int
	down   bool
	work   sync.WaitGroup
}

func newOrigin(t testing.TB, s script) *origin {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{addr: ln.Addr().String(), script: s, conns: map[net.Conn]bool{}}
	o.work.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			o.mu.Lock()
			o.conns[c] = true
			o.opened++
			o.mu.Unlock()
			o.work.Go(func() { o.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close() // cannot fail
		o.hangUp()
		o.work.Wait()
	})
	return o
}

// dial connects, unless the origin is down.
func (o *origin) dial(ctx context.Context, _ topology.Node) (net.Conn, error) {
	o.mu.Lock()
	down := o.down
	o.mu.Unlock()
	if down {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", o.addr)
	if err == nil && o.wrap != nil {
		c = o.wrap(c)
	}
	return c, err
}

// setDown makes the origin refuse connections, or accept them again.
func (o *origin) setDown(down bool) {
	o.mu.Lock()
	o.down = down
	o.mu.Unlock()
	if down {
		o.hangUp()
	}
}

// hangUp closes all connections.
func (o *origin) hangUp() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range o.conns {
		_ = c.Close() // its goroutine meets the error
	}
}

func (o *origin) serve(c net.Conn) {
	defer func() {
		_ = c.Close() // may be closed already
		o.mu.Lock()
		delete(o.conns, c)
		o.mu.Unlock()
	}()
	br := newLineReader(c)
	for {
		head, err := br.head()
		if err != nil {
			return
		}
		o.mu.Lock()
		this := &call{number: len(o.calls) + 1, head: head, conn: c, br: br}
		o.calls = append(o.calls, this)
		o.mu.Unlock()
		if !o.script(this) {
			return
		}
	}
}

// asked returns the requests that have come.
func (o *origin) asked() []*call {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]*call(nil), o.calls...)
}

// count returns the number of requests that have come.
func (o *origin) count() int { return len(o.asked()) }

// connections returns how many are open, and how many ever were.
func (o *origin) connections() (open, ever int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.conns), o.opened
}
