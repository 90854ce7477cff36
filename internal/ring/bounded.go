package ring

import "math"

// Bound is the usual c of Bounded: no member gets a request while it carries more than 1.25 times its share of those under way.
const Bound = 1.25

// Bounded returns the member that a request for the hash goes to when so many are under way to each: the first clockwise from the
// hash that has fewer than
//
//	⌈c × requests under way, this one included × the member's share of the capacity⌉
//
// (Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2018). A key leaves its owner only while that is at
// its bound. A c below 1 counts as 1: less than all requests would not find a place.
func (r *Ring) Bounded(hash uint64, loads []int64, c float64) int {
	total := int64(1)
	for _, n := range loads {
		total += n
	}
	for at := r.search(hash); ; at = r.next(at) {
		member := int(r.owners[at])
		if loads[member] < int64(math.Ceil(max(1, c)*float64(total)*r.shares[member])) {
			return member
		}
	}
}
