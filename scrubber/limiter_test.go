package scrubber

import (
	"strings"
	"testing"
	"time"
)

const second = int64(time.Second)

func limiter(t *testing.T, l Limit) *Limiter {
	t.Helper()
	lim, err := NewLimiter(l)
	if err != nil {
		t.Fatal(err)
	}
	return lim
}

// takes asks n times for one unit and counts what passes.
func takes(l *Limiter, now int64, n int) (passed int) {
	for range n {
		if l.Take(now, 1).OK {
			passed++
		}
	}
	return passed
}

func TestTokenBucketOfTen(t *testing.T) {
	l := limiter(t, Limit{Algorithm: TokenBucket, Rate: 2, Per: time.Second, Burst: 10})
	if got := takes(l, 100*second, 10); got != 10 {
		t.Errorf("at once: %d of 10 pass, want 10", got)
	}
	want := Verdict{Reset: 5 * time.Second, RetryAfter: time.Second / 2}
	if got := l.Take(100*second, 1); got != want {
		t.Errorf("the 11th: Take = %+v, want %+v", got, want)
	}
	if got := takes(l, 105*second, 11); got != 10 {
		t.Errorf("after 5 s: %d of 11 pass, want 10", got)
	}
}

func TestAroundABoundary(t *testing.T) {
	for _, c := range []struct {
		algorithm Algorithm
		want      int
	}{{FixedWindow, 20}, {SlidingLog, 10}, {SlidingCounter, 11}} {
		l := limiter(t, Limit{Algorithm: c.algorithm, Rate: 10, Per: time.Second})
		got := takes(l, 100*second-1e8, 10) + takes(l, 100*second+1e8, 10)
		if got != c.want {
			t.Errorf("%v: %d requests pass within 0.2 s around a boundary at 10 per second, want %d", c.algorithm, got, c.want)
		}
	}
}

func TestSlidingCounterWeighsThePreviousWindow(t *testing.T) {
	l := limiter(t, Limit{Rate: 100, Per: 10 * time.Second})
	takes(l, 1005*second, 80)
	takes(l, 1013*second, 29)
	want := Verdict{OK: true, Remaining: 100 - 70, Reset: 15 * time.Second}
	if got := l.Take(1015*second, 1); got != want {
		t.Errorf("80 in the previous and 30 in the current window, half way: Take = %+v, want %+v", got, want)
	}
}

func TestLeakyBucketQueues(t *testing.T) {
	l := limiter(t, Limit{Algorithm: LeakyBucket, Rate: 10, Per: time.Second, Burst: 3})
	for i := range 4 {
		want := Verdict{OK: true, Delay: time.Duration(i) * 100 * time.Millisecond, Remaining: int64(3 - i), Reset: time.Duration(i+1) * 100 * time.Millisecond}
		if got := l.Take(second, 1); got != want {
			t.Errorf("request %d: Take = %+v, want %+v", i+1, got, want)
		}
	}
	want := Verdict{Reset: 400 * time.Millisecond, RetryAfter: 100 * time.Millisecond}
	if got := l.Take(second, 1); got != want {
		t.Errorf("queue full: Take = %+v, want %+v", got, want)
	}
}

func TestQueueHeldLonger(t *testing.T) {
	l := limiter(t, Limit{Algorithm: LeakyBucket, Rate: 10, Per: time.Second, Burst: 1, MaxDelay: 300 * time.Millisecond})
	for i := range 4 {
		if got, want := l.Take(second, 1).Delay, time.Duration(i)*100*time.Millisecond; got != want {
			t.Errorf("request %d: Delay = %v, want %v", i+1, got, want)
		}
	}
	if got := l.Take(second, 1); got.OK || got.RetryAfter != 100*time.Millisecond {
		t.Errorf("beyond the delay: Take = %+v, want refused for 100ms", got)
	}
	if got := l.Take(second+1e8, 1); !got.OK || got.Delay != 300*time.Millisecond {
		t.Errorf("100ms later: Take = %+v, want a delay of 300ms", got)
	}
}

func TestQueueLongerThanTheDelay(t *testing.T) {
	l := limiter(t, Limit{Algorithm: LeakyBucket, Rate: 10, Per: time.Second, Burst: 3, MaxDelay: time.Millisecond})
	if got := takes(l, second, 4); got != 4 {
		t.Errorf("%d of 4 join the queue, want 4: its length is what it may hold", got)
	}
	if got := l.Take(second, 1); got.OK || got.RetryAfter != 100*time.Millisecond {
		t.Errorf("queue full: Take = %+v, want refused for 100ms", got)
	}
}

func TestHeldBackInOrder(t *testing.T) {
	l := limiter(t, Limit{Algorithm: FixedWindow, Rate: 2, Per: time.Second, MaxDelay: 2 * time.Second})
	for i, want := range []time.Duration{0, 0, 700 * time.Millisecond, 700 * time.Millisecond, 1700 * time.Millisecond} {
		if got := l.Take(10*second+3e8, 1); !got.OK || got.Delay != want {
			t.Errorf("request %d at 0.3 s of a window of 2: Take = %+v, want a delay of %v", i+1, got, want)
		}
	}
}

func TestCosts(t *testing.T) {
	for a := range numAlgorithms {
		l := limiter(t, Limit{Algorithm: a, Rate: 5, Per: time.Second})
		if got := l.Take(second, MaxCost+1); got.OK || got.RetryAfter != Never {
			t.Errorf("%v: Take(MaxCost+1) = %+v, want refused for ever", a, got)
		}
		fresh := l.Take(second, 0)
		if !fresh.OK || fresh.Reset != 0 {
			t.Errorf("%v: Take(0) on a fresh limiter = %+v, want OK and nothing used", a, fresh)
		}
		takes(l, second, 20)
		if got := l.Take(second, 0); !got.OK || got.Delay != 0 || got.Remaining != 0 {
			t.Errorf("%v: Take(0) with nothing left = %+v, want OK", a, got)
		}
		if a == LeakyBucket {
			continue // its queue takes any cost
		}
		if got := l.Take(9*second, 6); got.OK || got.RetryAfter != Never || got.Remaining != 5 {
			t.Errorf("%v: Take(6) of 5 = %+v, want refused for ever", a, got)
		}
	}
}

func TestClockOfAnotherCore(t *testing.T) {
	for a := range numAlgorithms {
		l := limiter(t, Limit{Algorithm: a, Rate: 5, Per: time.Second})
		passed := takes(l, 10*second, 3) + takes(l, 10*second-1, 10)
		if most := int(l.law.quota); passed != most {
			t.Errorf("%v: %d requests pass when the clock is read out of order, want %d", a, passed, most)
		}
	}
}

func TestLimitFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		limit Limit
		want  []string
	}{
		{"nothing given", Limit{}, []string{"rate: 0", "per: 0s"}},
		{"all wrong at once", Limit{Algorithm: 99, Rate: -1, Per: -1, Burst: -1, MaxDelay: -1}, []string{"algorithm", "rate", "per", "burst", "delay"}},
		{"window with a burst", Limit{Rate: 1, Per: 1, Burst: 2}, []string{"burst: a sliding-counter has none"}},
		{"delay too long", Limit{Rate: 1, Per: 1, MaxDelay: time.Hour}, []string{"delay: 1h0m0s"}},
		{"queue too long", Limit{Algorithm: LeakyBucket, Rate: 1, Per: time.Second, Burst: 61}, []string{"queue of 1m1s"}},
		{"more than 63 bits", Limit{Algorithm: TokenBucket, Rate: 999_999_937, Per: MaxPer}, []string{"too much to count exactly"}},
	} {
		_, err := NewLimiter(c.limit)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: NewLimiter(%+v) = %v, want an error with %q", c.name, c.limit, err, want)
			}
		}
	}
}

func TestLargestLimitsDoNotOverflow(t *testing.T) {
	for _, l := range []Limit{
		{Algorithm: SlidingCounter, Rate: MaxRate, Per: MaxPer},
		{Algorithm: FixedWindow, Rate: MaxRate, Per: MaxPer},
		{Algorithm: TokenBucket, Rate: 1, Per: MaxPer, Burst: 700},
		{Algorithm: TokenBucket, Rate: MaxRate, Per: 1, Burst: MaxRate},
	} {
		lim := limiter(t, l)
		now := int64(1) << 61
		for range 3 {
			if v := lim.Take(now, 100); !v.OK || v.Remaining < 0 || v.Reset <= 0 {
				t.Errorf("%+v: Take = %+v, want OK, and a reset ahead", l, v)
			}
			now += int64(l.Per) / 2
		}
	}
}

func TestTakeAllocatesNothing(t *testing.T) {
	for a := range numAlgorithms {
		l := limiter(t, Limit{Algorithm: a, Rate: 5, Per: time.Second, MaxDelay: time.Second})
		now := int64(0)
		if got := testing.AllocsPerRun(1000, func() { now += 5e7; l.Take(now, 1) }); got != 0 {
			t.Errorf("%v: Take allocates %v times, want 0", a, got)
		}
	}
}

func BenchmarkTake(b *testing.B) {
	for a := range numAlgorithms {
		b.Run(a.String(), func(b *testing.B) {
			l, err := NewLimiter(Limit{Algorithm: a, Rate: 100, Per: time.Second})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for now := int64(0); b.Loop(); now += 9e6 {
				l.Take(now, 1)
			}
		})
	}
}
