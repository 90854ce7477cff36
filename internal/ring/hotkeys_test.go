package ring

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
	"unsafe"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// observe spreads n requests evenly over d: each is for hot with the probability share, otherwise for a key of its own.
func observe(k *HotKeys, rng *rand.Rand, hot uint64, share float64, n int, from time.Time, d time.Duration) {
	for i := range n {
		h := rng.Uint64()
		if rng.Float64() < share {
			h = hot
		}
		k.Observe(h, from.Add(d*time.Duration(i)/time.Duration(n)))
	}
}

func TestHotByShareOfTheRequests(t *testing.T) {
	for _, c := range []struct {
		name  string
		share float64
		n     int
		want  int
	}{
		{"cold", 0.001, 20_000, 1},
		{"below warm", WarmShare * 0.8, 20_000, 1},
		{"warm", WarmShare * 1.2, 20_000, 2},
		{"below hot", HotShare * 0.9, 20_000, 2},
		{"hot", HotShare * 1.1, 20_000, 3},
		{"all requests", 1, 20_000, 3},
		{"all requests of a quiet node", 1, HotVolume - 1, 1},
		{"all requests of a node just busy enough", 1, HotVolume, 3},
		{"no request", 0, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var k HotKeys
			observe(&k, rand.New(rand.NewPCG(1, 1)), 99, c.share, c.n, start, HotWindow-time.Second)
			if got := k.Hot(99, start.Add(HotWindow-time.Second)); got != c.want {
				t.Errorf("Hot = %d, want %d (share %.4f)", got, c.want, k.Share(99, start.Add(HotWindow-time.Second)))
			}
		})
	}
}

func TestZipfSharesAreEstimated(t *testing.T) {
	for _, s := range []float64{1.05, 1.2, 1.5} {
		var k HotKeys
		rng := rand.New(rand.NewPCG(2, 2))
		zipf := rand.NewZipf(rng, s, 1, 1<<24)
		const n = 200_000
		exact := map[uint64]int{}
		for range n {
			h := mix(zipf.Uint64() + 1)
			exact[h]++
			k.Observe(h, start)
		}
		for h, count := range exact {
			got, want := k.Share(h, start), float64(count)/n
			if got < want-1e-12 || got > want+0.005 {
				t.Fatalf("s=%v: Share = %.5f, want %.5f to 0.5 %% more", s, got, want)
			}
			if want < WarmShare-0.005 && k.Hot(h, start) != 1 || want >= HotShare && k.Hot(h, start) != 3 {
				t.Fatalf("s=%v: Hot = %d for a key of %.4f of the requests", s, k.Hot(h, start), want)
			}
		}
	}
}

func TestAHotKeyCoolsDown(t *testing.T) {
	var k HotKeys
	rng := rand.New(rand.NewPCG(3, 3))
	const hot = 12345
	observe(&k, rng, hot, 0.3, 10_000, start, HotWindow)
	calm := start.Add(HotWindow)
	if got := k.Hot(hot, calm); got != 3 {
		t.Fatalf("Hot = %d with 30 %% of the requests, want 3", got)
	}
	last := 1.0
	for range 10 {
		observe(&k, rng, hot, 0, 1_000, calm, HotWindow/10)
		calm = calm.Add(HotWindow / 10)
		share := k.Share(hot, calm)
		if share >= last {
			t.Fatalf("Share = %.4f, want below the %.4f of a second earlier", share, last)
		}
		last = share
	}
	if got := k.Hot(hot, calm); got != 1 {
		t.Errorf("Hot = %d a window after its last request, want 1", got)
	}
}

func TestAfterAPauseNothingIsHot(t *testing.T) {
	for _, c := range []struct {
		name  string
		pause time.Duration
		want  int
	}{{"half a window", HotWindow / 2, 3}, {"a window and a half", HotWindow * 3 / 2, 3}, {"two windows", 2 * HotWindow, 1}, {"a day", 24 * time.Hour, 1}} {
		var k HotKeys
		observe(&k, rand.New(rand.NewPCG(4, 4)), 5, 1, 10*HotVolume, start, time.Second)
		if got := k.Hot(5, start.Add(c.pause)); got != c.want {
			t.Errorf("after %s: Hot = %d, want %d", c.name, got, c.want)
		}
	}
}

func TestAClockThatStepsBackLosesNothing(t *testing.T) {
	var k HotKeys
	k.Observe(1, start.Add(time.Hour))
	for range HotVolume {
		k.Observe(1, start)
	}
	if got := k.Share(1, start); math.Abs(got-1) > 1e-9 {
		t.Errorf("Share = %v, want 1", got)
	}
}

func TestTenMillionKeysStayWithinMemory(t *testing.T) {
	n := 10_000_000
	if testing.Short() {
		n = 100_000
	}
	var k HotKeys
	if size := unsafe.Sizeof(k); size > 70_000 {
		t.Errorf("HotKeys takes %d bytes, want at most 70,000", size)
	}
	i := 0
	allocs := testing.AllocsPerRun(1, func() {
		for range n / 2 {
			i++
			k.Observe(mix(uint64(i)), start.Add(time.Duration(i)*time.Microsecond))
		}
	})
	if allocs != 0 {
		t.Errorf("Observe allocates: %v for %d keys, want 0", allocs, n/2)
	}
	now := start.Add(time.Duration(i) * time.Microsecond)
	for j := range 10_000 {
		if got := k.Hot(mix(uint64(i-j)), now); got != 1 {
			t.Fatalf("Hot = %d for a key of one request in %d, want 1", got, i)
		}
	}
}

func TestHotKeysAreSafeForConcurrentUse(t *testing.T) {
	var k HotKeys
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1_000 {
				k.Observe(8, start)
				k.Hot(8, start)
			}
		})
	}
	wg.Wait()
	if k.current.total != 4_000 || k.Hot(8, start) != 3 {
		t.Errorf("%d requests, Hot = %d, want 4000 and 3", k.current.total, k.Hot(8, start))
	}
}

func BenchmarkHotKeys(b *testing.B) {
	b.Run("Observe", func(b *testing.B) {
		var k HotKeys
		b.ReportAllocs()
		var i uint64
		for b.Loop() {
			i++
			k.Observe(mix(i), start)
		}
	})
	b.Run("Hot", func(b *testing.B) {
		var k HotKeys
		b.ReportAllocs()
		for b.Loop() {
			k.Hot(1, start)
		}
	})
}
