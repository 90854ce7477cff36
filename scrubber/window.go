package scrubber

import (
	"math/bits"
	"time"
)

// fixed counts in state.a the units of the window in which state.last lies.
func (w *law) fixed(s state, t, cost int64) (state, Verdict) {
	per := int64(w.Per)
	into := t % per
	n := s.a
	if s.last < t-into {
		n = 0
	}
	rest := time.Duration(per - into)
	if n+cost > w.Rate {
		return s, Verdict{Remaining: w.Rate - n, Reset: rest, RetryAfter: rest}
	}
	v := Verdict{OK: true, Remaining: w.Rate - n - cost}
	if n+cost > 0 {
		v.Reset = rest
	}
	return state{last: t, a: n + cost}, v
}

// sliding counts in state.a the units of the window in which state.last lies and in state.b those of the one before. The
// estimate for the span of Per that ends at t is a plus b's share by time, rounded up.
func (w *law) sliding(s state, t, cost int64) (state, Verdict) {
	per := int64(w.Per)
	into := t % per
	switch start := t - into; {
	case s.last >= start:
	case s.last >= start-per:
		s.a, s.b = 0, s.a
	default:
		s.a, s.b = 0, 0
	}
	left := w.Rate - s.a - w.share(s.b, per-into)
	ok := cost <= left
	v := Verdict{OK: ok, Remaining: left}
	if ok {
		s.a += cost
		v.Remaining -= cost
	} else if room := w.Rate - s.a - cost; room >= 0 {
		v.RetryAfter = time.Duration(w.fades(s.b, room) - into)
	} else {
		v.RetryAfter = time.Duration(per - into + w.fades(s.a, w.Rate-cost))
	}
	if s.a > 0 {
		v.Reset = time.Duration(2*per - into)
	} else if s.b > 0 {
		v.Reset = time.Duration(per - into)
	}
	return state{last: t, a: s.a, b: s.b}, v
}

// share is how much of n counts when rest of the window that follows n's is still to come, rounded up.
func (w *law) share(n, rest int64) int64 {
	hi, lo := bits.Mul64(uint64(n), uint64(rest))
	q, r := bits.Div64(hi, lo, uint64(w.Per)) // rest <= Per, so the quotient fits
	if r > 0 {
		q++
	}
	return int64(q)
}

// fades is how far into the window that follows n's the share of n comes down to room, which is less than n.
func (w *law) fades(n, room int64) int64 {
	hi, lo := bits.Mul64(uint64(room), uint64(w.Per))
	q, _ := bits.Div64(hi, lo, uint64(n))
	return int64(w.Per) - int64(q)
}

// window keeps the instants of the units that were let in, state.b of them, in the ring before the place state.a. A unit of
// instant u counts before u + Per.
func (w *law) window(s state, log []int64, t, cost int64) (state, Verdict) {
	live := w.live(s, log, t)
	v := Verdict{OK: live+cost <= w.Rate, Remaining: w.Rate - live}
	newest := t
	if v.OK {
		v.Remaining -= cost
		if cost == 0 && live > 0 {
			newest = log[w.place(s.a-1)]
		}
		s = state{last: t, a: w.place(s.a + cost - w.Rate), b: live + cost}
	} else {
		newest = log[w.place(s.a-1)]
		leaves := log[w.place(s.a+cost-w.Rate-1)] // of those that count, the (live + cost - Rate)th oldest
		v.RetryAfter = time.Duration(leaves + int64(w.Per) - t)
	}
	if w.Rate > v.Remaining {
		v.Reset = time.Duration(newest + int64(w.Per) - t)
	}
	return s, v
}

// live is the number of units in the ring that still count at t.
func (w *law) live(s state, log []int64, t int64) int64 {
	lo, hi := int64(0), s.b // of the newest hi, the newest lo count
	for lo < hi {
		mid := (lo + hi + 1) / 2
		if log[w.place(s.a-mid)] > t-int64(w.Per) {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return lo
}

// place brings an index between -Rate and Rate into the ring.
func (w *law) place(i int64) int64 {
	if i < 0 {
		return i + w.Rate
	}
	return i
}
