package dnsredirect

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/hashicorp/golang-lru/v2"

	"cdnlab/internal/place"
	"cdnlab/topology"
)

// Locator tells where clients sit and what lies between them and a PoP.
type Locator interface {
	Locate(addr netip.Addr) place.Answer
	Path(a place.Answer, to topology.Ref) topology.Path
}

// candidate is a PoP, by its index in the topology, as seen from one place.
type candidate struct {
	pop int
	rtt time.Duration
}

// nearest returns the keep PoPs of n with the least RTT, nearest first; of equals, the one that the file names first.
func nearest(n, keep int, rtt func(pop int) time.Duration) []candidate {
	best := make([]candidate, 0, keep+1)
	for i := range n {
		c := candidate{i, rtt(i)}
		if len(best) == keep && c.rtt >= best[keep-1].rtt {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, c, func(have, c candidate) int {
			return cmp.Or(cmp.Compare(have.rtt, c.rtt), cmp.Compare(have.pop, c.pop))
		})
		best = slices.Insert(best, at, c)[:min(len(best)+1, keep)]
	}
	return best
}

// The bounds of what a mapper remembers: how many PoPs of a place, and how many places. A --geoip database knows more places
// than there are client places, and a topology may have ten thousand edges.
const (
	keepPoPs   = 16
	keepPlaces = 16_384
)

// spot is what the order of PoPs depends on: a client place, or bare coordinates.
type spot struct {
	place    string
	lat, lon float64
}

// mapper finds the nearest PoPs of a place, and remembers them.
type mapper struct {
	locator Locator
	pops    []topology.Ref
	orders  *lru.Cache[spot, []candidate]
}

func newMapper(l Locator, edges []topology.Edge) (*mapper, error) {
	orders, err := lru.New[spot, []candidate](keepPlaces)
	if err != nil {
		return nil, err
	}
	m := &mapper{locator: l, orders: orders}
	for _, e := range edges {
		m.pops = append(m.pops, topology.Ref{Kind: topology.KindEdge, Name: e.Name})
	}
	return m, nil
}

// order returns the PoPs nearest to a client, nearest first: all of them, or keepPoPs.
func (m *mapper) order(a *place.Answer) []candidate {
	at := spot{place: a.Place}
	if a.Place == "" {
		at.lat, at.lon = a.Location.Lat, a.Location.Lon
	}
	if order, ok := m.orders.Get(at); ok {
		return order
	}
	from := *a // a stays on its caller's stack
	order := nearest(len(m.pops), keepPoPs, func(pop int) time.Duration { return m.rtt(&from, pop) })
	m.orders.Add(at, order)
	return order
}

func (m *mapper) rtt(a *place.Answer, pop int) time.Duration {
	return m.locator.Path(*a, m.pops[pop]).RTT
}

// pick returns the nearest PoP that is alive, -1 when none is.
func (m *mapper) pick(a *place.Answer, alive func(pop int) bool) int {
	order := m.order(a)
	for _, c := range order {
		if alive(c.pop) {
			return c.pop
		}
	}
	if len(order) == len(m.pops) {
		return -1
	}
	best := candidate{pop: -1}
	for i := range m.pops {
		if !alive(i) {
			continue
		}
		if c := (candidate{i, m.rtt(a, i)}); best.pop < 0 || c.rtt < best.rtt {
			best = c
		}
	}
	return best.pop
}

// Nearest returns the index of the PoP that the DNS sends the clients of a place to while all are healthy, and the RTT to it.
func Nearest(t *topology.Topology, place string) (pop int, rtt time.Duration) {
	from := topology.Ref{Kind: topology.KindClient, Name: place}
	best := nearest(len(t.Edges), 1, func(i int) time.Duration {
		return t.Path(from, topology.Ref{Kind: topology.KindEdge, Name: t.Edges[i].Name}).RTT
	})
	return best[0].pop, best[0].rtt
}
