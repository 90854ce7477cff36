package planner

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"cdnlab/internal/popular"
)

// flash is a site whose crowd comes at once, to regions of different sizes. Each region counts in a sketch of its own and holds
// what it was once asked for or what was pushed, which arrives a second after the plan.
type flash struct {
	rng      *rand.Rand
	popular  []float64 // cumulated shares of the objects
	objects  []Object
	regions  []*place
	weights  []float64 // cumulated shares of the regions
	requests float64   // a second
	release  time.Time // when all objects come in a new version; zero for never
}

type place struct {
	name           string
	weight         float64
	sketch         *popular.Sketch
	cached         map[Key]string
	pinned         map[Key]string
	asked          map[Key]bool // since it was pushed
	last           time.Time    // when something was pushed
	begin          time.Time    // of its crowd
	pushed, wanted int64        // bytes
	hits, total    int          // of the ten seconds after begin, or after the release
}

func newFlash(t *testing.T, objects int, requests float64, stagger time.Duration) *flash {
	t.Helper()
	c := &flash{rng: rand.New(rand.NewPCG(1, 1)), requests: requests}
	sum := 0.0
	for i := range objects {
		sum += 1 / float64(i+1) // Zipf
		c.popular = append(c.popular, sum)
		size := int64(20_000 * math.Exp(c.rng.NormFloat64()*1.5))
		c.objects = append(c.objects, Object{Key{"www.cdn.test", fmt.Sprintf("/%d", i)}, "v1", size})
	}
	sum = 0
	for i := range 9 {
		sum += 1 / float64(i+3)
		c.weights = append(c.weights, sum)
		sketch, err := popular.New(1000, 15*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		c.regions = append(c.regions, &place{
			name: fmt.Sprintf("pop-%d", i), weight: 1 / float64(i+3), sketch: sketch,
			cached: map[Key]string{}, pinned: map[Key]string{}, asked: map[Key]bool{},
			last: start, begin: start.Add(time.Duration(i) * stagger),
		})
	}
	return c
}

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func pick(rng *rand.Rand, cumulated []float64) int {
	i, _ := slices.BinarySearch(cumulated, rng.Float64()*cumulated[len(cumulated)-1])
	return i
}

func (c *flash) ask(now time.Time) {
	r := c.regions[pick(c.rng, c.weights)]
	if now.Before(r.begin) {
		return
	}
	o := c.objects[pick(c.rng, c.popular)]
	cached, pinned := r.cached[o.Key] == o.Version, r.pinned[o.Key] == o.Version
	cold := r.begin
	if !c.release.IsZero() {
		cold = c.release
	}
	if since := now.Sub(cold); since >= 0 && since < 10*time.Second {
		r.total++
		if cached || pinned {
			r.hits++
		}
	}
	if pinned && !r.asked[o.Key] {
		r.asked[o.Key] = true
		r.wanted += o.Size
	}
	if !pinned {
		r.cached[o.Key] = o.Version
	}
	r.sketch.Observe([]byte(o.Path), o.Size, now)
}

func (c *flash) input(now time.Time) (regions []Region) {
	for _, r := range c.regions {
		in := Region{Name: r.name, Weight: r.weight, Requests: map[Key]float64{}, Cached: r.cached, Pinned: r.pinned, Space: 50 << 20, Pace: 4 << 20, Since: now.Sub(r.last)}
		for _, it := range r.sketch.Top(500, now) {
			in.Requests[Key{"www.cdn.test", it.Key}] = it.Count - it.Error
		}
		regions = append(regions, in)
	}
	return regions
}

func (c *flash) apply(plan Plan, now time.Time) {
	byName := map[string]*place{}
	for _, r := range c.regions {
		byName[r.name] = r
	}
	for _, u := range plan.Unpin {
		delete(byName[u.Region].pinned, u.Key)
	}
	for _, p := range plan.Push {
		r := byName[p.Region]
		r.pinned[p.Key] = p.Version
		r.pushed += p.Size
		r.last = now
		delete(r.asked, p.Key)
	}
}

func (c *flash) run(p *Planner, d time.Duration) {
	for second := range int(d.Seconds()) {
		now := start.Add(time.Duration(second) * time.Second)
		if now.Equal(c.release) {
			for i := range c.objects {
				c.objects[i].Version = "v2"
			}
		}
		var plan Plan
		if p != nil {
			plan = p.Plan(c.objects, c.input(now))
		}
		for i := range int(c.requests) {
			c.ask(now.Add(time.Duration(i) * time.Second / time.Duration(c.requests)))
		}
		c.apply(plan, now)
	}
}

func TestFlashCrowds(t *testing.T) {
	for _, c := range []struct {
		name     string
		objects  int
		requests float64
		stagger  time.Duration
		release  time.Duration
		gain     float64 // of the hit ratio in ten seconds, in points
	}{
		{"everywhere at once", 300, 1000, 0, 0, 2},
		{"around the world", 300, 1000, 3 * time.Second, 0, 3},
		{"around the world, few objects", 100, 200, 3 * time.Second, 0, 6},
		{"around the world, many objects", 3000, 1000, 3 * time.Second, 0, 2},
		{"small, around the world", 300, 50, 3 * time.Second, 0, 5},
		{"a release meanwhile", 300, 200, 0, 30 * time.Second, 15},
		{"a release of many objects meanwhile", 3000, 1000, 0, 30 * time.Second, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.objects > 300 {
				t.Skip("a long one")
			}
			without, with := newFlash(t, c.objects, c.requests, c.stagger), newFlash(t, c.objects, c.requests, c.stagger)
			if c.release > 0 {
				without.release, with.release = start.Add(c.release), start.Add(c.release)
			}
			without.run(nil, 90*time.Second)
			with.run(planner(t, 0), 90*time.Second)
			_, _, base := without.figures()
			pushed, vain, hits := with.figures()
			if vain >= 0.30 || hits < base+c.gain/100 {
				t.Errorf("%.0f %% of the bytes pushed in vain and a hit ratio of %.1f %% instead of %.1f, want under 30 %% and %.0f points more", 100*vain, 100*hits, 100*base, c.gain)
			}
			t.Logf("%.0f MB pushed, %.0f %% in vain, hit ratio %.1f %% instead of %.1f", pushed/1e6, 100*vain, 100*hits, 100*base)
		})
	}
}

func TestAHigherFloorPushesLessInVain(t *testing.T) {
	if testing.Short() {
		t.Skip("a long one")
	}
	var pushed, vain [2]float64
	for i, floor := range []float64{0.3, 0.6} {
		c := newFlash(t, 3000, 1000, 0)
		c.run(planner(t, floor), 90*time.Second)
		pushed[i], vain[i], _ = c.figures()
	}
	if pushed[1] > pushed[0]/2 || vain[1] > vain[0]-0.1 {
		t.Errorf("%.0f and %.0f bytes pushed, %.2f and %.2f in vain, want both lower with the higher floor", pushed[0], pushed[1], vain[0], vain[1])
	}
}

// TestACrowdThatStaysAtHomeCostsOthersLittle has a crowd that the other regions wait for in vain.
func TestACrowdThatStaysAtHomeCostsOthersLittle(t *testing.T) {
	c := newFlash(t, 300, 1000, time.Hour)
	c.run(planner(t, 0), 90*time.Second)
	for _, r := range c.regions[1:] {
		if r.pushed > 4<<20 || len(r.pinned) > 100 {
			t.Errorf("%s got %d bytes and holds %d objects, want at most 4 MiB and 100", r.name, r.pushed, len(r.pinned))
		}
	}
}

func (c *flash) figures() (pushed, vain, hit float64) {
	var p, w int64
	var h, n int
	for _, r := range c.regions {
		p += r.pushed
		w += r.wanted
		h += r.hits
		n += r.total
	}
	return float64(p), 1 - float64(w)/max(1, float64(p)), float64(h) / float64(n)
}
