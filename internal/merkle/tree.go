package merkle

import (
	"fmt"
	"sync"
)

const (
	fanOut   = 16
	maxDepth = 16 // 4 bits of a position each

	// few is how many entries a leaf holds and an answer names at once. Naming 32 takes about as many bytes as going down by
	// digests until fewer are left, and saves the round trip.
	few = 32

	// MaxKey and MaxVersion bound what an entry adds to a message, in bytes.
	MaxKey     = 8 << 10
	MaxVersion = 256
)

// Tree is a set of keys, each with a version, and the digest of every range of it. The zero value is empty and ready to use, by
// any number of goroutines.
type Tree struct {
	mu   sync.RWMutex // guards root and all below it
	root node
}

// node holds the entries of the positions that begin with the same bits: in itself while it is a leaf, else in its children.
// Which of both depends on the past; what is told to others does not.
type node struct {
	sum      sum
	count    int
	entries  []entry
	children *[fanOut]*node // nil in a leaf
}

type entry struct{ key, version string }

// Set gives the key a version; the tree keeps both strings. It refuses an empty version, which would mean that there is none, and what is longer than MaxKey
// or MaxVersion.
func (t *Tree) Set(key, version string) error {
	if len(key) > MaxKey {
		return fmt.Errorf("a key of %d bytes is over %d", len(key), MaxKey)
	}
	if version == "" || len(version) > MaxVersion {
		return fmt.Errorf("version of %q has %d bytes: it must have 1 to %d", key, len(version), MaxVersion)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.root.put(entry{key, version}, position(key), 0)
	return nil
}

// Delete takes the key out, if it is there.
func (t *Tree) Delete(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.root.put(entry{key: key}, position(key), 0)
}

// Len is the number of keys.
func (t *Tree) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.root.count
}

// Root is the digest of the whole set: two trees with the same Root hold the same.
func (t *Tree) Root() Digest {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.root.sum.digest()
}

// put stores e below n, or takes its key out where it has no version, and returns by how much sum and count changed.
func (n *node) put(e entry, at uint64, depth int) (plus, minus sum, count int) {
	if n.children != nil {
		child := &n.children[nibble(at, depth)]
		if *child == nil {
			*child = new(node)
		}
		plus, minus, count = (*child).put(e, at, depth+1)
		if (*child).count == 0 {
			*child = nil
		}
	} else {
		plus, minus, count = n.putHere(e)
	}
	n.sum = n.sum.plus(plus).minus(minus)
	n.count += count
	switch {
	case n.children == nil && n.count > few && depth < maxDepth:
		n.split(depth)
	case n.children != nil && n.count <= few/2: // not few, or one key set and deleted would split and join each time
		n.entries, n.children = n.appendTo(make([]entry, 0, n.count)), nil
	}
	return plus, minus, count
}

func (n *node) putHere(e entry) (plus, minus sum, count int) {
	if e.version != "" {
		plus = e.sum()
	}
	for i := range n.entries {
		if n.entries[i].key != e.key {
			continue
		}
		minus = n.entries[i].sum()
		if e.version != "" {
			n.entries[i] = e
			return plus, minus, 0
		}
		last := len(n.entries) - 1
		n.entries[i], n.entries[last] = n.entries[last], entry{}
		n.entries = n.entries[:last]
		return plus, minus, -1
	}
	if e.version == "" {
		return plus, minus, 0
	}
	if len(n.entries) == cap(n.entries) { // doubling would leave a quarter of the tree empty
		n.entries = append(make([]entry, 0, len(n.entries)+4), n.entries...)
	}
	n.entries = append(n.entries, e)
	return plus, minus, 1
}

func (n *node) split(depth int) {
	n.children = new([fanOut]*node)
	for _, e := range n.entries {
		at := position(e.key)
		child := &n.children[nibble(at, depth)]
		if *child == nil {
			*child = new(node)
		}
		(*child).put(e, at, depth+1)
	}
	n.entries = nil
}

// appendTo appends all entries below n.
func (n *node) appendTo(to []entry) []entry {
	to = append(to, n.entries...)
	if n.children != nil {
		for _, child := range n.children {
			if child != nil {
				to = child.appendTo(to)
			}
		}
	}
	return to
}

func nibble(at uint64, depth int) int { return int(at >> (60 - 4*depth) & 15) }

// span is a range of positions: those whose first depth nibbles are those of at, whose others are zero.
type span struct {
	at    uint64
	depth int
}

func (s span) holds(at uint64) bool { return (at^s.at)&s.mask() == 0 }

// mask has a one for each bit that the span fixes.
func (s span) mask() uint64 { return ^(^uint64(0) >> (4 * s.depth)) }

func (s span) child(i int) span {
	return span{s.at | uint64(i)<<(60-4*s.depth), s.depth + 1}
}

// empty stands for the ranges that hold nothing.
var empty = new(node)

// find returns the node of a span; one that lies within a leaf is cut out of it.
func (n *node) find(s span) *node {
	for depth := range s.depth {
		if n.children == nil {
			return n.cut(s)
		}
		if n = n.children[nibble(s.at, depth)]; n == nil {
			return empty
		}
	}
	return n
}

func (n *node) cut(s span) *node {
	part := new(node)
	for _, e := range n.entries {
		if s.holds(position(e.key)) {
			part.put(e, 0, maxDepth)
		}
	}
	return part
}
