package scrubber

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"
)

// oracle is a limiter written from its definition, with exact fractions and without thought for speed.
type oracle interface {
	room(t int64) *big.Rat // units that may be let in at t
	add(t, cost int64)
}

type taken struct{ t, cost int64 }

// within sums the units let in during [from, to).
func within(history []taken, from, to int64) *big.Rat {
	sum := new(big.Rat)
	for _, h := range history {
		if from <= h.t && h.t < to {
			sum.Add(sum, big.NewRat(h.cost, 1))
		}
	}
	return sum
}

type logOracle struct {
	Limit
	history []taken
}

func (o *logOracle) room(t int64) *big.Rat {
	return new(big.Rat).Sub(big.NewRat(o.Rate, 1), within(o.history, t-int64(o.Per)+1, t+1))
}
func (o *logOracle) add(t, cost int64) { o.history = append(o.history, taken{t, cost}) }

type fixedOracle struct{ logOracle }

func (o *fixedOracle) room(t int64) *big.Rat {
	start := t / int64(o.Per) * int64(o.Per)
	return new(big.Rat).Sub(big.NewRat(o.Rate, 1), within(o.history, start, start+int64(o.Per)))
}

type counterOracle struct{ logOracle }

func (o *counterOracle) room(t int64) *big.Rat {
	per := int64(o.Per)
	start := t / per * per
	previous := within(o.history, start-per, start)
	previous.Mul(previous, big.NewRat(start+per-t, per))
	room := new(big.Rat).Sub(big.NewRat(o.Rate, 1), within(o.history, start, start+per))
	return room.Sub(room, previous)
}

// tokenOracle is a bucket that gains Rate tokens per Per up to Burst.
type tokenOracle struct {
	Limit
	tokens *big.Rat
	at     int64
}

func (o *tokenOracle) room(t int64) *big.Rat {
	sum := new(big.Rat).Mul(big.NewRat(t-o.at, int64(o.Per)), big.NewRat(o.Rate, 1))
	sum.Add(sum, o.tokens)
	if burst := big.NewRat(o.Burst, 1); sum.Cmp(burst) > 0 {
		return burst
	}
	return sum
}

func (o *tokenOracle) add(t, cost int64) {
	o.tokens, o.at = new(big.Rat).Sub(o.room(t), big.NewRat(cost, 1)), t
}

// leakyOracle is a server that works on a unit for Per / Rate; free is when it has done what it was given.
type leakyOracle struct {
	Limit
	free *big.Rat
}

func (o *leakyOracle) ahead(t int64) *big.Rat {
	wait := new(big.Rat).Sub(o.free, big.NewRat(t, 1))
	if wait.Sign() < 0 {
		return new(big.Rat)
	}
	return wait.Mul(wait, big.NewRat(o.Rate, int64(o.Per)))
}

func (o *leakyOracle) room(t int64) *big.Rat {
	room := new(big.Rat).Sub(big.NewRat(o.Burst, 1), o.ahead(t))
	return room.Add(room, big.NewRat(1, 1))
}

func (o *leakyOracle) add(t, cost int64) {
	if now := big.NewRat(t, 1); o.free.Cmp(now) < 0 {
		o.free = now
	}
	o.free = new(big.Rat).Add(o.free, new(big.Rat).Mul(big.NewRat(cost, o.Rate), big.NewRat(int64(o.Per), 1)))
}

// delay is the wait for a turn that begins at a whole nanosecond.
func (o *leakyOracle) delay(t int64) time.Duration {
	if wait := new(big.Rat).Sub(o.free, big.NewRat(t, 1)); wait.Sign() > 0 {
		return time.Duration(-floor(wait.Neg(wait)))
	}
	return 0
}

func floor(r *big.Rat) int64 {
	return new(big.Int).Div(r.Num(), r.Denom()).Int64() // Div is Euclidean and the denominator positive
}

func newOracle(l Limit) oracle {
	switch l.Algorithm {
	case SlidingLog:
		return &logOracle{Limit: l}
	case FixedWindow:
		return &fixedOracle{logOracle{Limit: l}}
	case TokenBucket:
		return &tokenOracle{l, big.NewRat(l.Burst, 1), 0}
	case LeakyBucket:
		return &leakyOracle{l, new(big.Rat)}
	default:
		return &counterOracle{logOracle{Limit: l}}
	}
}

// admits reports whether cost units pass at t. A queue takes whatever costs little enough for a free place at its end.
func admits(o oracle, t, cost int64) bool {
	if _, ok := o.(*leakyOracle); ok {
		cost = 1
	}
	return o.room(t).Cmp(big.NewRat(cost, 1)) >= 0
}

// expected answers a request by the oracle and remembers it when it passes. lastOut is when the last one that passed did so.
// Instants that are hard to compute naively are taken from got and checked to be the earliest that will do.
func expected(t *testing.T, o oracle, l Limit, now, lastOut, cost int64, got Verdict) (Verdict, int64) {
	t.Helper()
	at := max(now, lastOut)
	want := Verdict{OK: admits(o, at, cost)}
	if !want.OK && l.MaxDelay > 0 {
		at = now + int64(got.Delay)
		if !got.OK {
			at = now + int64(got.RetryAfter)
		}
		want.OK = got.OK && at <= now+int64(l.MaxDelay) && at > max(now, lastOut) && admits(o, at, cost) && !admits(o, at-1, cost)
	}
	if want.OK {
		want.Delay = time.Duration(at - now)
		if q, ok := o.(*leakyOracle); ok {
			want.Delay += q.delay(at)
		}
		o.add(at, cost)
		lastOut = at
	} else {
		at = max(now, lastOut)
	}
	want.Remaining = max(0, floor(o.room(at)))
	want.Reset = got.Reset
	if full := at + int64(got.Reset) - (at - now); !isFull(o, l, full) || got.Reset > 0 && full > at && isFull(o, l, full-1) {
		want.Reset = -1
	}
	if !want.OK {
		want.RetryAfter = got.RetryAfter
		pass := now + int64(got.RetryAfter) + int64(l.MaxDelay)
		if got.RetryAfter <= 0 || !admits(o, pass, cost) || admits(o, pass-1, cost) {
			want.RetryAfter = -1
		}
	}
	return want, lastOut
}

func isFull(o oracle, l Limit, t int64) bool {
	most := l.Rate
	switch l.Algorithm {
	case TokenBucket:
		most = l.Burst
	case LeakyBucket:
		most = l.Burst + 1
	}
	return floor(o.room(t)) == most
}

// schedule draws a limit and the gaps between requests so that many of them fall on the limit's own instants.
func schedule(rng *rand.Rand, a Algorithm) (Limit, func() (gap, cost int64)) {
	pers := []time.Duration{1, 7, 60, 999, time.Millisecond, time.Second, time.Second + 7, time.Minute, 24 * time.Hour}
	l := Limit{Algorithm: a, Rate: 1 + rng.Int64N(12), Per: pers[rng.IntN(len(pers))]}
	if a == TokenBucket || a == LeakyBucket {
		l.Burst = 1 + rng.Int64N(12)
		if a == LeakyBucket && l.Per > time.Second+7 {
			l.Per = time.Second
		}
	}
	most := l.Rate
	if l.Burst > 0 {
		most = l.Burst
	}
	unit := max(1, int64(l.Per)/l.Rate)
	return l, func() (int64, int64) {
		gaps := []int64{0, 0, 1, unit - 1, unit, unit + 1, int64(l.Per), int64(l.Per) / 2, rng.Int64N(3 * int64(l.Per)), rng.Int64N(2 * unit)}
		return gaps[rng.IntN(len(gaps))], 1 + rng.Int64N(min(most, 3))
	}
}

func TestLimitersEqualOracles(t *testing.T) {
	schedules := uint64(5000)
	if testing.Short() {
		schedules = 500
	}
	for a := range numAlgorithms {
		for _, held := range []bool{false, true} {
			if held && a == LeakyBucket {
				continue // a queue before a queue: TestQueueHeldLonger
			}
			t.Run(fmt.Sprintf("%v held=%v", a, held), func(t *testing.T) {
				t.Parallel()
				var seen outcomes
				for seed := uint64(0); seed < schedules && !t.Failed(); seed++ {
					againstOracle(t, a, held, seed, &seen)
				}
				delays := held || a == LeakyBucket
				if few := int(schedules); seen.passed < few || seen.refused < few || delays != (seen.delayed >= few) {
					t.Errorf("the schedules have %+v, which is not enough of each to tell anything", seen)
				}
			})
		}
	}
}

type outcomes struct{ passed, delayed, refused int }

func againstOracle(t *testing.T, a Algorithm, held bool, seed uint64, seen *outcomes) {
	rng := rand.New(rand.NewPCG(seed, uint64(a)))
	l, draw := schedule(rng, a)
	if held {
		l.MaxDelay = min(MaxDelay, 1+time.Duration(rng.Int64N(3*int64(l.Per))))
	}
	limiter, err := NewLimiter(l)
	if err != nil {
		t.Fatal(err)
	}
	o := newOracle(l)
	now, lastOut := rng.Int64N(5*int64(l.Per)), int64(0)
	for step := range 40 {
		gap, cost := draw()
		now += gap
		got := limiter.Take(now, cost)
		var want Verdict
		want, lastOut = expected(t, o, l, now, lastOut, cost, got)
		if got != want {
			t.Errorf("seed %d step %d: %+v: Take(%d, %d) = %+v, want %+v (-1: not the earliest)", seed, step, l, now, cost, got, want)
			return
		}
		switch {
		case !got.OK:
			seen.refused++
		case got.Delay > 0:
			seen.delayed++
		default:
			seen.passed++
		}
	}
}
