package topology

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Impairment is what goes wrong at a Target. The zero value is nothing.
type Impairment struct {
	Down      bool          // servers end as if they had been killed; a link carries nothing
	Reset     bool          // connections are broken off, new ones too
	Latency   time.Duration // added to the RTT
	Jitter    time.Duration // up to this much more, each turn anew
	Loss      float64       // share of packets that are lost, 0…1
	Bandwidth Bandwidth     // at most; 0 is no limit
	SlowDisk  time.Duration // how much longer each read or write of an object takes
}

// network reports whether the impairment is one of connections.
func (i Impairment) network() bool {
	i.Down, i.SlowDisk = false, 0
	return i != Impairment{}
}

// Target is what an impairment hits: servers, or a link.
type Target struct {
	Kind    Kind       // of the servers
	Servers []NodeName // empty for a link
	Disk    bool       // the servers keep objects on a disk
	Link    [2]Ref     // its ends, the lower tier first; zero for servers
}

// IsLink reports whether the target is a link.
func (g Target) IsLink() bool { return len(g.Servers) == 0 }

// Target finds what a text names: a server ("paris-1", "dns-1"), all servers of an entry ("paris", "hubs.eu", "dns"), or the
// link between two entries ("paris:eu", "clients.tokyo:tokyo"). The error says what would be right.
func (t *Topology) Target(text string) (Target, error) {
	if a, b, isLink := strings.Cut(text, ":"); isLink {
		return t.linkTarget(a, b)
	}
	if text == "dns" {
		return Target{Kind: KindDNS, Servers: serverNames(Ref{Kind: KindDNS}, t.DNS.Servers)}, nil
	}
	for _, g := range t.groups() {
		if slices.Contains(g.Servers, NodeName(text)) {
			return Target{Kind: g.Kind, Disk: g.Disk, Servers: []NodeName{NodeName(text)}}, nil
		}
	}
	r, err := t.Resolve(text)
	switch {
	case err != nil:
		return Target{}, fmt.Errorf("%w; name a server such as %s, a PoP, hub or origin, or a link as A:B", err, ServerName(Ref{KindEdge, t.Edges[0].Name}, 1))
	case r.Kind == KindClient:
		return Target{}, fmt.Errorf("%s is where clients are, not a node; its links are written %s:POP", r, r)
	}
	for _, g := range t.groups() {
		if g.Servers[0] == ServerName(r, 1) {
			return g, nil
		}
	}
	return Target{}, fmt.Errorf("%s has no servers", r)
}

// groups are the servers of each entry.
func (t *Topology) groups() (all []Target) {
	add := func(r Ref, n int, disk bool) {
		all = append(all, Target{Kind: r.Kind, Disk: disk, Servers: serverNames(r, n)})
	}
	add(Ref{Kind: KindDNS}, t.DNS.Servers, false)
	for i := range t.Origins {
		add(Ref{KindOrigin, t.Origins[i].Name}, 1, true)
	}
	for i := range t.Hubs {
		add(Ref{KindHub, t.Hubs[i].Name}, t.Hubs[i].Servers, t.Hubs[i].Disk > 0)
	}
	for i := range t.Edges {
		add(Ref{KindEdge, t.Edges[i].Name}, t.Edges[i].Servers, t.Edges[i].Disk > 0)
	}
	return all
}

func serverNames(r Ref, n int) (names []NodeName) {
	for i := range n {
		names = append(names, ServerName(r, i+1))
	}
	return names
}

func (t *Topology) linkTarget(a, b string) (g Target, err error) {
	for i, name := range []string{a, b} {
		if g.Link[i], err = t.Resolve(name); err != nil {
			return Target{}, err
		}
	}
	slices.SortFunc(g.Link[:], func(x, y Ref) int { return cmp.Or(cmp.Compare(y.Kind, x.Kind), cmp.Compare(x.Name, y.Name)) })
	switch from, to := g.Link[0], g.Link[1]; {
	case from == to:
		return Target{}, fmt.Errorf("a link has two ends, and %s is one", from)
	case from.Kind == KindClient && to.Kind != KindEdge:
		return Target{}, fmt.Errorf("clients reach the PoPs only: %s:POP", from)
	}
	return g, nil
}

// Takes reports why an impairment cannot hit the target; nil when it can.
func (g Target) Takes(i Impairment) error {
	switch {
	case i == Impairment{}:
		return errors.New("nothing goes wrong: give down, reset, latency, jitter, loss, bandwidth or slow-disk")
	case i.SlowDisk > 0 && g.IsLink():
		return errors.New("a link has no disk that could be slow; an origin has")
	case i.SlowDisk > 0 && !g.Disk:
		return fmt.Errorf("%s keeps everything in memory, so that no disk can be slow; an origin has one, and an edge or a hub with disk: 2GiB", g.Servers[0])
	case i.network() && g.Kind == KindDNS:
		return errors.New("DNS servers are at no distance that could grow: they can only be down")
	}
	return nil
}
