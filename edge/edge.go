package edge

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"cdnlab/internal/journal"
	"cdnlab/internal/place"
	"cdnlab/internal/proxy"
	"cdnlab/internal/stats"
	"cdnlab/topology"
)

// maxHead is how long the head of a client's request may be. A hub takes longer ones, since an edge adds to it.
const maxHead = 16 << 10

// patience is how long a parent may take to answer: longer than a hub waits itself, which then says that its own parent hangs.
const patience = 11 * time.Second

// clientConns is how many connections one client may have to a server at a time.
const clientConns = 4096

// Config is what an edge server needs. Node, Topology, Plan, Listener, Dial, Locator, Stats and Log are required.
type Config struct {
	Node      topology.Node
	Topology  *topology.Topology
	Plan      *topology.Plan
	Listener  net.Listener // Run closes it
	Dial      func(ctx context.Context, to topology.Node) (net.Conn, error)
	Locator   Locator
	Secret    string                                              // of the lab's nodes, by which parents believe what this one says about a client
	Popular   func(origin, site string, path []byte, bytes int64) // counts what clients ask for; nil counts nothing
	Guard     proxy.Guard                                         // of the clients' requests; nil lets all pass
	Feed      func(origin string) proxy.Feed                      // how far this node has followed the journals of origins; nil follows none
	Inner     func(target string) func(net.Conn)                  // answers other nodes on connections handed over; nil answers none
	CacheDir  string                                              // of the cache on disk; "" does without
	Seek      func()                                              // called before each access to a file of it; may be nil
	Stats     *stats.Node
	Log       *slog.Logger
	AccessLog io.Writer        // takes a line for each request; nil takes none
	Now       func() time.Time // nil is time.Now
	Drain     time.Duration    // how long Run waits for requests under way when it stops
	Probe     time.Duration    // between two probes of a parent that is down; 0 is a second
}

// Locator tells where a client sits; *place.Locator is one.
type Locator interface {
	Locate(netip.Addr) place.Answer
}

// Server is one server of a PoP.
type Server struct {
	proxy   *proxy.Server
	parents *parents
	log     *accessLog // nil without one
}

// New prepares an edge server.
func New(cfg Config) (*Server, error) {
	i := slices.IndexFunc(cfg.Topology.Edges, func(e topology.Edge) bool { return e.Name == cfg.Node.Group })
	if i < 0 {
		return nil, fmt.Errorf("start edge %s: the topology has no edge %q", cfg.Node.Name, cfg.Node.Group)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Probe <= 0 {
		cfg.Probe = probeEvery
	}
	parents := newParents(&cfg)
	s := &Server{parents: parents}
	base := proxy.Config{
		Node: cfg.Node, Topology: cfg.Topology, Listener: cfg.Listener, RAM: cfg.Topology.Edges[i].RAM, Eviction: cfg.Topology.Edges[i].Eviction, Admission: cfg.Topology.Edges[i].Admission, MaxHead: maxHead,
		Feed: cfg.Feed, Inner: cfg.Inner, Popular: cfg.Popular, Disk: cfg.Topology.Edges[i].Disk, CacheDir: cfg.CacheDir, Seek: cfg.Seek,
		Parents: parents, Secret: cfg.Secret, Guard: cfg.Guard, Locate: locate(cfg.Locator),
		Stats: cfg.Stats, Log: cfg.Log, Now: cfg.Now, Drain: cfg.Drain, Patience: patience,
		ClientConns: clientConns, Encode: true, Known: insiders(cfg.Plan, cfg.Topology),
	}
	if parents.pop != nil {
		base.Peers = parents
	}
	if cfg.AccessLog != nil {
		s.log = newAccessLog(cfg.AccessLog, string(cfg.Node.Name), cfg.Log)
		base.Record = s.log.record
	}
	s.proxy = proxy.New(base)
	return s, nil
}

// insiders are the addresses from which many clients come: nodes, and gateways, which speak for whole places.
func insiders(p *topology.Plan, t *topology.Topology) func(netip.Addr) bool {
	known := map[netip.Addr]bool{t.Gateway: true}
	for _, n := range p.Nodes {
		known[n.HTTP.Addr()] = true
	}
	for _, c := range p.Places {
		known[c.Client], known[c.Gateway.Addr()] = true, true
	}
	return func(a netip.Addr) bool { return known[a] }
}

// locate tells of a client what parents and the log want to know.
func locate(l Locator) func(netip.Addr) proxy.Client {
	return func(addr netip.Addr) proxy.Client {
		a := l.Locate(addr)
		return proxy.Client{Addr: a.Client, Place: a.Place, City: a.Location.City, Country: a.Location.Country}
	}
}

// Run serves until ctx ends, then waits up to Config.Drain for the requests under way. It runs once.
func (s *Server) Run(ctx context.Context) error {
	probing, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { s.parents.watch(probing) })
	defer watch.Wait()
	defer stop()
	if s.log == nil {
		return s.proxy.Run(ctx)
	}
	flush := s.log.start(flushEvery)
	defer flush()
	return s.proxy.Run(ctx)
}

// Apply implements distribution.Sink, once the server runs.
func (s *Server) Apply(e journal.Event) { s.proxy.Apply(e) }

// Outdated implements distribution.Sink, as Apply does.
func (s *Server) Outdated(origin string) { s.proxy.Outdated(origin) }

// Pull implements distribution.Puller.
func (s *Server) Pull(ctx context.Context, p *proxy.Piece) (brought bool, err error) {
	return s.proxy.Pull(ctx, p)
}

// Pushed implements distribution.Puller.
func (s *Server) Pushed(site, path string, size int64) { s.proxy.Pushed(site, path, size) }

// Keeps implements distribution.Puller: an object is kept by its home in the PoP.
func (s *Server) Keeps(site, path string) bool { return s.proxy.Keeps(site, path) }
