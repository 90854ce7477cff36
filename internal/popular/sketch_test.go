package popular

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const half = time.Minute

func sketch(t testing.TB, capacity int, half time.Duration) *Sketch {
	t.Helper()
	s, err := New(capacity, half)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func path(i uint64) string { return fmt.Sprintf("/assets/%06d.js", i) }

// exact counts requests the plain way: those of a moment at their weight of then, from start on.
type exact struct {
	now    time.Time
	counts map[string]float64
	total  float64
}

func newExact() *exact { return &exact{now: start, counts: map[string]float64{}} }

func (e *exact) observe(key string, now time.Time) {
	e.now = now
	e.counts[key] += e.weight()
	e.total += e.weight()
}

func (e *exact) weight() float64 { return math.Exp2(float64(e.now.Sub(start)) / float64(half)) }

// steps is by how much a count may be off, as weights grow in steps.
const steps = 1.003

// check holds the sketch to its guarantees against the exact counts, for room for k keys.
func check(t *testing.T, s *Sketch, e *exact, k int) {
	t.Helper()
	checkHeap(t, s)
	total := e.total / e.weight()
	bound := total / float64(k)
	if got := s.Total(e.now); got > total*steps || got < total/steps {
		t.Errorf("Total = %.2f, want %.2f", got, total)
	}
	held := map[string]bool{}
	last := math.Inf(1)
	for _, it := range s.Top(MaxCapacity, e.now) {
		held[it.Key] = true
		n := e.counts[it.Key] / e.weight()
		if it.Count*steps < n || (it.Count-it.Error)/steps > n+1e-9 {
			t.Errorf("%s: %.3f with an error of %.3f, want to enclose %.3f", it.Key, it.Count, it.Error, n)
		}
		if it.Error > bound*steps {
			t.Errorf("%s: an error of %.3f, want at most %.3f", it.Key, it.Error, bound)
		}
		if it.Count > last {
			t.Errorf("%s: %.3f after %.3f", it.Key, it.Count, last)
		}
		last = it.Count
	}
	for key, n := range e.counts {
		if n /= e.weight(); n > bound*steps && !held[key] {
			t.Errorf("%s with %.2f of %.2f requests is not held, of more than %.2f all should be", key, n, total, bound)
		}
		if absent := s.absent / s.weight; !held[key] && n > absent*steps {
			t.Errorf("%s with %.2f requests is not held, want at most %.2f", key, n, absent)
		}
	}
}

func checkHeap(t *testing.T, s *Sketch) {
	t.Helper()
	if len(s.slots) > s.capacity || len(s.counts) != len(s.slots) || len(s.index) != len(s.slots) {
		t.Fatalf("%d slots, %d counts and %d keys, with room for %d", len(s.slots), len(s.counts), len(s.index), s.capacity)
	}
	for i, c := range s.counts {
		h := s.slots[c.slot]
		if int(h.place) != i || s.index[h.key] != c.slot || c.n < s.counts[max(i-1, 0)/2].n || c.n < s.absent || h.error > c.n {
			t.Fatalf("place %d: %+v with %+v", i, c, h)
		}
	}
}

func TestGuaranteesOnZipf(t *testing.T) {
	for _, c := range []struct {
		name  string
		skew  float64
		k     int
		every time.Duration // between two requests
	}{
		{"flat", 1.01, 200, 0},
		{"usual", 1.1, 200, 0},
		{"steep", 1.5, 20, 0},
		{"one slot", 2, 1, 0},
		{"room for all", 1.5, 5000, 0},
		{"usual over 20 half-lives", 1.1, 200, 60 * time.Millisecond},
		{"flat over 100 half-lives", 1.01, 50, 300 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 1)), c.skew, 1, 3000)
			s, e := sketch(t, c.k, half), newExact()
			now := start
			for range 20_000 {
				now = now.Add(c.every)
				key := path(zipf.Uint64())
				s.Observe([]byte(key), 1, now)
				e.observe(key, now)
			}
			check(t, s, e, c.k)
		})
	}
}

func TestAnOldCrowdLeaves(t *testing.T) {
	s := sketch(t, 100, half)
	for i := range 100_000 {
		s.Observe([]byte(path(uint64(i%50))), 1, start)
	}
	later := start.Add(12 * half) // 2000 requests each have become half a one
	for i := range 1000 {
		s.Observe([]byte(path(uint64(1000+i%100))), 1, later)
	}
	for i, it := range s.Top(50, later) {
		if it.Key < path(1000) {
			t.Errorf("place %d is %+v of the old crowd", i, it)
		}
	}
}

func TestACountHalvesEachHalfLife(t *testing.T) {
	s := sketch(t, 10, half)
	for range 1024 {
		s.Observe([]byte("/a"), 300, start)
	}
	for i := range 100 {
		now, want := start.Add(time.Duration(i)*half), 1024*math.Exp2(-float64(i))
		it := s.Top(1, now)[0]
		if math.Abs(it.Count/want-1) > 1e-9 || math.Abs(it.Bytes/want-300) > 1e-6 || math.Abs(s.Total(now)/want-1) > 1e-9 {
			t.Errorf("after %d half-lives: %+v of %v, want a count of %v", i, it, s.Total(now), want)
		}
	}
}

func TestYearsLaterARequestCountsOne(t *testing.T) {
	s := sketch(t, 10, half)
	s.Observe([]byte("/a"), 1, start)
	now := start
	for range 5 {
		now = now.Add(2000 * half)
		s.Observe([]byte("/a"), 7, now)
	}
	if got, want := s.Top(1, now)[0], (Item{"/a", 1, 0, 7}); got != want {
		t.Errorf("Top = %+v, want %+v", got, want)
	}
}

func TestSteadyRequestsGiveTheirRate(t *testing.T) {
	s := sketch(t, 10, half)
	now := start
	for range 40 * 60 * 20 { // half-lives, seconds, requests
		now = now.Add(50 * time.Millisecond)
		s.Observe([]byte("/a"), 1, now)
	}
	if got := s.PerSecond(s.Top(1, now)[0].Count); math.Abs(got-20) > 0.2 {
		t.Errorf("PerSecond = %.3f, want 20", got)
	}
}

func TestBytesAreOfTheRequests(t *testing.T) {
	s := sketch(t, 1, half)
	s.Observe([]byte("/a"), 1000, start)
	s.Observe([]byte("/b"), 10, start)
	s.Observe([]byte("/b"), 30, start)
	s.Observe([]byte("/b"), -1, start) // a body that failed
	want := Item{Key: "/b", Count: 4, Error: 1, Bytes: 40}
	if got := s.Top(1, start); len(got) != 1 || got[0] != want {
		t.Errorf("Top = %+v, want %+v", got, want)
	}
}

func TestTopIsOrdered(t *testing.T) {
	s := sketch(t, 10, half)
	for _, key := range strings.Fields("/d /c /a /b /a") {
		s.Observe([]byte(key), 1, start)
	}
	for n, want := range map[int]string{-1: "", 0: "", 2: "/a /b", 10: "/a /b /c /d"} {
		var got []string
		for _, it := range s.Top(n, start) {
			got = append(got, it.Key)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("Top(%d) = %v, want %s", n, got, want)
		}
	}
}

func TestAClockThatStepsBackLosesNothing(t *testing.T) {
	s := sketch(t, 10, half)
	s.Observe([]byte("/a"), 1, start.Add(time.Hour))
	s.Observe([]byte("/a"), 1, start)
	if got := s.Top(1, start)[0].Count; got != 2 {
		t.Errorf("Count = %v, want 2", got)
	}
}

func TestALongKeyIsNotCounted(t *testing.T) {
	s := sketch(t, 10, half)
	s.Observe([]byte(strings.Repeat("k", MaxKey)), 1, start)
	s.Observe([]byte(strings.Repeat("k", MaxKey+1)), 1, start)
	if got := s.Total(start); got != 1 {
		t.Errorf("Total = %v, want 1", got)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		name     string
		capacity int
		half     time.Duration
		want     []string
	}{
		{"nothing", 0, 0, []string{"capacity is 0: it must be 1 to 16384", "half-life is 0s: it must be at least 1ms"}},
		{"too large", MaxCapacity + 1, half, []string{"capacity is 16385"}},
	} {
		_, err := New(c.capacity, c.half)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: New = %v, want %q", c.name, err, want)
			}
		}
	}
}

func TestAKnownKeyAllocatesNothing(t *testing.T) {
	s := sketch(t, 100, half)
	for i := range uint64(100) {
		s.Observe([]byte(path(i)), 1, start)
	}
	key, now := []byte(path(42)), start
	if allocs := testing.AllocsPerRun(1000, func() {
		now = now.Add(half / 8)
		s.Observe(key, 1, now)
	}); allocs != 0 {
		t.Errorf("Observe allocates %v times", allocs)
	}
}
