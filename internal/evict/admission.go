package evict

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Admission decides whether an object may enter a cache, before anything is given up for it. Calls must not overlap.
type Admission interface {
	Admit(hash uint64, size int64) bool // hash of the key, well mixed; size in the unit of the cache
}

// Always admits everything.
type Always struct{}

// Admit implements Admission.
func (Always) Admit(uint64, int64) bool { return true }

// SizeLimit admits what is as large or smaller, as the cache's own limit does; libCacheSim stops one unit below.
type SizeLimit int64

// Admit implements Admission.
func (l SizeLimit) Admit(_ uint64, size int64) bool { return size <= int64(l) }

// Chance admits with a probability of P·e^(−size/Scale), the basic form of AdaptSize (Berger et al., NSDI 2017), or of P
// whatever the size.
type Chance struct {
	p, scale float64
	rand     *rand.Rand
}

// NewChance returns a Chance. The size does not matter if scale is 0.
func NewChance(p, scale float64, rng *rand.Rand) (*Chance, error) {
	switch {
	case !(p >= 0 && p <= 1):
		return nil, fmt.Errorf("admission: probability %v, want one from 0 to 1", p)
	case !(scale >= 0):
		return nil, fmt.Errorf("admission: scale %v, want 0 or more", scale)
	case rng == nil:
		return nil, fmt.Errorf("admission: %w", errNoRand)
	case scale == 0:
		scale = math.Inf(1)
	}
	return &Chance{p, scale, rng}, nil
}

// Admit implements Admission.
func (c *Chance) Admit(_ uint64, size int64) bool {
	return c.rand.Float64() < c.p*math.Exp(-float64(size)/c.scale)
}
