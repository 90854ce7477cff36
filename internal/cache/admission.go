package cache

import (
	"fmt"
	"math/rand/v2"

	"github.com/cespare/xxhash/v2"

	"cdnlab/internal/evict"
	"cdnlab/internal/httpcache"
)

// Bounds of what the filter by second request remembers: an object for each KiB of the budget, at four bytes.
const (
	leastRemembered = 1 << 10
	mostRemembered  = 1 << 20
)

// newFilter panics for a filter that there is none of: the topology names no other.
func newFilter(c *Config) evict.Admission {
	a := c.Admission
	a.Remember = int(min(max(c.Budget>>10, leastRemembered), mostRemembered))
	a.Rand = rand.New(rand.NewPCG(c.Seed, 2))
	f, err := evict.NewAdmission(a)
	if err != nil {
		panic(err)
	}
	return f
}

// Refusal is why the filter of a store does not take a response.
type Refusal struct {
	Why   string // a sentence
	Soon  bool   // the next fetch of it is likely to be stored
	Final bool   // none is, ever
}

// AdmitsAll reports whether the filter takes whatever it is asked about.
func (s *Store) AdmitsAll() bool { return s.filter == evict.Always{} }

// Admit asks the filter whether a response is to be stored, before Begin or PutSliced; nil says that it is. A filter that counts
// requests counts each call. above says that the tier above had the response stored, or that there is none above.
func (s *Store) Admit(c *FillConfig, above bool) *Refusal {
	values := httpcache.AppendVariant(nil, s.varyOf(c.Key, c.Admission.Meta.Vary), c.Ask)
	hash := xxhash.Sum64(append(append(append([]byte(nil), c.Key...), 0), values...))
	held := s.holds(c.Key, c.Ask)
	s.mu.Lock()
	ok := s.filter.Admit(evict.Candidate{Hash: hash, Size: max(c.Length, 0), Held: held, Above: above})
	s.mu.Unlock()
	if ok {
		return nil
	}
	a := &s.cfg.Admission
	switch a.Name {
	case "second-hit":
		return &Refusal{Why: "asked for the first time: the cache takes it at the second request", Soon: true}
	case "leave-copy-down":
		return &Refusal{Why: "the tier above had to fetch it as well: the cache takes what is stored there", Soon: true}
	case "size":
		return &Refusal{Why: fmt.Sprintf("longer than the %d bytes that the cache takes", a.Size), Final: true}
	}
	return &Refusal{Why: fmt.Sprintf("left out by chance: the cache takes %g %% of what it fetches", 100*a.Probability)}
}

// holds reports whether something is stored for a request, as far as can be told without a look at a file.
func (s *Store) holds(key []byte, ask *httpcache.Ask) bool {
	s.mu.Lock()
	if o := s.entries.peek(text(key)); o != nil && o.more().variants != nil {
		key = o.more().variants.appendKey(nil, key, ask)
	}
	s.mu.Unlock()
	return s.has(key)
}

// promoteLocked takes what was read from disk back into RAM: by the filter where that costs room, heads and markers always.
func (s *Store) promoteLocked(o *Object) {
	if o.inRAM() > 0 && !s.filter.Admit(evict.Candidate{Hash: xxhash.Sum64String(o.key()), Size: o.Size(), Above: true}) {
		return
	}
	s.putLocked(o) // if it may
}
