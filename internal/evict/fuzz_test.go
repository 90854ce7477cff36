package evict

import "testing"

// FuzzPolicies makes calls of every policy: each byte is one, of a node that it chooses. Nothing is lost or given up twice.
func FuzzPolicies(f *testing.F) {
	f.Add([]byte{0, 1, 2, 0x41, 0x41, 0xc0, 0x81, 0xc0, 0xc0})
	f.Add([]byte("the quick brown fox jumps over the lazy dog, THE QUICK BROWN FOX"))
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 0x41, 0x41, 0x42, 0x42, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 1, 2, 3, 0xc0, 0xc0, 0xc0, 0xc0})
	f.Fuzz(func(t *testing.T, calls []byte) {
		calls = calls[:min(len(calls), 1000)] // more takes long and finds nothing else
		var nodes [64]Node
		for _, name := range Names() {
			drive(t, name, newPolicy(t, name, 100), nodes[:], calls)
		}
	})
}

func drive(t *testing.T, name string, p Policy, nodes []Node, calls []byte) {
	t.Helper()
	held := map[*Node]bool{}
	victim := func(step int) {
		v := p.Victim()
		if v == nil != (len(held) == 0) || v != nil && !held[v] {
			t.Fatalf("%s: call %d: Victim() = %v, of %d held", name, step, v, len(held))
		}
		delete(held, v)
	}
	for step, call := range calls {
		n := &nodes[call&63]
		switch {
		case call>>6 == 3:
			victim(step)
		case !held[n]:
			size := int64(call % 13)
			if a, picky := p.(Admitter); picky && step%2 == 0 && !a.Admits(mix(uint64(call&15)), size) {
				continue
			}
			n.Hash, n.Size = mix(uint64(call&15)), size // what other policies left in it stays
			add(p, n, int64(call%5))
			held[n] = true
		case call>>6 == 2:
			p.Remove(n)
			delete(held, n)
		default:
			p.Hit(n)
		}
		if p.Len() != len(held) {
			t.Fatalf("%s: call %d: Len() = %d, want %d", name, step, p.Len(), len(held))
		}
		audit(t, name, p, held)
	}
	for range len(held) + 1 {
		victim(len(calls))
	}
}

// audit checks links, sizes and places.
func audit(t *testing.T, name string, p Policy, held map[*Node]bool) {
	t.Helper()
	found := 0
	walk := func(l *list) {
		var before *Node
		var size int64
		count := 0
		for n := l.head; n != nil; before, n = n, n.next {
			if n.prev != before || !held[n] {
				t.Fatalf("%s: %+v is wrongly linked after %+v, or not held", name, n, before)
			}
			size += n.Size
			count++
		}
		if l.tail != before || l.len != count || l.size != size {
			t.Fatalf("%s: a list of %d nodes, %d in size, says %d and %d", name, count, size, l.len, l.size)
		}
		found += count
	}
	switch p := p.(type) {
	case *lru:
		walk(&p.list)
	case *fifo:
		walk(&p.list)
	case *sieve:
		walk(&p.list)
		if p.hand != nil && !held[p.hand] {
			t.Fatalf("sieve: the hand is at %+v, which is not held", p.hand)
		}
	case *lfu:
		auditChain(t, p, walk)
	case *ttl:
		walk(&p.forever)
		found += auditHeap(t, &p.expiring)
	case *gdsf:
		found += auditHeap(t, &p.heap)
	case *random:
		for i, n := range p.nodes {
			if int(n.at) != i {
				t.Fatalf("random: the node at %d says %d", i, n.at)
			}
		}
		found = len(p.nodes)
	case *s3fifo:
		walk(&p.small)
		walk(&p.main)
		auditGhost(t, p.ghost)
	case *wtinylfu:
		walk(&p.window)
		walk(&p.probation)
		walk(&p.protected)
	default:
		t.Fatalf("%s: nobody looked into it", name)
	}
	if found != len(held) {
		t.Fatalf("%s: has %d nodes, want %d", name, found, len(held))
	}
}

func auditChain(t *testing.T, p *lfu, walk func(*list)) {
	t.Helper()
	last := int32(0)
	for i := p.buckets[0].next; i != 0; last, i = i, p.buckets[i].next {
		b := &p.buckets[i]
		if b.prev != last || b.uses <= p.buckets[last].uses || b.nodes.len == 0 {
			t.Fatalf("lfu: bucket %+v follows %+v", b, p.buckets[last])
		}
		walk(&b.nodes)
		for n := b.nodes.head; n != nil; n = n.next {
			if n.at != i {
				t.Fatalf("lfu: a node in bucket %d says %d", i, n.at)
			}
		}
	}
}

func auditHeap(t *testing.T, h *heap) int {
	t.Helper()
	for i, it := range h.items {
		if int(it.node.at) != i || i > 0 && it.before(h.items[(i-1)/4]) {
			t.Fatalf("heap: %+v at %d is out of order or says another place", it, i)
		}
	}
	return len(h.items)
}

func auditGhost(t *testing.T, g *ghost) {
	t.Helper()
	size, live := int64(0), 0
	for i := g.first; i < g.next; i++ {
		if e := g.at(i); e.size >= 0 {
			size += e.size
			live++
			if g.where[e.hash] != i {
				t.Fatalf("ghost: %x at %d is looked for at %d", e.hash, i, g.where[e.hash])
			}
		}
	}
	if size != g.size || live != len(g.where) || size > g.capacity {
		t.Fatalf("ghost: %d entries, %d in size of %d, says %d and %d", live, size, g.capacity, len(g.where), g.size)
	}
}
