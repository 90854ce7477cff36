package httpcache

import "time"

// Outcome is what to do with a stored response that a request selected.
type Outcome uint8

// The outcomes.
const (
	Hit           Outcome = iota // serve it: it is fresh
	HitStale                     // serve it, stale as it is: the request accepts that (max-stale)
	HitRevalidate                // serve it, stale as it is, and revalidate it in the background (RFC 5861 §3)
	Revalidate                   // validate it upstream before it is served (RFC 9111 §4.3)
)

// Decision is the answer of Decide.
type Decision struct {
	Outcome Outcome
	Fwd     Fwd           // why the request goes upstream, for Cache-Status; FwdNone for Hit and HitStale
	Age     time.Duration // current age: the Age field, in whole seconds, of what is served
	TTL     time.Duration // remaining freshness, negative when stale
}

// Decide says whether a stored response, selected by key and variant, may answer a request now (RFC 9111 §4).
func Decide(now int64, m *Meta, a *Ask) Decision {
	age := m.Age(now)
	d := Decision{Age: age, TTL: m.Lifetime - age}
	switch {
	case m.NoCache:
		d.Outcome, d.Fwd = Revalidate, FwdStale
	case a.refuses(m, d.Age, d.TTL):
		d.Outcome, d.Fwd = Revalidate, FwdRequest
	case d.TTL > 0:
		d.Outcome = Hit
	case m.MustRevalidate:
		d.Outcome, d.Fwd = Revalidate, FwdStale
	case a.MaxStale >= 0 && -d.TTL <= a.MaxStale:
		d.Outcome = HitStale
	case -d.TTL < m.StaleWhileRevalidate:
		d.Outcome, d.Fwd = HitRevalidate, FwdStale
	default:
		d.Outcome, d.Fwd = Revalidate, FwdStale
	}
	return d
}

// refuses reports whether the request asks for something fresher (RFC 9111 §5.2.1). A browser's reload asks for max-age=0,
// which immutable answers while it is fresh; no-cache insists (RFC 8246 §2.1).
func (a *Ask) refuses(m *Meta, age, ttl time.Duration) bool {
	tooOld := a.MaxAge >= 0 && age > a.MaxAge && !(m.Immutable && ttl > 0)
	return a.NoCache || tooOld || a.MinFresh >= 0 && ttl < a.MinFresh
}

// StaleAllowed reports whether a stale response may be served because no usable answer could be had from upstream: it
// could not be reached, or answered with an error that Failing reports (RFC 9111 §4.2.4, RFC 5861 §4). It never may
// against the response's no-cache, must-revalidate, proxy-revalidate or s-maxage, nor against a request that wants
// something fresher.
func StaleAllowed(now int64, m *Meta, a *Ask) bool {
	age := m.Age(now)
	ttl := m.Lifetime - age
	if m.NoCache || a.refuses(m, age, ttl) {
		return false
	}
	return ttl > 0 || !m.MustRevalidate && -ttl < m.StaleIfError
}

// Failing reports whether the status is an error for which stale content may stand in (RFC 5861 §4).
func Failing(status int) bool {
	return status == 500 || status == 502 || status == 503 || status == 504
}
