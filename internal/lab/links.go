package lab

import (
	"context"
	"hash/fnv"
	"net"
	"net/netip"
	"sync"

	"cdnlab/internal/netem"
	"cdnlab/internal/place"
	"cdnlab/topology"
)

// links holds the emulated link between any two entries of the topology, made when it is first crossed.
type links struct {
	top *topology.Topology
	off bool // nothing is emulated

	mu    sync.Mutex // guards the fields below
	made  map[[2]topology.Ref]*netem.Link
	ports map[topology.NodeName]*netem.Link
}

func newLinks(t *topology.Topology, off bool) *links {
	return &links{top: t, off: off, made: map[[2]topology.Ref]*netem.Link{}, ports: map[topology.NodeName]*netem.Link{}}
}

// between returns the link between two entries, the lower tier first.
func (l *links) between(from, to topology.Ref) *netem.Link {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := [2]topology.Ref{from, to}
	link, ok := l.made[key]
	if !ok {
		link = netem.NewLink(params(l.top.Path(from, to)), l.seed(from.String(), to.String()))
		l.made[key] = link
	}
	return link
}

// port returns what all connections of a node share: it does nothing until a fault hits the node.
func (l *links) port(n topology.NodeName) *netem.Link {
	l.mu.Lock()
	defer l.mu.Unlock()
	port, ok := l.ports[n]
	if !ok {
		port = netem.NewLink(netem.Params{}, l.seed("node", string(n)))
		l.ports[n] = port
	}
	return port
}

func params(p topology.Path) netem.Params {
	return netem.Params{RTT: p.RTT, Bandwidth: int64(p.Bandwidth), Loss: p.Loss}
}

// seed gives each link a stream of its own, so that another link in the file leaves it as it was.
func (l *links) seed(ends ...string) uint64 {
	h := fnv.New64a()
	for _, e := range ends {
		_, _ = h.Write([]byte(e + "\x00")) // never fails
	}
	return h.Sum64() ^ l.top.Seed
}

func ref(n topology.Node) topology.Ref { return topology.Ref{Kind: n.Kind, Name: n.Group} }

// dial connects two nodes across the link between them. Servers of one PoP and the DNS have no distance of their own.
func (l *links) dial(ctx context.Context, from, to topology.Node, dial func(context.Context) (net.Conn, error)) (net.Conn, error) {
	if l.off {
		return dial(ctx)
	}
	path := netem.Path{l.port(from.Name), l.port(to.Name)}
	if from.Kind != topology.KindDNS && ref(from) != ref(to) {
		path = append(path, l.between(ref(from), ref(to)))
	}
	return netem.Dial(ctx, path, dial)
}

// fromClient dials a node across the last mile of a client place.
func (l *links) fromClient(ctx context.Context, place string, to topology.Node, dial func(context.Context) (net.Conn, error)) (net.Conn, error) {
	if l.off {
		return dial(ctx)
	}
	return netem.Dial(ctx, netem.Path{l.between(topology.Ref{Kind: topology.KindClient, Name: place}, ref(to))}, dial)
}

// lastMile puts the distance of each client's place on its connections to an edge server. Other nodes have paid at their end.
func (l *links) lastMile(ln net.Listener, n topology.Node, plan *topology.Plan, locator *place.Locator) net.Listener {
	if l.off {
		return ln
	}
	nodes := map[netip.Addr]bool{}
	for _, other := range plan.Nodes {
		if source := dialsFrom(other); source.IsValid() && source != loopback {
			nodes[source] = true
		}
	}
	if l.top.Gateway.IsValid() {
		nodes[l.top.Gateway] = true
	}
	port := l.port(n.Name)
	return netem.Listen(ln, func(peer netip.Addr) netem.Path {
		if nodes[peer] {
			return nil
		}
		a := locator.Locate(peer)
		if a.Place == "" {
			return netem.Path{port, netem.NewLink(params(locator.Path(a, ref(n))), l.top.Seed)}
		}
		return netem.Path{port, l.between(topology.Ref{Kind: topology.KindClient, Name: a.Place}, ref(n))}
	})
}

// datagrams puts the losses of each client's place on its DNS traffic, where the file gives any.
func (l *links) datagrams(pc net.PacketConn, locator *place.Locator) net.PacketConn {
	if l.off || !l.losesDNS() {
		return pc
	}
	dns := topology.Ref{Kind: topology.KindDNS}
	return netem.Datagrams(pc, func(peer netip.Addr) netem.Path {
		a := locator.Locate(peer)
		if a.Place == "" {
			return nil
		}
		return netem.Path{l.between(topology.Ref{Kind: topology.KindClient, Name: a.Place}, dns)}
	})
}

func (l *links) losesDNS() bool {
	for _, link := range l.top.Links {
		if (link.A.Kind == topology.KindDNS || link.B.Kind == topology.KindDNS) && link.Loss > 0 {
			return true
		}
	}
	return false
}
