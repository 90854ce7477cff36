package dnsredirect

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"cdnlab/internal/place"
	"cdnlab/topology"
)

const ms = time.Millisecond

func TestNearestEqualsSorting(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		n, keep := rng.IntN(60), 1+rng.IntN(20)
		all := make([]candidate, n)
		for i := range all {
			all[i] = candidate{i, time.Duration(rng.IntN(12)) * ms} // few values: many ties
		}
		want := slices.Clone(all)
		slices.SortStableFunc(want, func(a, b candidate) int { return int(a.rtt - b.rtt) })
		want = want[:min(n, keep)]
		if got := nearest(n, keep, func(i int) time.Duration { return all[i].rtt }); !slices.Equal(got, want) {
			t.Fatalf("nearest(%d, %d) = %v, want %v", n, keep, got, want)
		}
	}
}

// line is a world of one dimension: PoP i sits at i·10 ms, a client at its latitude.
type line struct{ asked int }

func (l *line) Locate(netip.Addr) place.Answer { return place.Answer{} }

func (l *line) Path(a place.Answer, to topology.Ref) topology.Path {
	l.asked++
	var i int
	if _, err := fmt.Sscanf(to.Name, "p%d", &i); err != nil {
		panic(err)
	}
	return topology.Path{RTT: max(time.Duration(i)*10*ms-time.Duration(a.Location.Lat)*ms, time.Duration(a.Location.Lat)*ms-time.Duration(i)*10*ms)}
}

func newLine(t *testing.T, pops int) (*mapper, *line) {
	t.Helper()
	var edges []topology.Edge
	for i := range pops {
		edges = append(edges, topology.Edge{Name: fmt.Sprintf("p%d", i)})
	}
	l := new(line)
	m, err := newMapper(l, edges)
	if err != nil {
		t.Fatal(err)
	}
	return m, l
}

func at(lat float64) *place.Answer {
	return &place.Answer{Location: topology.Location{Lat: lat}, By: place.ByGeoIP}
}

func TestPick(t *testing.T) {
	for _, c := range []struct {
		name string
		pops int
		at   float64
		dead func(int) bool
		want int
	}{
		{"the nearest", 5, 31, func(int) bool { return false }, 3},
		{"of two as near, the first in the file", 5, 15, func(int) bool { return false }, 1},
		{"the next when it is dead", 5, 31, func(i int) bool { return i == 3 }, 4},
		{"the far end when all others are dead", 5, 31, func(i int) bool { return i != 0 }, 0},
		{"none", 5, 31, func(int) bool { return true }, -1},
		{"no PoP at all", 0, 31, func(int) bool { return false }, -1},
		{"beyond the nearest that are remembered", 100, 0, func(i int) bool { return i < 50 }, 50},
		{"none of many", 100, 0, func(int) bool { return true }, -1},
	} {
		m, _ := newLine(t, c.pops)
		if got := m.pick(at(c.at), func(i int) bool { return !c.dead(i) }); got != c.want {
			t.Errorf("%s: pick = %d, want %d", c.name, got, c.want)
		}
	}
}

func TestOrderIsWorkedOutOncePerPlace(t *testing.T) {
	m, l := newLine(t, 10)
	for range 3 {
		m.order(at(20))
		m.order(&place.Answer{Place: "tokyo", Location: topology.Location{Lat: 20}})
		m.order(&place.Answer{Place: "tokyo", Location: topology.Location{Lat: 20}})
	}
	if l.asked != 20 {
		t.Errorf("%d paths were asked for, want 10 for each of two places", l.asked)
	}
	if got := m.order(at(90))[0].pop; got != 9 {
		t.Errorf("the nearest PoP at 90 is p%d, want p9: other coordinates are another place", got)
	}
}

func TestRotation(t *testing.T) {
	a, b, c := net.IP{192, 0, 2, 1}, net.IP{192, 0, 2, 2}, net.IP{192, 0, 2, 3}
	servers := [][]net.IP{{a}, {b, c}}
	for turn, want := range map[uint32][]net.IP{0: {a, b, c}, 1: {b, c, a}, 2: {a, b, c}, 1<<32 - 1: {b, c, a}} {
		if got := rotated(nil, servers, turn); !slices.EqualFunc(got, want, net.IP.Equal) {
			t.Errorf("rotated(turn %d) = %v, want %v", turn, got, want)
		}
	}
	if got := rotated(nil, nil, 7); len(got) != 0 {
		t.Errorf("rotated(no server) = %v, want nothing", got)
	}
}

func TestHealth(t *testing.T) {
	rule := topology.Health{Fall: 3, Rise: 2}
	for _, c := range []struct {
		name         string
		rule         topology.Health
		checks, want string // + good, - failed; u up, d down after each
	}{
		{"healthy until proven otherwise", rule, "--", "uu"},
		{"Fall failures in a row take it out", rule, "---", "uud"},
		{"a good check starts the count again", rule, "--+---", "uuuuud"},
		{"Rise good checks bring it back", rule, "---+-++", "uuddddu"},
		{"after it came back it takes Fall failures again", rule, "---++---", "uudduuud"},
		{"Fall 1, Rise 1", topology.Health{Fall: 1, Rise: 1}, "-+-", "dud"},
	} {
		var h health
		got := ""
		for i, r := range c.checks {
			before := h.down
			if changed := h.observe(r == '+', c.rule); changed != (before != h.down) {
				t.Errorf("%s: check %d: observe = %v, but down went from %v to %v", c.name, i, changed, before, h.down)
			}
			got += map[bool]string{false: "u", true: "d"}[h.down]
		}
		if got != c.want {
			t.Errorf("%s: checks %s give %s, want %s", c.name, c.checks, got, c.want)
		}
	}
}

// The default rules take a server out within 5 s of its end in every way to fail, from a refusal at once to a connection that
// comes about with the largest RTT on Earth and then stays silent.
func TestDefaultRulesActWithinTheLimit(t *testing.T) {
	top, err := topology.Preset("three-continents", nil)
	if err != nil {
		t.Fatal(err)
	}
	rule := top.DNS.Health
	for _, took := range []time.Duration{0, rule.Timeout, rule.Timeout + 300*ms} {
		now := rule.Interval // after its end: the check before had just succeeded
		for h := (health{}); !h.down; {
			began := now
			now += took
			if !h.observe(false, rule) {
				now = max(began+rule.Interval, now)
			}
		}
		if now > 5*time.Second {
			t.Errorf("checks that take %v to fail: out after %v, want 5 s at most", took, now)
		}
	}
}

// BenchmarkStart is what a server of ten thousand edges takes from New to its first answer.
func BenchmarkStart(b *testing.B) {
	const edges = 10_000
	b.ReportAllocs()
	for b.Loop() {
		s := newTestServer(b, func(c *Config) {
			c.Topology.Edges = nil
			for i := range edges {
				e := topology.Edge{Name: fmt.Sprintf("e%d", i), At: topology.Location{Lat: float64(i%120 - 60), Lon: float64(i*7%360 - 180)}}
				c.Topology.Edges = append(c.Topology.Edges, e)
				c.Plan.Nodes = append(c.Plan.Nodes, topology.Node{Name: topology.NodeName(e.Name + "-1"), Kind: topology.KindEdge, Group: e.Name,
					Public: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}})
			}
		})
		s.ask(b, queryFor("www.cdn.test.", dns.TypeA), client, overUDP)
	}
}
