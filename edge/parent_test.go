package edge

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"cdnlab/topology"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// tiers makes groups of servers that nothing is known of and that have nothing to do, the last being the origin's.
func tiers(servers ...int) []group {
	var groups []group
	for g, n := range servers {
		var nodes []topology.Node
		made := group{load: func(int) int64 { return 0 }}
		for i := range n {
			nodes = append(nodes, topology.Node{Name: topology.NodeName(fmt.Sprintf("group%d-%d", g, i+1))})
			made.health = append(made.health, &health{})
		}
		made.ring = ringOf(nodes)
		groups = append(groups, made)
	}
	return groups
}

func slowed(groups []group, which ...pick) []group {
	for _, p := range which {
		groups[p.group].health[p.server].slow = true
	}
	return groups
}

func hashes(n int) []uint64 {
	all := make([]uint64, n)
	for i := range all {
		all[i] = xxhash.Sum64String(fmt.Sprintf("www.cdn.test/object/%d", i))
	}
	return all
}

// Short names for servers that the tables take down.
var (
	hub0, hub1, hub2, hub3 = pick{0, 0}, pick{1, 0}, pick{2, 0}, pick{3, 0}
)

func TestChooseOrder(t *testing.T) {
	for _, c := range []struct {
		name   string
		groups []group
		down   []pick // failed just now
		want   []pick
	}{
		{"primary hub, next hub, origin", tiers(1, 1, 1), nil, []pick{hub0, hub1, hub2}},
		{"no hub", tiers(1), nil, []pick{hub0}},
		{"four at most, the origin among them", tiers(1, 1, 1, 1, 1, 1), nil, []pick{hub0, hub1, hub2, {5, 0}}},
		{"primary hub down", tiers(1, 1, 1), []pick{hub0}, []pick{hub1, hub2}},
		{"a place among the four is not lost on one that is down", tiers(1, 1, 1, 1, 1), []pick{hub1}, []pick{hub0, hub2, hub3, {4, 0}}},
		{"all hubs down", tiers(1, 1, 1), []pick{hub0, hub1}, []pick{hub2}},
		{"origin down alone", tiers(1, 1, 1), []pick{hub2}, []pick{hub0, hub1, hub2}},
		{"origin and a hub down", tiers(1, 1, 1), []pick{hub0, hub2}, []pick{hub1, hub2}},
		{"sole origin down", tiers(1), []pick{hub0}, []pick{hub0}},
		{"all down", tiers(1, 1, 1), []pick{hub0, hub1, hub2}, []pick{hub0, hub1, hub2}},
		{"all down, four at most", tiers(1, 1, 1, 1, 1), []pick{hub0, hub1, hub2, hub3, {4, 0}}, []pick{hub0, hub1, hub2, {4, 0}}},
		{"all down, the first took its time", slowed(tiers(1, 1, 1), hub0), []pick{hub0, hub1, hub2}, []pick{hub1, hub2}},
		{"all down, all took their time", slowed(tiers(1, 1, 1), hub0, hub1, hub2), []pick{hub0, hub1, hub2}, []pick{hub2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, p := range c.down {
				c.groups[p.group].health[p.server].report(false, noon)
			}
			if got := choose(nil, c.groups, 42, noon); !slices.Equal(got, c.want) {
				t.Errorf("choose(%v down) = %v, want %v", c.down, got, c.want)
			}
		})
	}
}

func TestChooseNamesTwoServersOfAHub(t *testing.T) {
	groups := tiers(3, 2, 1)
	for _, h := range hashes(100) {
		got := choose(nil, groups, h, noon)
		if len(got) != maxTries || got[0].group != 0 || got[1].group != 0 || got[0] == got[1] || got[2].group != 1 || got[3] != (pick{2, 0}) {
			t.Fatalf("choose(%x) = %v, want two servers of the primary hub, one of the next and the origin", h, got)
		}
	}
}

func TestServersOfAHubShareTheObjects(t *testing.T) {
	const keys = 10_000
	for servers := 2; servers <= 4; servers++ {
		groups := tiers(servers, 1)
		count := make([]int, servers)
		for _, h := range hashes(keys) {
			count[choose(nil, groups, h, noon)[0].server]++
		}
		for i, n := range count {
			if fair := keys / servers; n < fair*90/100 || n > fair*110/100 {
				t.Errorf("server %d of %d has %d of %d keys, want %d within 10 %%", i, servers, n, keys, fair)
			}
		}
	}
}

func TestOnlyObjectsOfALostServerMove(t *testing.T) {
	groups := tiers(4, 1)
	const lost = 2
	second := make([]int, 4) // where its keys go
	left := tiers(4, 1)
	left[0].health[lost].report(false, noon)
	for _, h := range hashes(10_000) {
		all := choose(nil, groups, h, noon)
		got := choose(nil, left, h, noon)[0]
		switch want := all[0]; {
		case want.server != lost && got != want:
			t.Fatalf("key %x moved from %v to %v when server %d was lost", h, want, got, lost)
		case want.server == lost && got != all[1]:
			t.Fatalf("key %x of the lost server went to %v, want its second choice %v", h, got, all[1])
		case want.server == lost:
			second[got.server]++
		}
	}
	for i, n := range second {
		if i != lost && n < 650 { // of about 2,500
			t.Errorf("server %d took %d keys of the lost one, want about 833", i, n)
		}
	}
}

func TestABusyServerOfAHubIsRelieved(t *testing.T) {
	groups := tiers(3, 1)
	const h = 42
	order := choose(nil, groups, h, noon)
	groups[0].load = func(i int) int64 {
		if i == order[0].server {
			return 5
		}
		return 0
	}
	if got := choose(nil, groups, h, noon); got[0] != order[1] || got[1] != order[0] {
		t.Errorf("choose = %v, want the order of %v with the busy one second", got, order)
	}
}

func TestBackOffDoubles(t *testing.T) {
	h, now := &health{}, noon
	for i, want := range []time.Duration{1, 2, 4, 8, 8, 8} {
		want = want*time.Second + grace // without a probe
		h.report(false, now)
		if last := now.Add(want - time.Nanosecond); h.admit(true, last) {
			t.Errorf("after failure %d: admitted before %s were over", i+1, want)
		}
		now = now.Add(want)
		if !h.admit(true, now) {
			t.Errorf("after failure %d: not admitted after %s", i+1, want)
		}
	}
}

func TestBackOffAfterVeryManyFailures(t *testing.T) {
	h, now := &health{}, noon
	for range 1000 {
		h.report(false, now)
		now = now.Add(maxBackOff)
	}
	if got := h.until.Sub(now); got != 0 {
		t.Errorf("back-off after 1000 failures exceeds %s by %s", maxBackOff, got)
	}
}

// Requests that were under way when a server died fail together; that is one failure, not many.
func TestFailuresOfOneOutageCountOnce(t *testing.T) {
	h := &health{}
	for range 500 {
		h.report(false, noon)
	}
	if want := noon.Add(firstBackOff); h.until != want {
		t.Errorf("after 500 failures at once: left alone for %s, want %s", h.until.Sub(noon), firstBackOff)
	}
}

func TestTrial(t *testing.T) {
	h := &health{}
	h.report(false, noon)
	at := noon.Add(firstBackOff + grace)
	steps := []struct {
		name  string
		after time.Duration
		want  bool
	}{
		{"the first request is a trial", 0, true},
		{"no second beside it", time.Millisecond, false},
		{"nor after long", 10*time.Second - time.Nanosecond, false},
		{"a lost trial is forgotten", 10 * time.Second, true},
		{"and the next one counts anew", 11 * time.Second, false},
	}
	for _, s := range steps {
		if got := h.admit(true, at.Add(s.after)); got != s.want {
			t.Errorf("%s: admit = %t, want %t", s.name, got, s.want)
		}
	}
	at = at.Add(12 * time.Second)
	h.report(false, at)
	if h.admit(true, at.Add(2*firstBackOff+grace-1)) || !h.admit(true, at.Add(2*firstBackOff+grace)) {
		t.Errorf("after a failed trial: left alone until %s, want for %s", h.until.Sub(at), 2*firstBackOff)
	}
}

func TestRecovery(t *testing.T) {
	h := &health{}
	for i := range 5 {
		h.report(false, noon.Add(time.Duration(i)*maxBackOff))
	}
	h.report(true, noon.Add(time.Minute))
	for range 3 {
		if !h.admit(true, noon.Add(time.Minute)) || !h.admit(false, noon.Add(time.Minute)) {
			t.Fatal("a server that answered is not admitted")
		}
	}
	h.report(false, noon.Add(2*time.Minute))
	if got := h.until.Sub(noon.Add(2 * time.Minute)); got != firstBackOff {
		t.Errorf("back-off after recovery = %s, want %s anew", got, firstBackOff)
	}
}

// A server that is named second is asked only if the first fails. Were that its trial, the trial would mostly be lost, and a
// server that is back be left alone for maxTrial again and again.
func TestSpareIsNoTrial(t *testing.T) {
	groups := tiers(2, 1)
	const down = 0
	groups[0].health[down].report(false, noon)
	var own, other uint64
	for _, h := range hashes(100) {
		if groups[0].ring().Owner(h) == down {
			own = h
		} else {
			other = h
		}
	}
	at := noon.Add(firstBackOff + grace)
	want := []pick{{0, 1}, {0, down}, {1, 0}}
	for range 2 {
		if got := choose(nil, groups, other, at); !slices.Equal(got, want) {
			t.Fatalf("choose(key of the other server) = %v, want %v", got, want)
		}
	}
	want = []pick{{0, down}, {0, 1}, {1, 0}}
	if got := choose(nil, groups, own, at); !slices.Equal(got, want) {
		t.Errorf("choose(its own key) = %v, want %v", got, want)
	}
	want = []pick{{0, 1}, {1, 0}}
	if got := choose(nil, groups, own, at); !slices.Equal(got, want) {
		t.Errorf("choose(its own key) beside the trial = %v, want %v", got, want)
	}
}

func TestChooseDoesNotAllocate(t *testing.T) {
	groups := tiers(2, 1, 1)
	groups[0].health[0].report(false, noon)
	if n := testing.AllocsPerRun(100, func() {
		var room [maxTries]pick
		choose(room[:0], groups, 42, noon)
	}); n != 0 {
		t.Errorf("choose allocates %v times, want 0", n)
	}
}

func BenchmarkChoose(b *testing.B) {
	groups := tiers(2, 2, 2, 1)
	b.ReportAllocs()
	for i := range b.N {
		var room [maxTries]pick
		choose(room[:0], groups, uint64(i), noon)
	}
}
