package stats

import (
	"strconv"
	"sync/atomic"
	"time"
)

// Site counts the requests for one site at one node. Several goroutines may count at a time.
type Site struct {
	shards atomic.Pointer[[]siteShard] // nil before the first request: a site that nobody asks for takes no room
	n      int                         // how many shards the node has
}

type siteShard struct {
	status  [6]atomic.Uint64 // [0] counts what is no valid status
	hits    atomic.Uint64
	bytes   atomic.Uint64
	ttfb    [numBuckets]atomic.Uint64
	ttfbSum atomic.Uint64 // microseconds
	_       [64]byte      // keeps neighbours off one cache line
}

// SiteCount is what a Site has counted.
type SiteCount struct {
	Status map[string]uint64 `json:"status"` // by class: "2xx"
	Hits   uint64            `json:"hits"`   // fresh or stale, without a question upstream
	Bytes  uint64            `json:"bytes"`  // of bodies sent
	TTFB   Histogram         `json:"ttfb"`
}

// Site returns the counters of a site; call it once for each.
func (n *Node) Site(host string) *Site {
	n.mu.Lock()
	defer n.mu.Unlock()
	s, ok := n.sites[host]
	if !ok {
		s = &Site{n: len(n.shards)}
		n.sites[host] = s
	}
	return s
}

// Request counts a finished request; see Node.Request.
func (s *Site) Request(shardNo uint64, r Request) {
	shards := s.shards.Load()
	if shards == nil {
		shards = s.begin()
	}
	c := &(*shards)[shardNo&uint64(s.n-1)]
	c.status[classOf(r.Status)].Add(1)
	if r.Result == Hit || r.Result == Stale {
		c.hits.Add(1)
	}
	c.bytes.Add(uint64(max(r.Out, 0)))
	us := uint64(max(r.TTFB, 0) / time.Microsecond)
	c.ttfb[bucketOf(us)].Add(1)
	c.ttfbSum.Add(us)
}

func (s *Site) begin() *[]siteShard {
	shards := make([]siteShard, s.n)
	s.shards.CompareAndSwap(nil, &shards) // another may have been first
	return s.shards.Load()
}

func classOf(status int) int {
	if class := status / 100; class >= 1 && class <= 5 {
		return class
	}
	return 0
}

// count sums the shards.
func (s *Site) count() SiteCount {
	out := SiteCount{Status: map[string]uint64{}, TTFB: Histogram{Buckets: map[int]uint64{}}}
	shards := s.shards.Load()
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
