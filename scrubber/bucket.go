package scrubber

import (
	"math/bits"
	"time"
)

// Both buckets keep in state.a what is in the bucket at state.last: units × weight, of which drain leave each nanosecond.

// token lets in what fits into the bucket.
func (w *law) token(s state, t, cost int64) (state, Verdict) {
	level := w.level(s, t)
	need := cost * w.weight
	if over := level + need - w.full; over > 0 {
		return s, Verdict{
			Remaining: (w.full - level) / w.weight, Reset: w.empties(level), RetryAfter: w.empties(over),
		}
	}
	level += need
	return state{last: t, a: level}, Verdict{OK: true, Remaining: (w.full - level) / w.weight, Reset: w.empties(level)}
}

// queue lets in what finds no more than a full bucket ahead of it, and starts it when that has drained.
func (w *law) queue(s state, t, cost int64) (state, Verdict) {
	level := w.level(s, t)
	if level > w.full {
		return s, Verdict{Reset: w.empties(level), RetryAfter: w.empties(level - w.full)}
	}
	v := Verdict{OK: true, Delay: w.empties(level)}
	level += cost * w.weight
	if level <= w.full {
		v.Remaining = (w.full-level)/w.weight + 1
	}
	v.Reset = w.empties(level)
	return state{last: t, a: level}, v
}

// level is what is left in the bucket at t.
func (w *law) level(s state, t int64) int64 {
	hi, gone := bits.Mul64(uint64(t-s.last), uint64(w.drain))
	if hi != 0 || gone >= uint64(s.a) {
		return 0
	}
	return s.a - int64(gone)
}

// empties is the time in which a level drains.
func (w *law) empties(level int64) time.Duration { return time.Duration(ceilDiv(level, w.drain)) }

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
