package edge

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"cdnlab/internal/proxy"
	"cdnlab/internal/ring"
	"cdnlab/internal/stats"
	"cdnlab/topology"
)

// parents are the servers that an edge fetches from: the others of its PoP, its hub, the other hubs, the origins.
type parents struct {
	chains  map[string]*chain // by origin
	servers map[topology.NodeName]*server
	pop     *pop // nil for a PoP of one server

	dial   proxy.Dialer
	limit  func(topology.Node) *rate.Limiter // of what is pushed
	now    func() time.Time
	every  time.Duration // between two probes of a server
	fallen chan *server  // those to be watched from now on; it has room for all

	mu sync.Mutex // guards the health of all servers
}

// server is one parent.
type server struct {
	*proxy.Upstream
	health  health
	watched bool // until it is up again
}

// chain is where the sites of one origin are fetched from, in order.
type chain struct {
	groups  []group
	servers [][]*server // as groups
}

// pop are the servers of a PoP, which keep one copy of an object between them, and more of what is hot.
type pop struct {
	ring func() *ring.Ring
	self int
	all  []*server // nil for the server itself
	hot  ring.HotKeys
}

func newParents(cfg *Config) *parents {
	t, p, node := cfg.Topology, cfg.Plan, cfg.Node
	all := &parents{chains: map[string]*chain{}, servers: map[topology.NodeName]*server{}, dial: cfg.Dial, limit: proxy.PushLimits(t, p, node), now: cfg.Now, every: cfg.Probe}
	for i := range t.Origins {
		c := &chain{}
		for _, ref := range t.Parents(node.Group, t.Origins[i].Name) {
			all.add(c, p.Group(ref), cfg.Stats)
		}
		all.chains[t.Origins[i].Name] = c
	}
	if nodes := p.Group(topology.Ref{Kind: node.Kind, Name: node.Group}); len(nodes) > 1 {
		all.pop = &pop{ring: ringOf(nodes)}
		for i, n := range nodes {
			if n.Name == node.Name {
				all.pop.self = i
				all.pop.all = append(all.pop.all, nil)
				continue
			}
			all.pop.all = append(all.pop.all, all.server(n, cfg.Stats))
		}
	}
	all.fallen = make(chan *server, len(all.servers))
	return all
}

func (p *parents) server(n topology.Node, counters *stats.Node) *server {
	s, ok := p.servers[n.Name]
	if !ok {
		s = &server{Upstream: proxy.NewUpstream(n, p.dial, counters, p.limit(n))}
		p.servers[n.Name] = s
	}
	return s
}

func (p *parents) add(c *chain, nodes []topology.Node, counters *stats.Node) {
	var servers []*server
	for _, n := range nodes {
		servers = append(servers, p.server(n, counters))
	}
	g := group{ring: ringOf(nodes), load: func(i int) int64 { return servers[i].Load() }}
	for _, s := range servers {
		g.health = append(g.health, &s.health)
	}
	c.groups, c.servers = append(c.groups, g), append(c.servers, servers)
}

// ringOf is the ring of servers, whose names the plan keeps unique and which are 254 at most.
func ringOf(nodes []topology.Node) func() *ring.Ring {
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = string(n.Name)
	}
	return ring.Equal(names)
}

// Choose implements proxy.Parents.
func (p *parents) Choose(dst []*proxy.Upstream, site *topology.Site, hash uint64, now time.Time) []*proxy.Upstream {
	var room [maxTries]pick
	c := p.chains[site.Origin]
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, i := range choose(room[:0], c.groups, hash, now) {
		dst = append(dst, c.servers[i.group][i.server].Upstream)
	}
	return dst
}

// Seen implements proxy.Peers.
func (p *parents) Seen(hash uint64, now time.Time) {
	if p.pop != nil {
		p.pop.hot.Observe(hash, now)
	}
}

// Home implements proxy.Peers.
func (p *parents) Home(hash uint64, now time.Time) (home *proxy.Upstream, keep bool) {
	if p.pop == nil {
		return nil, true
	}
	copies := p.pop.hot.Hot(hash, now)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pop.home(hash, copies, now)
}

// home goes clockwise from an object: its home is the first server that is up, and so many in all keep it.
func (p *pop) home(hash uint64, copies int, now time.Time) (home *proxy.Upstream, keep bool) {
	var room [maxServers]int
	for _, i := range p.ring().Owners(room[:0], hash, len(p.all)) {
		s := p.all[i]
		switch {
		case s == nil && home == nil:
			return nil, true
		case s == nil:
			return home, copies > 0
		case !s.health.up() && !(home == nil && s.health.admit(true, now)):
			continue
		case home == nil:
			home = s.Upstream
		}
		if copies--; copies == 0 {
			return home, false
		}
	}
	return home, false
}

// Report implements proxy.Parents.
func (p *parents) Report(u *proxy.Upstream, err error, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.servers[u.Node.Name]
	s.health.report(err == nil, now)
	s.health.slow = err != nil && proxy.TimedOut(err)
	if !s.health.up() && !s.watched {
		s.watched = true
		p.fallen <- s
	}
}

// Close implements proxy.Parents.
func (p *parents) Close() {
	for _, s := range p.servers {
		s.Close()
	}
}
