package topology

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// index finds entries by name.
type index struct {
	at      map[Ref]Location
	edges   map[string]*Edge
	clients map[string]*Client
	sites   map[string]*Site
	links   map[[2]Ref]*Link
}

// find returns the index, which is made when it is first asked for.
func (t *Topology) find() *index {
	if x := t.index.Load(); x != nil {
		return x
	}
	x := newIndex(t)
	t.index.Store(x)
	return x
}

func newIndex(t *Topology) *index {
	x := &index{
		at:      make(map[Ref]Location, len(t.Origins)+len(t.Hubs)+len(t.Edges)+len(t.Clients)),
		edges:   make(map[string]*Edge, len(t.Edges)),
		clients: make(map[string]*Client, len(t.Clients)),
		sites:   make(map[string]*Site, len(t.Sites)),
		links:   make(map[[2]Ref]*Link, len(t.Links)),
	}
	for _, o := range t.Origins {
		x.at[Ref{KindOrigin, o.Name}] = o.At
	}
	for _, h := range t.Hubs {
		x.at[Ref{KindHub, h.Name}] = h.At
	}
	for i := range t.Edges {
		e := &t.Edges[i]
		x.at[Ref{KindEdge, e.Name}], x.edges[e.Name] = e.At, e
	}
	for i := range t.Clients {
		c := &t.Clients[i]
		x.at[Ref{KindClient, c.Name}], x.clients[c.Name] = c.At, c
	}
	for i := range t.Sites {
		x.sites[t.Sites[i].Host] = &t.Sites[i]
	}
	for i := range t.Links {
		x.links[linkKey(t.Links[i].A, t.Links[i].B)] = &t.Links[i]
	}
	return x
}

// linkKey is the same for both orders of the ends.
func linkKey(a, b Ref) [2]Ref {
	if a.Kind > b.Kind || a.Kind == b.Kind && a.Name > b.Name {
		a, b = b, a
	}
	return [2]Ref{a, b}
}

// Site finds a site by the host of a request: case, a port and a trailing dot do not matter.
func (t *Topology) Site(host string) (*Site, bool) {
	sites := t.find().sites
	if s, ok := sites[host]; ok {
		return s, true
	}
	if i := strings.IndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	s, ok := sites[strings.TrimSuffix(strings.ToLower(host), ".")]
	return s, ok
}

// Edge finds a PoP by name.
func (t *Topology) Edge(name string) (*Edge, bool) {
	e, ok := t.find().edges[name]
	return e, ok
}

// Disk is how much of its cache a node keeps on disk; 0 for one that keeps none.
func (t *Topology) Disk(n Node) Bytes {
	switch n.Kind {
	case KindEdge:
		if e, ok := t.Edge(n.Group); ok {
			return e.Disk
		}
	case KindHub:
		for i := range t.Hubs {
			if t.Hubs[i].Name == n.Group {
				return t.Hubs[i].Disk
			}
		}
	}
	return 0
}

// Client finds a client place by name.
func (t *Topology) Client(name string) (*Client, bool) {
	c, ok := t.find().clients[name]
	return c, ok
}

// At is where an entry of the file sits. For maps, the DNS sits at the first origin; its RTTs do not follow from that.
func (t *Topology) At(r Ref) (Location, bool) {
	if r.Kind == KindDNS && len(t.Origins) > 0 {
		return t.Origins[0].At, true
	}
	at, ok := t.find().at[r]
	return at, ok
}

// pushShare is the part of a link's bandwidth that what is pushed may take. The rest is left to its clients.
const pushShare = 0.9

// PushRate is how many bytes a second what is pushed may take of the link between two entries; 0 where its bandwidth has no bound.
func (t *Topology) PushRate(a, b Ref) int64 {
	return int64(pushShare * float64(t.Path(a, b).Bandwidth) / 8)
}

// Path is what lies between two entries: what distance gives, overridden by the file's link between them. An end of
// KindDNS is the DNS as a whole whatever its name; a client's way to it costs no more than the access network, as a
// resolver or an anycast DNS near the client would. The zero Path is given for an entry that the file does not have.
func (t *Topology) Path(a, b Ref) Path {
	a, b = wholeDNS(a), wholeDNS(b)
	var p Path
	if a.Kind == KindDNS || b.Kind == KindDNS {
		p.RTT = accessRTT
	} else {
		from, okFrom := t.At(a)
		to, okTo := t.At(b)
		if !okFrom || !okTo {
			return Path{}
		}
		p.RTT = FibreRTT(from, to)
	}
	if l, ok := t.find().links[linkKey(a, b)]; ok {
		if l.HasRTT {
			p.RTT = l.RTT
		}
		p.Bandwidth, p.Loss = l.Bandwidth, l.Loss
	}
	return p
}

func wholeDNS(r Ref) Ref {
	if r.Kind == KindDNS {
		r.Name = ""
	}
	return r
}

// Parents lists where an edge fetches from for a site of the given origin, in the order to try: its parent, then the other
// hubs nearest to the edge first, then the origin itself. An edge whose parent is an origin uses no hub.
func (t *Topology) Parents(edge, origin string) []Ref {
	root := Ref{KindOrigin, origin}
	e, ok := t.find().edges[edge]
	if !ok || e.Parent.Kind != KindHub {
		return []Ref{root}
	}
	hubs := t.hubsFrom(Ref{KindEdge, edge})
	slices.SortStableFunc(hubs, nearer)
	parents := []Ref{e.Parent}
	for _, hub := range hubs {
		if hub.ref != e.Parent {
			parents = append(parents, hub.ref)
		}
	}
	return append(parents, root)
}

// remote is an entry as seen from another.
type remote struct {
	ref Ref
	rtt time.Duration
}

func nearer(a, b remote) int { return cmp.Compare(a.rtt, b.rtt) }

// hubsFrom lists all hubs as seen from an entry, in file order.
func (t *Topology) hubsFrom(r Ref) []remote {
	hubs := make([]remote, len(t.Hubs))
	for i, h := range t.Hubs {
		ref := Ref{KindHub, h.Name}
		hubs[i] = remote{ref, t.Path(r, ref).RTT}
	}
	return hubs
}
