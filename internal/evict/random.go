package evict

import "math/rand/v2"

// random gives up any node with the same probability.
type random struct {
	nodes []*Node // each knows its place
	rand  *rand.Rand
}

func newRandom(c Config) (Policy, error) {
	if c.Rand == nil {
		return nil, errNoRand
	}
	return &random{rand: c.Rand}, nil
}

func (p *random) Add(n *Node) {
	n.at = int32(len(p.nodes))
	p.nodes = append(p.nodes, n)
}

func (p *random) Hit(*Node) {}

func (p *random) Remove(n *Node) {
	last := len(p.nodes) - 1
	p.nodes[n.at] = p.nodes[last]
	p.nodes[n.at].at = n.at
	p.nodes[last] = nil
	p.nodes = p.nodes[:last]
}

func (p *random) Victim() *Node {
	if len(p.nodes) == 0 {
		return nil
	}
	n := p.nodes[p.rand.IntN(len(p.nodes))]
	p.Remove(n)
	return n
}

func (p *random) Len() int { return len(p.nodes) }
