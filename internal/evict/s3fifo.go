package evict

import "errors"

// s3fifo gives what is new a small queue; what was used twice or more in it moves to the main queue, the rest leaves and is
// remembered by a ghost. What returns while the ghost knows it enters the main queue at once. That one is a clock: a node
// goes round again as often as it was used, up to three times (Yang et al., SOSP 2023).
//
// As in libCacheSim, uses count from when a node entered its queue, and no object as large as the small queue gets in;
// unlike there, one exactly as large does not cost others their place either.
type s3fifo struct {
	small, main list
	ghost       *ghost
	smallSize   int64
	mainSize    int64
	asked       uint64 // the hash that Admits was last asked for
	returned    bool   // the ghost knew it then
}

// Queues of s3fifo.
const (
	inSmall = iota
	inMain
)

// promotion is the number of uses that moves a node to the main queue, maxRounds how many it counts there.
const (
	promotion = 2
	maxRounds = 3
)

func newS3FIFO(c Config) (Policy, error) {
	small := c.Capacity / 10
	if small < 2 {
		return nil, errors.New("needs a capacity of 20 or more")
	}
	return &s3fifo{ghost: newGhost(c.Capacity * 9 / 10), smallSize: small, mainSize: c.Capacity - small}, nil
}

// Admits implements Admitter. It takes the object out of the ghost: making room for it may push it out.
func (p *s3fifo) Admits(hash uint64, size int64) bool {
	p.asked, p.returned = hash, p.ghost.take(hash)
	return size < p.smallSize
}

func (p *s3fifo) Add(n *Node) {
	returned := p.ghost.take(n.Hash) || p.returned && p.asked == n.Hash
	p.returned = false
	n.uses = 0
	if returned {
		n.at = inMain
		p.main.push(n)
		return
	}
	n.at = inSmall
	p.small.push(n)
}

func (p *s3fifo) Hit(n *Node) {
	if n.uses < maxRounds {
		n.uses++
	}
}

func (p *s3fifo) Remove(n *Node) {
	if n.at == inMain {
		p.main.remove(n)
		return
	}
	p.small.remove(n)
}

func (p *s3fifo) Victim() *Node {
	for fromSmall := p.main.size <= p.mainSize; fromSmall && p.small.len > 0; {
		n := p.small.pop()
		if n.uses < promotion {
			p.ghost.add(n.Hash, n.Size)
			return n
		}
		n.at, n.uses = inMain, 0
		p.main.push(n)
	}
	for p.main.len > 0 && p.main.tail.uses > 0 {
		n := p.main.tail
		n.uses--
		p.main.touch(n)
	}
	return p.main.pop()
}

func (p *s3fifo) Len() int { return p.small.len + p.main.len }
