package evict

import "errors"

// wtinylfu gives what is new an LRU window of 1 %. What falls out of it enters the main part where there is room, or where it
// was used more often, as a sketch recalls, than what would have to go first; else it leaves itself. The main part is an LRU
// in two segments: a use moves a node from probation (a fifth) to the protected one, whose oldest falls back (Einziger et
// al., ACM TOS 2017). It takes no object larger than the window.
type wtinylfu struct {
	window, probation, protected list
	sketch                       *sketch
	windowSize                   int64
	mainSize                     int64
	protectedSize                int64
}

// Queues of wtinylfu.
const (
	inWindow = iota
	inProbation
	inProtected
)

func newWTinyLFU(c Config) (Policy, error) {
	window := c.Capacity / 100
	if window < 1 {
		return nil, errors.New("needs a capacity of 100 or more")
	}
	main := c.Capacity - window
	return &wtinylfu{sketch: newSketch(), windowSize: window, mainSize: main, protectedSize: main * 4 / 5}, nil
}

// Admits implements Admitter.
func (p *wtinylfu) Admits(_ uint64, size int64) bool { return size <= p.windowSize }

func (p *wtinylfu) Add(n *Node) {
	n.at, n.uses = inWindow, 0
	p.window.push(n)
	p.sketch.hold(p.Len())
	p.sketch.count(n.Hash)
}

func (p *wtinylfu) Hit(n *Node) {
	p.sketch.count(n.Hash)
	if n.at != inProbation {
		p.queue(n).touch(n)
		return
	}
	p.move(n, inProtected)
	for p.protected.size > p.protectedSize {
		p.move(p.protected.tail, inProbation)
	}
}

func (p *wtinylfu) queue(n *Node) *list {
	switch n.at {
	case inWindow:
		return &p.window
	case inProbation:
		return &p.probation
	default:
		return &p.protected
	}
}

func (p *wtinylfu) move(n *Node, to int32) {
	p.queue(n).remove(n)
	n.at = to
	p.queue(n).push(n)
}

func (p *wtinylfu) Remove(n *Node) { p.queue(n).remove(n) }

func (p *wtinylfu) Victim() *Node {
	for n := p.window.tail; n != nil; n = p.window.tail {
		if p.enter(n) {
			continue
		}
		v := p.mainVictim()
		if v == nil || n.uses == 0 && p.sketch.estimate(n.Hash) <= p.sketch.estimate(v.Hash) {
			p.Remove(n)
			return n
		}
		n.uses = 1
		p.Remove(v)
		p.enter(n)
		return v
	}
	v := p.mainVictim()
	if v != nil {
		p.Remove(v)
	}
	return v
}

// enter moves a node to the main part if it fits.
func (p *wtinylfu) enter(n *Node) bool {
	if p.probation.size+p.protected.size+n.Size > p.mainSize {
		return false
	}
	to := int32(inProbation)
	if p.probation.size+n.Size > p.mainSize-p.protectedSize && p.protected.size+n.Size <= p.protectedSize {
		to = inProtected
	}
	p.move(n, to)
	return true
}

// mainVictim is what the main part would give up next; nil when it is empty.
func (p *wtinylfu) mainVictim() *Node {
	if p.probation.tail != nil {
		return p.probation.tail
	}
	return p.protected.tail
}

func (p *wtinylfu) Len() int { return p.window.len + p.probation.len + p.protected.len }
