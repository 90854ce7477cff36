package httpcache

import "time"

// Source says where the freshness lifetime of a response comes from.
type Source uint8

// The sources, strongest first.
const (
	SourceTargeted  Source = iota + 1 // CDN-Cache-Control (RFC 9213)
	SourceSMaxAge                     // s-maxage (RFC 9111 §5.2.2.10)
	SourceMaxAge                      // max-age (§5.2.2.1)
	SourceExpires                     // Expires (§5.3)
	SourcePolicy                      // the site's own TTL; the response states none
	SourceHeuristic                   // a share of the time since Last-Modified (§4.2.2)
	SourceNone                        // no lifetime: stale at once
)

// Meta is what a stored response means to a cache. It is parsed once, when the response is stored, and never changed.
type Meta struct {
	ResponseTime         int64         // when the response arrived
	Date                 int64         // its Date; without a valid one, the second in which it arrived (RFC 9110 §6.6.1)
	LastModified         int64         // 0 when not stated or invalid; a stated 1970-01-01 00:00:00 counts as not stated
	InitialAge           time.Duration // corrected_initial_age (RFC 9111 §4.2.3)
	Lifetime             time.Duration // freshness_lifetime (§4.2.1)
	StaleWhileRevalidate time.Duration // 0 never (RFC 5861 §3)
	StaleIfError         time.Duration // 0 never (RFC 5861 §4), by the response or else by the site
	ETag                 string        // as written, with its quotes and W/; "" when there is none
	Vary                 string        // as ParseVary returns it; "" when the response does not vary
	Status               uint16
	Source               Source
	NoCache              bool // never served without validation (§5.2.2.4)
	MustRevalidate       bool // never served stale: must-revalidate, proxy-revalidate or s-maxage (§5.2.2)
	Encodable            bool // its body may be sent in a content coding; set by the one who stores it
	Purged               bool // stale before its time: its fields would let others take it for fresh; set by the one who stores it
	Limits               bool // it has fields of a rate limit: RateLimit, RateLimit-Policy or X-RateLimit-*
	Immutable            bool // while fresh, max-age in a request is no reason to validate it (RFC 8246 §2.1)
}

// Age returns the current age of the response (RFC 9111 §4.2.3), never less than its age on arrival, even when the clock
// was set back.
func (m *Meta) Age(now int64) time.Duration {
	return m.InitialAge + time.Duration(max(0, now-m.ResponseTime))
}

// TTL returns how long the response stays fresh; negative once it is stale.
func (m *Meta) TTL(now int64) time.Duration { return m.Lifetime - m.Age(now) }

// Strong reports whether the response has a strong entity tag: two of the same are the same to the byte (RFC 9110 §8.8.1).
func (m *Meta) Strong() bool { return m.ETag != "" && !weak(m.ETag) }
