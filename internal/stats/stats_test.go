package stats

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"cdnlab/topology"
)

func TestEveryBucketHoldsItsOwnMiddle(t *testing.T) {
	for i := range numBuckets - 1 {
		if got := bucketOf(uint64(middle(i))); got != i {
			t.Fatalf("bucketOf(middle(%d) = %v) = %d", i, middle(i), got)
		}
	}
	if got := bucketOf(math.MaxUint64); got != numBuckets-1 {
		t.Errorf("bucketOf(max) = %d, want the last bucket %d", got, numBuckets-1)
	}
}

func TestQuantilesAreWithinTwoPercentOfExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	n := New(time.Unix(0, 0))
	exact := make([]float64, 50_000)
	for i := range exact {
		us := math.Floor(math.Exp(rng.NormFloat64()*2 + 9))
		exact[i] = us
		n.Request(uint64(i), Request{Status: 200, TTFB: time.Duration(us) * time.Microsecond})
	}
	slices.Sort(exact)
	h := n.Snapshot().TTFB
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		want := exact[max(int(math.Ceil(q*float64(len(exact)))), 1)-1]
		got := float64(h.Quantile(q)) / float64(time.Microsecond)
		if math.Abs(got-want) > 0.02*want {
			t.Errorf("Quantile(%v) = %v µs, want %v ± 2 %%", q, got, want)
		}
	}
}

func TestHistogramMergeAndSubAreInverse(t *testing.T) {
	a := Histogram{Count: 3, Sum: 30, Buckets: map[int]uint64{1: 1, 20: 2}}
	b := Histogram{Count: 1, Sum: 5, Buckets: map[int]uint64{5: 1}}
	var sum Histogram
	sum.Merge(a)
	sum.Merge(b)
	if sum.Count != 4 || sum.Sum != 35 {
		t.Errorf("Merge: count %d sum %d, want 4 and 35", sum.Count, sum.Sum)
	}
	left := sum.Sub(a)
	if left.Count != 1 || len(left.Buckets) != 1 || left.Buckets[5] != 1 {
		t.Errorf("Sub = %+v, want what b had", left)
	}
	if got := sum.AtMost(5 * time.Microsecond); got != 2 {
		t.Errorf("AtMost(5µs) = %d, want 2", got)
	}
	if got := (Histogram{}).Quantile(0.5); got != 0 {
		t.Errorf("Quantile of nothing = %v, want 0", got)
	}
}

func TestSnapshotSumsWhatConcurrentCallersCounted(t *testing.T) {
	n := New(time.Unix(7, 0))
	n.SetCache(func() Cache { return Cache{Objects: 2, Bytes: 10, Budget: 20} })
	var wg sync.WaitGroup
	for w := range uint64(8) {
		wg.Go(func() {
			for range 1000 {
				n.Request(w, Request{Result: Hit, Status: 200, In: 1, Out: 10, TTFB: time.Millisecond})
				n.Request(w, Request{Result: Failed, Status: 502})
				n.Fetch(Fetch{To: topology.KindHub, Err: true, Bytes: 3})
				n.DNS("paris", 0)
			}
		})
	}
	wg.Wait()
	s := n.Snapshot()
	if s.Requests["hit"] != 8000 || s.Requests["failed"] != 8000 || s.Total() != 16000 || s.FromCache() != 8000 {
		t.Errorf("requests = %v, want 8000 hits and 8000 failures", s.Requests)
	}
	if s.Out["hit"] != 80_000 || s.In != 8000 || s.Status["2xx"] != 8000 || s.Status["5xx"] != 8000 {
		t.Errorf("out %v, in %d, status %v", s.Out, s.In, s.Status)
	}
	if p := s.Fetches["hub"]; p != (Parent{Count: 8000, Errors: 8000, Bytes: 24_000}) {
		t.Errorf("fetches = %+v", p)
	}
	if s.PoPs["paris"] != 8000 || s.RCodes[0] != 8000 || s.Cache == nil || s.Cache.Bytes != 10 {
		t.Errorf("pops %v, rcodes %v, cache %v", s.PoPs, s.RCodes, s.Cache)
	}
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back Snapshot
	if err := json.Unmarshal(raw, &back); err != nil || back.TTFB.Quantile(0.1) != s.TTFB.Quantile(0.1) || back.RCodes[0] != 8000 {
		t.Errorf("JSON round trip = %+v, %v", back, err)
	}
}

func BenchmarkRequest(b *testing.B) {
	n := New(time.Unix(0, 0))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		n.Request(uint64(i), Request{Result: Hit, Status: 200, Out: 1024, TTFB: time.Duration(i)})
	}
}
