package httpcache

import (
	"slices"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
)

func TestCacheStatus(t *testing.T) {
	const s = time.Second
	tests := []struct {
		name   string
		status CacheStatus
		want   string
	}{
		{"§2 name alone", CacheStatus{Cache: "paris-1"}, "paris-1"},
		{"RFC 9651 §3.3.4 name that begins with a digit", CacheStatus{Cache: string(AppendCacheName(nil, "1-paris"))}, `"1-paris"`},
		{"RFC 9651 §3.3.4 name that is no token", CacheStatus{Cache: string(AppendCacheName(nil, "são paulo"))}, `"s??o paulo"`},
		{"RFC 9651 §3.3.4 names of one letter", CacheStatus{Cache: "z"}, "z"},
		{"§2 no name", CacheStatus{Cache: string(AppendCacheName(nil, ""))}, `""`},
		{"§2.1 hit", CacheStatus{Cache: "a", Hit: true}, "a;hit"},
		{"§2.1 hit comes without fwd", CacheStatus{Cache: "a", Hit: true, Fwd: FwdStale, FwdStatus: 200, Stored: true, Collapsed: true}, "a;hit"},
		{"§2.2 bypass", CacheStatus{Cache: "a", Fwd: FwdBypass}, "a;fwd=bypass"},
		{"§2.2 method", CacheStatus{Cache: "a", Fwd: FwdMethod}, "a;fwd=method"},
		{"§2.2 uri-miss", CacheStatus{Cache: "a", Fwd: FwdURIMiss}, "a;fwd=uri-miss"},
		{"§2.2 vary-miss", CacheStatus{Cache: "a", Fwd: FwdVaryMiss}, "a;fwd=vary-miss"},
		{"§2.2 miss", CacheStatus{Cache: "a", Fwd: FwdMiss}, "a;fwd=miss"},
		{"§2.2 request", CacheStatus{Cache: "a", Fwd: FwdRequest}, "a;fwd=request"},
		{"§2.2 stale", CacheStatus{Cache: "a", Fwd: FwdStale}, "a;fwd=stale"},
		{"§2.2 partial", CacheStatus{Cache: "a", Fwd: FwdPartial}, "a;fwd=partial"},
		{"§2.3 fwd-status", CacheStatus{Cache: "a", Fwd: FwdStale, FwdStatus: 304}, "a;fwd=stale;fwd-status=304"},
		{"§2.4 ttl", CacheStatus{Cache: "a", Hit: true, HasTTL: true, TTL: 59*s + 999*time.Millisecond}, "a;hit;ttl=59"},
		{"§2.4 ttl of nothing", CacheStatus{Cache: "a", Hit: true, HasTTL: true}, "a;hit;ttl=0"},
		{"§2.4 negative ttl", CacheStatus{Cache: "a", Hit: true, HasTTL: true, TTL: -30 * s}, "a;hit;ttl=-30"},
		{"§2.4 no ttl", CacheStatus{Cache: "a", Hit: true, TTL: s}, "a;hit"},
		{"§2.5 stored", CacheStatus{Cache: "a", Fwd: FwdURIMiss, Stored: true}, "a;fwd=uri-miss;stored"},
		{"§2.6 collapsed", CacheStatus{Cache: "a", Fwd: FwdURIMiss, Collapsed: true}, "a;fwd=uri-miss;collapsed"},
		{"§2.8 detail", CacheStatus{Cache: "a", Fwd: FwdURIMiss, Detail: "no room"}, `a;fwd=uri-miss;detail="no room"`},
		{"RFC 9651 §3.3.3 detail with quotes", CacheStatus{Cache: "a", Hit: true, Detail: `a "b" \c`}, `a;hit;detail="a \"b\" \\c"`},
		{"RFC 9651 §3.3.3 first and last byte of a string", CacheStatus{Cache: "a", Hit: true, Detail: " ~"}, `a;hit;detail=" ~"`},
		{"RFC 9651 §3.3.3 detail with what no string holds", CacheStatus{Cache: "a", Hit: true, Detail: "a\r\nb\x7fé"}, `a;hit;detail="a??b???"`},
		{"all in their order", CacheStatus{Cache: "a", Fwd: FwdURIMiss, FwdStatus: 200, Stored: true, Collapsed: true, HasTTL: true, TTL: 60 * s, Detail: "x"},
			`a;fwd=uri-miss;fwd-status=200;stored;collapsed;ttl=60;detail="x"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := string(tt.status.Append([]byte("b;hit, ")))
			if got != "b;hit, "+tt.want {
				t.Errorf("Append of %+v = %q, want %q", tt.status, got, "b;hit, "+tt.want)
			}
			if list, err := httpsfv.UnmarshalList([]string{got}); err != nil || len(list) != 2 {
				t.Errorf("%q is a list of %d members, %v; want 2", got, len(list), err)
			}
		})
	}
}

func TestHad(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines []string
		want  bool
	}{
		{"eu-1", nil, false},
		{"eu-1", []string{"eu-1;hit"}, true},
		{"eu-1", []string{"eu-1;hit;ttl=-3"}, true},
		{"eu-1", []string{"eu-1;fwd=stale;fwd-status=304"}, true},
		{"eu-1", []string{"eu-1;fwd=uri-miss;collapsed"}, true},
		{"eu-1", []string{"eu-1;fwd=uri-miss;fwd-status=200;stored"}, false},
		{"eu-1", []string{"app;fwd=miss, eu-1;hit"}, true},
		{"eu-1", []string{"eu-1;hit, eu-1;fwd=miss"}, false},
		{"eu-1", []string{"eu-1;hit", "eu-2;fwd=miss"}, false},
		{"eu-1", []string{"unfinished \"string, eu-1;hit"}, true},
		{"eu-1", []string{`eu-1;fwd=miss;detail="a;collapsed"`}, false},
		{"eu-1", []string{"eu-10;hit"}, false},
		{"7", []string{`"7";hit`}, true},
	} {
		var pairs []string
		for _, v := range tt.lines {
			pairs = append(pairs, "Cache-Status", v)
		}
		if got := Had(MakeHeader(pairs...), tt.name); got != tt.want {
			t.Errorf("Had(%q, %s) = %v, want %v", tt.lines, tt.name, got, tt.want)
		}
	}
}

// Whoever looks why a page does not cache reads one of these sentences.
func TestDetails(t *testing.T) {
	tests := []struct {
		ask    *Ask
		status int
		pairs  []string
		want   string
	}{
		{request("POST"), 200, nil, "only responses to GET are stored"},
		{get("Cache-Control", "no-store"), 200, nil, "the request says no-store"},
		{get(), 429, nil, "a response of this status is about one request and never stored"},
		{get(), 599, []string{"Cache-Control", "must-understand"}, "the response says must-understand and has an unknown status"},
		{get(), 200, []string{"Cache-Control", "no-store"}, "the response says no-store"},
		{get(), 200, []string{"Cache-Control", "private"}, "the response says private"},
		{get(), 200, []string{"Vary", "*"}, "the response says Vary: *"},
		{get("Authorization", "x"), 200, nil, "the request carries Authorization and the response does not say public"},
		{get(), 200, []string{"Set-Cookie", "a=b"}, "the response sets a cookie and does not say public"},
		{get(), 200, []string{"Cache-Control", "no-cache"}, "the response says no-cache and has no ETag or Last-Modified"},
		{get(), 500, nil, "the response does not say how long it is fresh"},
		{get(), 200, nil, "the response does not say how long it is fresh and has no ETag or Last-Modified"},
	}
	seen := []string{}
	for _, tt := range tests {
		adm := Admit(tt.ask, response(tt.status, tt.pairs...), &Policy{})
		if adm.Stored || adm.Detail != tt.want {
			t.Errorf("Admit of a %d with %q = stored %v, %q, want %q", tt.status, tt.pairs, adm.Stored, adm.Detail, tt.want)
		}
		s := CacheStatus{Cache: "a", Fwd: FwdURIMiss, Detail: adm.Detail}
		if got, want := string(s.Append(nil)), `a;fwd=uri-miss;detail="`+tt.want+`"`; got != want {
			t.Errorf("Append = %s, want %s", got, want)
		}
		if slices.Contains(seen, adm.Detail) {
			t.Errorf("two reasons are told as %q", adm.Detail)
		}
		seen = append(seen, adm.Detail)
	}
}

func TestCacheStatusDoesNotAllocate(t *testing.T) {
	dst := make([]byte, 0, 256)
	s := CacheStatus{Cache: "paris-1", Fwd: FwdURIMiss, FwdStatus: 200, Stored: true, HasTTL: true, TTL: time.Minute, Detail: "x"}
	if n := testing.AllocsPerRun(100, func() { s.Append(dst) }); n != 0 {
		t.Errorf("Append allocates %v times, want 0", n)
	}
}
