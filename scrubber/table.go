package scrubber

import (
	"fmt"
	"math/bits"
	"sync"
	"unsafe"
)

// ways is the number of states that share a bucket; a key lives in its bucket or nowhere.
const ways = 8

// numStripes is the number of locks of a table.
const numStripes = 256

// table remembers the states of a rule's keys in memory that is reserved once and never grows. A new key always finds room:
// in a full bucket it takes the place of the state that gives away the least when it is forgotten (law.used: nothing when it
// has run out), of several the one that was used the longest ago. So a key with u units in use is forgotten early only when
// its bucket holds seven others with u or more, which a flood of keys with fewer units each never brings about. With n states in
// all, keys of one unit each that come at f per second displace one another after about n / f seconds.
type table struct {
	law     *law
	buckets []bucket
	logs    []int64 // rings of law.logSize, in the order of the states
	stripes [numStripes]stripe
}

// bucket holds the keys apart from the states, so that a look at all of them takes one cache line.
type bucket struct {
	keys   [ways]uint64 // 0: never used
	states [ways]state
}

type stripe struct {
	mu        sync.Mutex // guards the buckets whose number is the stripe's, modulo numStripes, and what follows
	keys      int
	forgotten uint64
	_         [40]byte // keeps neighbours off one cache line
}

// newTable returns a table of at most memory bytes.
func newTable(w *law, memory int64) (*table, error) {
	size := int64(unsafe.Sizeof(bucket{})) + ways*8*int64(w.logSize())
	n := memory / size
	if n < 1 {
		return nil, fmt.Errorf("memory of %d bytes: a %v of %d needs %d at least", memory, w.Algorithm, w.Rate, size)
	}
	return &table{law: w, buckets: make([]bucket, n), logs: make([]int64, n*ways*int64(w.logSize()))}, nil
}

// slot is where a key's state is, or a new key without one. Its stripe is locked until release.
type slot struct {
	table  *table
	stripe *stripe
	key    uint64
	bucket int
	way    int // -1 for a new key
}

// find locks the key's stripe and looks the key up; key is not 0. state is the zero value and log nil for a new key.
func (t *table) find(key uint64) (p slot, s state, log []int64) {
	hi, _ := bits.Mul64(key, uint64(len(t.buckets)))
	p = slot{t, &t.stripes[hi%numStripes], key, int(hi), -1}
	p.stripe.mu.Lock()
	b := &t.buckets[hi]
	for i := range b.keys {
		if b.keys[i] == key {
			p.way = i
			return p, b.states[i], t.ring(p.bucket, i)
		}
	}
	return p, state{}, nil
}

func (p *slot) release() { p.stripe.mu.Unlock() }

// commit lets a request of the given cost in; next is what law.peek gave for it. Only now a new key takes a place.
func (p *slot) commit(next state, cost, now int64) {
	t := p.table
	b := &t.buckets[p.bucket]
	if p.way < 0 {
		way, used := t.leastUseful(p.bucket, now)
		if b.keys[way] == 0 {
			p.stripe.keys++
		} else if used > 0 {
			p.stripe.forgotten++
		}
		p.way, b.keys[way], b.states[way] = way, p.key, state{}
	}
	t.law.commit(&b.states[p.way], t.ring(p.bucket, p.way), next, cost)
}

// leastUseful is the way of a bucket that a new key gets, and what that gives away.
func (t *table) leastUseful(n int, now int64) (best int, least int64) {
	b := &t.buckets[n]
	start := t.law.start(now)
	for i, key := range b.keys {
		if key == 0 {
			return i, 0
		}
		used := t.law.used(b.states[i], t.ring(n, i), now, start)
		if i == 0 || used < least || used == least && b.states[i].last < b.states[best].last {
			best, least = i, used
		}
	}
	return best, least
}

func (t *table) ring(n, way int) []int64 {
	size := t.law.logSize()
	at := (n*ways + way) * size
	return t.logs[at : at+size]
}

// Fill says how full the memory for the keys of a rule is.
type Fill struct {
	Keys      int    `json:"keys"`      // that have a place, whether they still count or not
	Places    int    `json:"places"`    // that there are
	Forgotten uint64 `json:"forgotten"` // keys that lost their place to a new one while they still counted
}

func (t *table) fill() Fill {
	f := Fill{Places: len(t.buckets) * ways}
	for i := range t.stripes {
		s := &t.stripes[i]
		s.mu.Lock()
		f.Keys += s.keys
		f.Forgotten += s.forgotten
		s.mu.Unlock()
	}
	return f
}
