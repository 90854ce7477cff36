package ring

import (
	"math"
	"sync/atomic"
)

// Bound is the usual c of Loads: no member carries more than 1.25 times its share of the requests under way.
const Bound = 1.25

// Loads counts the requests under way to the members of one ring, and keeps every member at or below
//
//	⌈c × requests under way × the member's share of the capacity⌉
//
// the request to be placed included (Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2018).
// A key moves from its owner to the next member clockwise only while the owner is at its bound. The bound holds when a
// request begins: it sinks below a member's load when requests to others end.
//
// It is safe for concurrent use. A new ring needs new Loads: requests that began on the old ones end there.
type Loads struct {
	ring    *Ring
	total   atomic.Int64 // at least the sum of members: raised before and lowered after
	members []atomic.Int64
}

// NewLoads returns the loads of the ring's members, none under way.
func NewLoads(r *Ring) *Loads {
	return &Loads{ring: r, members: make([]atomic.Int64, r.Len())}
}

// Load returns how many requests to the member are under way.
func (l *Loads) Load(member int) int64 { return l.members[member].Load() }

// Pick returns the member that a request for the hash would begin on now. A c below 1 counts as 1: less than all
// requests would not find a place.
func (l *Loads) Pick(hash uint64, c float64) int {
	total := l.total.Load() + 1
	for at := l.ring.search(hash); ; at = l.ring.next(at) {
		member := int(l.ring.owners[at])
		if l.members[member].Load() < l.bound(member, total, c) {
			return member
		}
	}
}

// Begin picks a member as Pick does and counts the request, in one step: of two requests that race for the last place,
// one goes on clockwise. The caller ends it with End.
func (l *Loads) Begin(hash uint64, c float64) int {
	total := l.total.Add(1)
	for at := l.ring.search(hash); ; at = l.ring.next(at) {
		if member := int(l.ring.owners[at]); l.reserve(member, l.bound(member, total, c)) {
			return member
		}
	}
}

// End says that a request that Begin placed on the member is over.
func (l *Loads) End(member int) {
	l.members[member].Add(-1)
	l.total.Add(-1)
}

func (l *Loads) reserve(member int, bound int64) bool {
	load := &l.members[member]
	for {
		n := load.Load()
		if n >= bound {
			return false
		}
		if load.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (l *Loads) bound(member int, total int64, c float64) int64 {
	return int64(math.Ceil(max(1, c) * float64(total) * l.ring.shares[member]))
}
