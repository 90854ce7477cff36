package evict

// lfu gives up what was used least often; among those, what came to that frequency first. Nodes of one frequency form a
// bucket, the buckets a chain by rising frequency: every call takes constant time.
type lfu struct {
	buckets []bucket // [0] is the end of the chain, with frequency 0; grows with the number of distinct frequencies only
	free    int32    // first of the unused buckets, chained by next; 0 for none
	len     int
}

type bucket struct {
	nodes      list
	uses       uint64
	prev, next int32 // buckets of lower and higher frequency
}

func newLFU() *lfu { return &lfu{buckets: make([]bucket, 1, 64)} }

func (p *lfu) Add(n *Node) {
	p.len++
	p.place(n, 0)
}

func (p *lfu) Hit(n *Node) {
	at := n.at
	b := &p.buckets[at]
	if b.nodes.len == 1 && p.buckets[b.next].uses != b.uses+1 {
		b.uses++
		return
	}
	b.nodes.remove(n)
	p.place(n, at)
	p.dropEmpty(at)
}

// place puts a node into the bucket of one use more than those of the bucket at.
func (p *lfu) place(n *Node, at int32) {
	uses, to := p.buckets[at].uses+1, p.buckets[at].next
	if p.buckets[to].uses != uses {
		to = p.insert(at, to, uses)
	}
	n.at = to
	p.buckets[to].nodes.push(n)
}

func (p *lfu) insert(prev, next int32, uses uint64) int32 {
	at := p.free
	if at != 0 {
		p.free = p.buckets[at].next
	} else {
		at = int32(len(p.buckets))
		p.buckets = append(p.buckets, bucket{})
	}
	p.buckets[at] = bucket{uses: uses, prev: prev, next: next}
	p.buckets[prev].next = at
	p.buckets[next].prev = at
	return at
}

func (p *lfu) dropEmpty(at int32) {
	b := &p.buckets[at]
	if b.nodes.len > 0 {
		return
	}
	p.buckets[b.prev].next = b.next
	p.buckets[b.next].prev = b.prev
	b.next, p.free = p.free, at
}

func (p *lfu) Remove(n *Node) {
	p.len--
	p.buckets[n.at].nodes.remove(n)
	p.dropEmpty(n.at)
}

func (p *lfu) Victim() *Node {
	n := p.buckets[p.buckets[0].next].nodes.tail
	if n != nil {
		p.Remove(n)
	}
	return n
}

func (p *lfu) Len() int { return p.len }
