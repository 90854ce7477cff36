package edge

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"cdnlab/internal/proxy"
	"cdnlab/internal/stats"
	"cdnlab/topology"
)

// parents are the servers that an edge fetches from: its hub, the other hubs, the origins.
type parents struct {
	chains  map[string]*chain // by origin
	servers map[topology.NodeName]*server

	mu sync.Mutex // guards the health of all servers
}

// server is one parent.
type server struct {
	*proxy.Upstream
	health health
}

// chain is where the sites of one origin are fetched from, in order.
type chain struct {
	groups  []group
	servers [][]*server // as groups
}

func newParents(t *topology.Topology, p *topology.Plan, node topology.Node, dial func(context.Context, topology.Node) (net.Conn, error), counters *stats.Node) *parents {
	all := &parents{chains: map[string]*chain{}, servers: map[topology.NodeName]*server{}}
	for i := range t.Origins {
		c := &chain{}
		for _, ref := range t.Parents(node.Group, t.Origins[i].Name) {
			all.add(c, p.Group(ref), dial, counters)
		}
		all.chains[t.Origins[i].Name] = c
	}
	return all
}

func (p *parents) add(c *chain, nodes []topology.Node, dial proxy.Dialer, counters *stats.Node) {
	var g group
	var servers []*server
	for _, n := range nodes {
		s, ok := p.servers[n.Name]
		if !ok {
			s = &server{Upstream: proxy.NewUpstream(n, dial, counters)}
			p.servers[n.Name] = s
		}
		g.seeds = append(g.seeds, xxhash.Sum64String(string(n.Name)))
		g.health = append(g.health, &s.health)
		servers = append(servers, s)
	}
	c.groups, c.servers = append(c.groups, g), append(c.servers, servers)
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

// Report implements proxy.Parents.
func (p *parents) Report(u *proxy.Upstream, ok bool, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.servers[u.Node.Name].health.report(ok, now)
}

// Close implements proxy.Parents.
func (p *parents) Close() {
	for _, s := range p.servers {
		s.Close()
	}
}
