package mgmt

import (
	"cmp"
	"slices"
	"time"

	"cdnlab/internal/stats"
	"cdnlab/topology"
)

// Tick is what happened in one second, as GET /api/v1/events sends it. Figures are per second.
type Tick struct {
	At      int64      `json:"at"` // seconds since 1970
	Nodes   []NodeTick `json:"nodes"`
	Tiers   []TierTick `json:"tiers"`
	Offload *float64   `json:"offload"` // share of the edges' requests for which nothing was fetched from an origin
	Flows   []FlowTick `json:"flows"`
	DNS     DNSTick    `json:"dns"`
	Limits  LimitTick  `json:"limits"`
	Top     []TopTick  `json:"top"`
	Faults  []Fault    `json:"faults"`
}

// Rates are what nodes did in one second. What there was nothing to measure for is nil.
type Rates struct {
	Requests float64  `json:"rps"`
	Bytes    float64  `json:"bps"` // of response bodies
	Hit      *float64 `json:"hit"`
	ByteHit  *float64 `json:"byte_hit"`
	P50      *float64 `json:"p50"` // time to first byte, in milliseconds; so are the next two
	P90      *float64 `json:"p90"`
	P99      *float64 `json:"p99"`
	Errors   float64  `json:"errors"` // responses with a 5xx
	Fill     *float64 `json:"fill"`   // of the cache
	Objects  int64    `json:"objects"`
	Origin   float64  `json:"origin"` // fetches from origins

	Status map[string]uint64 `json:"status,omitempty"` // responses by class: "2xx"
}

// NodeTick is one node in one second.
type NodeTick struct {
	Name    string `json:"name"`
	Role    string `json:"role"`
	Group   string `json:"group"`
	Up      bool   `json:"up"`
	Problem string `json:"problem,omitempty"`
	Rates
}

// TierTick is all nodes of a role that answered.
type TierTick struct {
	Role  string `json:"role"`
	Nodes int    `json:"nodes"`
	Up    int    `json:"up"`
	Rates
}

// FlowTick is what went between two entries of the topology.
type FlowTick struct {
	From     string  `json:"from"` // who asked: "clients.tokyo", "edges.tokyo"
	To       string  `json:"to"`
	Requests float64 `json:"rps"`
	Bytes    float64 `json:"bps"`
	Millis   float64 `json:"ms"` // until the response's head, on average
}

// DNSTick is what the DNS answered.
type DNSTick struct {
	Queries float64            `json:"qps"`
	PoPs    map[string]float64 `json:"pops"` // answers by the PoP that they named
}

// LimitTick is what the limits of all edges decided.
type LimitTick struct {
	Passed  uint64 `json:"passed"`
	Delayed uint64 `json:"delayed"`
	Refused uint64 `json:"refused"`
}

// TopTick is one of the objects that edges are asked for most, over the last minute.
type TopTick struct {
	Site     string   `json:"site"`
	Path     string   `json:"path"`
	Requests float64  `json:"rps"`
	Hit      *float64 `json:"hit"`
}

// sample is one reading of a node; when it gave none, the one before.
type sample struct {
	stats.Snapshot
	problem error // why there is no new one
}

// rates are those of a second in which nodes counted what t sums.
func (t *tally) rates() Rates {
	r := Rates{Requests: float64(t.requests), Bytes: float64(t.out), Errors: float64(t.errors), Origin: float64(t.originFetch), Status: t.status}
	if t.ttfb.Count > 0 {
		r.P50, r.P90, r.P99 = quantile(t.ttfb, 0.5), quantile(t.ttfb, 0.9), quantile(t.ttfb, 0.99)
	}
	if t.cache != nil {
		r.Hit, r.ByteHit = ratio(t.fromCache, t.requests), ratio(t.outFromCache, t.out)
		r.Fill, r.Objects = ratio(uint64(max(t.cache.Bytes, 0)), uint64(max(t.cache.Budget, 0))), t.cache.Objects
	}
	return r
}

func quantile(h stats.Histogram, q float64) *float64 {
	v := ms(h, q)
	return &v
}

// newTick makes a tick of two readings of every node, a second apart.
func newTick(at time.Time, nodes []topology.Node, now, before []sample) Tick {
	tick := Tick{At: at.Unix(), Nodes: []NodeTick{}, Tiers: []TierTick{}, Flows: []FlowTick{}, DNS: DNSTick{PoPs: map[string]float64{}}, Top: []TopTick{}, Faults: []Fault{}}
	sums, counts := map[topology.Kind]*tally{}, map[topology.Kind]*TierTick{}
	flows := map[[2]string]*FlowTick{}
	for i, n := range nodes {
		if sums[n.Kind] == nil {
			sums[n.Kind], counts[n.Kind] = &tally{}, &TierTick{Role: n.Kind.String()}
		}
		counts[n.Kind].Nodes++
		node := NodeTick{Name: string(n.Name), Role: n.Kind.String(), Group: n.Group, Up: now[i].problem == nil}
		if !node.Up {
			node.Problem = now[i].problem.Error()
			tick.Nodes = append(tick.Nodes, node)
			continue
		}
		counts[n.Kind].Up++
		var one tally
		delta := now[i].Since(before[i].Snapshot)
		one.add(delta)
		sums[n.Kind].add(delta)
		addFlows(flows, n, delta.Flows)
		node.Rates = one.rates()
		tick.Nodes = append(tick.Nodes, node)
	}
	for _, kind := range tiers {
		if counts[kind] != nil {
			counts[kind].Rates = sums[kind].rates()
			tick.Tiers = append(tick.Tiers, *counts[kind])
		}
	}
	tick.Offload = offload(sums)
	tick.addDNS(sums[topology.KindDNS])
	for _, f := range flows {
		f.Millis /= f.Requests
		tick.Flows = append(tick.Flows, *f)
	}
	slices.SortFunc(tick.Flows, func(a, b FlowTick) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	return tick
}

// offload is the share of the edges' requests that no origin was asked for.
func offload(sums map[topology.Kind]*tally) *float64 {
	edges := sums[topology.KindEdge]
	if edges == nil || edges.requests == 0 {
		return nil
	}
	var fetched uint64
	for _, t := range sums {
		fetched += t.originFetch
	}
	return ratio(edges.requests-min(fetched, edges.requests), edges.requests)
}

func (t *Tick) addDNS(dns *tally) {
	if dns == nil {
		return
	}
	t.DNS.Queries = float64(dns.dns)
	for pop, n := range dns.pops {
		t.DNS.PoPs[pop] = float64(n)
	}
}

// addFlows adds what a node says of its peers: clients ask it, all others are asked by it.
func addFlows(all map[[2]string]*FlowTick, n topology.Node, flows []stats.Flow) {
	self := topology.Ref{Kind: n.Kind, Name: n.Group}.String()
	for _, f := range flows {
		ends := [2]string{self, f.Peer}
		if len(f.Peer) > 8 && f.Peer[:8] == "clients." {
			ends = [2]string{f.Peer, self}
		}
		if all[ends] == nil {
			all[ends] = &FlowTick{From: ends[0], To: ends[1]}
		}
		one := all[ends]
		one.Requests += float64(f.Count)
		one.Bytes += float64(f.Bytes)
		one.Millis += float64(f.Duration) / 1000
	}
}

const topShown = 20

// topOf finds the objects that edges were asked for most between two readings.
func topOf(nodes []topology.Node, now, before []sample, seconds float64) []TopTick {
	type key struct{ site, path string }
	sum := map[key][2]uint64{}
	for i, n := range nodes {
		if n.Kind != topology.KindEdge || now[i].problem != nil {
			continue
		}
		earlier := map[key]stats.Object{}
		if now[i].Started.Equal(before[i].Started) {
			for _, o := range before[i].Top {
				earlier[key{o.Site, o.Path}] = o
			}
		}
		for _, o := range now[i].Top {
			k := key{o.Site, o.Path}
			e := earlier[k]
			if o.Count > e.Count && o.Hits >= e.Hits {
				s := sum[k]
				sum[k] = [2]uint64{s[0] + o.Count - e.Count, s[1] + o.Hits - e.Hits}
			}
		}
	}
	all := []TopTick{}
	for k, s := range sum {
		all = append(all, TopTick{k.site, k.path, float64(s[0]) / seconds, ratio(min(s[1], s[0]), s[0])})
	}
	slices.SortFunc(all, func(a, b TopTick) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Site, b.Site), cmp.Compare(a.Path, b.Path))
	})
	return all[:min(len(all), topShown)]
}
