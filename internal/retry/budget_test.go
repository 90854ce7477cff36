package retry

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func mustBudget(t *testing.T, c BudgetConfig) *Budget {
	t.Helper()
	b, err := NewBudget(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRetriesStayWithinTheBudget(t *testing.T) {
	const requests, tries = 100_000, 4
	for _, c := range []struct {
		name    string
		failing float64
		every   time.Duration
		spent   float64 // the least part of the budget that must be used
	}{
		{"half of the tries fail", 0.5, time.Millisecond, 0.95},
		{"all fail", 1, time.Millisecond, 0.95},
		{"half fail, ten requests a second", 0.5, 100 * time.Millisecond, 0.8},
		{"one in a hundred fails", 0.01, time.Millisecond, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := mustBudget(t, BudgetConfig{})
			rng := rand.New(rand.NewPCG(1, 2))
			upstream, refused := 0, 0
			now := start
			for range requests {
				now = now.Add(c.every)
				b.Request(now)
				upstream++
				for try := 1; try < tries && rng.Float64() < c.failing; try++ {
					if !b.Retry(now) {
						refused++
						break
					}
					upstream++
				}
			}
			budget := 0.2*requests + (now.Sub(start) + 20*time.Second).Seconds()
			retries := float64(upstream - requests)
			if retries > budget || retries < c.spent*0.2*requests {
				t.Errorf("%v retries of %d requests, want at most %v and %.0f %% of the ratio used", retries, requests, budget, 100*c.spent)
			}
			if c.spent == 0 && refused > 0 {
				t.Errorf("%d retries refused, want none with so few failures", refused)
			}
			t.Logf("upstream / client requests: %.4f", float64(upstream)/requests)
		})
	}
}

func TestBudget(t *testing.T) {
	for _, c := range []struct {
		name     string
		config   BudgetConfig
		requests int
		pause    time.Duration
		want     int // retries
	}{
		{"a quiet node may retry", BudgetConfig{}, 0, 0, 10},
		{"Floor", BudgetConfig{Floor: 0.3}, 0, 0, 3},
		{"a fifth of the requests", BudgetConfig{Floor: 0.01}, 100, 0, 20},
		{"Ratio", BudgetConfig{Floor: 0.01, Ratio: 0.5}, 100, 0, 50},
		{"requests count for the window", BudgetConfig{Floor: 0.01}, 100, 9900 * time.Millisecond, 20},
		{"and not after it", BudgetConfig{Floor: 0.01}, 100, 10 * time.Second, 0},
		{"Window", BudgetConfig{Floor: 0.01, Window: 20 * time.Second}, 100, 10 * time.Second, 20},
	} {
		b := mustBudget(t, c.config)
		for range c.requests {
			b.Request(start)
		}
		got := 0
		for b.Retry(start.Add(c.pause)) {
			got++
		}
		if got != c.want {
			t.Errorf("%s: %d retries, want %d", c.name, got, c.want)
		}
	}
}

func TestNewBudgetRefuses(t *testing.T) {
	_, err := NewBudget(BudgetConfig{Ratio: -1, Floor: -2, Window: 3})
	for _, want := range []string{"ratio is -1", "floor is -2", "window is 3ns"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("NewBudget = %v, want %q", err, want)
		}
	}
}

// TestWindow compares the window with a list of everything that was added.
func TestWindow(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for range 200 {
		w := window{step: time.Second}
		var events []struct {
			step int64
			a, b int
		}
		now, first := start, true
		for range 300 {
			if !first {
				now = now.Add(time.Duration(rng.ExpFloat64() * float64(rng.IntN(4)) * float64(time.Second)))
			}
			first = false
			a, b := rng.IntN(3), rng.IntN(3)
			w.add(now, a, b)
			latest := int64(now.Sub(start) / time.Second)
			events = append(events, struct {
				step int64
				a, b int
			}{latest, a, b})
			var wantA, wantB int
			for _, e := range events {
				if e.step > latest-steps {
					wantA, wantB = wantA+e.a, wantB+e.b
				}
			}
			if gotA, gotB := w.sum(now); gotA != wantA || gotB != wantB {
				t.Fatalf("after %s: sum = %d, %d, want %d, %d", now.Sub(start), gotA, gotB, wantA, wantB)
			}
		}
	}
}
