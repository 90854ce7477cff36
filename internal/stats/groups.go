package stats

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Group counts those of a node's requests that are for one site, or from one client place. Several goroutines may count at a time.
type Group struct {
	shards atomic.Pointer[[]groupShard] // nil before the first request: a site that nobody asks for takes no room
	n      int                          // how many shards the node has
}

type groupShard struct {
	status  [6]atomic.Uint64 // [0] counts what is no valid status
	hits    atomic.Uint64
	bytes   atomic.Uint64
	ttfb    [numBuckets]atomic.Uint64
	ttfbSum atomic.Uint64 // microseconds
	_       [64]byte      // keeps neighbours off one cache line
}

// GroupCount is what a Group has counted.
type GroupCount struct {
	Status map[string]uint64 `json:"status"` // by class: "2xx"
	Hits   uint64            `json:"hits"`   // fresh or stale, without a question upstream
	Bytes  uint64            `json:"bytes"`  // of bodies sent
	TTFB   Histogram         `json:"ttfb"`
}

// Site returns the counters of a site; call it once for each.
func (n *Node) Site(host string) *Group {
	n.mu.Lock()
	defer n.mu.Unlock()
	s, ok := n.sites[host]
	if !ok {
		s = &Group{n: len(n.shards)}
		n.sites[host] = s
	}
	return s
}

// places are the groups by client place. They are few and appear once: readers of the map take no lock.
type places struct {
	known atomic.Pointer[map[string]*Group]
	mu    sync.Mutex // guards additions to known
}

const (
	maxPlaces  = maxFlows // each takes 11 KiB for a core
	otherPlace = "other"
)

// Place returns the counters of a client place; those that come when there are too many are counted together, as "other". It
// allocates nothing for a place that has been seen.
func (n *Node) Place(name string) *Group {
	if known := n.places.known.Load(); known != nil {
		if g, ok := (*known)[name]; ok {
			return g
		}
	}
	return n.places.add(name, len(n.shards))
}

func (p *places) add(name string, shards int) *Group {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := map[string]*Group{}
	if known := p.known.Load(); known != nil {
		if len(*known) >= maxPlaces {
			name = otherPlace
		}
		if g, ok := (*known)[name]; ok {
			return g
		}
		next = maps.Clone(*known)
	}
	g := &Group{n: shards}
	next[name] = g
	p.known.Store(&next)
	return g
}

func (p *places) snapshot() map[string]GroupCount {
	if known := p.known.Load(); known != nil {
		return counts(*known)
	}
	return nil
}

// counts sums groups; those without a request are left out.
func counts(groups map[string]*Group) map[string]GroupCount {
	var out map[string]GroupCount
	for name, g := range groups {
		c := g.count()
		if c.TTFB.Count == 0 {
			continue
		}
		if out == nil {
			out = map[string]GroupCount{}
		}
		out[name] = c
	}
	return out
}

// Request counts a finished request; see Node.Request.
func (g *Group) Request(shardNo uint64, r Request) {
	shards := g.shards.Load()
	if shards == nil {
		shards = g.begin()
	}
	c := &(*shards)[shardNo&uint64(g.n-1)]
	c.status[classOf(r.Status)].Add(1)
	if r.Result == Hit || r.Result == Stale {
		c.hits.Add(1)
	}
	c.bytes.Add(uint64(max(r.Out, 0)))
	us := uint64(max(r.TTFB, 0) / time.Microsecond)
	c.ttfb[bucketOf(us)].Add(1)
	c.ttfbSum.Add(us)
}

func (g *Group) begin() *[]groupShard {
	shards := make([]groupShard, g.n)
	g.shards.CompareAndSwap(nil, &shards) // another may have been first
	return g.shards.Load()
}

func classOf(status int) int {
	if class := status / 100; class >= 1 && class <= 5 {
		return class
	}
	return 0
}

// count sums the shards.
func (g *Group) count() GroupCount {
	out := GroupCount{Status: map[string]uint64{}, TTFB: Histogram{Buckets: map[int]uint64{}}}
	shards := g.shards.Load()
	if shards == nil {
		return out
	}
	for i := range *shards {
		c := &(*shards)[i]
		for class := range c.status {
			if n := c.status[class].Load(); n > 0 {
				out.Status[strconv.Itoa(class)+"xx"] += n
			}
		}
		out.Hits += c.hits.Load()
		out.Bytes += c.bytes.Load()
		for b := range c.ttfb {
			if n := c.ttfb[b].Load(); n > 0 {
				out.TTFB.Buckets[b] += n
				out.TTFB.Count += n
			}
		}
		out.TTFB.Sum += c.ttfbSum.Load()
	}
	return out
}
