package httpcache

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMethods(t *testing.T) {
	tests := []struct {
		method    string
		want      Method
		cacheable bool
	}{
		{"GET", MethodGet, true},
		{"HEAD", MethodHead, true},
		{"OPTIONS", MethodSafe, false},
		{"TRACE", MethodSafe, false},
		{"PROPFIND", MethodSafe, false},
		{"QUERY", MethodSafe, false},
		{"POST", MethodUnsafe, false},
		{"PUT", MethodUnsafe, false},
		{"DELETE", MethodUnsafe, false},
		{"PATCH", MethodUnsafe, false},
		{"M-SEARCH", MethodUnsafe, false}, // unknown
		{"get", MethodUnsafe, false},      // case-sensitive
		{"", MethodUnsafe, false},
	}
	for _, tt := range tests {
		a := request(tt.method)
		if a.Method != tt.want || a.Cacheable() != tt.cacheable {
			t.Errorf("method %q is %d, cacheable %v; want %d, %v (RFC 9110 §9.2)", tt.method, a.Method, a.Cacheable(), tt.want, tt.cacheable)
		}
	}
}

func TestAskDirectives(t *testing.T) {
	const s, cc = time.Second, "Cache-Control"
	type parsed struct {
		NoCache, NoStore, OnlyIfCached bool
		MaxAge, MinFresh, MaxStale     time.Duration
	}
	none := parsed{MaxAge: absent, MinFresh: absent, MaxStale: absent}
	with := func(set func(p *parsed)) parsed {
		p := none
		set(&p)
		return p
	}
	noCache := with(func(p *parsed) { p.NoCache = true })
	maxAge := func(d time.Duration) parsed { return with(func(p *parsed) { p.MaxAge = d }) }
	maxStale := func(d time.Duration) parsed { return with(func(p *parsed) { p.MaxStale = d }) }
	tests := []struct {
		name string
		ask  *Ask
		want parsed
	}{
		{"nothing", get(), none},
		{"§5.2.1.4 no-cache", get(cc, "no-cache"), noCache},
		{"§5.2.1.5 no-store", get(cc, "no-store"), with(func(p *parsed) { p.NoStore = true })},
		{"§5.2.1.7 only-if-cached", get(cc, "only-if-cached"), with(func(p *parsed) { p.OnlyIfCached = true })},
		{"§5.2.1.1 max-age", get(cc, "max-age=5"), maxAge(5 * s)},
		{"§5.2.1.3 min-fresh", get(cc, "min-fresh=5"), with(func(p *parsed) { p.MinFresh = 5 * s })},
		{"§5.2.1.2 max-stale", get(cc, "max-stale=5"), maxStale(5 * s)},
		{"§5.2.1.2 max-stale without limit", get(cc, "max-stale"), maxStale(AnyStale)},
		{"§5.2.1.2 max-stale with nothing after =", get(cc, "max-stale="), none},
		{"§5.2 upper case", get("CACHE-CONTROL", "NO-CACHE, MAX-AGE=5"), with(func(p *parsed) { p.NoCache, p.MaxAge = true, 5*s })},
		{"§5.2 quoted", get(cc, `max-age="5"`), maxAge(5 * s)},
		{"§5.2 two lines", get(cc, "no-cache", cc, "max-age=5"), with(func(p *parsed) { p.NoCache, p.MaxAge = true, 5*s })},
		{"§5.2 unknown directives", get(cc, "no-cachet, xno-store, max-ages=1"), none},
		{"§5.2 inside a quoted string", get(cc, `x="no-store, no-cache"`), none},
		{"§5.2 after a quoted comma", get(cc, `x=",", no-cache`), noCache},
		{"§4.2.1 first of several", get(cc, "max-age=5, max-age=0", cc, "max-age=9"), maxAge(5 * s)},
		{"§4.2.1 first valid of several", get(cc, "max-age=x, max-age=5"), maxAge(5 * s)},
		{"§4.2.1 limited max-stale before an unlimited one", get(cc, "max-stale=5, max-stale"), maxStale(5 * s)},
		{"§4.2.1 unlimited max-stale before a limited one", get(cc, "max-stale, max-stale=5"), maxStale(AnyStale)},
		{"§1.2.2 float", get(cc, "max-age=5.5"), none},
		{"§1.2.2 negative", get(cc, "max-age=-5"), none},
		{"§1.2.2 plus", get(cc, "max-age=+5"), none},
		{"§1.2.2 overflow", get(cc, "max-age=99999999999999999999"), maxAge(maxSeconds * s)},
		{"§5.4 Pragma", get("Pragma", "no-cache"), noCache},
		{"§5.4 Pragma in a list", get("pragma", "x, No-Cache"), noCache},
		{"§5.4 other Pragma", get("Pragma", "no-caches"), none},
		{"§5.4 Pragma before Cache-Control", get("Pragma", "no-cache", cc, "max-age=5"), maxAge(5 * s)},
		{"§5.4 Pragma after Cache-Control", get(cc, "max-age=5", "Pragma", "no-cache"), maxAge(5 * s)},
		{"§5.4 Pragma before an empty Cache-Control", get("Pragma", "no-cache", cc, ""), none},
		{"§5.4 Pragma between lines that say no-cache", get(cc, "no-cache", "Pragma", "no-cache", cc, "x"), noCache},
		{"field of another name", get("X-Cache-Ctrl", "no-cache"), none},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := tt.ask
			got := parsed{a.NoCache, a.NoStore, a.OnlyIfCached, a.MaxAge, a.MinFresh, a.MaxStale}
			if got != tt.want {
				t.Errorf("Ask of %q = %+v, want %+v", a.lines, got, tt.want)
			}
		})
	}
}

func TestAskFields(t *testing.T) {
	tests := []struct {
		name                       string
		ask                        *Ask
		conditional, authorization bool
		ranges                     string
	}{
		{"nothing", get("Accept", "*/*"), false, false, ""},
		{"§13.1.1 If-Match", get("If-Match", "*"), true, false, ""},
		{"§13.1.2 If-None-Match", get("if-none-match", "*"), true, false, ""},
		{"§13.1.3 If-Modified-Since", get("If-Modified-Since", "x"), true, false, ""},
		{"§13.1.4 If-Unmodified-Since", get("If-Unmodified-Since", "x"), true, false, ""},
		{"§13.1.5 If-Range is about the Range", get("If-Range", `"a"`), false, false, ""},
		{"§11.6.2 Authorization", get("AUTHORIZATION", "Basic x"), false, true, ""},
		{"§11.7.2 Proxy-Authorization is for the proxy", get("Proxy-Authorization", "Basic x"), false, false, ""},
		{"§14.2 Range", get("range", " bytes=0-1\t"), false, false, "bytes=0-1"},
		{"§14.2 two Ranges", get("Range", "bytes=0-1", "Range", "bytes=2-3"), false, false, ""},
		{"§14.2 three Ranges", get("Range", "bytes=0-1", "Range", "bytes=2-3", "Range", "bytes=4-5"), false, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := tt.ask
			if a.Conditional != tt.conditional || a.Authorization != tt.authorization || a.Range != tt.ranges {
				t.Errorf("Ask of %q = conditional %v, authorization %v, range %q; want %v, %v, %q",
					a.lines, a.Conditional, a.Authorization, a.Range, tt.conditional, tt.authorization, tt.ranges)
			}
		})
	}
}

func TestAskReset(t *testing.T) {
	a := request("POST", "Cache-Control", "no-cache, no-store, only-if-cached, max-age=1, min-fresh=1, max-stale", "Pragma", "no-cache",
		"Authorization", "x", "If-None-Match", "*", "Range", "bytes=0-1", "Range", "bytes=2-3")
	a.Reset([]byte("GET"))
	if a.Method != MethodGet || a.NoCache || a.NoStore || a.OnlyIfCached || a.Authorization || a.Conditional || a.Range != "" ||
		a.MaxAge != absent || a.MinFresh != absent || a.MaxStale != absent || a.Get("Pragma") != "" {
		t.Errorf("after Reset the Ask is %+v, want a GET without fields", a)
	}
	a.Add([]byte("Range"), []byte("bytes=0-1"))
	a.Add([]byte("Pragma"), []byte("no-cache"))
	if a.Range != "bytes=0-1" || !a.NoCache {
		t.Errorf("after Reset, Range = %q and no-cache %v, want what was added since", a.Range, a.NoCache)
	}
}

func TestAskValues(t *testing.T) {
	a := get("Accept", "a", "X", "1", "ACCEPT", "", "accept", "b")
	if got, want := slices.Collect(a.Values("accept")), []string{"a", "", "b"}; !slices.Equal(got, want) {
		t.Errorf("Values(accept) = %q, want %q", got, want)
	}
	if got := a.Get("accept"); got != "a" {
		t.Errorf("Get(accept) = %q, want the first, %q", got, "a")
	}
	if got := a.Get("Accept-Language"); got != "" {
		t.Errorf("Get(Accept-Language) = %q, want nothing", got)
	}
}

func TestAskForward(t *testing.T) {
	a := get("Host", "h", "connection", "close, X-One , x-TWO", "X-One", "1", "X-Two", "2", "X-Three", "3", "Keep-Alive", "x",
		"Proxy-Connection", "x", "Proxy-Authorization", "x", "TE", "trailers", "Trailer", "x", "Transfer-Encoding", "chunked",
		"Upgrade", "x", "HTTP2-Settings", "x", "Connection", "x-four", "X-Four", "4", "Cookie", "a=b", "Cookie", "c=d")
	var got []string
	for name, value := range a.Forward() {
		got = append(got, name+": "+value)
	}
	want := []string{"Host: h", "X-Three: 3", "Cookie: a=b", "Cookie: c=d"}
	if !slices.Equal(got, want) {
		t.Errorf("Forward = %q, want %q (RFC 9110 §7.6.1)", got, want)
	}
	for range a.Forward() {
		break // stopping early is the loop's right
	}
}

func TestAskDoesNotAllocate(t *testing.T) {
	var a Ask
	method, name, value := []byte("GET"), []byte("Cache-Control"), []byte("max-age=0, no-cache")
	allocs := testing.AllocsPerRun(100, func() {
		a.Reset(method)
		for range 20 {
			a.Add(name, value)
		}
	})
	if allocs != 0 {
		t.Errorf("Reset and Add allocate %v times, want 0", allocs)
	}
}

func FuzzAsk(f *testing.F) {
	for _, seed := range []string{"Cache-Control: max-age=1, no-cache", "Pragma: no-cache", `Cache-Control: x="a\", no-store`,
		"Range: bytes=0-1", "Connection: a\nA: b", "If-None-Match: W/\"a\", \"b"} {
		f.Add("GET", seed)
	}
	f.Fuzz(func(t *testing.T, method, fields string) {
		a := request(method)
		lines := 0
		for line := range strings.SplitSeq(fields, "\n") {
			name, value, _ := strings.Cut(line, ":")
			a.Add([]byte(name), []byte(value))
			lines++
		}
		for _, d := range []time.Duration{a.MaxAge, a.MinFresh, a.MaxStale} {
			if d != absent && d != AnyStale && (d < 0 || d > maxSeconds*time.Second || d%time.Second != 0) {
				t.Errorf("Ask of %q has %v, which is no delta-seconds", fields, d)
			}
		}
		for name := range a.Forward() {
			if HopByHop(name) {
				t.Errorf("Forward of %q yields %q", fields, name)
			}
			lines--
		}
		if lines < 0 {
			t.Errorf("Forward of %q yields more fields than there are", fields)
		}
		m := Meta{Status: 200, ETag: `"b"`, Date: noon, Lifetime: time.Minute, ResponseTime: noon}
		NotModified(a, &m)
		a.Select(&m, 10)
		if d := Decide(noon, &m, a); d.Outcome != Hit && d.Outcome != Revalidate {
			t.Errorf("Decide of a fresh response for %q = %v, want %v or %v", fields, d.Outcome, Hit, Revalidate)
		}
	})
}

func TestSetReplacesAllFieldsOfAName(t *testing.T) {
	var a Ask
	a.Reset([]byte("GET"))
	for _, l := range [][2]string{{"CDN-Client-City", "Tokyo"}, {"Accept", "x"}, {"cdn-client-city", "Paris"}} {
		a.Add([]byte(l[0]), []byte(l[1]))
	}
	a.Set("CDN-Client-City", "Lima")
	if got := slices.Collect(a.Values("cdn-client-city")); !slices.Equal(got, []string{"Lima"}) || a.Get("Accept") != "x" {
		t.Errorf("Values = %q, Accept %q, want Lima alone, and the rest as it was", got, a.Get("Accept"))
	}
	if a.Set("CDN-Client-City", ""); a.Get("CDN-Client-City") != "" {
		t.Errorf("Get after removal = %q", a.Get("CDN-Client-City"))
	}
}
