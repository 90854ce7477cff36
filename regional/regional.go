package regional

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"cdnlab/internal/proxy"
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
	Secret   string // of the lab's nodes: what an edge says about its client is believed with it
	CacheDir string // of the cache on disk; "" does without
	Seek     func() // called before each access to a file of it; may be nil
	Stats    *stats.Node
	Log      *slog.Logger
	Now      func() time.Time // nil is time.Now
	Drain    time.Duration    // how long Run waits for requests under way when it stops
}

// Server is one server of a hub.
type Server struct{ proxy *proxy.Server }

// New prepares a hub's server.
func New(cfg Config) (*Server, error) {
	i := slices.IndexFunc(cfg.Topology.Hubs, func(h topology.Hub) bool { return h.Name == cfg.Node.Group })
	if i < 0 {
		return nil, fmt.Errorf("start hub %s: the topology has no hub %q", cfg.Node.Name, cfg.Node.Group)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Server{proxy.New(proxy.Config{
		Node: cfg.Node, Topology: cfg.Topology, Listener: cfg.Listener, RAM: cfg.Topology.Hubs[i].RAM, Eviction: cfg.Topology.Hubs[i].Eviction, Admission: cfg.Topology.Hubs[i].Admission, MaxHead: maxHead,
		Disk: cfg.Topology.Hubs[i].Disk, CacheDir: cfg.CacheDir, Seek: cfg.Seek,
		Parents: newOrigins(cfg), Secret: cfg.Secret, Stats: cfg.Stats, Log: cfg.Log, Now: cfg.Now, Drain: cfg.Drain, Patience: patience,
	})}, nil
}

// Run serves until ctx ends, then waits up to Config.Drain for the requests under way. It runs once.
func (s *Server) Run(ctx context.Context) error { return s.proxy.Run(ctx) }

// origins are where a hub fetches from: the origin of the site, which nothing can stand in for.
type origins map[string]*proxy.Upstream

func newOrigins(cfg Config) origins {
	o := origins{}
	for i := range cfg.Topology.Origins {
		name := cfg.Topology.Origins[i].Name
		for _, n := range cfg.Plan.Group(topology.Ref{Kind: topology.KindOrigin, Name: name}) {
			o[name] = proxy.NewUpstream(n, cfg.Dial, cfg.Stats)
		}
	}
	return o
}

// Choose implements proxy.Parents.
func (o origins) Choose(dst []*proxy.Upstream, site *topology.Site, _ uint64, _ time.Time) []*proxy.Upstream {
	return append(dst, o[site.Origin])
}

// Report implements proxy.Parents. A sole parent is asked whatever it did before.
func (o origins) Report(*proxy.Upstream, bool, time.Time) {}

// Close implements proxy.Parents.
func (o origins) Close() {
	for _, u := range o {
		u.Close()
	}
}
