package httpcache

import (
	"testing"
	"time"
)

func TestLifetime(t *testing.T) {
	const s = time.Second
	const longest = maxSeconds * s
	tests := []struct {
		name   string
		status int
		pairs  []string
		policy Policy
		want   time.Duration
		source Source
	}{
		{"§5.2.2.1 max-age", 200, []string{"Cache-Control", "max-age=60"}, Policy{}, 60 * s, SourceMaxAge},
		{"§5.2.2.1 before Expires", 200, []string{"Cache-Control", "max-age=60", "Expires", dateAt(-10)}, Policy{}, 60 * s, SourceMaxAge},
		{"§5.2.2.1 before an invalid Expires", 200, []string{"Cache-Control", "max-age=60", "Expires", "0"}, Policy{}, 60 * s, SourceMaxAge},
		{"§5.2.2.1 zero before Expires", 200, []string{"Cache-Control", "max-age=0", "Expires", dateAt(60)}, Policy{}, 0, SourceMaxAge},
		{"§5.2.2.10 s-maxage before max-age", 200, []string{"Cache-Control", "max-age=1, s-maxage=60"}, Policy{}, 60 * s, SourceSMaxAge},
		{"§5.2.2.10 zero before max-age", 200, []string{"Cache-Control", "max-age=60, s-maxage=0"}, Policy{}, 0, SourceSMaxAge},
		{"§5.2.2.10 on an earlier line", 200, []string{"Cache-Control", "s-maxage=60", "Cache-Control", "max-age=1"}, Policy{}, 60 * s, SourceSMaxAge},
		{"§5.2 upper case", 200, []string{"Cache-Control", "MaX-aGe=60"}, Policy{}, 60 * s, SourceMaxAge},
		{"§5.2 quoted", 200, []string{"Cache-Control", `max-age="60"`}, Policy{}, 60 * s, SourceMaxAge},
		{"§5.2 with extensions", 200, []string{"Cache-Control", "foobar, x=y, max-age=60"}, Policy{}, 60 * s, SourceMaxAge},
		{"§5.2 inside a quoted string", 200, []string{"Cache-Control", `ext="max-age=3600", max-age=1`}, Policy{}, s, SourceMaxAge},
		{"§5.2 inside a quoted string, after", 200, []string{"Cache-Control", `max-age=1, ext="a, max-age=3600"`}, Policy{}, s, SourceMaxAge},
		{"§5.2 single quotes are no quotes", 200, []string{"Cache-Control", "max-age='60'"}, Policy{}, 0, SourceMaxAge},
		{"§5.2 space before =", 200, []string{"Cache-Control", "max-age =60", "ETag", `"a"`}, Policy{}, 0, SourceNone},
		{"§5.2 space after =", 200, []string{"Cache-Control", "max-age= 60"}, Policy{}, 0, SourceMaxAge},
		{"§4.2.1 first of several", 200, []string{"Cache-Control", "max-age=1, max-age=60"}, Policy{}, s, SourceMaxAge},
		{"§4.2.1 float", 200, []string{"Cache-Control", "max-age=60.5"}, Policy{}, 0, SourceMaxAge},
		{"§4.2.1 suffix", 200, []string{"Cache-Control", "max-age=60a"}, Policy{}, 0, SourceMaxAge},
		{"§4.2.1 negative", 200, []string{"Cache-Control", "max-age=-60"}, Policy{}, 0, SourceMaxAge},
		{"§4.2.1 no value", 200, []string{"Cache-Control", "max-age"}, Policy{}, 0, SourceMaxAge},
		{"§1.2.2 leading zeros", 200, []string{"Cache-Control", "max-age=0060"}, Policy{}, 60 * s, SourceMaxAge},
		{"§1.2.2 overflow", 200, []string{"Cache-Control", "max-age=99999999999999999999"}, Policy{}, longest, SourceMaxAge},
		{"§5.3 Expires", 200, []string{"Date", noonDate, "Expires", dateAt(60)}, Policy{}, 60 * s, SourceExpires},
		{"§5.3 measured against a slow Date", 200, []string{"Date", dateAt(-3600), "Expires", dateAt(-3540)}, Policy{}, 60 * s, SourceExpires},
		{"§5.3 before Date", 200, []string{"Date", dateAt(400), "Expires", dateAt(300)}, Policy{}, 0, SourceExpires},
		{"§5.3 without Date", 200, []string{"Expires", dateAt(60)}, Policy{}, 60 * s, SourceExpires},
		{"§5.3 with an invalid Date", 200, []string{"Date", "foo", "Expires", dateAt(60)}, Policy{}, 60 * s, SourceExpires},
		{"§5.3 zero", 200, []string{"Expires", "0"}, Policy{}, 0, SourceExpires},
		{"§5.3 far future", 200, []string{"Expires", "Sun, 21 Nov 2286 04:46:39 GMT"}, Policy{}, longest, SourceExpires},
		{"§5.3 twice the same", 200, []string{"Expires", dateAt(60), "Expires", dateAt(60)}, Policy{}, 60 * s, SourceExpires},
		{"§5.3 twice, differing", 200, []string{"Expires", dateAt(60), "Expires", dateAt(61)}, Policy{}, 0, SourceExpires},
		{"§5.3 twice, one invalid", 200, []string{"Expires", "0", "Expires", dateAt(61)}, Policy{}, 0, SourceExpires},
		{"§4.2.2 tenth of the age", 200, []string{"Last-Modified", dateAt(-600)}, Policy{}, 60 * s, SourceHeuristic},
		{"§4.2.2 at most a day", 200, []string{"Last-Modified", "Sat, 01 Jan 2000 00:00:00 GMT"}, Policy{}, 24 * time.Hour, SourceHeuristic},
		{"§4.2.2 modified just now", 200, []string{"Last-Modified", dateAt(0)}, Policy{}, 0, SourceNone},
		{"§4.2.2 modified in the future", 200, []string{"Last-Modified", dateAt(600)}, Policy{}, 0, SourceNone},
		{"site ttl", 200, nil, Policy{TTL: time.Hour}, time.Hour, SourcePolicy},
		{"site ttl before the heuristic", 200, []string{"Last-Modified", dateAt(-600)}, Policy{TTL: time.Hour}, time.Hour, SourcePolicy},
		{"site ttl of a redirection", 399, []string{"Cache-Control", "public"}, Policy{TTL: time.Hour}, time.Hour, SourcePolicy},
		{"site ttl is not for errors", 400, []string{"Cache-Control", "public"}, Policy{TTL: time.Hour}, 0, SourceNone},
		{"response before site ttl", 200, []string{"Cache-Control", "max-age=1"}, Policy{TTL: time.Hour}, s, SourceMaxAge},
		{"RFC 9213 before Cache-Control", 200, []string{"Cache-Control", "s-maxage=1", "CDN-Cache-Control", "max-age=60"}, Policy{}, 60 * s, SourceTargeted},
		{"RFC 9213 zero s-maxage before max-age", 200, []string{"CDN-Cache-Control", "max-age=60, s-maxage=0"}, Policy{}, 0, SourceTargeted},
		{"RFC 9213 before Expires", 200, []string{"Expires", dateAt(60), "CDN-Cache-Control", "max-age=0"}, Policy{}, 0, SourceTargeted},
		{"RFC 9213 hides Expires", 200, []string{"Expires", dateAt(60), "CDN-Cache-Control", "public", "ETag", `"a"`}, Policy{}, 0, SourceNone},
		{"RFC 9213 empty field is ignored", 200, []string{"Cache-Control", "max-age=60", "CDN-Cache-Control", ""}, Policy{}, 60 * s, SourceMaxAge},
		{"RFC 9213 parameters are ignored", 200, []string{"CDN-Cache-Control", "max-age=60;x=1, ext=(a b)"}, Policy{}, 60 * s, SourceTargeted},
		{"RFC 9213 negative", 200, []string{"CDN-Cache-Control", "max-age=-60"}, Policy{}, 0, SourceTargeted},
		{"RFC 9213 inner list is another type", 200, []string{"CDN-Cache-Control", "max-age=(60)", "Cache-Control", "max-age=1"}, Policy{}, s, SourceMaxAge},
		{"RFC 9213 flag with a number", 200, []string{"CDN-Cache-Control", "max-age=60, public=1", "Cache-Control", "max-age=1"}, Policy{}, s, SourceMaxAge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := Admit(get(), response(tt.status, tt.pairs...), &tt.policy).Meta
			if m.Lifetime != tt.want || m.Source != tt.source {
				t.Errorf("lifetime = %v by source %d, want %v by %d", m.Lifetime, m.Source, tt.want, tt.source)
			}
		})
	}
}

func TestAge(t *testing.T) {
	const s = time.Second
	tests := []struct {
		name  string
		pairs []string
		delay time.Duration // between request and response
		later time.Duration // since the response arrived
		want  time.Duration
	}{
		{"§4.2.3 resident time", nil, 0, 5 * s, 5 * s},
		{"§4.2.3 clock set back", nil, 0, -5 * s, 0},
		{"§4.2.3 upstream Age", []string{"Age", "30"}, 0, 5 * s, 35 * s},
		{"§4.2.3 response delay", []string{"Age", "30"}, 2 * s, 0, 32 * s},
		{"§4.2.3 apparent age", []string{"Date", dateAt(-60)}, 0, 0, 60 * s},
		{"§4.2.3 apparent age beside Age", []string{"Date", dateAt(-60), "Age", "30"}, 0, 0, 60 * s},
		{"§4.2.3 Date in the future", []string{"Date", dateAt(60), "Age", "30"}, 0, 0, 30 * s},
		{"§5.1 first of a list", []string{"Age", "7200, 0"}, 0, 0, 7200 * s},
		{"§5.1 first of a list, zero", []string{"Age", "0, 7200"}, 0, 0, 0},
		{"§5.1 first line", []string{"Age", "7200", "Age", "0"}, 0, 0, 7200 * s},
		{"§5.1 first line, zero", []string{"Age", "0", "Age", "7200"}, 0, 0, 0},
		{"§5.1 not a number", []string{"Age", "abc"}, 0, 0, 0},
		{"§5.1 negative", []string{"Age", "-7200"}, 0, 0, 0},
		{"§5.1 float", []string{"Age", "7200.0"}, 0, 0, 0},
		{"§5.1 quoted", []string{"Age", `"7200"`}, 0, 0, 0},
		{"§1.2.2 largest", []string{"Age", "2147483648"}, 0, 0, maxSeconds * s},
		{"§1.2.2 overflow", []string{"Age", "99999999999999999999"}, 0, 0, maxSeconds * s},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := response(200, append(tt.pairs, "Cache-Control", "max-age=3600")...)
			r.RequestTime -= int64(tt.delay)
			m := Admit(get(), r, &Policy{}).Meta
			if got := m.Age(noon + int64(tt.later)); got != tt.want {
				t.Errorf("age = %v, want %v", got, tt.want)
			}
			if got, want := m.TTL(noon+int64(tt.later)), 3600*s-tt.want; got != want {
				t.Errorf("ttl = %v, want %v", got, want)
			}
		})
	}
}

func TestAgeIgnoresFractionOfDate(t *testing.T) {
	r := response(200, "Date", noonDate, "Cache-Control", "max-age=1")
	r.RequestTime, r.ResponseTime = noon+900e6, noon+900e6
	m := Admit(get(), r, &Policy{}).Meta
	if m.InitialAge != 0 {
		t.Errorf("a response made 0.9 s past its Date arrives with age %v, want 0", m.InitialAge)
	}
}

func TestStaleDirectives(t *testing.T) {
	tests := []struct {
		name     string
		cc       string
		policy   Policy
		swr, sie time.Duration
	}{
		{"RFC 5861 both", "max-age=1, stale-while-revalidate=10, stale-if-error=20", Policy{}, 10 * time.Second, 20 * time.Second},
		{"RFC 5861 none", "max-age=1", Policy{}, 0, 0},
		{"site's stale-if-error", "max-age=1", Policy{StaleIfError: time.Hour}, 0, time.Hour},
		{"the response's own comes first", "max-age=1, stale-if-error=0", Policy{StaleIfError: time.Hour}, 0, 0},
		{"an invalid one counts for nothing", "max-age=1, stale-while-revalidate=x, stale-if-error=-1", Policy{}, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := Admit(get(), response(200, "Cache-Control", tt.cc), &tt.policy).Meta
			if m.StaleWhileRevalidate != tt.swr || m.StaleIfError != tt.sie {
				t.Errorf("got %v, %v; want %v, %v", m.StaleWhileRevalidate, m.StaleIfError, tt.swr, tt.sie)
			}
		})
	}
}

func TestFieldsOfARateLimitAreNoted(t *testing.T) {
	for name, want := range map[string]bool{"RateLimit": true, "ratelimit-policy": true, "X-RateLimit-Reset": true, "x-ratelimit-any": true, "Rate": false, "X-Rate": false, "X-Limit": false} {
		f := readFields(MakeHeader("A", "1", name, "2", "B", "3"))
		if got := f.meta(&Response{Status: 200}, &Policy{}, "").Limits; got != want {
			t.Errorf("with %s Limits = %v, want %v", name, got, want)
		}
	}
}
