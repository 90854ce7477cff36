package ring

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func TestNoMemberExceedsItsBound(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	zipf := rand.NewZipf(rng, 1.2, 1, 1<<20)
	for _, k := range []struct {
		name string
		key  func(i int) uint64
	}{
		{"all requests for one key", func(int) uint64 { return keyHash(7) }},
		{"two keys", func(i int) uint64 { return keyHash(i % 2) }},
		{"Zipf", func(int) uint64 { return mix(zipf.Uint64()) }},
		{"every key once", keyHash},
	} {
		for _, c := range []float64{1, 1.1, Bound, 2} {
			for _, members := range [][]Member{equal(1), equal(10), mixed(11)} {
				t.Run(fmt.Sprintf("%s, c=%v, %d members", k.name, c, len(members)), func(t *testing.T) {
					checkBound(t, mustNew(t, members), c, k.key, rng)
				})
			}
		}
	}
}

// checkBound begins and ends requests in random order and looks at the bound after each that begins.
func checkBound(t *testing.T, r *Ring, c float64, key func(int) uint64, rng *rand.Rand) {
	t.Helper()
	loads := make([]int64, r.Len())
	var underWay []int
	for i := range 3_000 {
		if len(underWay) > 0 && rng.IntN(3) == 0 {
			j := rng.IntN(len(underWay))
			loads[underWay[j]]--
			underWay[j] = underWay[len(underWay)-1]
			underWay = underWay[:len(underWay)-1]
			continue
		}
		got := r.Bounded(key(i), loads, c)
		loads[got]++
		underWay = append(underWay, got)
		if most := int64(math.Ceil(c * float64(len(underWay)) * r.Share(got))); loads[got] > most {
			t.Fatalf("member %d has %d of %d requests, want at most %d", got, loads[got], len(underWay), most)
		}
	}
}

func TestTheOwnerServesUntilItsBound(t *testing.T) {
	r := mustNew(t, equal(4))
	h := keyHash(1)
	order := r.Owners(nil, h, 4)
	loads := make([]int64, 4)
	// ⌈1.25 × 1/4⌉ = 1 up to three requests, ⌈1.25 × 4/4⌉ = 2 from the fourth on.
	for i, want := range []int{order[0], order[1], order[2], order[0]} {
		got := r.Bounded(h, loads, Bound)
		if got != want {
			t.Fatalf("request %d goes to %d, want %d of %v", i, got, want, order)
		}
		loads[got]++
	}
	loads[order[0]] = 0
	if got := r.Bounded(h, loads, Bound); got != order[0] {
		t.Errorf("after its requests ended one goes to %d, want the owner %d", got, order[0])
	}
}

func TestALargerBoundKeepsMoreKeysWithTheirOwner(t *testing.T) {
	r := mustNew(t, equal(10))
	before := -1
	for _, c := range []float64{1, Bound, 2, 4} {
		loads, home := make([]int64, 10), 0
		rng := rand.New(rand.NewPCG(5, 6))
		for range 5_000 {
			h := keyHash(rng.IntN(50))
			got := r.Bounded(h, loads, c)
			loads[got]++
			if got == r.Owner(h) {
				home++
			}
		}
		if home <= before {
			t.Errorf("c = %v leaves %d of 5000 requests with the owner, want more than the %d of the smaller c", c, home, before)
		}
		before = home
	}
}

func TestACBelowOneStillPlacesEveryRequest(t *testing.T) {
	loads := make([]int64, 3)
	r := mustNew(t, equal(3))
	for range 30 {
		loads[r.Bounded(1, loads, 0)]++
	}
	for i, n := range loads {
		if n != 10 {
			t.Errorf("member %d has %d of 30 requests, want 10", i, n)
		}
	}
}

func BenchmarkBounded(b *testing.B) {
	r, err := New(equal(10))
	if err != nil {
		b.Fatal(err)
	}
	loads := make([]int64, 10)
	b.ReportAllocs()
	for i := range b.N {
		loads[r.Bounded(mix(uint64(i)), loads, Bound)]++
		if i%100 == 0 {
			clear(loads)
		}
	}
}
