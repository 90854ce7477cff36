package stats

import (
	"strconv"
	"sync/atomic"
)

// Site counts the requests for one site at one node. Several goroutines may count at a time.
type Site struct {
	shards atomic.Pointer[[]tally] // nil before the first request: a site that nobody asks for takes no room
	n      int                     // how many shards the node has
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

// Request counts a finished request of the site, which is one of the node's as well; see Node.Request.
func (s *Site) Request(shardNo uint64, r Request) {
	shards := s.shards.Load()
	if shards == nil {
		shards = s.begin()
	}
	(*shards)[shardNo&uint64(s.n-1)].count(&r)
}

func (s *Site) begin() *[]tally {
	shards := make([]tally, s.n)
	s.shards.CompareAndSwap(nil, &shards) // another may have been first
	return s.shards.Load()
}

func (s *Site) addTo(out *Snapshot) {
	if shards := s.shards.Load(); shards != nil {
		for i := range *shards {
			(*shards)[i].addTo(out)
		}
	}
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
		out.Hits += c.requests[Hit].Load() + c.requests[Stale].Load()
		for r := range c.out {
			out.Bytes += c.out[r].Load()
		}
		c.addTimes(&out.TTFB)
	}
	return out
}
