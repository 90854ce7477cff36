package evict

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

const (
	benchObjects = 1_000_000
	benchCache   = 100_000
)

// zipf returns requests for the objects of the benchmarks with Zipf 1.0.
var zipf = sync.OnceValue(func() []uint32 {
	upTo := make([]float64, benchObjects)
	sum := 0.0
	for i := range upTo {
		sum += 1 / float64(i+1)
		upTo[i] = sum
	}
	rng := rand.New(rand.NewPCG(7, 7))
	ids := rng.Perm(benchObjects)
	requests := make([]uint32, 1<<22)
	for i := range requests {
		at, _ := slices.BinarySearch(upTo, rng.Float64()*sum)
		requests[i] = uint32(ids[min(at, benchObjects-1)])
	}
	return requests
})

// BenchmarkReplay is a count-based cache over dense ids, so that what is measured is the policy and not a map.
func BenchmarkReplay(b *testing.B) {
	for _, name := range Names() {
		b.Run(name, func(b *testing.B) {
			requests := zipf()
			p := newPolicy(b, name, benchCache)
			c := newDense(p)
			for _, id := range requests {
				c.request(id)
			}
			c.misses = 0
			b.ReportAllocs()
			b.ResetTimer()
			i := 0
			for b.Loop() {
				c.request(requests[i])
				i = (i + 1) & (len(requests) - 1)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mreq/s")
			b.ReportMetric(math.Round(1e4*float64(c.misses)/float64(b.N))/1e4, "misses/op")
		})
	}
}

// dense is a cache of objects of size 1 with ids from 0; it has an entry for each.
type dense struct {
	policy   Policy
	admitter Admitter
	entries  []entry
	misses   int
}

type entry struct {
	Node
	held bool
}

func newDense(p Policy) *dense {
	c := &dense{policy: p, entries: make([]entry, benchObjects)}
	c.admitter, _ = p.(Admitter)
	for i := range c.entries {
		e := &c.entries[i]
		e.Node = Node{Hash: mix(uint64(i)), Size: 1}
	}
	return c
}

func (c *dense) request(id uint32) {
	e := &c.entries[id]
	if e.held {
		c.policy.Hit(&e.Node)
		return
	}
	c.misses++
	if c.admitter != nil && !c.admitter.Admits(e.Hash, e.Size) {
		return
	}
	if c.policy.Len() == benchCache {
		Entry[entry](c.policy.Victim()).held = false
	}
	add(c.policy, &e.Node, int64(e.Hash%1000))
	e.held = true
}

func TestUseAllocatesNothing(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			p := newPolicy(t, name, 1000)
			nodes := make([]Node, 900)
			for i := range nodes {
				nodes[i] = Node{Hash: mix(uint64(i)), Size: 1}
				add(p, &nodes[i], int64(i%7))
			}
			rng := rand.New(rand.NewPCG(3, 4))
			use := func() { p.Hit(&nodes[rng.IntN(len(nodes))]) }
			for range 100_000 {
				use() // so that lfu has seen as many frequencies at a time as it will
			}
			if got := testing.AllocsPerRun(10_000, use); got != 0 {
				t.Errorf("Hit() allocates %v times, want 0", got)
			}
			turn := func() { p.Add(p.Victim()) }
			for range 10_000 {
				turn() // so that the ghost has its size
			}
			if got := testing.AllocsPerRun(10_000, turn); got != 0 {
				t.Errorf("Victim() and Add() in turn allocate %v times, want 0", got)
			}
		})
	}
}
