package evict

import "math"

// gdsf gives up the lowest of age + frequency / size; the age rises to the rank of each victim (Cherkasova 1998). Equal ranks
// go by the last use.
type gdsf struct {
	heap heap
	age  float64
}

// scale keeps ranks of large objects apart when age has grown.
const scale = 1e6

func (p *gdsf) Add(n *Node) {
	n.uses = 1
	p.heap.push(n, p.rank(n))
}

func (p *gdsf) Hit(n *Node) {
	if n.uses < math.MaxUint32 {
		n.uses++
	}
	p.heap.raise(n, p.rank(n))
}

// rank is a float as bits, which sort alike where both are positive.
func (p *gdsf) rank(n *Node) uint64 {
	return math.Float64bits(p.age + float64(n.uses)*scale/float64(max(n.Size, 1)))
}

func (p *gdsf) Remove(n *Node) { p.heap.remove(n) }

func (p *gdsf) Victim() *Node {
	if len(p.heap.items) == 0 {
		return nil
	}
	least := p.heap.items[0]
	p.age = math.Float64frombits(least.rank)
	p.heap.remove(least.node)
	return least.node
}

func (p *gdsf) Len() int { return len(p.heap.items) }

// ttl gives up what expires first, of equals the one added first, and then what never expires, the least recently used
// first.
type ttl struct {
	expiring heap
	forever  list
}

// inForever is the place of what is not in the heap.
const inForever = -1

func (p *ttl) Add(n *Node) {
	n.at = inForever
	p.forever.push(n)
}

// AddExpiring implements Expirer.
func (p *ttl) AddExpiring(n *Node, at int64) {
	if at == 0 {
		p.Add(n)
		return
	}
	p.expiring.push(n, uint64(at)^1<<63) // sorts like the signed number
}

func (p *ttl) Hit(n *Node) {
	if n.at == inForever {
		p.forever.touch(n)
	}
}

func (p *ttl) Remove(n *Node) {
	if n.at == inForever {
		p.forever.remove(n)
		return
	}
	p.expiring.remove(n)
}

func (p *ttl) Victim() *Node {
	if len(p.expiring.items) == 0 {
		return p.forever.pop()
	}
	n := p.expiring.items[0].node
	p.expiring.remove(n)
	return n
}

func (p *ttl) Len() int { return len(p.expiring.items) + p.forever.len }
