package evict

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// model is a policy written without a thought for speed: a slice of what is held, searched for each victim.
type model struct {
	held   []*held // in the order of Add
	turn   int
	age    float64
	choose func(*model) int // place of the next victim
	hand   *held            // sieve: where the next walk starts; nil for the oldest
}

type held struct {
	node                *Node
	expires             int64
	added, uses, turned int // uses with that of Add; turned is the turn of the last Add or Hit
	visited             bool
	rank                float64
}

// first returns a choice: the least by the given keys.
func first(keys func(*held) []float64) func(*model) int {
	return func(m *model) int {
		least := slices.MinFunc(m.held, func(a, b *held) int { return slices.CompareFunc(keys(a), keys(b), cmp.Compare[float64]) })
		return slices.Index(m.held, least)
	}
}

func (m *model) sieve() int {
	i := max(0, slices.Index(m.held, m.hand))
	for m.held[i].visited {
		m.held[i].visited = false
		i = (i + 1) % len(m.held)
	}
	return i
}

var models = map[string]func(*model) int{
	"lru":   first(func(h *held) []float64 { return []float64{float64(h.turned)} }),
	"lfu":   first(func(h *held) []float64 { return []float64{float64(h.uses), float64(h.turned)} }),
	"fifo":  first(func(h *held) []float64 { return []float64{float64(h.added)} }),
	"gdsf":  first(func(h *held) []float64 { return []float64{h.rank, float64(h.turned)} }),
	"sieve": (*model).sieve,
	"ttl": first(func(h *held) []float64 {
		if h.expires == 0 {
			return []float64{1, 0, float64(h.turned)}
		}
		return []float64{0, float64(h.expires), float64(h.added)}
	}),
}

func (m *model) turned(h *held) {
	m.turn++
	h.turned = m.turn
	h.uses++
	h.rank = m.age + float64(h.uses)*1e6/float64(h.node.Size)
}

func (m *model) Add(n *Node, expires int64) {
	h := &held{node: n, expires: expires, added: m.turn}
	m.turned(h)
	m.held = append(m.held, h)
}

func (m *model) Hit(i int) {
	m.turned(m.held[i])
	m.held[i].visited = true
}

func (m *model) Remove(i int) {
	if m.held[i] == m.hand {
		m.hand = nil
		if i+1 < len(m.held) {
			m.hand = m.held[i+1]
		}
	}
	m.held = slices.Delete(m.held, i, i+1)
}

func (m *model) Victim() *Node {
	if len(m.held) == 0 {
		return nil
	}
	i := m.choose(m)
	v := m.held[i]
	m.age = v.rank
	m.hand = v
	m.Remove(i)
	return v.node
}

func TestPoliciesAreTheirModels(t *testing.T) {
	for name, choose := range models {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(40) {
				compare(t, newPolicy(t, name, 1000), &model{choose: choose}, rand.New(rand.NewPCG(seed, 1)), 2000)
			}
		})
	}
}

// compare makes random calls of both and stops at the first difference. More is added than given up until half the steps
// are done, then less.
func compare(t *testing.T, p Policy, m *model, rng *rand.Rand, steps int) {
	t.Helper()
	for step := range steps {
		adds := 35
		if step > steps/2 {
			adds = 15
		}
		switch dice := rng.IntN(100); {
		case dice < adds:
			n, expires := &Node{Hash: rng.Uint64(), Size: 1 + rng.Int64N(20)}, rng.Int64N(10)
			add(p, n, expires)
			m.Add(n, expires)
		case dice < 50:
			if got, want := p.Victim(), m.Victim(); got != want {
				t.Fatalf("step %d: Victim() = %+v, want %+v", step, got, want)
			}
		case len(m.held) == 0:
		case dice < 90:
			i := int(float64(len(m.held)) * rng.Float64() * rng.Float64()) // the old ones more often
			p.Hit(m.held[i].node)
			m.Hit(i)
		default:
			i := rng.IntN(len(m.held))
			p.Remove(m.held[i].node)
			m.Remove(i)
		}
		if p.Len() != len(m.held) {
			t.Fatalf("step %d: Len() = %d, want %d", step, p.Len(), len(m.held))
		}
	}
}
