package stats

import (
	"maps"
	"strconv"
	"time"

	"cdnlab/topology"
)

// Snapshot is what a node has counted so far; /-/stats answers it as JSON.
type Snapshot struct {
	Started  time.Time             `json:"started"`
	Requests map[string]uint64     `json:"requests"`  // by Result
	Out      map[string]uint64     `json:"bytes_out"` // body bytes sent, by Result
	In       uint64                `json:"bytes_in"`
	Status   map[string]uint64     `json:"status"` // by class: "2xx"
	Fetches  map[string]Parent     `json:"fetches,omitempty"`
	TTFB     Histogram             `json:"ttfb"`
	Cache    *Cache                `json:"cache,omitempty"`
	Sites    map[string]GroupCount `json:"sites,omitempty"`  // of all time, by host
	Places   map[string]GroupCount `json:"places,omitempty"` // of all time, by client place; of edges
	PoPs     map[string]uint64     `json:"dns_pops,omitempty"`
	RCodes   map[int]uint64        `json:"dns_rcodes,omitempty"`
	Flows    []Flow                `json:"flows,omitempty"` // by peer, in its order
	Top      []Object              `json:"top,omitempty"`   // the most popular first
}

// Parent is what was asked of one tier above.
type Parent struct {
	Count  uint64 `json:"count"`
	Errors uint64 `json:"errors"`
	Bytes  uint64 `json:"bytes"`
}

// Total returns the number of requests of all results.
func (s Snapshot) Total() uint64 {
	var n uint64
	for _, c := range s.Requests {
		n += c
	}
	return n
}

// FromCache returns the number of requests that the cache answered, fresh, stale or revalidated.
func (s Snapshot) FromCache() uint64 {
	return s.Requests[Hit.String()] + s.Requests[Stale.String()] + s.Requests[Revalidated.String()]
}

// Snapshot sums the shards.
func (n *Node) Snapshot() Snapshot {
	out := Snapshot{Started: n.started, Requests: map[string]uint64{}, Out: map[string]uint64{}, Status: map[string]uint64{},
		Fetches: map[string]Parent{}, TTFB: Histogram{Buckets: map[int]uint64{}}}
	for i := range n.shards {
		n.shards[i].addTo(&out)
	}
	out.Top, out.Places = n.top.snapshot(), n.places.snapshot()
	out.Flows = n.flows.snapshot(out.Places)
	n.mu.Lock()
	cache := n.cache
	out.Sites = counts(n.sites)
	out.PoPs, out.RCodes = maps.Clone(n.pops), maps.Clone(n.codes)
	n.mu.Unlock()
	if cache != nil {
		c := cache()
		out.Cache = &c
	}
	return out
}

func (s *shard) addTo(out *Snapshot) {
	for r := range numResults {
		if c := s.requests[r].Load(); c > 0 {
			out.Requests[r.String()] += c
			out.Out[r.String()] += s.out[r].Load()
		}
	}
	for class := range s.status {
		if c := s.status[class].Load(); c > 0 {
			out.Status[strconv.Itoa(class)+"xx"] += c
		}
	}
	out.In += s.in.Load()
	for kind := range s.fetches {
		if c := s.fetches[kind].Load(); c > 0 {
			name := topology.Kind(kind).String()
			p := out.Fetches[name]
			p.Count += c
			p.Errors += s.errors[kind].Load()
			p.Bytes += s.fetched[kind].Load()
			out.Fetches[name] = p
		}
	}
	for b := range s.ttfb {
		if c := s.ttfb[b].Load(); c > 0 {
			out.TTFB.Buckets[b] += uint64(c)
			out.TTFB.Count += uint64(c)
		}
	}
	out.TTFB.Sum += s.ttfbSum.Load()
}

// Since returns what came after an earlier reading of the same node. One from before the node's restart counts for nothing.
func (s Snapshot) Since(earlier Snapshot) Snapshot {
	if !s.Started.Equal(earlier.Started) {
		return s
	}
	s.Requests, s.Out, s.Status = less(s.Requests, earlier.Requests), less(s.Out, earlier.Out), less(s.Status, earlier.Status)
	s.PoPs, s.RCodes = less(s.PoPs, earlier.PoPs), less(s.RCodes, earlier.RCodes)
	s.In -= earlier.In
	s.TTFB = s.TTFB.Sub(earlier.TTFB)
	fetches := make(map[string]Parent, len(s.Fetches))
	for to, p := range s.Fetches {
		e := earlier.Fetches[to]
		fetches[to] = Parent{p.Count - e.Count, p.Errors - e.Errors, p.Bytes - e.Bytes}
	}
	s.Fetches = fetches
	before := make(map[string]Flow, len(earlier.Flows))
	for _, f := range earlier.Flows {
		before[f.Peer] = f
	}
	flows := make([]Flow, 0, len(s.Flows))
	for _, f := range s.Flows {
		e := before[f.Peer]
		if f.Count > e.Count {
			flows = append(flows, Flow{f.Peer, f.Count - e.Count, f.Bytes - e.Bytes, f.Duration - e.Duration})
		}
	}
	s.Flows = flows
	return s
}

// less subtracts counts, and leaves out those that did not grow.
func less[K comparable](now, before map[K]uint64) map[K]uint64 {
	grown := make(map[K]uint64, len(now))
	for k, n := range now {
		if d := n - before[k]; d > 0 {
			grown[k] = d
		}
	}
	return grown
}
