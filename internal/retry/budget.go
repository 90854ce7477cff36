// Package retry bounds how many requests the retries of a node add. It is pure: it takes now, and starts no goroutine.
package retry

import (
	"cmp"
	"errors"
	"fmt"
	"sync"
	"time"
)

// BudgetConfig says how many retries a Budget allows. A zero field takes its default.
type BudgetConfig struct {
	Ratio  float64       // retries per request in Window; 0.2
	Floor  float64       // retries per second beyond, so that a quiet node may retry at all; 1
	Window time.Duration // in ten steps; 10 s
}

// Budget bounds the retries of a node, all its upstreams taken together: with an upstream down, tries of three each
// would triple what the others get. Over any time t, retries ≤ Ratio × requests + Floor × (t + 2 × Window).
// It is safe for concurrent use.
type Budget struct {
	ratio, floor float64 // floor is per window

	mu     sync.Mutex // guards counts
	counts window     // a is requests, b retries
}

// NewBudget returns a budget, or all that is wrong with the config.
func NewBudget(c BudgetConfig) (*Budget, error) {
	c.Ratio, c.Floor, c.Window = cmp.Or(c.Ratio, 0.2), cmp.Or(c.Floor, 1), cmp.Or(c.Window, 10*time.Second)
	var faults []error
	if !(c.Ratio > 0) {
		faults = append(faults, fmt.Errorf("ratio is %v: it must be positive", c.Ratio))
	}
	if !(c.Floor > 0) {
		faults = append(faults, fmt.Errorf("floor is %v: it must be positive", c.Floor))
	}
	if c.Window < steps {
		faults = append(faults, fmt.Errorf("window is %s: it must be at least %s", c.Window, time.Duration(steps)))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return &Budget{ratio: c.Ratio, floor: c.Floor * c.Window.Seconds(), counts: window{step: c.Window / steps}}, nil
}

// Request counts a client's request, whose first try is free.
func (b *Budget) Request(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts.add(now, 1, 0)
}

// Retry reports whether a request may be tried once more, and counts the retry if so.
func (b *Budget) Retry(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	requests, retries := b.counts.sum(now)
	if float64(retries+1) > b.ratio*float64(requests)+b.floor {
		return false
	}
	b.counts.add(now, 0, 1)
	return true
}
