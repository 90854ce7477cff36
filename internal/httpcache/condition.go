package httpcache

import "strings"

// NotModified reports whether a stored response answers the preconditions of a GET or HEAD with 304 (RFC 9111 §4.3.2):
// If-None-Match, or without one If-Modified-Since. Only 200 responses have preconditions here. If-Match and
// If-Unmodified-Since are the origin's: a cache must not evaluate them. For If-Range see [Ask.Select].
func NotModified(a *Ask, m *Meta) bool {
	if !a.Conditional || m.Status != 200 {
		return false
	}
	if seen, match := a.noneMatch(m.ETag); seen {
		return match
	}
	t, ok := a.date("If-Modified-Since")
	return ok && m.modified() <= t
}

// modified returns Last-Modified; without one, Date stands in (RFC 9111 §4.3.2).
func (m *Meta) modified() int64 {
	if m.LastModified != 0 {
		return m.LastModified
	}
	return m.Date
}

// noneMatch reports whether the request has If-None-Match, and whether a member of it is "*" or matches the entity tag.
func (a *Ask) noneMatch(etag string) (seen, matched bool) {
	for v := range a.Values("If-None-Match") {
		seen = true
		for tag, rest, more := nextTag(v); more; tag, rest, more = nextTag(rest) {
			matched = matched || tag == "*" || etag != "" && weakMatch(tag, etag)
		}
	}
	return seen, matched
}

// nextTag cuts the first entity tag off a list. Unlike a quoted string, an entity tag may hold a backslash, which escapes
// nothing (RFC 9110 §8.8.3). Tags that lack their quotes end at the comma.
func nextTag(list string) (tag, rest string, more bool) {
	list = strings.TrimLeft(list, ", \t")
	if opaque, ok := strings.CutPrefix(strings.TrimPrefix(list, "W/"), `"`); ok {
		if end := strings.IndexByte(opaque, '"'); end >= 0 {
			return list[:len(list)-len(opaque)+end+1], opaque[end+1:], true
		}
	}
	tag, rest, _ = strings.Cut(list, ",")
	return trim(tag), rest, list != ""
}

// date returns the date that the request has in the field; ok is false when it has none, several or an invalid one, in which
// case the field is ignored (RFC 9110 §13.1.3).
func (a *Ask) date(field string) (t int64, ok bool) {
	n := 0
	for v := range a.Values(field) {
		n++
		t, ok = ParseDate(v)
	}
	return t, ok && n == 1
}

// strongMatch compares entity tags strongly (RFC 9110 §8.8.3.2).
func strongMatch(a, b string) bool { return a == b && !weak(a) }

// weakMatch compares entity tags weakly.
func weakMatch(a, b string) bool {
	return strings.TrimPrefix(a, "W/") == strings.TrimPrefix(b, "W/")
}

func weak(etag string) bool { return strings.HasPrefix(etag, "W/") }
