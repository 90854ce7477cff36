package httpcache

import (
	"slices"
	"testing"
	"time"
)

func TestRepeatedFields(t *testing.T) {
	const maxAge = "max-age=3600"
	tests := []struct {
		name  string
		pairs []string
		want  func(m *Meta) bool
	}{
		{"§5.3 first ETag", []string{"ETag", `"a"`, "ETag", `"b"`}, func(m *Meta) bool { return m.ETag == `"a"` }},
		{"§5.3 empty ETag is none", []string{"ETag", ""}, func(m *Meta) bool { return m.ETag == "" }},
		{"§8.8.2 invalid Last-Modified is none", []string{"Last-Modified", "x"}, func(m *Meta) bool { return m.LastModified == 0 }},
		{"§8.8.2 Last-Modified", []string{"last-modified", dateAt(-60)}, func(m *Meta) bool { return m.LastModified == at(-60) }},
		{"§6.6.1 Date", []string{"DATE", dateAt(-60)}, func(m *Meta) bool { return m.Date == at(-60) }},
		{"§12.5.5 Vary on two lines", []string{"Vary", "b", "vary", "A"}, func(m *Meta) bool { return m.Vary == "a,b" }},
		{"RFC 9111 §5.2 Cache-Control on two lines", []string{"cache-control", "immutable"}, func(m *Meta) bool { return m.Immutable && m.Lifetime == time.Hour }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := admit(t, append(tt.pairs, "Cache-Control", maxAge)...).Meta
			if !tt.want(&m) {
				t.Errorf("Admit of %q = %+v", tt.pairs, m)
			}
		})
	}
}

// The fields that a stored response is without, whatever it came with (RFC 9111 §3.1).
func TestNotStored(t *testing.T) {
	tests := []struct {
		name  string
		pairs []string
		want  []string // of the fields called X…
	}{
		{"§3.1 nominated by Connection", []string{"X-A", "1", "Connection", "x-a", "X-B", "2"}, []string{"X-B: 2"}},
		{"§3.1 nominated on a later line", []string{"X-A", "1", "X-B", "2", "Connection", "close", "Connection", "keep-alive, X-B"}, []string{"X-A: 1"}},
		{"§5.2.2.4 named by no-cache", []string{"X-A", "1", "Cache-Control", `no-cache="x-a"`, "X-B", "2"}, []string{"X-B: 2"}},
		{"§5.2.2.7 named by private", []string{"X-A", "1", "X-A", "2", "Cache-Control", `private="X-A, X-C"`, "X-B", "2"}, []string{"X-B: 2"}},
		{"§5.2.2.7 named by both", []string{"X-A", "1", "Cache-Control", `private="X-A"`, "Cache-Control", "no-cache=X-B", "X-B", "2"}, nil},
		{"RFC 9213 named by CDN-Cache-Control", []string{"X-A", "1", "CDN-Cache-Control", `max-age=60, private="x-a"`, "X-B", "2"}, []string{"X-B: 2"}},
		{"RFC 9213 what Cache-Control names is stored", []string{"X-A", "1", "CDN-Cache-Control", "max-age=60", "Cache-Control", "private=X-A"},
			[]string{"X-A: 1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			adm := admit(t, append(tt.pairs, "Cache-Control", "max-age=60")...)
			var got []string
			for name, value := range adm.Header.All() {
				if name[0] == 'X' {
					got = append(got, name+": "+value)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("Admit of %q stores %q, want %q", tt.pairs, got, tt.want)
			}
		})
	}
}

func TestSpansBetweenDates(t *testing.T) {
	const limit = maxSeconds * time.Second
	tests := []struct {
		name     string
		from, to int64
		want     time.Duration
	}{
		{"forward", noon, noon + 1, 1},
		{"backward", noon, noon - 1, -1},
		{"none", noon, noon, 0},
		{"overflow forward", -1 << 63, 1<<63 - 1, limit},
		{"overflow backward", 1<<63 - 1, -1 << 63, -limit},
		{"past what delta-seconds hold", 0, int64(limit) + 1, limit},
		{"past what delta-seconds hold, backward", 0, -int64(limit) - 1, -limit},
	}
	for _, tt := range tests {
		if got := between(tt.from, tt.to); got != tt.want {
			t.Errorf("%s: between(%d, %d) = %v, want %v (RFC 9111 §1.2.2)", tt.name, tt.from, tt.to, got, tt.want)
		}
	}
}

func TestLimitField(t *testing.T) {
	for name, want := range map[string]bool{
		"RateLimit": true, "ratelimit": true, "RateLimit-Policy": true, "RATELIMIT-POLICY": true, "X-RateLimit-Limit": true,
		"x-ratelimit-used": true, "RateLimit-Limit": false, "RateLimits": false, "X-RateLimit": false, "X-RateLimit-": false, "Retry-After": false,
		"Content-Language": false, "Alt-Range": false, "": false,
	} {
		if got := LimitField(name); got != want {
			t.Errorf("LimitField(%q) = %v, want %v", name, got, want)
		}
	}
}
