package lab

import (
	"cmp"
	"slices"
	"time"

	"cdnlab/dnsredirect"
	"cdnlab/topology"
)

// Diff is what changes for clients between two topologies, by the policy of the DNS and with every PoP healthy.
type Diff struct {
	Moves      []Move     `json:"moves"` // places whose clients are served otherwise, the heaviest first
	PoPs       []PoPShare `json:"pops"`  // all PoPs of either topology
	MeanBefore float64    `json:"mean_rtt_before_ms"`
	MeanAfter  float64    `json:"mean_rtt_after_ms"` // over all clients
}

// Move is a place whose clients change their PoP, or the time they take to it. A PoP is "" where the topology lacks the place.
type Move struct {
	Place     string  `json:"place"`
	Share     float64 `json:"share"` // of all clients, in the new topology or, when it is gone, in the old one
	Before    string  `json:"before,omitempty"`
	After     string  `json:"after,omitempty"`
	RTTBefore float64 `json:"rtt_before_ms"`
	RTTAfter  float64 `json:"rtt_after_ms"`
}

// PoPShare is the share of all clients that a PoP serves.
type PoPShare struct {
	PoP    string  `json:"pop"`
	Before float64 `json:"before"`
	After  float64 `json:"after"`
}

// NewDiff compares two topologies.
func NewDiff(before, after *topology.Topology) Diff {
	old, latest := served(before), served(after)
	d := Diff{MeanBefore: mean(old), MeanAfter: mean(latest)}
	for _, place := range union(names(old), names(latest)) {
		a, b := find(old, place), find(latest, place)
		if a.pop == b.pop && a.rtt == b.rtt {
			continue
		}
		m := Move{Place: place, Share: b.share, Before: a.pop, After: b.pop, RTTBefore: milliseconds(a.rtt), RTTAfter: milliseconds(b.rtt)}
		if b.pop == "" {
			m.Share = a.share
		}
		d.Moves = append(d.Moves, m)
	}
	slices.SortStableFunc(d.Moves, func(a, b Move) int { return cmp.Compare(b.Share, a.Share) })
	for _, pop := range union(pops(before), pops(after)) {
		d.PoPs = append(d.PoPs, PoPShare{pop, share(old, pop), share(latest, pop)})
	}
	return d
}

// clients are those of one place.
type clients struct {
	place, pop string
	rtt        time.Duration
	share      float64
}

// served tells for each place, in the order of the file, where its clients are served.
func served(t *topology.Topology) (all []clients) {
	total := 0.0
	for i := range t.Clients {
		total += t.Clients[i].Weight
	}
	for i := range t.Clients {
		c := &t.Clients[i]
		pop, rtt := dnsredirect.Nearest(t, c.Name)
		part := 0.0
		if total > 0 {
			part = c.Weight / total
		}
		all = append(all, clients{c.Name, t.Edges[pop].Name, rtt, part})
	}
	return all
}

func names(all []clients) (places []string) {
	for _, c := range all {
		places = append(places, c.place)
	}
	return places
}

// find returns the clients of a place, or none.
func find(all []clients, place string) clients {
	if i := slices.IndexFunc(all, func(c clients) bool { return c.place == place }); i >= 0 {
		return all[i]
	}
	return clients{}
}

func pops(t *topology.Topology) (all []string) {
	for i := range t.Edges {
		all = append(all, t.Edges[i].Name)
	}
	return all
}

// union is a, and what b has besides.
func union(a, b []string) []string {
	seen := make(map[string]bool, len(a))
	all := slices.Clone(a)
	for _, x := range a {
		seen[x] = true
	}
	for _, x := range b {
		if !seen[x] {
			all = append(all, x)
		}
	}
	return all
}

func share(all []clients, pop string) (sum float64) {
	for _, c := range all {
		if c.pop == pop {
			sum += c.share
		}
	}
	return sum
}

func mean(all []clients) (ms float64) {
	for _, c := range all {
		ms += c.share * milliseconds(c.rtt)
	}
	return ms
}
