package scrubber

import "fmt"

// Limiter applies a limit to one key. It is a state machine over the instants that it is given and may not be used
// concurrently.
type Limiter struct {
	law   law
	state state
	log   []int64
}

// NewLimiter returns a limiter that has seen nothing. The error names every fault of the limit.
func NewLimiter(l Limit) (*Limiter, error) {
	w, err := newLaw(l)
	if err != nil {
		return nil, fmt.Errorf("make limiter: %w", err)
	}
	return &Limiter{law: w, log: make([]int64, w.logSize())}, nil
}

// Take asks for cost units at the instant now, in nanoseconds since an instant of the caller's choice, of a clock that does not
// step back. A refused request changes nothing, and one that costs nothing always passes. It allocates nothing.
func (l *Limiter) Take(now, cost int64) Verdict {
	next, v := l.law.peek(l.state, l.log, now, cost)
	if v.OK {
		l.law.commit(&l.state, l.log, next, cost)
	}
	return v
}
