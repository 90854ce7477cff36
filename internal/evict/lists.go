package evict

// lru gives up what was not used for the longest time.
type lru struct{ list list }

func (p *lru) Add(n *Node)    { p.list.push(n) }
func (p *lru) Hit(n *Node)    { p.list.touch(n) }
func (p *lru) Remove(n *Node) { p.list.remove(n) }
func (p *lru) Victim() *Node  { return p.list.pop() }
func (p *lru) Len() int       { return p.list.len }

// fifo gives up what was added first.
type fifo struct{ list list }

func (p *fifo) Add(n *Node)    { p.list.push(n) }
func (p *fifo) Hit(*Node)      {}
func (p *fifo) Remove(n *Node) { p.list.remove(n) }
func (p *fifo) Victim() *Node  { return p.list.pop() }
func (p *fifo) Len() int       { return p.list.len }

// sieve walks a hand from the oldest to the newest and round again; it spares what was used since the hand last passed
// (Zhang et al., NSDI 2024).
type sieve struct {
	list list
	hand *Node // where the next walk starts; nil for the tail
}

func (p *sieve) Add(n *Node) {
	n.uses = 0
	p.list.push(n)
}

func (p *sieve) Hit(n *Node) { n.uses = 1 }

func (p *sieve) Remove(n *Node) {
	if n == p.hand {
		p.hand = n.prev
	}
	p.list.remove(n)
}

func (p *sieve) Victim() *Node {
	n := p.at(p.hand)
	for n != nil && n.uses > 0 {
		n.uses = 0
		n = p.at(n.prev)
	}
	if n != nil {
		p.hand = n.prev
		p.list.remove(n)
	}
	return n
}

// at wraps a position around.
func (p *sieve) at(n *Node) *Node {
	if n == nil {
		return p.list.tail
	}
	return n
}

func (p *sieve) Len() int { return p.list.len }
