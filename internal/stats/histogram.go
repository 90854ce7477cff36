package stats

import (
	"math"
	"math/bits"
	"time"
)

// Buckets are log-linear over microseconds, as in HdrHistogram: exact below 128 µs, then 64 to the octave, so that a bucket's
// middle is within 0.8 % of every value in it. The last bucket takes everything above 2^27 µs (134 s).
const (
	subBits    = 6
	linear     = 2 << subBits
	octaves    = 27 - (subBits + 1)
	numBuckets = linear + octaves<<subBits
)

func bucketOf(us uint64) int {
	if us < linear {
		return int(us)
	}
	octave := bits.Len64(us) - (subBits + 1)
	if octave > octaves {
		return numBuckets - 1
	}
	return linear + (octave-1)<<subBits + int(us>>octave) - 1<<subBits
}

// middle is the value that stands for bucket i, in microseconds.
func middle(i int) float64 {
	if i < linear {
		return float64(i)
	}
	octave := (i-linear)>>subBits + 1
	low := uint64((i-linear)&(1<<subBits-1)+1<<subBits) << octave
	return float64(low) + float64(uint64(1)<<octave-1)/2
}

// Histogram is a distribution of durations that can be merged: counts by bucket, empty buckets left out.
type Histogram struct {
	Count   uint64         `json:"count"`
	Sum     uint64         `json:"sum_us"`
	Buckets map[int]uint64 `json:"buckets,omitempty"`
}

// Merge adds the other distribution to h.
func (h *Histogram) Merge(o Histogram) {
	h.Count += o.Count
	h.Sum += o.Sum
	if h.Buckets == nil && len(o.Buckets) > 0 {
		h.Buckets = make(map[int]uint64, len(o.Buckets))
	}
	for i, c := range o.Buckets {
		h.Buckets[i] += c
	}
}

// Sub removes an earlier reading of the same histogram, which leaves what came since.
func (h Histogram) Sub(earlier Histogram) Histogram {
	d := Histogram{Count: h.Count - earlier.Count, Sum: h.Sum - earlier.Sum, Buckets: map[int]uint64{}}
	for i, c := range h.Buckets {
		if left := c - earlier.Buckets[i]; left > 0 {
			d.Buckets[i] = left
		}
	}
	return d
}

// Quantile returns the value below which the share q (0…1) of the durations lies, within 0.8 %; 0 when there are none.
func (h Histogram) Quantile(q float64) time.Duration {
	if h.Count == 0 {
		return 0
	}
	rank := uint64(math.Ceil(q * float64(h.Count)))
	rank = min(max(rank, 1), h.Count)
	var seen uint64
	for i := range numBuckets {
		if seen += h.Buckets[i]; seen >= rank {
			return time.Duration(middle(i) * float64(time.Microsecond))
		}
	}
	return 0
}

// AtMost returns how many durations fall into buckets whose middle is at most d.
func (h Histogram) AtMost(d time.Duration) uint64 {
	limit := float64(d) / float64(time.Microsecond)
	var n uint64
	for i, c := range h.Buckets {
		if middle(i) <= limit {
			n += c
		}
	}
	return n
}
