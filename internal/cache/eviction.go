package cache

import (
	"math"
	"math/rand/v2"

	"github.com/cespare/xxhash/v2"

	"cdnlab/internal/evict"
)

// entries are the objects of a store by key, in the order in which a policy gives them up.
type entries struct {
	byKey  map[string]*Object
	policy evict.Policy
}

// newEntries panics for a policy that there is none of: the topology names no other.
func newEntries(c *Config) entries {
	const least = 100 // what policies with parts need to divide; a smaller store holds nothing anyway
	p, err := evict.New(c.Eviction, evict.Config{Capacity: max(c.Budget, least), Rand: rand.New(rand.NewPCG(c.Seed, 0))})
	if err != nil {
		panic(err)
	}
	return entries{map[string]*Object{}, p}
}

// get returns an entry and counts the use.
func (e *entries) get(key string) (*Object, bool) {
	o, ok := e.byKey[key]
	if ok {
		e.policy.Hit(&o.node)
	}
	return o, ok
}

// peek returns an entry without counting.
func (e *entries) peek(key string) (*Object, bool) {
	o, ok := e.byKey[key]
	return o, ok
}

// admits reports whether the policy would take an object that is new.
func (e *entries) admits(o *Object) bool {
	a, ok := e.policy.(evict.Admitter)
	return !ok || a.Admits(xxhash.Sum64String(o.key), o.cost())
}

// add takes an object whose key is not there.
func (e *entries) add(o *Object) {
	o.node = evict.Node{Entry: o, Hash: xxhash.Sum64String(o.key), Size: o.cost(), Expires: o.expires()}
	e.byKey[o.key] = o
	e.policy.Add(&o.node)
}

func (e *entries) remove(o *Object) {
	e.policy.Remove(&o.node)
	delete(e.byKey, o.key)
}

// evict removes and returns the next object to give up; ok is false when there is none.
func (e *entries) evict() (o *Object, ok bool) {
	n := e.policy.Victim()
	if n == nil {
		return nil, false
	}
	o = n.Entry.(*Object)
	delete(e.byKey, o.key)
	return o, true
}

// expires is when the object goes stale; a marker does not.
func (o *Object) expires() int64 {
	left := int64(o.Meta.Lifetime - o.Meta.InitialAge)
	if o.variants != nil || left > math.MaxInt64-max(0, o.Meta.ResponseTime) {
		return 0
	}
	return max(1, o.Meta.ResponseTime+left)
}
