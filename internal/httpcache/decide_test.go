package httpcache

import (
	"testing"
	"time"
)

func TestDecide(t *testing.T) {
	const fresh, stale = 30, 90 // seconds after a response with max-age=60 has arrived
	tests := []struct {
		name    string
		control string
		later   int
		ask     *Ask
		want    Outcome
		fwd     Fwd
	}{
		{"§4.2 fresh", "", fresh, get(), Hit, FwdNone},
		{"§4.2 just fresh", "", 59, get(), Hit, FwdNone},
		{"§4.2 just stale", "", 60, get(), Revalidate, FwdStale},
		{"§4 HEAD from a stored GET", "", fresh, request("HEAD"), Hit, FwdNone},
		{"§5.2.2.4 no-cache", "no-cache", fresh, get(), Revalidate, FwdStale},
		{"§5.2.2.4 no-cache=\"field\"", `no-cache="a"`, fresh, get(), Hit, FwdNone},
		{"§5.2.2.2 must-revalidate while fresh", "must-revalidate", fresh, get(), Hit, FwdNone},
		{"§5.2.1.4 request no-cache", "", fresh, get("Cache-Control", "No-Cache"), Revalidate, FwdRequest},
		{"§5.4 request Pragma", "", fresh, get("Pragma", "no-cache"), Revalidate, FwdRequest},
		{"§5.4 other Pragma", "", fresh, get("Pragma", "foo"), Hit, FwdNone},
		{"§5.4 Pragma beside Cache-Control", "", fresh, get("Pragma", "no-cache", "Cache-Control", "max-age=60"), Hit, FwdNone},
		{"§5.4 Pragma after Cache-Control", "", fresh, get("Cache-Control", "max-age=60", "Pragma", "no-cache"), Hit, FwdNone},
		{"§5.2.1.1 request max-age", "", fresh, get("Cache-Control", "max-age=30"), Hit, FwdNone},
		{"§5.2.1.1 request max-age passed", "", fresh, get("Cache-Control", "max-age=29"), Revalidate, FwdRequest},
		{"§5.2.1.1 reload", "", fresh, get("Cache-Control", "max-age=0"), Revalidate, FwdRequest},
		{"RFC 8246 reload of immutable", "immutable", fresh, get("Cache-Control", "max-age=0"), Hit, FwdNone},
		{"RFC 8246 forced reload of immutable", "immutable", fresh, get("Cache-Control", "no-cache"), Revalidate, FwdRequest},
		{"RFC 8246 reload of immutable that is just stale", "immutable", 60, get("Cache-Control", "max-age=0"), Revalidate, FwdRequest},
		{"RFC 8246 stale immutable", "immutable", stale, get(), Revalidate, FwdStale},
		{"§5.2.1.3 min-fresh", "", fresh, get("Cache-Control", "min-fresh=30"), Hit, FwdNone},
		{"§5.2.1.3 min-fresh missed", "", fresh, get("Cache-Control", "min-fresh=31"), Revalidate, FwdRequest},
		{"§5.2.1.3 min-fresh of nothing", "stale-while-revalidate=99", stale, get("Cache-Control", "min-fresh=0"), Revalidate, FwdRequest},
		{"§5.2.1.2 max-stale", "", stale, get("Cache-Control", "max-stale=30"), HitStale, FwdNone},
		{"§5.2.1.2 max-stale of nothing", "", 60, get("Cache-Control", "max-stale=0"), HitStale, FwdNone},
		{"§5.2.1.2 max-stale passed", "", stale, get("Cache-Control", "max-stale=29"), Revalidate, FwdStale},
		{"§5.2.1.2 max-stale without limit", "", stale, get("Cache-Control", "max-stale"), HitStale, FwdNone},
		{"§5.2.1.2 invalid max-stale", "", stale, get("Cache-Control", "max-stale=x"), Revalidate, FwdStale},
		{"§5.2.2.2 max-stale against must-revalidate", "must-revalidate", stale, get("Cache-Control", "max-stale"), Revalidate, FwdStale},
		{"§5.2.2.8 max-stale against proxy-revalidate", "proxy-revalidate", stale, get("Cache-Control", "max-stale"), Revalidate, FwdStale},
		{"§5.2.2.10 max-stale against s-maxage", "s-maxage=60", stale, get("Cache-Control", "max-stale"), Revalidate, FwdStale},
		{"RFC 5861 §3 within the window", "stale-while-revalidate=31", stale, get(), HitRevalidate, FwdStale},
		{"RFC 5861 §3 past the window", "stale-while-revalidate=30", stale, get(), Revalidate, FwdStale},
		{"RFC 5861 §3 against must-revalidate", "stale-while-revalidate=31, must-revalidate", stale, get(), Revalidate, FwdStale},
		{"RFC 5861 §3 against request max-age", "stale-while-revalidate=31", stale, get("Cache-Control", "max-age=60"), Revalidate, FwdRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := admit(t, "ETag", `"a"`, "Cache-Control", "max-age=60, "+tt.control).Meta
			d := Decide(at(tt.later), &m, tt.ask)
			want := Decision{tt.want, tt.fwd, time.Duration(tt.later) * time.Second, time.Duration(60-tt.later) * time.Second}
			if d != want {
				t.Errorf("Decide = %+v, want %+v", d, want)
			}
		})
	}
}

func TestStaleAllowed(t *testing.T) {
	tests := []struct {
		name    string
		control string
		later   int
		ask     *Ask
		policy  Policy
		want    bool
	}{
		{"RFC 5861 §4 within the window", "stale-if-error=31", 90, get(), Policy{}, true},
		{"RFC 5861 §4 past the window", "stale-if-error=30", 90, get(), Policy{}, false},
		{"RFC 9111 §4.2.4 nobody consents", "", 90, get(), Policy{}, false},
		{"RFC 9111 §4.2.4 nobody consents, just stale", "", 60, get(), Policy{}, false},
		{"RFC 9111 §4.2.4 nobody consents, just fresh", "", 59, get(), Policy{}, true},
		{"RFC 9111 §4.2.4 the site consents", "", 90, get(), Policy{StaleIfError: time.Hour}, true},
		{"fresh, sent upstream by a min-fresh that it meets", "", 30, get("Cache-Control", "min-fresh=30"), Policy{}, true},
		{"against must-revalidate", "must-revalidate, stale-if-error=99", 90, get(), Policy{}, false},
		{"against proxy-revalidate", "proxy-revalidate, stale-if-error=99", 90, get(), Policy{}, false},
		{"against s-maxage", "s-maxage=60, stale-if-error=99", 90, get(), Policy{}, false},
		{"against s-maxage of nothing", "s-maxage=0, stale-if-error=99", 30, get(), Policy{}, false},
		{"against no-cache", "no-cache, stale-if-error=99", 30, get(), Policy{}, false},
		{"against the request", "stale-if-error=99", 90, get("Cache-Control", "no-cache"), Policy{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			adm := Admit(get(), response(200, "ETag", `"a"`, "Cache-Control", "max-age=60, "+tt.control), &tt.policy)
			if got := StaleAllowed(at(tt.later), &adm.Meta, tt.ask); got != tt.want {
				t.Errorf("StaleAllowed = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestFailing(t *testing.T) {
	for status, want := range map[int]bool{200: false, 404: false, 500: true, 501: false, 502: true, 503: true, 504: true, 505: false} {
		if got := Failing(status); got != want {
			t.Errorf("Failing(%d) = %v, want %v (RFC 5861 §4)", status, got, want)
		}
	}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	m := admit(t, "ETag", `"a"`, "Cache-Control", "max-age=60, stale-while-revalidate=10, stale-if-error=99").Meta
	asks := []*Ask{get(), get("Cache-Control", "max-age=10, max-stale", "If-None-Match", `"b", W/"a"`), get("If-Modified-Since", noonDate)}
	for _, a := range asks {
		for _, later := range []int{5, 65, 99} {
			now := at(later)
			n := testing.AllocsPerRun(100, func() {
				Decide(now, &m, a)
				StaleAllowed(now, &m, a)
				NotModified(a, &m)
				a.Select(&m, 10)
			})
			if n != 0 {
				t.Errorf("Decide, StaleAllowed, NotModified and Select for %q after %d s allocate %v times, want 0", a.lines, later, n)
			}
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	m := Admit(get(), response(200, "ETag", `"a"`, "Cache-Control", "max-age=60"), &Policy{}).Meta
	a, now := get("Accept-Encoding", "gzip, br", "If-None-Match", `"a"`), at(30)
	b.ReportAllocs()
	for b.Loop() {
		if d := Decide(now, &m, a); d.Outcome != Hit || !NotModified(a, &m) {
			b.Fatal(d)
		}
	}
}

func BenchmarkAdmit(b *testing.B) {
	r := response(200, "Date", noonDate, "Content-Type", "text/html", "ETag", `"a"`, "Cache-Control", "public, max-age=60",
		"Vary", "Accept-Encoding", "Content-Length", "10", "Connection", "keep-alive")
	a, p := get(), Policy{}
	b.ReportAllocs()
	for b.Loop() {
		if adm := Admit(a, r, &p); !adm.Stored {
			b.Fatal(adm.Detail)
		}
	}
}
