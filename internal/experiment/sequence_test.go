package experiment

import (
	"math"
	"math/rand/v2"
	"testing"

	"cdnlab/topology"
)

func TestZipfDrawsByRank(t *testing.T) {
	const n, draws = 50, 400_000
	for _, exponent := range []float64{0, 0.5, 1, 1.5, 3} {
		z := newZipf(exponent, n)
		rng := rand.New(rand.NewPCG(1, 2))
		counts := make([]float64, n+1)
		for range draws {
			k := z.draw(rng)
			if k < 1 || k > n {
				t.Fatalf("exponent %g: drew %d of 1…%d", exponent, k, n)
			}
			counts[k]++
		}
		sum := 0.0
		for k := 1; k <= n; k++ {
			sum += math.Pow(float64(k), -exponent)
		}
		for k := 1; k <= n; k++ {
			want := math.Pow(float64(k), -exponent) / sum
			spread := 5 * math.Sqrt(want*(1-want)/draws)
			if got := counts[k] / draws; math.Abs(got-want) > spread+1e-6 {
				t.Errorf("exponent %g: %d was drawn with frequency %.5f, want %.5f ± %.5f", exponent, k, got, want, spread)
			}
		}
	}
	if k := newZipf(1, 1).draw(rand.New(rand.NewPCG(1, 1))); k != 1 {
		t.Errorf("of one object %d was drawn", k)
	}
}

func TestASequenceFollowsFromItsSeed(t *testing.T) {
	load := topology.Workload{From: []topology.PlaceShare{{Place: "a", Share: 3}, {Place: "b", Share: 0}, {Place: "c", Share: 1}}, Objects: 1000, Zipf: 1, Size: [2]topology.Bytes{1 << 10, 1 << 20}}
	a, b := newSequence(load, 7, 0), newSequence(load, 7, 0)
	other, second := newSequence(load, 8, 0), newSequence(load, 7, 1)
	places := map[int]int{}
	differs, apart := 0, 0
	for n := range uint64(4000) {
		place, path := a.request(n)
		if p, q := b.request(n); p != place || q != path {
			t.Fatalf("request %d: %d %s and %d %s from one seed", n, place, path, p, q)
		}
		if _, q := other.request(n); q != path {
			differs++
		}
		if _, q := second.request(n); q != path {
			apart++
		}
		places[place]++
	}
	if differs < 2000 || apart < 2000 {
		t.Errorf("another seed gave %d, another workload %d other paths of 4000, want most", differs, apart)
	}
	if places[1] != 0 || places[0] < 2850 || places[0] > 3150 {
		t.Errorf("requests by place %v, want 3 to 1 and none where the share is 0", places)
	}
	low, high := int64(1<<20), int64(1<<10)
	for id := range uint64(1000) {
		low, high = min(low, a.size(id)), max(high, a.size(id))
	}
	if low < 1<<10 || low > 2<<10 || high > 1<<20 || high < 1<<19 {
		t.Errorf("sizes from %d to %d, want them spread over 1 KiB … 1 MiB", low, high)
	}
	crowd := newSequence(topology.Workload{From: load.From, Path: "/launch.mp4"}, 7, 0)
	if _, path := crowd.request(5); path != "/launch.mp4" {
		t.Errorf("a crowd asked for %s", path)
	}
}
