package scrubber

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"
)

// Algorithm is one of the five classic ways to limit a rate.
type Algorithm uint8

// The algorithms. Windows are aligned to multiples of Per since instant 0.
const (
	SlidingCounter Algorithm = iota // this window's count plus the share of the last one's that a window ending now still covers
	SlidingLog                      // exact: the instants of the last Rate units
	FixedWindow                     // a count that starts anew with each window; up to twice the rate passes around a boundary
	TokenBucket                     // Burst units at once, refilled at the rate
	LeakyBucket                     // a queue that is served at the rate; a request waits for its turn
	numAlgorithms
)

var algorithmNames = [numAlgorithms]string{"sliding-counter", "sliding-log", "fixed-window", "token-bucket", "leaky-bucket"}

// String gives the lower-case name with hyphens.
func (a Algorithm) String() string {
	if a >= numAlgorithms {
		return fmt.Sprintf("Algorithm(%d)", uint8(a))
	}
	return algorithmNames[a]
}

// Bounds of a limit.
const (
	MaxRate  = 1_000_000_000
	MaxPer   = 31 * 24 * time.Hour
	MaxCost  = 1000        // units that one request may cost
	MaxDelay = time.Minute // that a request may be held back
	MaxBlock = 366 * 24 * time.Hour
)

// Limit is what is allowed for one key. Costs are counted in units; a request costs one unless something says otherwise.
type Limit struct {
	Algorithm Algorithm
	Rate      int64         // units per Per; 1 to MaxRate
	Per       time.Duration // more than 0, at most MaxPer
	// Burst is the size of the bucket, or the length of the queue: a request that finds more than Burst units ahead of it is
	// over the limit, so nothing waits longer than Burst × Per / Rate. 0 stands for Rate. The windows have none.
	Burst int64
	// MaxDelay makes a queue of what is over the limit: a request is held back until the limit has room for it, behind those
	// held back before it, unless that takes longer than MaxDelay.
	MaxDelay time.Duration
}

// Verdict is the answer of a limit to a request.
type Verdict struct {
	OK        bool
	Delay     time.Duration // a request that is OK starts after this
	Remaining int64         // units that could follow it at once
	Reset     time.Duration // until all of the limit is free again if nothing follows
	// RetryAfter is, for a refused request, the wait after which it would pass if nothing else came in between; Never when it
	// costs more than the limit ever has.
	RetryAfter time.Duration
	Crowded    bool // refused only because too many requests are held back already; see Config.MaxHeld
}

// Never is the RetryAfter of a request that costs more than its limit ever allows.
const Never = time.Duration(math.MaxInt64)

// state is what is remembered of one key; the zero value has used nothing. a and b belong to the algorithm. The sliding log
// has a ring of Rate instants besides.
type state struct {
	last int64 // the latest instant for which a request was let in
	a, b int64
}

// law is a limit made ready for arithmetic. All of it is exact: nothing is rounded but the results, and these never in favour
// of the client.
type law struct {
	Limit
	drain  int64 // Rate and Per by their common divisor: a bucket drains by this each nanosecond …
	weight int64 // … and a unit weighs this
	full   int64 // Burst units
	quota  int64 // the most that Remaining can be

	longest time.Duration // that the queue of a leaky bucket is by itself
}

// newLaw checks a limit and fills in what it leaves to defaults. The error names every fault.
func newLaw(l Limit) (law, error) {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	bucket := l.Algorithm == TokenBucket || l.Algorithm == LeakyBucket
	if l.Algorithm >= numAlgorithms {
		fault("algorithm: %v does not exist", l.Algorithm)
	}
	if l.Rate < 1 || l.Rate > MaxRate {
		fault("rate: %d is not between 1 and %d", l.Rate, MaxRate)
	}
	if l.Per <= 0 || l.Per > MaxPer {
		fault("per: %v is not between 1ns and %v", l.Per, MaxPer)
	}
	switch {
	case !bucket && l.Burst != 0:
		fault("burst: a %v has none", l.Algorithm)
	case l.Burst < 0 || l.Burst > MaxRate:
		fault("burst: %d is not between 1 and %d", l.Burst, MaxRate)
	}
	if l.MaxDelay < 0 || l.MaxDelay > MaxDelay {
		fault("delay: %v is not between 0 and %v", l.MaxDelay, MaxDelay)
	}
	if faults != nil {
		return law{}, errors.Join(faults...)
	}
	if bucket && l.Burst == 0 {
		l.Burst = l.Rate
	}
	w := law{Limit: l, quota: l.Rate}
	if !bucket {
		return w, nil
	}
	w.quota = l.Burst
	d := gcd(l.Rate, int64(l.Per))
	w.drain, w.weight = l.Rate/d, int64(l.Per)/d
	if hi, lo := bits.Mul64(uint64(l.Burst+MaxCost), uint64(w.weight)); hi != 0 || lo > math.MaxInt64/2 {
		return law{}, fmt.Errorf("burst: %d at %d per %v is too much to count exactly; a rounder rate or a smaller burst is not",
			l.Burst, l.Rate, l.Per)
	}
	w.full = l.Burst * w.weight
	if l.Algorithm == LeakyBucket {
		w.quota++ // the one that is served, and the queue
		if w.longest = time.Duration(ceilDiv(w.full, w.drain)); w.longest > MaxDelay {
			return law{}, fmt.Errorf("burst: %d at %d per %v make a queue of %v, more than %v", l.Burst, l.Rate, l.Per, w.longest, MaxDelay)
		}
	}
	return w, nil
}

// logSize is the number of instants that a key's ring holds.
func (w *law) logSize() int {
	if w.Algorithm == SlidingLog {
		return int(w.Rate)
	}
	return 0
}

// peek answers a request without letting it in; commit with the state that it returns does.
func (w *law) peek(s state, log []int64, now, cost int64) (state, Verdict) {
	at := max(now, s.last)
	if cost <= 0 || cost > MaxCost || w.Algorithm != LeakyBucket && cost > w.quota {
		_, v := w.at(s, log, at, 0)
		v.OK, v.Delay, v.RetryAfter = cost <= 0, 0, 0
		if !v.OK {
			v.RetryAfter = Never
		}
		return s, v
	}
	next, v := w.at(s, log, at, cost)
	if w.MaxDelay == 0 {
		return next, v // last is ahead of now only as far as callers on several cores overtake each other after they read the clock
	}
	refused := v
	if !v.OK {
		at += int64(v.RetryAfter)
		next, v = w.at(s, log, at, cost)
	}
	wait := time.Duration(at - now)
	v.Delay, v.Reset = v.Delay+wait, v.Reset+wait
	if over := v.Delay - max(w.MaxDelay, w.longest); over > 0 {
		refused.OK, refused.Delay, refused.RetryAfter = false, 0, over
		refused.Reset += time.Duration(max(s.last-now, 0))
		return s, refused
	}
	return next, v
}

// at answers a request at an instant that is not before s.last.
func (w *law) at(s state, log []int64, t, cost int64) (state, Verdict) {
	switch w.Algorithm {
	case TokenBucket:
		return w.token(s, t, cost)
	case LeakyBucket:
		return w.queue(s, t, cost)
	case FixedWindow:
		return w.fixed(s, t, cost)
	case SlidingLog:
		return w.window(s, log, t, cost)
	default:
		return w.sliding(s, t, cost)
	}
}

// commit lets the request of the given cost in; next is what peek gave for it.
func (w *law) commit(s *state, log []int64, next state, cost int64) {
	if len(log) > 0 {
		for i := s.a; cost > 0; cost-- {
			log[i] = next.last
			i = (i + 1) % w.Rate
		}
	}
	*s = next
}

// used measures what forgetting a state would give away: 0 when nothing. The measure is the same for all states of a law; start
// is that of the window of now.
func (w *law) used(s state, log []int64, now, start int64) int64 {
	if now < s.last {
		now, start = s.last, w.start(s.last)
	}
	switch w.Algorithm {
	case TokenBucket, LeakyBucket:
		return w.level(s, now)
	case SlidingLog:
		return w.live(s, log, now)
	case FixedWindow:
		if s.last < start {
			return 0
		}
		return s.a
	}
	current, previous := s.a, s.b
	if s.last < start {
		current, previous = 0, s.a
	}
	if previous == 0 || s.last < start-int64(w.Per) {
		return current
	}
	return current + w.share(previous, start+int64(w.Per)-now)
}

// start is when the window of now began.
func (w *law) start(now int64) int64 { return now - now%int64(w.Per) }
