package ring

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
)

func bound(r *Ring, member int, total int, c float64) int64 {
	return int64(math.Ceil(c * float64(total) * r.Share(member)))
}

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

// checkBound begins and ends requests in random order and looks at the bound after each Begin.
func checkBound(t *testing.T, r *Ring, c float64, key func(int) uint64, rng *rand.Rand) {
	t.Helper()
	loads := NewLoads(r)
	var underWay []int
	for i := range 3_000 {
		if len(underWay) > 0 && rng.IntN(3) == 0 {
			j := rng.IntN(len(underWay))
			loads.End(underWay[j])
			underWay[j] = underWay[len(underWay)-1]
			underWay = underWay[:len(underWay)-1]
			continue
		}
		h := key(i)
		want := loads.Pick(h, c)
		got := loads.Begin(h, c)
		underWay = append(underWay, got)
		if got != want {
			t.Fatalf("Begin(%#x) = %d, want %d as Pick says", h, got, want)
		}
		if load, most := loads.Load(got), bound(r, got, len(underWay), c); load > most {
			t.Fatalf("member %d has %d of %d requests, want at most %d", got, load, len(underWay), most)
		}
	}
	for _, member := range underWay {
		loads.End(member)
	}
	for i := range r.Len() {
		if n := loads.Load(i); n != 0 {
			t.Errorf("member %d has load %d after the last request, want 0", i, n)
		}
	}
}

func TestTheOwnerServesUntilItsBound(t *testing.T) {
	r := mustNew(t, equal(4))
	h := keyHash(1)
	order := r.Owners(nil, h, 4)
	loads := NewLoads(r)
	// ⌈1.25 × 1/4⌉ = 1 up to three requests, ⌈1.25 × 4/4⌉ = 2 from the fourth on.
	for i, want := range []int{order[0], order[1], order[2], order[0]} {
		if got := loads.Begin(h, Bound); got != want {
			t.Fatalf("request %d: Begin = %d, want %d of %v", i, got, want, order)
		}
	}
	loads.End(order[0])
	loads.End(order[0])
	if got := loads.Begin(h, Bound); got != order[0] {
		t.Errorf("after its requests ended: Begin = %d, want the owner %d", got, order[0])
	}
}

func TestALargerBoundKeepsMoreKeysWithTheirOwner(t *testing.T) {
	r := mustNew(t, equal(10))
	before := -1
	for _, c := range []float64{1, Bound, 2, 4} {
		loads, home := NewLoads(r), 0
		rng := rand.New(rand.NewPCG(5, 6))
		for range 5_000 {
			h := keyHash(rng.IntN(50))
			if loads.Begin(h, c) == r.Owner(h) {
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
	loads := NewLoads(mustNew(t, equal(3)))
	for range 30 {
		loads.Begin(1, 0)
	}
	for i := range 3 {
		if n := loads.Load(i); n != 10 {
			t.Errorf("member %d has %d of 30 requests, want 10", i, n)
		}
	}
}

func TestConcurrentRequestsStayWithinTheBound(t *testing.T) {
	r := mustNew(t, mixed(5))
	loads := NewLoads(r)
	const workers, each = 8, 2_000
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				loads.End(loads.Begin(42, Bound))
				loads.Begin(42, Bound)
				loads.Pick(42, Bound)
			}
		})
	}
	wg.Wait()
	var sum int64
	for i := range r.Len() {
		n := loads.Load(i)
		sum += n
		// At most one request of each other worker was on the way to its End when this one was placed.
		if most := bound(r, i, workers*each+workers, Bound); n > most {
			t.Errorf("member %d has %d requests, want at most %d", i, n, most)
		}
	}
	if sum != workers*each {
		t.Errorf("%d requests under way, want %d", sum, workers*each)
	}
}

func BenchmarkLoads(b *testing.B) {
	r := mustNew(b, equal(10))
	for _, c := range []struct {
		name string
		key  func(i uint64) uint64
	}{{"many keys", mix}, {"one key", func(uint64) uint64 { return 1 }}} {
		b.Run(c.name, func(b *testing.B) {
			loads := NewLoads(r)
			for i := range uint64(100) {
				loads.Begin(c.key(i), Bound)
			}
			b.ReportAllocs()
			var i uint64
			for b.Loop() {
				i++
				loads.End(loads.Begin(c.key(i), Bound))
			}
		})
	}
}
