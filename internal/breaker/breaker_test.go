package breaker

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }

// exact is a config with next to no jitter.
func exact(c Config) Config {
	c.Jitter = 1e-12
	return c
}

func mustNew(t testing.TB, c Config) *Breaker {
	t.Helper()
	b, err := New(c, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// step is one call at a second: "ok" and "fail" report, "go" and "stop" are what Allow must answer, a state is what State must.
type step struct {
	at   float64
	what string
}

func times(n int, at float64, what ...string) []step {
	var steps []step
	for range n {
		for _, w := range what {
			steps = append(steps, step{at, w})
		}
	}
	return steps
}

func join(parts ...[]step) []step {
	var all []step
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestBreaker(t *testing.T) {
	down := times(5, 0, "fail")
	for _, c := range []struct {
		name   string
		config Config
		steps  []step
	}{
		{"closed at first", Config{}, []step{{0, "closed"}, {0, "go"}, {0, "go"}}},
		{"four failures in a row leave it closed", Config{}, join(times(4, 0, "fail"), []step{{0, "closed"}, {0, "go"}})},
		{"five failures in a row open it", Config{}, join(down, []step{{0, "open"}, {0, "stop"}})},
		{"a success ends the row", Config{}, join(times(4, 0, "fail"), []step{{0, "ok"}}, times(4, 0, "fail"), []step{{0, "closed"}})},
		{"Failures", Config{Failures: 2}, []step{{0, "fail"}, {0, "closed"}, {0, "fail"}, {0, "open"}}},
		{"half the reports fail", Config{}, join(times(9, 0, "ok", "fail"), []step{{0, "closed"}, {0, "ok"}, {0, "fail"}, {0, "open"}})},
		{"MinVolume", Config{MinVolume: 4}, []step{{0, "ok"}, {0, "fail"}, {0, "ok"}, {0, "closed"}, {0, "fail"}, {0, "open"}}},
		{"Ratio", Config{Ratio: 0.6}, join(times(30, 0, "ok", "fail"), []step{{0, "closed"}})},
		{"old failures leave the window", Config{}, join(times(9, 0, "ok", "fail"), times(9, 11, "ok"), []step{{11, "ok"}, {11, "fail"}, {11, "closed"}})},
		{"Window", Config{Window: 20 * time.Second}, join(times(9, 0, "ok", "fail"), []step{{11, "ok"}, {11, "fail"}, {11, "open"}})},
		{"half-open after its time", Config{}, join(down, []step{{0.99, "stop"}, {0.99, "open"}, {1, "half-open"}, {1, "go"}})},
		{"Open", Config{Open: 3 * time.Second}, join(down, []step{{2.9, "stop"}, {3, "go"}})},
		{"one probe at a time", Config{}, join(down, []step{{1, "go"}, {1, "stop"}, {2, "stop"}, {2, "half-open"}})},
		{"a probe that succeeds closes", Config{}, join(down, []step{{1, "go"}, {1, "ok"}, {1, "closed"}, {1, "go"}, {1, "go"}})},
		{"closed anew, it starts from nothing", Config{}, join(down, []step{{1, "go"}, {1, "ok"}}, times(4, 1, "fail"), []step{{1, "closed"}, {1, "fail"}, {1.9, "open"}, {2, "half-open"}})},
		{"closed anew, it forgets the window", Config{MinVolume: 6}, join(down, []step{{1, "go"}, {1, "ok"}, {1, "fail"}, {1, "closed"}})},
		{"a probe that fails opens for twice as long", Config{}, join(down, []step{{1, "go"}, {1, "fail"}, {1, "open"}, {2.9, "stop"}, {3, "go"}, {3, "fail"}, {6.9, "stop"}, {7, "go"}})},
		{"MaxOpen", Config{MaxOpen: 3 * time.Second}, join(down, []step{{1, "go"}, {1, "fail"}, {3, "go"}, {3, "fail"}, {5.9, "stop"}, {6, "go"}, {6, "fail"}, {8.9, "stop"}, {9, "go"}})},
		{"late reports while open do not count", Config{}, join(down, []step{{0, "ok"}, {0, "open"}, {0, "fail"}, {1, "half-open"}, {1, "ok"}, {1, "half-open"}})},
		{"a lost probe makes room for the next", Config{}, join(down, []step{{1, "go"}, {10.9, "stop"}, {11, "go"}, {11, "stop"}})},
		{"Probe", Config{Probe: 2 * time.Second}, join(down, []step{{1, "go"}, {2.9, "stop"}, {3, "go"}})},
		{"a clock that steps back", Config{}, join(times(5, 10, "fail"), []step{{0, "stop"}, {10.9, "stop"}, {11, "go"}, {0, "fail"}, {12.9, "stop"}, {13, "go"}})},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := mustNew(t, exact(c.config))
			for i, s := range c.steps {
				switch now := at(s.at); s.what {
				case "ok", "fail":
					b.Report(now, s.what == "ok")
				case "go", "stop":
					if got, want := b.Allow(now), s.what == "go"; got != want {
						t.Fatalf("step %d, %v s: Allow = %v, want %v", i, s.at, got, want)
					}
				default:
					if got := b.State(now).String(); got != s.what {
						t.Fatalf("step %d, %v s: State = %s, want %s", i, s.at, got, s.what)
					}
				}
			}
		})
	}
}

func TestJitterShortensTheTimeOpen(t *testing.T) {
	for _, jitter := range []float64{0.1, 0.5, 1} {
		shortest, longest := time.Hour, time.Duration(0)
		rng := rand.New(rand.NewPCG(7, 8))
		for range 500 {
			b, err := New(Config{Failures: 1, Jitter: jitter}, rng)
			if err != nil {
				t.Fatal(err)
			}
			b.Report(start, false)
			shortest, longest = min(shortest, b.until.Sub(start)), max(longest, b.until.Sub(start))
		}
		least := time.Duration((1 - jitter) * float64(time.Second))
		if shortest < least || shortest > least+50*time.Millisecond || longest > time.Second || longest < 950*time.Millisecond {
			t.Errorf("jitter %v: open for %s to %s, want about %s to 1s", jitter, shortest, longest, least)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		want   []string
	}{
		{"all faults at once", Config{Failures: -1, Ratio: 2, MinVolume: -3}, []string{"failures is -1", "ratio is 2", "minimum volume is -3"}},
		{"open longer than its maximum", Config{Open: time.Minute}, []string{"open is 1m0s, at most 30s"}},
		{"negative times", Config{Window: -1, Open: -1, Probe: -1}, []string{"window is -1ns", "open is -1ns", "probe is -1ns"}},
		{"jitter above 1", Config{Jitter: 1.5}, []string{"jitter is 1.5"}},
	} {
		_, err := New(c.config, rand.New(rand.NewPCG(1, 2)))
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: New = %v, want %q", c.name, err, want)
			}
		}
	}
}

func TestOneOfManyCallersProbes(t *testing.T) {
	b := mustNew(t, Config{Failures: 1})
	b.Report(start, false)
	var mu sync.Mutex
	probes := 0
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if b.Allow(at(1)) {
				mu.Lock()
				probes++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if probes != 1 {
		t.Errorf("%d of 16 callers probe, want 1", probes)
	}
}

// FuzzBreaker runs random sequences: two bits of each byte choose the call, the others how much time passes before it.
func FuzzBreaker(f *testing.F) {
	f.Add([]byte{1, 1, 1, 1, 1, 0xf0, 0, 0, 1, 0xf0, 0, 2})
	f.Add([]byte{1, 2, 1, 2, 1, 1, 1, 1, 1, 0xfc, 0, 0xfc, 0, 1, 3})
	f.Fuzz(func(t *testing.T, calls []byte) {
		c := Config{Failures: 3, Open: time.Second, MaxOpen: 5 * time.Second, Probe: 4 * time.Second}
		b := mustNew(t, c)
		now, state, since := start, Closed, start
		var probe time.Time // when the probe under way began; zero if none is
		for i, call := range calls {
			now = now.Add(time.Duration(call>>2) * 50 * time.Millisecond)
			if s := b.State(now); s != state {
				if !(state == Open && s == HalfOpen) {
					t.Fatalf("call %d: time alone leads from %s to %s", i, state, s)
				}
				state = s
			}
			if state == Open && now.Sub(since) > c.MaxOpen {
				t.Fatalf("call %d: open for %s, want at most %s", i, now.Sub(since), c.MaxOpen)
			}
			switch call & 3 {
			case 0, 3:
				allowed := b.Allow(now)
				free := probe.IsZero() || now.Sub(probe) >= c.Probe
				if want := state == Closed || state == HalfOpen && free; allowed != want {
					t.Fatalf("call %d: Allow = %v while %s, probe free: %v", i, allowed, state, free)
				}
				if allowed && state == HalfOpen {
					probe = now
				}
			default:
				ok := call&3 == 2
				b.Report(now, ok)
				after := b.State(now)
				if want, fixed := next(state, ok, !probe.IsZero()); fixed && after != want {
					t.Fatalf("call %d: Report(%v) leads from %s to %s, want %s", i, ok, state, after, want)
				}
				if after != state {
					probe, since = time.Time{}, now
				}
				state = after
			}
		}
	})
}

// next returns the state after a report where it does not hang on the window.
func next(s State, ok, probing bool) (want State, fixed bool) {
	switch {
	case s == Closed:
		return Closed, ok
	case s == Open || !probing:
		return s, true
	case ok:
		return Closed, true
	default:
		return Open, true
	}
}

func TestCallsDoNotAllocate(t *testing.T) {
	b := mustNew(t, Config{})
	budget, err := NewBudget(BudgetConfig{})
	if err != nil {
		t.Fatal(err)
	}
	now := start
	if n := testing.AllocsPerRun(1000, func() {
		now = now.Add(100 * time.Millisecond)
		b.Report(now, !b.Allow(now))
		b.State(now)
		budget.Request(now)
		budget.Retry(now)
	}); n != 0 {
		t.Errorf("a request allocates %v times, want 0", n)
	}
}

func BenchmarkBreaker(b *testing.B) {
	k := mustNew(b, Config{})
	b.ReportAllocs()
	for b.Loop() {
		k.Report(start, k.Allow(start))
	}
}

func BenchmarkBudget(b *testing.B) {
	k, err := NewBudget(BudgetConfig{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		k.Request(start)
		k.Retry(start)
	}
}
