package evict

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
)

// Admission decides whether an object may enter a cache, before anything is given up for it. Calls must not overlap.
type Admission interface {
	Admit(c Candidate) bool
}

// Candidate is an object at the door of a cache.
type Candidate struct {
	Hash  uint64 // of its key, well mixed
	Size  int64  // in the unit of the cache; 0 while it is not known
	Held  bool   // the cache has a version of it, whose place it takes
	Above bool   // it comes out of the cache of the tier above, or there is none above
}

// AdmissionConfig says which filter a cache has.
type AdmissionConfig struct {
	Name        string // one of AdmissionNames; "" is "always"
	Size        int64
	Probability float64
	Remember    int        // objects; for second-hit
	Rand        *rand.Rand // for probability
}

// AdmissionNames returns the names that NewAdmission knows.
func AdmissionNames() []string {
	return []string{"always", "second-hit", "leave-copy-down", "size", "probability"}
}

// NewAdmission returns the filter of a new cache.
func NewAdmission(c AdmissionConfig) (Admission, error) {
	switch c.Name {
	case "", "always":
		return Always{}, nil
	case "second-hit":
		return NewDoorkeeper(c.Remember)
	case "leave-copy-down":
		return LeaveCopyDown{}, nil
	case "size":
		if c.Size <= 0 {
			return nil, fmt.Errorf("admission: size limit %d, want more than 0", c.Size)
		}
		return SizeLimit(c.Size), nil
	case "probability":
		return NewChance(c.Probability, 0, c.Rand)
	}
	return nil, fmt.Errorf("unknown admission %q, want one of %s", c.Name, strings.Join(AdmissionNames(), ", "))
}

// Always admits everything.
type Always struct{}

// Admit implements Admission.
func (Always) Admit(Candidate) bool { return true }

// SizeLimit admits what is as large or smaller, as the cache's own limit does; libCacheSim stops one unit below.
type SizeLimit int64

// Admit implements Admission.
func (l SizeLimit) Admit(c Candidate) bool { return c.Size <= int64(l) }

// LeaveCopyDown admits what the tier above had, so that an object comes one tier closer to its clients with each request
// (Laoutaris, Che, Stavrakakis, Performance Evaluation 63, 2006).
type LeaveCopyDown struct{}

// Admit implements Admission.
func (LeaveCopyDown) Admit(c Candidate) bool { return c.Above || c.Held }

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
func (c *Chance) Admit(o Candidate) bool {
	return o.Held || c.rand.Float64() < c.p*math.Exp(-float64(o.Size)/c.scale)
}
