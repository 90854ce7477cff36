package regional

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"cdnlab/internal/journal"
	"cdnlab/internal/proxy"
	"cdnlab/internal/ring"
	"cdnlab/internal/stats"
	"cdnlab/topology"
)

// maxHead is how long the head of a request may be: what an edge takes, and what it adds.
const maxHead = 24 << 10

// patience is how long an origin may take to answer.
const patience = 10500 * time.Millisecond

// Config is what a hub's server needs. All is required but CacheDir, Seek and Now.
type Config struct {
	Node     topology.Node
	Topology *topology.Topology
	Plan     *topology.Plan
	Listener net.Listener // Run closes it
	Dial     func(ctx context.Context, to topology.Node) (net.Conn, error)
	Secret   string                             // of the lab's nodes: what an edge says about its client is believed with it
	Feed     func(origin string) proxy.Feed     // how far this node has followed the journals of origins; nil follows none
	Inner    func(target string) func(net.Conn) // answers other nodes on connections handed over; nil answers none
	CacheDir string                             // of the cache on disk; "" does without
	Seek     func()                             // called before each access to a file of it; may be nil
	Stats    *stats.Node
	Log      *slog.Logger
	Now      func() time.Time // nil is time.Now
	Drain    time.Duration    // how long Run waits for requests under way when it stops
}

// Server is one server of a hub.
type Server struct {
	proxy   *proxy.Server
	servers func() *ring.Ring // of the hub
	self    int               // in it
}

// New prepares a hub's server.
func New(cfg Config) (*Server, error) {
	i := slices.IndexFunc(cfg.Topology.Hubs, func(h topology.Hub) bool { return h.Name == cfg.Node.Group })
	if i < 0 {
		return nil, fmt.Errorf("start hub %s: the topology has no hub %q", cfg.Node.Name, cfg.Node.Group)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{}
	s.servers, s.self = serversOf(cfg)
	s.proxy = proxy.New(proxy.Config{
		Node: cfg.Node, Topology: cfg.Topology, Listener: cfg.Listener, RAM: cfg.Topology.Hubs[i].RAM, Eviction: cfg.Topology.Hubs[i].Eviction, Admission: cfg.Topology.Hubs[i].Admission, MaxHead: maxHead,
		Feed: cfg.Feed, Inner: cfg.Inner, Disk: cfg.Topology.Hubs[i].Disk, CacheDir: cfg.CacheDir, Seek: cfg.Seek,
		Parents: newOrigins(cfg), Secret: cfg.Secret, Stats: cfg.Stats, Log: cfg.Log, Now: cfg.Now, Drain: cfg.Drain, Patience: patience,
	})
	return s, nil
}

// serversOf returns the ring over the servers of the hub, as edges see it, and the place of this one.
func serversOf(cfg Config) (func() *ring.Ring, int) {
	self := 0
	var names []string
	for i, n := range cfg.Plan.Group(topology.Ref{Kind: cfg.Node.Kind, Name: cfg.Node.Group}) {
		names = append(names, string(n.Name))
		if n.Name == cfg.Node.Name {
			self = i
		}
	}
	return ring.Equal(names), self
}

// Run serves until ctx ends, then waits up to Config.Drain for the requests under way. It runs once.
func (s *Server) Run(ctx context.Context) error { return s.proxy.Run(ctx) }

// origins are where a hub fetches from: the origin of the site, which nothing can stand in for.
type origins map[string]*proxy.Upstream

func newOrigins(cfg Config) origins {
	o := origins{}
	limit := proxy.PushLimits(cfg.Topology, cfg.Plan, cfg.Node)
	for i := range cfg.Topology.Origins {
		name := cfg.Topology.Origins[i].Name
		for _, n := range cfg.Plan.Group(topology.Ref{Kind: topology.KindOrigin, Name: name}) {
			o[name] = proxy.NewUpstream(n, cfg.Dial, cfg.Stats, limit(n))
		}
	}
	return o
}

// Choose implements proxy.Parents.
func (o origins) Choose(dst []*proxy.Upstream, site *topology.Site, _ uint64, _ time.Time) []*proxy.Upstream {
	return append(dst, o[site.Origin])
}

// Report implements proxy.Parents. A sole parent is asked whatever it did before.
func (o origins) Report(*proxy.Upstream, error, time.Time) {}

// Close implements proxy.Parents.
func (o origins) Close() {
	for _, u := range o {
		u.Close()
	}
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

// Keeps implements distribution.Puller: an object is kept by the server of the hub that edges ask for it.
func (s *Server) Keeps(site, path string) bool {
	hash, ok := s.proxy.KeyHash(site, path)
	return ok && s.servers().Owner(hash) == s.self
}
