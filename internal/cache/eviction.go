package cache

import (
	"math"
	"math/rand/v2"

	"github.com/cespare/xxhash/v2"

	"cdnlab/internal/evict"
)

// entries are the objects of a store by key, in the order in which a policy gives them up.
type entries struct {
	table  *table
	policy evict.Policy
}

// newEntries panics for a policy that there is none of: the topology names no other.
func newEntries(c *Config) entries {
	const least = 100 // what policies with parts need to divide; a smaller store holds nothing anyway
	p, err := evict.New(c.Eviction, evict.Config{Capacity: max(c.Budget, least), Rand: rand.New(rand.NewPCG(c.Seed, 0))})
	if err != nil {
		panic(err)
	}
	return entries{newTable(), p}
}

// get returns an entry and counts the use; nil for none.
func (e *entries) get(key string) *Object {
	o := e.table.get(key)
	if o != nil {
		e.policy.Hit(&o.node)
	}
	return o
}

// peek returns an entry without counting; nil for none.
func (e *entries) peek(key string) *Object { return e.table.get(key) }

// admits reports whether the policy would take an object that is new.
func (e *entries) admits(o *Object) bool {
	a, ok := e.policy.(evict.Admitter)
	return !ok || a.Admits(xxhash.Sum64String(o.key()), o.cost())
}

// add takes an object whose key is not there.
func (e *entries) add(o *Object) {
	o.node = evict.Node{Hash: xxhash.Sum64String(o.key()), Size: o.cost()}
	e.table.add(o)
	if p, ok := e.policy.(evict.Expirer); ok {
		p.AddExpiring(&o.node, o.expires())
		return
	}
	e.policy.Add(&o.node)
}

func (e *entries) remove(o *Object) {
	e.policy.Remove(&o.node)
	e.table.remove(o)
}

// evict removes and returns the next object to give up; ok is false when there is none.
func (e *entries) evict() (o *Object, ok bool) {
	n := e.policy.Victim()
	if n == nil {
		return nil, false
	}
	o = evict.Entry[Object](n)
	e.table.remove(o)
	return o, true
}

// expires is when the object goes stale; a marker does not.
func (o *Object) expires() int64 {
	m := o.Meta()
	left := int64(m.Lifetime - m.InitialAge)
	if o.more().variants != nil || left > math.MaxInt64-max(0, m.ResponseTime) {
		return 0
	}
	return max(1, m.ResponseTime+left)
}
