package planner

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func planner(t testing.TB, floor float64) *Planner {
	t.Helper()
	p, err := New(Config{Floor: floor})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func key(path string) Key { return Key{"www.cdn.test", path} }

func object(path, version string, size int64) Object { return Object{key(path), version, size} }

// counts makes "/a 10 /b 2" a map.
func counts(s string) map[Key]float64 {
	m := map[Key]float64{}
	for fields := strings.Fields(s); len(fields) > 1; fields = fields[2:] {
		var n float64
		fmt.Sscan(fields[1], &n)
		m[key(fields[0])] = n
	}
	return m
}

// region is one with room and time for all.
func region(name, requests string, change ...func(*Region)) Region {
	r := Region{Name: name, Requests: counts(requests), Cached: map[Key]string{}, Pinned: map[Key]string{}, Space: 1000, Pace: 1000, Since: time.Second}
	for _, c := range change {
		c(&r)
	}
	return r
}

func space(n int64) func(*Region)    { return func(r *Region) { r.Space = n } }
func pace(n int64) func(*Region)     { return func(r *Region) { r.Pace = n } }
func weight(w float64) func(*Region) { return func(r *Region) { r.Weight = w } }
func since(d time.Duration) func(*Region) {
	return func(r *Region) { r.Since = d }
}
func cached(path, version string) func(*Region) {
	return func(r *Region) { r.Cached[key(path)] = version }
}
func pinned(path, version string) func(*Region) {
	return func(r *Region) { r.Pinned[key(path)] = version }
}

// show writes a plan as "+region path version" and "-region path".
func show(p Plan) string {
	var all []string
	for _, c := range p.Push {
		all = append(all, "+"+c.Region+c.Path+"@"+c.Version)
	}
	for _, u := range p.Unpin {
		all = append(all, "-"+u.Region+u.Path)
	}
	return strings.Join(all, " ")
}

func TestPlan(t *testing.T) {
	objects := []Object{object("/a", "1", 100), object("/b", "1", 100), object("/c", "1", 100), object("/big", "1", 900), object("/empty1", "1", 0), object("/empty2", "1", 0), object("/less", "1", -100)}
	for _, c := range []struct {
		name    string
		regions []Region
		want    string
	}{
		{"what is asked for is pushed, the most popular first", []Region{region("eu", "/b 10 /a 20 /c 30")}, "+eu/c@1 +eu/a@1 +eu/b@1"},
		{"small before large", []Region{region("eu", "/a 10 /big 20")}, "+eu/a@1 +eu/big@1"},
		{"ties in the order of regions and names", []Region{region("us", "/a 9 /b 9"), region("eu", "/a 9 /b 9")}, "+eu/a@1 +eu/b@1 +us/a@1 +us/b@1"},
		{"what is asked for seldom is not", []Region{region("eu", "/a 3.9 /b 4")}, "+eu/b@1"},
		{"what a region hardly asks for is not", []Region{region("eu", "/a 99"), region("us", "/a 0.1")}, "+eu/a@1"},
		{"what does not exist is not", []Region{region("eu", "/gone 100")}, ""},
		{"what came by requests is not", []Region{region("eu", "/a 10 /b 10", cached("/a", "1"))}, "+eu/b@1"},
		{"what came in an older version is", []Region{region("eu", "/a 10", cached("/a", "0"))}, "+eu/a@1"},
		{"what was pushed is not again", []Region{region("eu", "/a 10", pinned("/a", "1"))}, ""},
		{"a new version replaces the old", []Region{region("eu", "/a 10", pinned("/a", "0"))}, "+eu/a@1"},
		{"an old version of what is not wanted goes", []Region{region("eu", "/a 0.1", pinned("/a", "0"))}, "-eu/a"},
		{"an old version goes when the new came by requests", []Region{region("eu", "/a 10", pinned("/a", "0"), cached("/a", "1"))}, "-eu/a"},
		{"what is not asked for any more goes", []Region{region("us", "/a 9", cached("/a", "1")), region("eu", "", pinned("/b", "1"), pinned("/a", "1"))}, "-eu/a -eu/b"},
		{"what exists no more goes", []Region{region("eu", "/gone 100", pinned("/gone", "1"))}, "-eu/gone"},
		{"at the border what is there stays", []Region{region("eu", "/a 0.3", pinned("/a", "1"))}, ""},
		{"so does what is there in an older version", []Region{region("eu", "/a 0.3", pinned("/a", "0"))}, "+eu/a@1"},
		{"what was pushed stays when requests bring it too", []Region{region("eu", "/a 10", pinned("/a", "1"), cached("/a", "1"))}, ""},
		{"empty objects by their requests", []Region{region("eu", "/empty1 10 /empty2 20", space(0), pace(0))}, "+eu/empty2@1 +eu/empty1@1"},
		{"a size that is none", []Region{region("eu", "/less 90 /a 10", space(50))}, ""},
		{"below the border it goes", []Region{region("eu", "/a 0.2", pinned("/a", "1"))}, "-eu/a"},

		{"no more than fits", []Region{region("eu", "/a 30 /b 20 /c 10", space(299))}, "+eu/a@1 +eu/b@1"},
		{"what does not fit leaves its place to others", []Region{region("eu", "/a 30 /big 2000 /b 20", space(200))}, "+eu/a@1 +eu/b@1"},
		{"what is there keeps its place against a little more", []Region{region("eu", "/a 10 /b 14", space(100), pinned("/a", "1"))}, ""},
		{"and gives way to much more", []Region{region("eu", "/a 10 /b 16", space(100), pinned("/a", "1"))}, "+eu/b@1 -eu/a"},
		{"less room", []Region{region("eu", "/a 10 /b 20", space(100), pinned("/a", "1"), pinned("/b", "1"))}, "-eu/a"},

		{"no more than the pace allows", []Region{region("eu", "/a 30 /b 20 /c 10", pace(200))}, "+eu/a@1 +eu/b@1"},
		{"after a longer time more", []Region{region("eu", "/a 30 /b 20 /c 10", pace(200), since(2*time.Second))}, "+eu/a@1 +eu/b@1 +eu/c@1"},
		{"any pace", []Region{region("eu", "/a 30", pace(math.MaxInt64), since(time.Hour))}, "+eu/a@1"},
		{"what is there costs no pace", []Region{region("eu", "/a 30 /b 20", pace(0), pinned("/b", "1"))}, ""},
		{"nothing is dropped for what the pace holds back", []Region{region("eu", "/a 90 /b 10", pace(50), space(100), pinned("/b", "1"))}, ""},
		{"a clock that stepped back drops nothing", []Region{region("eu", "/a 90 /b 10", since(-time.Hour), pinned("/b", "1"))}, ""},

		{"a region whose crowd is yet to come", []Region{region("eu", "/a 90", weight(3), cached("/a", "1")), region("ap", "", weight(1))}, "+ap/a@1"},
		{"and one that a large crowd did not reach yet", []Region{region("eu", "/a 20 /b 1000", weight(3), cached("/a", "1"), cached("/b", "1")), region("ap", "", weight(1))}, "+ap/b@1 +ap/a@1"},
		{"without a weight it waits", []Region{region("eu", "/a 90", cached("/a", "1")), region("ap", "")}, ""},
		{"a region with few requests wants what others want", []Region{region("eu", "/a 90 /b 10", cached("/a", "1"), cached("/b", "1")), region("us", "/b 2", cached("/b", "1"))}, "+us/a@1"},
		{"a region with many wants what it asks for", []Region{region("eu", "/a 20 /b 80", cached("/a", "1"), cached("/b", "1")), region("us", "/c 1000 /a 0.1")}, "+us/c@1"},
		{"counts that are none", []Region{region("eu", "/a NaN /b -5 /c Inf /big 10"), region("us", "/big 10")}, "+eu/big@1 +us/big@1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := show(planner(t, 0).Plan(objects, c.regions)); got != c.want {
				t.Errorf("Plan = %q, want %q", got, c.want)
			}
		})
	}
}

func TestARegionsOwnCountTellsInTheEnd(t *testing.T) {
	// Both regions have half of the site's requests, and of /a only one.
	for _, c := range []struct {
		scale    float64
		min, max float64
	}{{0.01, 0.4, 0.5}, {0.1, 0.1, 0.2}, {1, 0, 0.001}} {
		regions := []Region{
			{Name: "eu", Requests: map[Key]float64{key("/a"): 100 * c.scale, key("/b"): 50 * c.scale}},
			{Name: "us", Requests: map[Key]float64{key("/b"): 150 * c.scale}},
		}
		got := demandOf(regions).expected(key("/a"), &regions[1]) / (100 * c.scale)
		if got < c.min || got > c.max {
			t.Errorf("of %v requests at the other region it expects %.4f, want %.3f to %.3f", 100*c.scale, got, c.min, c.max)
		}
	}
}

func TestFloorMovesTheBorder(t *testing.T) {
	for floor, want := range map[float64]string{0: "+eu/a@1 +eu/b@1", 7: "+eu/b@1", 20: ""} {
		got := show(planner(t, floor).Plan([]Object{object("/a", "1", 100), object("/b", "1", 90)}, []Region{region("eu", "/a 6 /b 8")}))
		if got != want && !(floor == 0 && got == "+eu/b@1 +eu/a@1") {
			t.Errorf("floor %v: Plan = %q, want %q", floor, got, want)
		}
	}
	for _, floor := range []float64{-1, math.NaN()} {
		if _, err := New(Config{Floor: floor}); err == nil || !strings.Contains(err.Error(), "must not be negative") {
			t.Errorf("New with floor %v = %v, want a fault", floor, err)
		}
	}
}

func TestAtTheBorderNothingGoesInTurns(t *testing.T) {
	p := planner(t, 10)
	for _, c := range []struct {
		name     string
		requests [2]string // in turns
		space    int64
	}{
		{"around the floor", [2]string{"/a 11", "/a 9"}, 1000},
		{"two for one place", [2]string{"/a 50 /b 60", "/a 60 /b 50"}, 100},
	} {
		objects := []Object{object("/a", "1", 100), object("/b", "1", 100)}
		r := region("eu", "", space(c.space))
		moves := 0
		for i := range 20 {
			r.Requests = counts(c.requests[i%2])
			plan := p.Plan(objects, []Region{r})
			moves += len(plan.Push) + len(plan.Unpin)
			apply(plan, []Region{r})
		}
		if moves != 1 {
			t.Errorf("%s: %d pushes and drops, want the one push", c.name, moves)
		}
	}
}

func apply(plan Plan, regions []Region) {
	pins := map[string]map[Key]string{}
	for _, r := range regions {
		pins[r.Name] = r.Pinned
	}
	for _, u := range plan.Unpin {
		delete(pins[u.Region], u.Key)
	}
	for _, p := range plan.Push {
		pins[p.Region][p.Key] = p.Version
	}
}

// random makes an input of a few regions, with all that may come together.
func random(rng *rand.Rand) (objects []Object, regions []Region) {
	keys := make([]Key, 1+rng.IntN(40))
	for i := range keys {
		keys[i] = Key{fmt.Sprintf("site-%d", rng.IntN(3)), fmt.Sprintf("/%d", i)}
		if rng.IntN(8) > 0 {
			objects = append(objects, Object{keys[i], fmt.Sprint("v", rng.IntN(2)), int64(rng.IntN(50) * rng.IntN(50))})
		}
	}
	for i := range 1 + rng.IntN(4) {
		r := region(fmt.Sprintf("region-%d", i), "", space(int64(rng.IntN(5000))), pace(int64(rng.IntN(2000))), since(time.Duration(rng.IntN(5000))*time.Millisecond), weight(float64(rng.IntN(3))))
		for _, k := range keys {
			if rng.IntN(2) == 0 {
				r.Requests[k] = rng.ExpFloat64() * math.Pow(10, float64(rng.IntN(4)-1))
			}
			if rng.IntN(5) == 0 {
				r.Cached[k] = fmt.Sprint("v", rng.IntN(2))
			}
			if rng.IntN(4) == 0 {
				r.Pinned[k] = fmt.Sprint("v", rng.IntN(2))
			}
		}
		regions = append(regions, r)
	}
	return objects, regions
}

func TestWhateverComesThePlanKeepsItsBounds(t *testing.T) {
	p, rounds := planner(t, 1), uint64(2000)
	if testing.Short() {
		rounds = 200
	}
	for seed := range rounds {
		rng := rand.New(rand.NewPCG(seed, 7))
		objects, regions := random(rng)
		plan := p.Plan(objects, regions)
		checkPlan(t, seed, plan, objects, regions)

		rng.Shuffle(len(objects), func(i, j int) { objects[i], objects[j] = objects[j], objects[i] })
		rng.Shuffle(len(regions), func(i, j int) { regions[i], regions[j] = regions[j], regions[i] })
		again := p.Plan(objects, regions)
		if !slices.Equal(again.Push, plan.Push) || !slices.Equal(again.Unpin, plan.Unpin) {
			t.Fatalf("seed %d: in another order the plan is %s, want %s", seed, show(again), show(plan))
		}
		for i := range regions { // with time enough, one plan settles it
			regions[i].Pace = 1 << 40
		}
		apply(p.Plan(objects, regions), regions)
		if got := p.Plan(objects, regions); len(got.Push)+len(got.Unpin) > 0 {
			t.Fatalf("seed %d: after a plan was carried out the next is %s, want none", seed, show(got))
		}
	}
}

func checkPlan(t *testing.T, seed uint64, plan Plan, objects []Object, regions []Region) {
	t.Helper()
	current := map[Key]Object{}
	for _, o := range objects {
		current[o.Key] = o
	}
	for i := range plan.Push[min(1, len(plan.Push)):] {
		if plan.Push[i].perByte() < plan.Push[i+1].perByte() {
			t.Fatalf("seed %d: %v comes before %v", seed, plan.Push[i], plan.Push[i+1])
		}
	}
	for _, r := range regions {
		after := maps.Clone(r.Pinned)
		for _, u := range plan.Unpin {
			if _, there := after[u.Key]; u.Region == r.Name && !there {
				t.Fatalf("seed %d: %v was not pinned", seed, u)
			} else if u.Region == r.Name {
				delete(after, u.Key)
			}
		}
		var pushed int64
		for _, c := range plan.Push {
			if c.Region != r.Name {
				continue
			}
			_, before := r.Pinned[c.Key]
			_, kept := after[c.Key]
			if c.Object != current[c.Key] || r.Pinned[c.Key] == c.Version || r.Cached[c.Key] == c.Version || c.Expected < keep || before != kept {
				t.Fatalf("seed %d: %+v is pushed to %+v", seed, c, r)
			}
			after[c.Key] = c.Version
			pushed += c.Size
		}
		var total int64
		for k, version := range after {
			total += current[k].Size
			if o, exists := current[k]; !exists || o.Version != version {
				t.Fatalf("seed %d: %v stays in version %q, want %q", seed, k, version, o.Version)
			}
		}
		if total > r.Space || float64(pushed) > float64(r.Pace)*r.Since.Seconds() {
			t.Fatalf("seed %d: %d bytes are pinned and %d pushed in %s, want at most %d and %d a second", seed, total, pushed, r.Since, r.Space, r.Pace)
		}
	}
}
