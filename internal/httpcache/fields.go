package httpcache

import (
	"math"
	"time"
)

// fields are the header fields of a response that a cache goes by.
type fields struct {
	control
	targeted     bool          // control comes from CDN-Cache-Control
	date         int64         // valid when dated
	lastModified int64         // 0 when absent or invalid
	expires      int64         // instant at which the response expires; math.MinInt64 when Expires is invalid
	age          time.Duration // 0 when absent or invalid
	etag         string
	connection   []string // values of Connection
	dated        bool
	expiring     bool // there is an Expires that counts
	varies       bool
	cookies      bool // there is a Set-Cookie
	limits       bool // there is a field of a rate limit
}

// readFields reads a response's header section in one pass.
func readFields(h Header) fields {
	f := fields{control: newControl()}
	var aged bool
	var targeted []string
	for name, value := range h.All() {
		f.limits = f.limits || LimitField(name)
		switch len(name) {
		case 3:
			if Fold(name, "Age") && !aged {
				aged = true
				f.age = parseAge(value)
			}
		case 4:
			if Fold(name, "Date") {
				f.date, f.dated = ParseDate(value)
			} else if Fold(name, "ETag") && f.etag == "" {
				f.etag = value
			} else if Fold(name, "Vary") {
				f.varies = true
			}
		case 7:
			if Fold(name, "Expires") {
				f.addExpires(value)
			}
		case 10:
			if Fold(name, "Set-Cookie") {
				f.cookies = true
			} else if Fold(name, "Connection") {
				f.connection = append(f.connection, value)
			}
		case 13:
			if Fold(name, "Cache-Control") {
				f.addLine(value)
			} else if Fold(name, "Last-Modified") {
				f.lastModified, _ = ParseDate(value)
			}
		case 17:
			if Fold(name, "CDN-Cache-Control") {
				targeted = append(targeted, value)
			}
		}
	}
	if len(targeted) > 0 {
		if c, ok := targetedControl(targeted); ok {
			f.control, f.targeted, f.expiring = c, true, false
		}
	}
	return f
}

// LimitField reports whether a field of a response, in any case, speaks of a rate limit (draft-ietf-httpapi-ratelimit-headers-10, and
// what was there before it). Retry-After is not among them: of what passes, it tells when to ask the server again.
func LimitField(name string) bool {
	const family = "X-RateLimit-"
	return Fold(name, "RateLimit") || Fold(name, "RateLimit-Policy") || len(name) > len(family) && Fold(name[:len(family)], family)
}

// parseAge parses the first member of an Age field (RFC 9111 §5.1); an invalid one counts for nothing.
func parseAge(value string) time.Duration {
	first, _, _ := nextItem(value)
	age, _ := deltaSeconds(first)
	return age
}

// addExpires adds one Expires line: an invalid date, or two that differ, mean that the response has expired (RFC 9111 §4.2.1,
// §5.3).
func (f *fields) addExpires(value string) {
	t, ok := ParseDate(value)
	if !ok || f.expiring && t != f.expires {
		t = math.MinInt64
	}
	f.expires, f.expiring = t, true
}

// meta works out what the response means when it is stored.
func (f *fields) meta(r *Response, p *Policy, vary string) Meta {
	second := r.ResponseTime - r.ResponseTime%int64(time.Second)
	m := Meta{
		ResponseTime:         r.ResponseTime,
		Date:                 second,
		LastModified:         f.lastModified,
		StaleWhileRevalidate: max(0, f.staleWhileRevalidate),
		StaleIfError:         p.StaleIfError,
		ETag:                 f.etag,
		Vary:                 vary,
		Status:               uint16(r.Status),
		NoCache:              f.noCache,
		MustRevalidate:       f.mustRevalidate || f.proxyRevalidate || f.sMaxAge >= 0,
		Immutable:            f.immutable,
		Limits:               f.limits,
	}
	if f.dated {
		m.Date = f.date
	}
	if f.staleIfError >= 0 {
		m.StaleIfError = f.staleIfError
	}
	// corrected_initial_age (RFC 9111 §4.2.3). Date has whole seconds, so the arrival is compared in whole seconds too.
	delay := time.Duration(max(0, r.ResponseTime-r.RequestTime))
	m.InitialAge = max(between(m.Date, second), f.age+delay, 0)
	m.Lifetime, m.Source = f.lifetime(r.Status, p, m.Date)
	return m
}

// lifetime is freshness_lifetime (RFC 9111 §4.2.1) and where it comes from.
func (f *fields) lifetime(status int, p *Policy, date int64) (time.Duration, Source) {
	switch {
	case f.targeted && f.sMaxAge >= 0:
		return f.sMaxAge, SourceTargeted
	case f.targeted && f.maxAge >= 0:
		return f.maxAge, SourceTargeted
	case f.sMaxAge >= 0:
		return f.sMaxAge, SourceSMaxAge
	case f.maxAge >= 0:
		return f.maxAge, SourceMaxAge
	case f.expiring:
		return max(0, between(date, f.expires)), SourceExpires
	case p.TTL > 0 && status < 400:
		if heuristic(status) || f.public {
			return p.TTL, SourcePolicy
		}
	case negative(status, p) > 0:
		return negative(status, p), SourcePolicy
	case f.lastModified != 0 && f.lastModified < date:
		if heuristic(status) || f.public {
			return min(between(f.lastModified, date)/10, maxHeuristic), SourceHeuristic
		}
	}
	return 0, SourceNone
}

// negative is how long the site wants an error to be fresh; 0 for no error.
func negative(status int, p *Policy) time.Duration {
	for _, n := range p.Negative {
		if n.From <= status && status <= n.To {
			return n.TTL
		}
	}
	return 0
}

// maxHeuristic bounds heuristic freshness.
const maxHeuristic = 24 * time.Hour

// between returns the time from one instant to another, at most the largest that delta-seconds can hold.
func between(from, to int64) time.Duration {
	const limit = maxSeconds * time.Second
	switch d := to - from; {
	case to >= from && (d < 0 || d > int64(limit)):
		return limit
	case to < from && (d > 0 || d < -int64(limit)):
		return -limit
	default:
		return time.Duration(d)
	}
}

// heuristic reports whether the status is defined as heuristically cacheable (RFC 9110 §15.1); of these, 206 is never stored.
func heuristic(status int) bool {
	switch status {
	case 200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501:
		return true
	}
	return false
}
