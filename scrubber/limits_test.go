package scrubber

import (
	"errors"
	"math"
	"net/netip"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func bucketOf(name string, burst int64) Rule {
	return Rule{Name: name, Limit: Limit{Algorithm: TokenBucket, Rate: 1, Per: time.Second, Burst: burst}}
}

func from(addr string) Request { return *request(addr, "www.cdn.test", "/") }

func TestStrictestRuleDecides(t *testing.T) {
	small, large, slow := bucketOf("small", 2), bucketOf("large", 5), bucketOf("slow", 2)
	slow.Per = time.Minute
	for _, rules := range [][]Rule{{small, large, slow}, {slow, large, small}, {large, slow, small}} {
		l := mustLimits(t, Config{Rules: rules})
		for i, want := range []struct {
			ok   bool
			rule string
		}{{true, "s"}, {true, "s"}, {false, "slow"}} {
			d := l.Check(second, from("192.0.2.1"))
			if d.OK != want.ok || !strings.HasPrefix(d.Rule, want.rule) {
				t.Errorf("request %d: Check = %v by %q, want %v by %s…", i+1, d.OK, d.Rule, want.ok, want.rule)
			}
		}
		d := l.Check(second, from("192.0.2.1"))
		if d.RetryAfter != time.Minute || d.Limit != 2 {
			t.Errorf("Check = %+v, want the longest wait of those that refuse, 1m0s", d)
		}
	}
}

// A client over its own limit must not use up what others share with it, whatever the order of the rules.
func TestRefusedRequestsCostNothing(t *testing.T) {
	own, shared, vast := bucketOf("own", 2), bucketOf("shared", 10), bucketOf("vast", 1000)
	shared.Key = []Part{{From: BySite}}
	for _, rules := range [][]Rule{{own, shared}, {shared, own}, {own, vast, shared}, {shared, vast, own}} {
		l := mustLimits(t, Config{Rules: rules})
		for range 50 {
			l.Check(second, from("192.0.2.1"))
		}
		passed := 0
		for i := range 20 {
			if l.Check(second, from(host(uint32(i)).Addr().String())).OK {
				passed++
			}
		}
		if passed != 8 {
			t.Errorf("after one client sent 50, %d of the others' requests pass, want 8: the ten that are shared less its two", passed)
		}
	}
}

func TestDelays(t *testing.T) {
	short := Rule{Name: "short", Limit: Limit{Algorithm: TokenBucket, Rate: 10, Per: time.Second, Burst: 1, MaxDelay: time.Second}, Response: Delay}
	long := Rule{Name: "long", Limit: Limit{Algorithm: LeakyBucket, Rate: 2, Per: time.Second, Burst: 2}}
	for _, rules := range [][]Rule{{short, long}, {long, short}} {
		l := mustLimits(t, Config{Rules: rules})
		for i, want := range []time.Duration{0, 500 * time.Millisecond, time.Second} {
			if d := l.Check(second, from("192.0.2.1")); !d.OK || d.Delay != want {
				t.Errorf("request %d: Check = %+v, want a delay of %v", i+1, d.Verdict, want)
			}
		}
		if d := l.Check(second, from("192.0.2.1")); d.OK || d.Rule != "long" || d.Delay != 0 {
			t.Errorf("request 4: Check = %+v by %s, want refused by long", d.Verdict, d.Rule)
		}
	}
}

func TestRuleThatBlocks(t *testing.T) {
	r := bucketOf("own", 2)
	r.Response, r.BlockFor = Block, 10*time.Second
	other := bucketOf("other", 1)
	other.Match.Path = "/never"
	l := mustLimits(t, Config{Rules: []Rule{other, r}})
	client := from("2001:db8::1")
	for range 2 {
		l.Check(second, client)
	}
	if d := l.Check(second, client); d.OK || d.Blocked || d.RetryAfter != time.Second {
		t.Errorf("over the limit: Check = %+v, want refused by the limit", d)
	}
	d := l.Check(9*second, from("2001:db8::2")) // the same /64, and by now within the limit
	if d.OK || !d.Blocked || d.Rule != "own" || d.RetryAfter != 2*time.Second {
		t.Errorf("while blocked: Check = %+v, want blocked for 2s", d)
	}
	want := []Entry{{netip.MustParsePrefix("2001:db8::/64"), 11 * second, "own"}}
	if got := l.Blocked(9 * second); !reflect.DeepEqual(got, want) {
		t.Errorf("Blocked = %+v, want %+v", got, want)
	}
	if d := l.Check(11*second, client); !d.OK {
		t.Errorf("afterwards: Check = %+v, want OK", d)
	}
}

func TestBlockAndUnblock(t *testing.T) {
	l := mustLimits(t, Config{})
	p := netip.MustParsePrefix("192.0.2.0/24")
	if err := l.Block(second, p, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if d := l.Check(2*second, from("192.0.2.77")); d.OK || !d.Blocked || d.Rule != Manual || d.RetryAfter != 4*time.Second {
		t.Errorf("Check = %+v, want blocked for 4s", d)
	}
	if d := l.Check(6*second, from("192.0.2.77")); !d.OK {
		t.Errorf("after its time: Check = %+v, want OK", d)
	}
	for _, ttl := range []time.Duration{0, math.MaxInt64} {
		if err := l.Block(second, p, ttl); err != nil {
			t.Fatal(err)
		}
		if got := l.Blocked(math.MaxInt64 - 1); len(got) != 1 || got[0].Left(second) != Never {
			t.Errorf("Block for %v: Blocked = %+v, want one entry for ever", ttl, got)
		}
	}
	if d := l.Check(second, from("192.0.2.77")); d.OK || d.RetryAfter != Never {
		t.Errorf("Check = %+v, want blocked for ever", d)
	}
	if !l.Unblock(second, p) || l.Unblock(second, p) || !l.Check(second, from("192.0.2.77")).OK {
		t.Error("Unblock does not take the prefix off the list once")
	}
	if err := l.Block(second, p, -1); err == nil {
		t.Error("Block for less than no time = nil, want an error")
	}
	if err := l.Block(second, netip.Prefix{}, 1); err == nil {
		t.Error("Block of nothing = nil, want an error")
	}
}

func TestCounts(t *testing.T) {
	a := bucketOf("a", 1)
	a.Response, a.BlockFor, a.Match.Path = Block, time.Minute, "/a"
	b := Rule{Name: "b", Limit: Limit{Algorithm: LeakyBucket, Rate: 1, Per: time.Second, Burst: 1}, Match: Match{Path: "/b"}}
	both := bucketOf("both", 100)
	l := mustLimits(t, Config{Rules: []Rule{a, b, both}})
	send := func(n int, addr, path string) {
		for range n {
			l.Check(second, *request(addr, "", path))
		}
	}
	send(7, "192.0.2.1", "/a")    // 1 passes, 1 is refused and blocks, 5 are listed
	send(3, "192.0.2.2", "/b")    // 1 passes, 1 waits, 1 is refused
	send(2, "192.0.2.3", "/else") // both pass
	if err := l.Block(second, netip.MustParsePrefix("192.0.2.4/32"), 0); err != nil {
		t.Fatal(err)
	}
	send(4, "192.0.2.4", "/a")
	got := l.Counts()
	places := got[0].Fill.Places
	want := []Count{
		{Rule: "a", Passed: 1, Refused: 1, Blocks: 1, Listed: 5, Fill: Fill{Keys: 1, Places: places}},
		{Rule: "b", Passed: 1, Delayed: 1, Refused: 1, Fill: Fill{Keys: 1, Places: places}},
		{Rule: "both", Passed: 5, Fill: Fill{Keys: 3, Places: places}},
		{Listed: 4},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Counts =\n%+v, want\n%+v", got, want)
	}
	if places != defaultMemory/(32*ways)*ways {
		t.Errorf("%d places in %d bytes, want %d", places, defaultMemory, defaultMemory/32)
	}
}

func TestFill(t *testing.T) {
	l := mustLimits(t, Config{Rules: []Rule{bucketOf("r", 5)}, Memory: 256})
	for i := range uint32(24) { // eight at once, and eight more when those have run out, and at the same time eight more
		l.Check(int64(1+min(i/8, 1)*9)*second, from(host(i).Addr().String()))
	}
	if got, want := l.Counts()[0].Fill, (Fill{Keys: 8, Places: 8, Forgotten: 8}); got != want {
		t.Errorf("Fill = %+v, want %+v", got, want)
	}
}

func TestFreeClass(t *testing.T) {
	r := bucketOf("r", 1)
	r.Classes = []Class{{Name: "static", Prefixes: []string{"/static/"}}}
	l := mustLimits(t, Config{Rules: []Rule{r}})
	for range 3 {
		if d := l.Check(second, *request("192.0.2.1", "", "/static/x")); !d.OK || d.Remaining != 1 {
			t.Errorf("free path: Check = %+v, want OK with 1 remaining", d.Verdict)
		}
	}
	if got := l.Counts()[0]; got.Passed != 3 || got.Fill.Keys != 0 {
		t.Errorf("Counts = %+v, want 3 passed, and no place taken by a client that used nothing", got)
	}
}

func TestConfig(t *testing.T) {
	q := from("192.0.2.1")
	r := bucketOf("r", 1)
	r.Key = []Part{{From: ByClient}}
	l := mustLimits(t, Config{Rules: []Rule{r}, Memory: 1 << 12, Trusted: prefixes("::ffff:10.0.0.0/104")})
	if got := l.Counts()[0].Fill.Places; got != 1<<12/32 {
		t.Errorf("%d places in %d bytes, want %d", got, 1<<12, 1<<12/32)
	}
	if got := l.Client(netip.MustParseAddr("10.0.0.1"), []string{"198.51.100.1"}); got.String() != "198.51.100.1" {
		t.Errorf("Client behind a trusted proxy = %v, want 198.51.100.1", got)
	}
	if r.Key[0] != (Part{From: ByClient}) {
		t.Errorf("New has changed the rule's key to %+v", r.Key)
	}
	var sums [2]uint64
	for i := range sums {
		random, err := New(Config{Rules: []Rule{bucketOf("r", 1)}})
		if err != nil {
			t.Fatal(err)
		}
		sums[i] = random.rules[0].key(random.secret, &q, 0)
	}
	if sums[0] == sums[1] {
		t.Error("two Limits without a seed share their secret")
	}

	_, err := New(Config{
		Rules:   append(make([]Rule, MaxRules), bucketOf("twice", 1), bucketOf("twice", 1), Rule{Name: "log", Limit: Limit{Algorithm: SlidingLog, Rate: MaxRate, Per: 1}}),
		Trusted: []netip.Prefix{{}},
	})
	for _, want := range []string{"67 rules", "rule twice: there are two", "rule log: memory", "trusted", "rule : name"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want an error with %q", err, want)
		}
	}
}

func TestBlockListFull(t *testing.T) {
	l := mustLimits(t, Config{})
	var err error
	for i := uint32(0); err == nil && i < 2*MaxEntries; i++ {
		err = l.Block(second, host(i), 0)
	}
	if !errors.Is(err, ErrFull) {
		t.Errorf("Block without end = %v, want %v", err, ErrFull)
	}
}

// Many clients at once: what passes is exactly what the limits allow.
func TestCheckConcurrently(t *testing.T) {
	shared := bucketOf("shared", 100)
	shared.Key = []Part{{From: BySite}}
	l := mustLimits(t, Config{Rules: []Rule{bucketOf("own", 30), shared}})
	var wg sync.WaitGroup
	var passed [8]int
	for g := range passed {
		wg.Go(func() {
			q := from(host(uint32(g / 2)).Addr().String())
			for range 200 {
				if l.Check(second, q).OK {
					passed[g]++
				}
			}
		})
	}
	wg.Wait()
	sum := 0
	for g := 0; g < len(passed); g += 2 {
		if own := passed[g] + passed[g+1]; own > 30 {
			t.Errorf("%d requests of one client pass, want 30 at most", own)
		} else {
			sum += own
		}
	}
	if sum != 100 {
		t.Errorf("%d requests pass, want 100", sum)
	}
}

// No more requests are held back at once than MaxHeld; what would be another is refused, spends nothing and blocks nobody.
func TestHeldRequestsAreBounded(t *testing.T) {
	queue := Rule{Name: "queue", Limit: Limit{Algorithm: LeakyBucket, Rate: 2, Per: time.Second, Burst: 8}, Match: Match{Path: "/"}, Response: Block, BlockFor: time.Minute}
	delay := Rule{Name: "queue", Limit: Limit{Algorithm: TokenBucket, Rate: 2, Per: time.Second, Burst: 1, MaxDelay: 4 * time.Second}, Match: Match{Path: "/"}, Response: Delay}
	wide := bucketOf("wide", 1000)
	none := bucketOf("none", 1)
	none.Match.Path = "/none"
	for _, rules := range [][]Rule{{queue, wide, none}, {none, wide, delay}} {
		l := mustLimits(t, Config{Rules: rules, MaxHeld: 2})
		check := func(what string, d Decision, ok bool, delay, after time.Duration, held int) {
			t.Helper()
			if d.OK != ok || d.Delay != delay || d.RetryAfter != after || d.Crowded == ok || d.Rule != "queue" || l.Held() != held {
				t.Errorf("%s: Check = %+v by %s with %d held, want OK %v, a delay of %v, a retry after %v, by queue, with %d held",
					what, d.Verdict, d.Rule, l.Held(), ok, delay, after, held)
			}
		}
		const half = 500 * time.Millisecond
		check("at once", l.Check(second, from("192.0.2.1")), true, 0, 0, 0)
		check("first to wait", l.Check(second, from("192.0.2.1")), true, half, 0, 1)
		check("second to wait", l.Check(second, from("192.0.2.1")), true, 2*half, 0, 2)
		check("one too many", l.Check(second, from("192.0.2.1")), false, 0, 3*half, 2)
		check("another client that need not wait", l.Check(second, from("192.0.2.2")), true, 0, 0, 2)
		check("another client that would wait", l.Check(second, from("192.0.2.2")), false, 0, half, 2)
		l.Release()
		check("after one has left", l.Check(second, from("192.0.2.1")), true, 3*half, 0, 2)
		l.Release()
		if d := l.Check(second, *request("192.0.2.3", "", "/none")); !d.OK {
			t.Errorf("Check = %+v, want OK", d)
		}
		if d := l.Check(second, *request("192.0.2.3", "", "/none")); d.OK || d.Rule != "none" || d.Crowded || l.Held() != 1 {
			t.Errorf("refused by another rule: Check = %+v by %s with %d held, want refused by none with 1", d.Verdict, d.Rule, l.Held())
		}
		if b := l.Blocked(second); len(b) > 0 {
			t.Errorf("Blocked = %+v, want nobody", b)
		}
	}
	if _, err := New(Config{MaxHeld: -1}); err == nil {
		t.Error("New with a MaxHeld of -1 = nil, want an error")
	}
}

func TestHeldRequestsAreBoundedAcrossCores(t *testing.T) {
	const most = 3
	l := mustLimits(t, Config{MaxHeld: most, Rules: []Rule{{Name: "queue", Limit: Limit{Algorithm: LeakyBucket, Rate: 1000, Per: time.Second, Burst: 20000}}}})
	var held, peak atomic.Int64
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			for range 2000 {
				if d := l.Check(second, from("192.0.2.1")); d.Delay == 0 {
					continue
				}
				n := held.Add(1)
				for p := peak.Load(); n > p && !peak.CompareAndSwap(p, n); p = peak.Load() {
				}
				runtime.Gosched()
				held.Add(-1)
				l.Release()
			}
		})
	}
	work.Wait()
	if peak.Load() > most || l.Held() != 0 {
		t.Errorf("up to %d were held, and %d are, want at most %d and none", peak.Load(), l.Held(), most)
	}
}
