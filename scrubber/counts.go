package scrubber

import (
	"net/netip"
	"runtime"
	"sync/atomic"
)

// Count says what became of the requests that a rule was about.
type Count struct {
	Rule    string `json:"rule"`    // "" for the block list as people made it
	Passed  uint64 `json:"passed"`  // at once
	Delayed uint64 `json:"delayed"` // passed after a delay of this rule
	Refused uint64 `json:"refused"` // over the limit of this rule
	Blocks  uint64 `json:"blocks"`  // entries that the rule made on the block list
	Listed  uint64 `json:"listed"`  // requests refused because of such an entry
	Fill    Fill   `json:"fill"`
}

type outcome int

const (
	passed outcome = iota
	delayed
	refused
	made
	listed
	numOutcomes
)

// width is the room for a rule's outcomes: a cache line.
const width = 8

// counts are counters per rule, and of the block list behind them, in several shards that requests are spread over.
type counts struct{ shards []tally }

type tally []atomic.Uint64

func newCounts(rules int) counts {
	n := 1
	for n < runtime.GOMAXPROCS(0) {
		n *= 2
	}
	c := counts{make([]tally, n)}
	for i := range c.shards {
		c.shards[i] = make(tally, (rules+2)*width) // one line more than is used keeps shards apart
	}
	return c
}

// shard is the counters for the requests of a client.
func (c *counts) shard(a netip.Addr) tally {
	b := a.As16()
	return c.shards[int(b[7]^b[15])&(len(c.shards)-1)]
}

func (t tally) add(rule int, o outcome) { t[rule*width+int(o)].Add(1) }

func (c *counts) sum(rule int, o outcome) (n uint64) {
	for _, t := range c.shards {
		n += t[rule*width+int(o)].Load()
	}
	return n
}

// Counts returns the counts of every rule in order, and last those of the entries that people made.
func (l *Limits) Counts() []Count {
	all := make([]Count, len(l.rules)+1)
	for i := range all {
		c := &all[i]
		if i < len(l.rules) {
			c.Rule, c.Fill = l.rules[i].Name, l.tables[i].fill()
		}
		c.Passed, c.Delayed, c.Refused = l.counts.sum(i, passed), l.counts.sum(i, delayed), l.counts.sum(i, refused)
		c.Blocks, c.Listed = l.counts.sum(i, made), l.counts.sum(i, listed)
	}
	return all
}
