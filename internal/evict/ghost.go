package evict

// ghost remembers the hashes and sizes of nodes that left, oldest out first, up to a total size. Entries are a ring; a table
// finds them by hash. What is taken out early leaves a hole in the ring.
type ghost struct {
	ring     []spirit // power of two
	first    uint64   // number of the oldest entry; its place is the number modulo the ring
	next     uint64   // number of the entry to come
	where    map[uint64]uint64
	size     int64
	capacity int64
}

type spirit struct {
	hash uint64
	size int64 // -1 for a hole
}

func newGhost(capacity int64) *ghost {
	return &ghost{ring: make([]spirit, 64), where: map[uint64]uint64{}, capacity: capacity}
}

// add remembers a hash. One already known keeps its place. Size counts as one at least, so that there is a bound.
func (g *ghost) add(hash uint64, size int64) {
	size = max(size, 1)
	if _, known := g.where[hash]; known || size > g.capacity {
		return
	}
	for g.size+size > g.capacity {
		g.drop(g.first)
	}
	g.skipHoles()
	if g.next-g.first == uint64(len(g.ring)) {
		g.makeRoom()
	}
	*g.at(g.next) = spirit{hash, size}
	g.where[hash] = g.next
	g.next++
	g.size += size
}

// take forgets a hash and reports whether it was known.
func (g *ghost) take(hash uint64) bool {
	i, known := g.where[hash]
	if known {
		g.drop(i)
	}
	return known
}

func (g *ghost) at(i uint64) *spirit { return &g.ring[i&uint64(len(g.ring)-1)] }

func (g *ghost) drop(i uint64) {
	e := g.at(i)
	delete(g.where, e.hash)
	g.size -= e.size
	e.size = -1
	g.skipHoles()
}

func (g *ghost) skipHoles() {
	for g.first < g.next && g.at(g.first).size < 0 {
		g.first++
	}
}

// makeRoom closes the holes of a full ring, and doubles it where they are less than half.
func (g *ghost) makeRoom() {
	old := *g
	if 2*len(g.where) > len(g.ring) {
		g.ring = make([]spirit, 2*len(g.ring))
	}
	to := g.first
	for i := old.first; i < old.next; i++ {
		if e := *old.at(i); e.size >= 0 {
			*g.at(to) = e
			g.where[e.hash] = to
			to++
		}
	}
	g.next = to
}
