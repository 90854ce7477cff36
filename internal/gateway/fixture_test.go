package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"cdnlab/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	networkFile = `
origins: { main: { at: Ashburn } }
edges:   { paris: { servers: 2 }, tokyo: {} }
clients: { paris: { networks: [198.18.1.0/24] }, sao-paulo: { networks: [198.18.2.0/24] }, tokyo: { networks: [198.18.3.0/24] } }
sites:   { www.cdn.test: { origin: main }, img.cdn.test: { origin: main } }
`
	site     = "www.cdn.test"
	patience = 30 * time.Second // for what has no reason to take long
)

// network is a gateway between fake authoritative servers and fake edges.
type network struct {
	t      testing.TB
	top    *topology.Topology
	plan   *topology.Plan
	server *Server
	proxy  string // without a city of its own
	city   string // the gateway of paris
	udp    string // the resolver of paris
	tcp    string
	stop   func() // returns when Run has ended
}

// start runs a gateway that asks the given DNS servers. Edges are started with edge.
func start(t testing.TB, servers ...*authority) *network {
	t.Helper()
	n := &network{t: t}
	var err error
	if n.top, err = topology.Parse("net.yaml", []byte(networkFile), "", nil); err != nil {
		t.Fatal(err)
	}
	if n.plan, err = n.top.Plan(topology.PlanOptions{HTTPPort: freePort(t, n.top)}); err != nil {
		t.Fatal(err)
	}
	proxy, city := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	udp, tcp := listenBoth(t)
	n.proxy, n.city, n.udp, n.tcp = proxy.Addr().String(), city.Addr().String(), udp.LocalAddr().String(), tcp.Addr().String()
	cfg := Config{Topology: n.top, Plan: n.plan, Proxy: proxy, Log: slog.New(slog.DiscardHandler), Drain: patience,
		Places: []Sockets{{Place: "paris", Proxy: city, Resolver: udp, ResolverTCP: tcp}}}
	for _, s := range servers {
		cfg.DNS = append(cfg.DNS, s.addr)
	}
	if n.server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.server.Run(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	t.Cleanup(n.stop)
	return n
}

func listen(t testing.TB, addr string) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// listenBoth listens on UDP and TCP at one port.
func listenBoth(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 100 {
		tcp := listen(t, "127.0.0.1:0")
		if udp, err := net.ListenPacket("udp", tcp.Addr().String()); err == nil {
			return udp, tcp
		}
		tcp.Close()
	}
	t.Fatal("no port is free on both UDP and TCP")
	return nil, nil
}

// freePort finds a port that the addresses of all edges and origins have free.
func freePort(t testing.TB, top *topology.Topology) uint16 {
	t.Helper()
	plan, err := top.Plan(topology.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		first := listen(t, "127.0.0.1:0")
		defer first.Close()
		port := first.Addr().(*net.TCPAddr).AddrPort().Port()
		free := true
		for _, n := range plan.Nodes {
			ln, err := net.Listen("tcp", netip.AddrPortFrom(n.HTTP.Addr(), port).String())
			if err != nil {
				free = n.HTTP.Addr() == netip.MustParseAddr("127.0.0.1") && free
				continue
			}
			ln.Close()
		}
		if free {
			return port
		}
	}
	t.Fatal("no port is free at all nodes")
	return 0
}

// node returns a node of the plan.
func (n *network) node(name topology.NodeName) topology.Node {
	n.t.Helper()
	node, ok := n.plan.Node(name)
	if !ok {
		n.t.Fatalf("no node %q", name)
	}
	return node
}

// edge serves HTTP at a node's address until the test ends.
func (n *network) edge(name topology.NodeName, handler http.HandlerFunc) *http.Server {
	n.t.Helper()
	ln := listen(n.t, n.node(name).HTTP.String())
	server := &http.Server{Handler: handler}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(ln) // until it is closed below
	}()
	n.t.Cleanup(func() { server.Close(); <-done })
	return server
}

// authority is a fake authoritative DNS server on UDP and TCP.
type authority struct {
	addr netip.AddrPort
	stop func()
	mu   sync.Mutex // guards asks
	asks []asked
}

type asked struct {
	network string
	msg     *dns.Msg
}

// newAuthority starts a server that gives the answers of answer; for nil it stays silent.
func newAuthority(t testing.TB, answer func(network string, q *dns.Msg) *dns.Msg) *authority {
	t.Helper()
	udp, tcp := listenBoth(t)
	a := &authority{addr: tcp.Addr().(*net.TCPAddr).AddrPort()}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		network := w.LocalAddr().Network()
		a.mu.Lock()
		a.asks = append(a.asks, asked{network, q.Copy()})
		a.mu.Unlock()
		if resp := answer(network, q); resp != nil {
			_ = w.WriteMsg(resp) // the gateway may have given up
		}
	})
	var ended sync.WaitGroup
	var servers []*dns.Server
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: handler, UDPSize: 4096}, {Listener: tcp, Handler: handler}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		ended.Go(func() {
			if err := s.ActivateAndServe(); err != nil {
				t.Errorf("serve DNS: %v", err)
			}
		})
		<-started
		servers = append(servers, s)
	}
	a.stop = sync.OnceFunc(func() {
		for _, s := range servers {
			if err := s.Shutdown(); err != nil {
				t.Errorf("stop DNS: %v", err)
			}
		}
		ended.Wait()
	})
	t.Cleanup(a.stop)
	return a
}

// asked returns the queries so far.
func (a *authority) asked() []asked {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]asked(nil), a.asks...)
}

// addresses answers every query for an A record with the same addresses in their order.
func addresses(addrs ...string) func(string, *dns.Msg) *dns.Msg {
	return func(_ string, q *dns.Msg) *dns.Msg {
		resp := new(dns.Msg).SetReply(q)
		resp.Authoritative = true
		for _, a := range addrs {
			if q.Question[0].Qtype == dns.TypeA {
				resp.Answer = append(resp.Answer, record(fmt.Sprintf("%s 60 IN A %s", q.Question[0].Name, a)))
			}
		}
		return resp
	}
}

func record(text string) dns.RR {
	rr, err := dns.NewRR(text)
	if err != nil {
		panic(err)
	}
	return rr
}
