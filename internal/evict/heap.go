package evict

// heap orders nodes by rank, then by the time of their last turn. It has four children to a place, which halves the depth.
// Each node knows its place.
type heap struct {
	items []item
	turns uint64
}

type item struct {
	rank, turn uint64
	node       *Node
}

func (a item) before(b item) bool { return a.rank < b.rank || a.rank == b.rank && a.turn < b.turn }

func (h *heap) push(n *Node, rank uint64) {
	h.turns++
	h.items = append(h.items, item{})
	h.up(len(h.items)-1, item{rank, h.turns, n})
}

// raise gives a node a rank that is not lower than the one that it has.
func (h *heap) raise(n *Node, rank uint64) {
	h.turns++
	h.down(int(n.at), item{rank, h.turns, n})
}

func (h *heap) remove(n *Node) {
	last := len(h.items) - 1
	it := h.items[last]
	h.items[last] = item{}
	h.items = h.items[:last]
	switch i := int(n.at); {
	case i == last:
	case i > 0 && it.before(h.items[(i-1)/4]):
		h.up(i, it)
	default:
		h.down(i, it)
	}
}

func (h *heap) up(i int, it item) {
	for i > 0 {
		parent := (i - 1) / 4
		if !it.before(h.items[parent]) {
			break
		}
		h.put(i, h.items[parent])
		i = parent
	}
	h.put(i, it)
}

func (h *heap) down(i int, it item) {
	for {
		least, first := it, 4*i+1
		at := i
		for c := first; c < min(first+4, len(h.items)); c++ {
			if h.items[c].before(least) {
				least, at = h.items[c], c
			}
		}
		if at == i {
			break
		}
		h.put(i, least)
		i = at
	}
	h.put(i, it)
}

func (h *heap) put(i int, it item) {
	h.items[i] = it
	it.node.at = int32(i)
}
