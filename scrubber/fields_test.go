package scrubber

import (
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"

	"cdnlab/internal/httpcache"
)

// fields renders what a decision adds, a line each.
func fields(d Decision) string {
	var b strings.Builder
	d.Fields(func(name string, value []byte) { b.WriteString(name + ": " + string(value) + "\n") })
	return b.String()
}

func mustLimits(t testing.TB, c Config) *Limits {
	t.Helper()
	if c.Seed == [16]byte{} {
		c.Seed[0] = 1
	}
	l, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestFields(t *testing.T) {
	rule := Rule{Name: "api", Limit: Limit{Algorithm: TokenBucket, Rate: 2, Per: time.Second, Burst: 10},
		Classes: []Class{{Name: "search", Prefixes: []string{"/search"}, Cost: 7}}, Response: Block, BlockFor: 90 * time.Second}
	l := mustLimits(t, Config{Rules: []Rule{rule}})
	q := *request("192.0.2.1", "www.cdn.test", "/search")
	for _, c := range []struct {
		name   string
		at     int64
		status int
		want   string
	}{
		{"passes", second, 0, `RateLimit-Policy: "api";q=10;w=5
RateLimit: "api";r=3;t=4
X-RateLimit-Limit: 10
X-RateLimit-Remaining: 3
X-RateLimit-Reset: 4
`},
		{"over the limit", second, 429, `RateLimit-Policy: "api";q=10;w=5
RateLimit: "api";r=3;t=2
X-RateLimit-Limit: 10
X-RateLimit-Remaining: 3
X-RateLimit-Reset: 2
Retry-After: 2
`},
		{"blocked by the rule", second + 5e8, 429, `RateLimit-Policy: "api";q=10;w=5
RateLimit: "api";r=0;t=90
X-RateLimit-Limit: 10
X-RateLimit-Remaining: 0
X-RateLimit-Reset: 90
Retry-After: 90
`},
	} {
		d := l.Check(c.at, q)
		if got := fields(d); got != c.want || d.Status() != c.status {
			t.Errorf("%s: status %d and fields\n%swant %d and\n%s", c.name, d.Status(), got, c.status, c.want)
		}
	}
	if err := l.Block(second, netip.MustParsePrefix("198.51.100.0/24"), time.Minute); err != nil {
		t.Fatal(err)
	}
	q.Client = netip.MustParseAddr("198.51.100.7")
	if d := l.Check(second, q); fields(d) != "" || d.Status() != 403 {
		t.Errorf("blocked by a person: status %d and fields %q, want 403 and none", d.Status(), fields(d))
	}
	if d := mustLimits(t, Config{}).Check(second, q); fields(d) != "" || d.Status() != 0 {
		t.Errorf("no rule: status %d and fields %q, want 0 and none", d.Status(), fields(d))
	}
}

func TestPolicy(t *testing.T) {
	for _, c := range []struct {
		limit Limit
		want  string
	}{
		{Limit{Rate: 100, Per: time.Minute}, `"x";q=100;w=60`},
		{Limit{Rate: 5, Per: 1500 * time.Millisecond}, `"x";q=5;w=2`},
		{Limit{Algorithm: FixedWindow, Rate: 5, Per: 100 * time.Millisecond}, `"x";q=50;w=1`},
		{Limit{Algorithm: TokenBucket, Rate: 1000, Per: time.Second, Burst: 5}, `"x";q=1000;w=1`},
		{Limit{Algorithm: TokenBucket, Rate: 3, Per: time.Second, Burst: 10}, `"x";q=10;w=4`},
		{Limit{Algorithm: LeakyBucket, Rate: 2, Per: time.Second, Burst: 9}, `"x";q=10;w=5`},
	} {
		if got := mustRule(t, Rule{Name: "x", Limit: c.limit}).policy; got != c.want {
			t.Errorf("policy of %+v = %s, want %s", c.limit, got, c.want)
		}
	}
}

// The draft asks for lists of strings with integer parameters (RFC 9651).
func TestFieldsAreStructured(t *testing.T) {
	for _, v := range []Verdict{
		{OK: true}, {OK: true, Remaining: 5, Reset: 1}, {RetryAfter: 1}, {RetryAfter: Never, Reset: time.Hour}, {RetryAfter: math.MaxInt64 / 2},
	} {
		r := mustRule(t, Rule{Name: strings.Repeat("a.-_Z9", 10), Limit: Limit{Rate: MaxRate, Per: 1}})
		d := Decision{Verdict: v, Rule: r.Name, Limit: r.law.quota, rule: &r}
		seen := map[string]string{}
		d.Fields(func(name string, value []byte) { seen[name] = string(value) })
		for name, params := range map[string][]string{"RateLimit-Policy": {"q", "w"}, "RateLimit": {"r", "t"}} {
			list, err := httpsfv.UnmarshalList([]string{seen[name]})
			if err != nil || len(list) != 1 {
				t.Errorf("%s: %s of %+v is no list of one item: %v", name, seen[name], v, err)
				continue
			}
			item := list[0].(httpsfv.Item)
			if item.Value != r.Name {
				t.Errorf("%s: item %v, want the string %q", name, item.Value, r.Name)
			}
			for _, p := range params {
				if n, ok := item.Params.Get(p); !ok || n.(int64) < 0 {
					t.Errorf("%s: %s: parameter %s = %v, want an integer that is not negative", name, seen[name], p, n)
				}
			}
		}
		if v.RetryAfter == Never && !strings.HasSuffix(seen["RateLimit"], ";t=3600") {
			t.Errorf("RateLimit of %+v = %s, want the reset", v, seen["RateLimit"])
		}
		if after, ok := seen["Retry-After"]; ok != (!v.OK && v.RetryAfter != Never) || after == "0" {
			t.Errorf("Retry-After of %+v = %q", v, after)
		}
	}
}

func TestFieldsAllocateLittle(t *testing.T) {
	l := mustLimits(t, Config{Rules: []Rule{{Name: "api", Limit: Limit{Rate: 2, Per: time.Second}}}})
	d := l.Check(second, Request{Client: netip.MustParseAddr("192.0.2.1")})
	sum := 0
	if got := testing.AllocsPerRun(100, func() { d.Fields(func(_ string, value []byte) { sum += len(value) }) }); got > 1 {
		t.Errorf("Fields allocates %v times, want 1 at most", got)
	}
}

// What a Decision says is what it replaces in what comes from upstream.
func TestFieldsAreThoseOfALimit(t *testing.T) {
	d := Decision{rule: &rule{}}
	d.Fields(func(name string, _ []byte) {
		if !httpcache.LimitField(name) && name != "Retry-After" {
			t.Errorf("LimitField(%q) = false, and Fields sets it", name)
		}
	})
}
