package dnsredirect

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"cdnlab/topology"
)

// fleet is every PoP with its servers and who of them is alive. Answers read it without a lock.
type fleet []*pop

// pop is one PoP.
type pop struct {
	edge    topology.Edge
	servers []topology.Node
	live    atomic.Pointer[members]
	turn    [2]atomic.Uint32 // of IPv4 and IPv6 answers: one for both would give clients that ask for both always the same server

	mu     sync.Mutex // guards health and the writing of live
	health []health   // as servers
}

// members are the healthy servers of a PoP.
type members struct {
	since  time.Time // of the last change; zero before the first
	names  []topology.NodeName
	v4, v6 [][]net.IP // per server that has any
}

func newFleet(t *topology.Topology, p *topology.Plan) fleet {
	servers := make(map[string][]topology.Node, len(t.Edges))
	for _, n := range p.Nodes {
		if n.Kind == topology.KindEdge {
			servers[n.Group] = append(servers[n.Group], n)
		}
	}
	f := make(fleet, len(t.Edges))
	for i, e := range t.Edges {
		f[i] = &pop{edge: e, servers: servers[e.Name]}
		f[i].health = make([]health, len(f[i].servers))
		f[i].mu.Lock()
		f[i].relistLocked(time.Time{})
		f[i].mu.Unlock()
	}
	return f
}

// alive reports whether the PoP at the index has a healthy server.
func (f fleet) alive(i int) bool { return len(f[i].live.Load().names) > 0 }

// observe takes the result of a check that ended now for one server and reports whether its state changed.
func (p *pop) observe(server int, now time.Time, ok bool, rule topology.Health) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed := p.health[server].observe(ok, rule)
	if changed {
		p.relistLocked(now)
	}
	return changed
}

func (p *pop) relistLocked(now time.Time) {
	m := &members{since: now}
	var healthy []topology.Node
	for i, n := range p.servers {
		if !p.health[i].down {
			healthy = append(healthy, n)
			m.names = append(m.names, n.Name)
		}
	}
	m.v4, m.v6 = addresses(healthy)
	p.live.Store(m)
}

// addresses lists what DNS answers for each of the nodes. Nodes that share an address, as they do on a machine that owns
// 127.0.0.1 alone, are listed once: an RRset holds no record twice (RFC 2181 §5).
func addresses(nodes []topology.Node) (v4, v6 [][]net.IP) {
	var seen []netip.Addr
	for _, n := range nodes {
		var four, six []net.IP
		for _, a := range n.Public {
			switch {
			case slices.Contains(seen, a):
			case a.Is4():
				four = append(four, a.AsSlice())
			default:
				six = append(six, a.AsSlice())
			}
			seen = append(seen, a)
		}
		if four != nil {
			v4 = append(v4, four)
		}
		if six != nil {
			v6 = append(v6, six)
		}
	}
	return v4, v6
}
