package httpcache

import "strings"

// Verdict is the result of a request's preconditions against a stored response.
type Verdict uint8

// The verdicts.
const (
	Proceed     Verdict = iota // answer as if there were no preconditions
	NotModified                // answer 304
	Failed                     // answer 412
)

// Evaluate evaluates the preconditions of a GET or HEAD against a stored 200 response, in the order of RFC 9110 §13.2.2;
// other statuses have no preconditions (§13.2.1). If-Range is not among them; see Ask.Select.
func Evaluate(a *Ask, m *Meta) Verdict {
	if !a.Conditional || m.Status != 200 {
		return Proceed
	}
	if seen, match := a.etagMatch("If-Match", m.ETag, strongMatch); seen {
		if !match {
			return Failed
		}
	} else if t, ok := a.date("If-Unmodified-Since"); ok && m.LastModified != 0 && m.LastModified > t {
		return Failed
	}
	if seen, match := a.etagMatch("If-None-Match", m.ETag, weakMatch); seen {
		if match {
			return NotModified
		}
	} else if t, ok := a.date("If-Modified-Since"); ok && m.modified() <= t {
		return NotModified
	}
	return Proceed
}

// modified returns Last-Modified; without one, Date stands in (RFC 9111 §4.3.2).
func (m *Meta) modified() int64 {
	if m.LastModified != 0 {
		return m.LastModified
	}
	return m.Date
}

// etagMatch reports whether the request has the field, and whether a member of it is "*" or matches the entity tag.
func (a *Ask) etagMatch(field, etag string, match func(a, b string) bool) (seen, matched bool) {
	for v := range a.Values(field) {
		seen = true
		for item, rest, more := nextItem(v); more; item, rest, more = nextItem(rest) {
			matched = matched || item == "*" || etag != "" && match(item, etag)
		}
	}
	return seen, matched
}

// date returns the date that the request has in the field; ok is false when it has none, several or an invalid one, in which
// case the field is ignored (RFC 9110 §13.1.3, §13.1.4).
func (a *Ask) date(field string) (t int64, ok bool) {
	n := 0
	for v := range a.Values(field) {
		n++
		t, ok = ParseDate(v)
	}
	return t, ok && n == 1
}

// strongMatch compares entity tags strongly (RFC 9110 §8.8.3.2).
func strongMatch(a, b string) bool { return a == b && !strings.HasPrefix(a, "W/") }

// weakMatch compares entity tags weakly.
func weakMatch(a, b string) bool {
	return strings.TrimPrefix(a, "W/") == strings.TrimPrefix(b, "W/")
}
