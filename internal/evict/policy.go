package evict

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
)

// Policy orders the nodes of one cache. Its calls must not overlap. Hit allocates nothing, Remove neither.
type Policy interface {
	Add(n *Node)    // a node that no policy holds
	Hit(n *Node)    // a use of a node that this policy holds
	Remove(n *Node) // one that this policy holds, for other reasons than eviction
	Victim() *Node  // removes and returns the next to give up; nil when there is none
	Len() int
}

// Admitter is a Policy that does not take every object. Before it makes room for one, the owner asks once: the answer, and
// the place that a following Add gives to the object, take account of what the policy remembers of it at that moment. Add
// without asking is fine too.
type Admitter interface {
	Admits(hash uint64, size int64) bool
}

// Expirer is a Policy that goes by when nodes expire: at an instant in nanoseconds, 0 for never, which is what Add takes for
// granted.
type Expirer interface {
	AddExpiring(n *Node, at int64)
}

// Config is what policies need to know of their cache.
type Config struct {
	Capacity int64      // in bytes, or in objects where each Size is 1; s3fifo needs 20, wtinylfu 100
	Rand     *rand.Rand // needed by random
}

var makers = []struct {
	name string
	make func(Config) (Policy, error)
}{
	{"lru", func(Config) (Policy, error) { return new(lru), nil }},
	{"lfu", func(Config) (Policy, error) { return newLFU(), nil }},
	{"fifo", func(Config) (Policy, error) { return new(fifo), nil }},
	{"ttl", func(Config) (Policy, error) { return new(ttl), nil }},
	{"random", newRandom},
	{"s3fifo", newS3FIFO},
	{"sieve", func(Config) (Policy, error) { return new(sieve), nil }},
	{"wtinylfu", newWTinyLFU},
	{"gdsf", func(Config) (Policy, error) { return new(gdsf), nil }},
}

// Names returns the names that New knows.
func Names() []string {
	names := make([]string, 0, len(makers))
	for _, m := range makers {
		names = append(names, m.name)
	}
	return names
}

// New returns an empty policy.
func New(name string, c Config) (Policy, error) {
	for _, m := range makers {
		if m.name != name {
			continue
		}
		if c.Capacity <= 0 {
			return nil, fmt.Errorf("%s: capacity %d, want more than 0", name, c.Capacity)
		}
		p, err := m.make(c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return p, nil
	}
	return nil, fmt.Errorf("unknown policy %q, want one of %s", name, strings.Join(Names(), ", "))
}

var errNoRand = errors.New("needs a source of chance")
