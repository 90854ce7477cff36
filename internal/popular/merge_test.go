package popular

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMergedSketchesKeepTheGuarantees has eight edges with crowds of their own below two hubs below an origin.
func TestMergedSketchesKeepTheGuarantees(t *testing.T) {
	for _, c := range []struct {
		name              string
		edge, hub, origin int // room
		encoded           bool
	}{
		{"equal rooms", 100, 100, 100, false},
		{"smaller edges", 30, 100, 1000, false},
		{"a smaller origin", 300, 100, 40, true},
		{"one slot", 1, 1, 1, true},
		{"room for all", 5000, 5000, 5000, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := newExact()
			now := start
			edges := make([]*Sketch, 8)
			zipfs := make([]*rand.Zipf, len(edges))
			for i := range edges {
				edges[i] = sketch(t, c.edge, half)
				zipfs[i] = rand.NewZipf(rand.New(rand.NewPCG(2, uint64(i))), 1.05+0.1*float64(i), 1, 2000)
			}
			for i := range 30_000 {
				now = now.Add(20 * time.Millisecond)
				edge := i * i % 8 // some have few requests
				key := path(zipfs[edge].Uint64() * uint64(1+edge/4))
				edges[edge].Observe([]byte(key), 1, now)
				all.observe(key, now)
			}
			hubs := []*Sketch{sketch(t, c.hub, half), sketch(t, c.hub, half)}
			origin := sketch(t, c.origin, half)
			for i, edge := range edges {
				merge(t, hubs[i/4], edge, now, c.encoded)
			}
			for _, hub := range hubs {
				merge(t, origin, hub, now, c.encoded)
			}
			k := min(c.edge, c.hub, c.origin)
			check(t, origin, all, k)

			for range 5000 { // it goes on with requests of its own
				key := path(zipfs[0].Uint64())
				origin.Observe([]byte(key), 1, now)
				all.observe(key, now)
			}
			check(t, origin, all, k)
		})
	}
}

func merge(t *testing.T, into, from *Sketch, now time.Time, encoded bool) {
	t.Helper()
	if encoded {
		var err error
		if from, err = Decode(from.Append(nil, now), now); err != nil {
			t.Fatal(err)
		}
	}
	if err := into.Merge(from, now); err != nil {
		t.Fatal(err)
	}
}

func TestMergeAddsAsOfNow(t *testing.T) {
	now := start.Add(2 * half)
	for _, c := range []struct {
		name    string
		intoOld bool
	}{{"a past into a present", false}, {"a present into a past", true}} {
		old, fresh := sketch(t, 2, half), sketch(t, 2, half)
		for range 8 {
			old.Observe([]byte("/both"), 100, start)
		}
		fresh.Observe([]byte("/both"), 10, now)
		fresh.Observe([]byte("/fresh"), 10, now)
		into, from := fresh, old
		if c.intoOld {
			into, from = old, fresh
		}
		before := from.Top(2, now)
		if err := into.Merge(from, now); err != nil {
			t.Fatal(err)
		}
		want := []Item{{"/both", 3, 0, 210}, {"/fresh", 1, 0, 10}}
		if got := into.Top(2, now); !slices.Equal(got, want) || into.Total(now) != 4 {
			t.Errorf("%s: %+v of %v, want %+v of 4", c.name, got, into.Total(now), want)
		}
		if got := from.Top(2, now); !slices.Equal(got, before) {
			t.Errorf("%s: the other sketch became %+v", c.name, got)
		}
	}
}

func TestMergeRefusesAnotherHalfLife(t *testing.T) {
	err := sketch(t, 2, half).Merge(sketch(t, 2, time.Hour), start)
	if err == nil || !strings.Contains(err.Error(), "merge a half-life of 1h0m0s into one of 1m0s") {
		t.Errorf("Merge = %v", err)
	}
}
