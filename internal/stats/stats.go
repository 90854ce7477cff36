// Package stats counts what a node does: requests by result and status, bytes, time to first byte, fetches from parents,
// DNS answers. Counting costs a few atomic additions on a shard of the caller's choice; reading sums the shards.
package stats

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"cdnlab/topology"
)

// Result says how a request was answered, from the point of view of the node that counts it.
type Result uint8

// The results.
const (
	Hit         Result = iota // from the cache, fresh
	Miss                      // fetched from a parent
	Stale                     // from the cache, past its freshness
	Revalidated               // from the cache after a parent confirmed it
	Pass                      // forwarded without the cache's part: method, rule or protocol forbade it
	Failed                    // an error made by this node: refused, no parent reachable
	Served                    // answered by an origin out of its own content
	Limited                   // refused by a rate limit or the block list
	numResults
)

var resultNames = [numResults]string{"hit", "miss", "stale", "revalidated", "pass", "failed", "served", "limited"}

// String gives the lower-case name that JSON and metrics use.
func (r Result) String() string { return resultNames[r] }

// Request is one finished request.
type Request struct {
	Result Result
	Status int
	In     int64 // bytes of the request's body
	Out    int64 // bytes of the response's body that were sent
	TTFB   time.Duration
}

// Fetch is one finished exchange with a parent.
type Fetch struct {
	To    topology.Kind
	Err   bool  // no usable response came
	Bytes int64 // bytes of the response's body that were read
}

// Cache is the fill of a node's cache.
type Cache struct {
	Objects   int64  `json:"objects"`
	Bytes     int64  `json:"bytes"`
	Budget    int64  `json:"budget"`
	Evictions uint64 `json:"evictions"`
	Disk      Disk   `json:"disk"`
	Pushed    Pushed `json:"pushed"`
}

// Pushed is what came to a cache before a client had asked for it.
type Pushed struct {
	Objects     int64 `json:"objects"`
	Bytes       int64 `json:"bytes"`       // ever
	Unrequested int64 `json:"unrequested"` // bytes of objects that no client has asked for since
}

// Disk is the fill of the part of a cache that is on disk; zero without one.
type Disk struct {
	Objects   int64  `json:"objects"`
	Bytes     int64  `json:"bytes"`
	Budget    int64  `json:"budget"`
	Evictions uint64 `json:"evictions"`
	Damaged   uint64 `json:"damaged"` // files found so
}

const numKinds = int(topology.KindDNS) + 1

type shard struct {
	requests [numResults]atomic.Uint64
	out      [numResults]atomic.Uint64
	status   [6]atomic.Uint64 // [0] counts what is no valid status
	in       atomic.Uint64
	fetches  [numKinds]atomic.Uint64
	errors   [numKinds]atomic.Uint64
	fetched  [numKinds]atomic.Uint64
	ttfb     [numBuckets]atomic.Uint64
	ttfbSum  atomic.Uint64 // microseconds
	_        [64]byte      // keeps neighbours off one cache line
}

// Node counts for one node. Its methods may be called concurrently.
type Node struct {
	started time.Time
	shards  []shard // a power of two
	flows   flows
	top     top
	places  places

	mu    sync.Mutex // guards the fields below
	cache func() Cache
	sites map[string]*Group
	pops  map[string]uint64
	codes map[int]uint64
}

// New returns counters at zero for a node that started at the given time.
func New(started time.Time) *Node {
	n := 1
	for n < runtime.GOMAXPROCS(0) {
		n *= 2
	}
	return &Node{started: started, shards: make([]shard, n), sites: map[string]*Group{}, pops: map[string]uint64{}, codes: map[int]uint64{}}
}

// Request counts a finished request. Callers that run at the same time do best with different shard numbers: the
// number of the connection, say. It allocates nothing.
func (n *Node) Request(shardNo uint64, r Request) {
	s := &n.shards[shardNo&uint64(len(n.shards)-1)]
	s.requests[r.Result].Add(1)
	s.out[r.Result].Add(uint64(max(r.Out, 0)))
	s.status[classOf(r.Status)].Add(1)
	if r.In > 0 {
		s.in.Add(uint64(r.In))
	}
	us := uint64(max(r.TTFB, 0) / time.Microsecond)
	s.ttfb[bucketOf(us)].Add(1)
	s.ttfbSum.Add(us)
}

// Fetch counts a finished exchange with a parent.
func (n *Node) Fetch(f Fetch) {
	s := &n.shards[0]
	s.fetches[f.To].Add(1)
	if f.Err {
		s.errors[f.To].Add(1)
	}
	s.fetched[f.To].Add(uint64(max(f.Bytes, 0)))
}

// DNS counts an answer: the PoP that it names ("" when it names none) and its RCODE.
func (n *Node) DNS(pop string, rcode int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if pop != "" {
		n.pops[pop]++
	}
	n.codes[rcode]++
}

// SetCache names the function that tells the cache's fill; a node without a cache never calls it.
func (n *Node) SetCache(f func() Cache) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cache = f
}
