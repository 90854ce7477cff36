package httpcache

import (
	"strconv"
	"strings"
)

// Span is a run of bytes of a representation.
type Span struct{ First, Length int64 }

// Selection is what a request's Range selects of a representation.
type Selection struct {
	Status int // 200: all of it, the Range is ignored; 206: Spans; 416: nothing that there is
	Spans  []Span
}

// maxSpans bounds the ranges of one request once overlapping and touching ones are merged. A request with more is answered
// in full (RFC 9110 §14.2 lets a server ignore Range, §17.15 says why it should).
const maxSpans = 8

// Select evaluates Range and If-Range against a stored response whose body has size bytes (RFC 9110 §13.1.5, §14.2). Only
// GET has ranges, and only of 200 responses.
func (a *Ask) Select(m *Meta, size int64) Selection {
	if a.Range == "" || a.Method != MethodGet || m.Status != 200 || !a.ifRange(m) {
		return Selection{Status: 200}
	}
	return ParseRange(a.Range, size)
}

// ifRange reports whether If-Range is absent or true: a strong entity tag that is the response's, or a date that is its
// Last-Modified exactly and at least a second older than Date (RFC 9110 §13.1.5, §8.8.2.2). More than one is never true.
func (a *Ask) ifRange(m *Meta) bool {
	n, validator := 0, ""
	for v := range a.Values("If-Range") {
		n++
		validator = v
	}
	switch {
	case n != 1:
		return n == 0
	case strings.HasPrefix(validator, `"`) || weak(validator):
		return strongMatch(validator, m.ETag)
	}
	t, ok := ParseDate(validator)
	return ok && m.LastModified != 0 && t == m.LastModified && m.Date-t >= 1e9
}

// ParseRange evaluates the value of a Range field against a representation of size bytes (RFC 9110 §14.1.2). An invalid
// value, another unit and too many ranges select all of it, as if there were no Range; so does any range of nothing, which no
// Content-Range could name.
func ParseRange(value string, size int64) Selection {
	whole := Selection{Status: 200}
	unit, set, ok := strings.Cut(value, "=")
	if !ok || !Fold(unit, "bytes") || size == 0 {
		return whole
	}
	var spans []Span
	valid := false
	for item, rest, more := nextItem(set); more; item, rest, more = nextItem(rest) {
		if item == "" {
			continue
		}
		s, ok := parseSpan(item, size)
		if !ok {
			return whole
		}
		valid = true
		if s.Length > 0 {
			spans = mergeSpan(spans, s)
		}
		if len(spans) > maxSpans {
			return whole
		}
	}
	switch {
	case !valid:
		return whole
	case len(spans) == 0:
		return Selection{Status: 416}
	}
	return Selection{Status: 206, Spans: spans}
}

// parseSpan parses one range of a representation that is not empty; a valid range that selects nothing has length 0.
func parseSpan(s string, size int64) (Span, bool) {
	from, to, ok := strings.Cut(s, "-")
	if !ok {
		return Span{}, false
	}
	if from == "" {
		n, ok := parseOffset(to)
		n = min(n, size)
		return Span{size - n, n}, ok
	}
	first, ok := parseOffset(from)
	if !ok {
		return Span{}, false
	}
	last := size - 1
	if to != "" {
		l, ok := parseOffset(to)
		if !ok || l < first {
			return Span{}, false
		}
		last = min(l, last)
	}
	return Span{first, max(0, last-first+1)}, true
}

// parseOffset parses digits; too large is the largest.
func parseOffset(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		n = 1<<63 - 1
	}
	return n, true
}

// mergeSpan adds a span to a list of disjoint ones, joined with those that it touches.
func mergeSpan(spans []Span, s Span) []Span {
	kept := spans[:0]
	for _, o := range spans {
		if s.First <= o.First+o.Length && o.First <= s.First+s.Length {
			end := max(s.First+s.Length, o.First+o.Length)
			s.First = min(s.First, o.First)
			s.Length = end - s.First
			continue
		}
		kept = append(kept, o)
	}
	return append(kept, s)
}

// AppendContentRange appends the Content-Range of a 206 (RFC 9110 §14.4).
func AppendContentRange(dst []byte, s Span, size int64) []byte {
	dst = append(dst, "bytes "...)
	dst = strconv.AppendInt(dst, s.First, 10)
	dst = append(dst, '-')
	dst = strconv.AppendInt(dst, s.First+s.Length-1, 10)
	dst = append(dst, '/')
	return strconv.AppendInt(dst, size, 10)
}

// AppendUnsatisfied appends the Content-Range of a 416.
func AppendUnsatisfied(dst []byte, size int64) []byte {
	return strconv.AppendInt(append(dst, "bytes */"...), size, 10)
}

// FirstOffset returns the first byte that the first range of a Range value asks for. ok is false when it is counted from the end
// or the value is none of bytes.
func FirstOffset(value string) (off int64, ok bool) {
	unit, set, _ := strings.Cut(value, "=")
	if !Fold(unit, "bytes") {
		return 0, false
	}
	item, _, _ := nextItem(set)
	from, _, _ := strings.Cut(item, "-")
	return parseOffset(from)
}

// AsksForBytes reports whether a Range value is one of bytes that [ParseRange] would read.
func AsksForBytes(value string) bool { return ParseRange(value, 1<<62).Status == 206 }

// ParseContentRange parses the Content-Range of a 206 whose length is known (RFC 9110 §14.4).
func ParseContentRange(value string) (s Span, size int64, ok bool) {
	rest, ok := strings.CutPrefix(value, "bytes ")
	if !ok {
		return s, 0, false
	}
	set, total, _ := strings.Cut(rest, "/")
	from, to, _ := strings.Cut(set, "-")
	first, ok1 := parseOffset(from)
	last, ok2 := parseOffset(to)
	size, ok3 := parseOffset(total)
	if !ok1 || !ok2 || !ok3 || first > last || last >= size {
		return s, 0, false
	}
	return Span{first, last - first + 1}, size, true
}
