package mgmt

import (
	"cdnlab/internal/stats"
	"cdnlab/topology"
)

// Status is the answer of GET /api/v1/status.
type Status struct {
	Name string `json:"name"` // of the topology
	// OriginOffload is the share of the edges' requests for which nothing was fetched from an origin; nil before the first.
	OriginOffload *float64     `json:"origin_offload"`
	Tiers         []TierStatus `json:"tiers"` // edge, hub, origin, dns: those that exist
	Nodes         []NodeStatus `json:"nodes"`
}

// TierStatus sums the nodes of one role. Nodes that are down contribute nothing.
type TierStatus struct {
	Role  string `json:"role"`
	Nodes int    `json:"nodes"`
	Up    int    `json:"up"`
	Figures
}

// NodeStatus is one node.
type NodeStatus struct {
	Name    string `json:"name"`
	Role    string `json:"role"`
	City    string `json:"city,omitempty"`
	Address string `json:"address"`
	Up      bool   `json:"up"`
	Problem string `json:"problem,omitempty"` // why it counts as down
	Figures
}

// Figures are counted since a node's start. Ratios are nil for roles without a cache and before the first request.
type Figures struct {
	Requests     uint64            `json:"requests"`
	HitRatio     *float64          `json:"hit_ratio"`      // of requests
	ByteHitRatio *float64          `json:"byte_hit_ratio"` // of body bytes sent
	BytesIn      uint64            `json:"bytes_in"`
	BytesOut     uint64            `json:"bytes_out"`
	Errors       uint64            `json:"errors"` // responses with a 5xx status
	TTFBP50      float64           `json:"ttfb_p50_ms"`
	TTFBP99      float64           `json:"ttfb_p99_ms"`
	Cache        *stats.Cache      `json:"cache,omitempty"`
	DNSAnswers   uint64            `json:"dns_answers"`
	DNSPoPs      map[string]uint64 `json:"dns_pops,omitempty"` // answers by the PoP that they named
}

// tally sums snapshots of nodes.
type tally struct {
	requests, fromCache      uint64
	in, out, outFromCache    uint64
	errors, dns, originFetch uint64
	ttfb                     stats.Histogram
	cache                    *stats.Cache
	pops                     map[string]uint64
	status                   map[string]uint64
}

func (t *tally) add(s stats.Snapshot) {
	t.requests += s.Total()
	t.fromCache += s.FromCache()
	t.in += s.In
	for _, n := range s.Out {
		t.out += n
	}
	for _, r := range []stats.Result{stats.Hit, stats.Stale, stats.Revalidated} {
		t.outFromCache += s.Out[r.String()]
	}
	t.errors += s.Status["5xx"]
	for class, n := range s.Status {
		if t.status == nil {
			t.status = map[string]uint64{}
		}
		t.status[class] += n
	}
	t.originFetch += s.Fetches[topology.KindOrigin.String()].Count
	t.ttfb.Merge(s.TTFB)
	t.addCache(s.Cache)
	for _, n := range s.RCodes {
		t.dns += n
	}
	for pop, n := range s.PoPs {
		if t.pops == nil {
			t.pops = map[string]uint64{}
		}
		t.pops[pop] += n
	}
}

func (t *tally) addCache(c *stats.Cache) {
	if c == nil {
		return
	}
	if t.cache == nil {
		t.cache = &stats.Cache{}
	}
	t.cache.Objects += c.Objects
	t.cache.Bytes += c.Bytes
	t.cache.Budget += c.Budget
	t.cache.Evictions += c.Evictions
	t.cache.Disk.Objects += c.Disk.Objects
	t.cache.Disk.Bytes += c.Disk.Bytes
	t.cache.Disk.Budget += c.Disk.Budget
	t.cache.Disk.Evictions += c.Disk.Evictions
	t.cache.Disk.Damaged += c.Disk.Damaged
	t.cache.Pushed.Objects += c.Pushed.Objects
	t.cache.Pushed.Bytes += c.Pushed.Bytes
	t.cache.Pushed.Unrequested += c.Pushed.Unrequested
}

func (t *tally) figures() Figures {
	f := Figures{
		Requests: t.requests, BytesIn: t.in, BytesOut: t.out, Errors: t.errors, Cache: t.cache, DNSAnswers: t.dns, DNSPoPs: t.pops,
		TTFBP50: ms(t.ttfb, 0.50), TTFBP99: ms(t.ttfb, 0.99),
	}
	if t.cache != nil {
		f.HitRatio = ratio(t.fromCache, t.requests)
		f.ByteHitRatio = ratio(t.outFromCache, t.out)
	}
	return f
}

func ms(h stats.Histogram, q float64) float64 { return float64(h.Quantile(q).Microseconds()) / 1000 }

func ratio(part, whole uint64) *float64 {
	if whole == 0 {
		return nil
	}
	r := float64(part) / float64(whole)
	return &r
}
