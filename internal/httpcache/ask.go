package httpcache

import (
	"iter"
	"time"
)

// Method is what a request's method means to a cache.
type Method uint8

// The kinds of method.
const (
	MethodGet    Method = iota
	MethodHead          // answered from a stored GET
	MethodSafe          // OPTIONS, TRACE and other methods registered as safe: passed on, invalidate nothing
	MethodUnsafe        // passed on; a non-error response invalidates (RFC 9111 §4.4). Unknown methods are unsafe
)

// AnyStale as MaxStale accepts staleness of any extent.
const AnyStale = time.Duration(1<<63 - 1)

// absent marks a directive that the request does not carry.
const absent = time.Duration(-1)

// Ask is what a request asks of a cache. Reset it, then Add each field line; reusing an Ask allocates nothing once it has
// grown. It aliases what Add was given until the next Reset.
type Ask struct {
	Method        Method
	NoCache       bool // Cache-Control: no-cache, or Pragma: no-cache without Cache-Control (RFC 9111 §5.2.1.4, §5.4)
	NoStore       bool
	OnlyIfCached  bool // answer 504 rather than go upstream (§5.2.1.7)
	Authorization bool // carries credentials (§3.5)
	Cookie        bool // carries cookies, which may be credentials as well
	Conditional   bool // carries a precondition other than If-Range (RFC 9110 §13.1)

	MaxAge   time.Duration // negative when absent; so are the next two
	MinFresh time.Duration
	MaxStale time.Duration // AnyStale without a value

	Range string // value of the Range field; "" when absent, or when there is more than one

	lines        []line
	cacheControl bool // a Cache-Control field was seen, which overrules Pragma
	pragma       bool // Pragma: no-cache was seen
	ranges       int
}

type line struct{ name, value string }

// Reset makes the Ask one without fields. The method is compared exactly: methods are case-sensitive (RFC 9110 §9.1).
func (a *Ask) Reset(method []byte) {
	*a = Ask{Method: methodOf(method), MaxAge: absent, MinFresh: absent, MaxStale: absent, lines: a.lines[:0]}
}

// SetMethod changes the method and leaves the fields as they are.
func (a *Ask) SetMethod(method []byte) { a.Method = methodOf(method) }

func methodOf(m []byte) Method {
	switch string(m) {
	case "GET":
		return MethodGet
	case "HEAD":
		return MethodHead
	case "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY":
		return MethodSafe
	}
	return MethodUnsafe
}

// Add takes one field line of the request.
func (a *Ask) Add(name, value []byte) {
	n, v := text(name), trim(text(value))
	a.lines = append(a.lines, line{n, v})
	switch len(n) {
	case 5:
		if Fold(n, "Range") {
			a.addRange(v)
		}
	case 6:
		if Fold(n, "Cookie") {
			a.Cookie = true
		} else if Fold(n, "Pragma") && listHas(v, "no-cache") {
			a.pragma = true
			a.NoCache = a.NoCache || !a.cacheControl
		}
	case 8:
		if Fold(n, "If-Match") {
			a.Conditional = true
		}
	case 13:
		if Fold(n, "Cache-Control") {
			a.addCacheControl(v)
		} else if Fold(n, "Authorization") {
			a.Authorization = true
		} else if Fold(n, "If-None-Match") {
			a.Conditional = true
		}
	case 17:
		if Fold(n, "If-Modified-Since") {
			a.Conditional = true
		}
	case 19:
		if Fold(n, "If-Unmodified-Since") {
			a.Conditional = true
		}
	}
}

func (a *Ask) addRange(v string) {
	a.ranges++
	a.Range = v
	if a.ranges > 1 {
		a.Range = ""
	}
}

func (a *Ask) addCacheControl(v string) {
	if !a.cacheControl && a.pragma {
		a.NoCache = false
	}
	a.cacheControl = true
	for d, rest, more := nextDirective(v); more; d, rest, more = nextDirective(rest) {
		switch {
		case Fold(d.name, "no-cache"):
			a.NoCache = true
		case Fold(d.name, "no-store"):
			a.NoStore = true
		case Fold(d.name, "only-if-cached"):
			a.OnlyIfCached = true
		case Fold(d.name, "max-age"):
			a.MaxAge = firstSeconds(a.MaxAge, d)
		case Fold(d.name, "min-fresh"):
			a.MinFresh = firstSeconds(a.MinFresh, d)
		case Fold(d.name, "max-stale") && !d.valued:
			if a.MaxStale == absent {
				a.MaxStale = AnyStale
			}
		case Fold(d.name, "max-stale"):
			a.MaxStale = firstSeconds(a.MaxStale, d)
		}
	}
}

// firstSeconds keeps the first valid value of a directive (RFC 9111 §4.2.1).
func firstSeconds(had time.Duration, d directive) time.Duration {
	if s, ok := deltaSeconds(d.value); ok && had == absent {
		return s
	}
	return had
}

// Values yields the values of the request's fields of that name, in order.
func (a *Ask) Values(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range a.lines {
			if Fold(a.lines[i].name, name) && !yield(a.lines[i].value) {
				return
			}
		}
	}
}

// Set puts one field in the place of all fields of that name, or removes them when value is "". It is for fields that tell of
// the client what the cache has found out itself.
func (a *Ask) Set(name, value string) {
	kept := a.lines[:0]
	for _, l := range a.lines {
		if !Fold(l.name, name) {
			kept = append(kept, l)
		}
	}
	if a.lines = kept; value != "" {
		a.lines = append(a.lines, line{name, value})
	}
}

// Get returns the value of the first field of that name; "" when there is none.
func (a *Ask) Get(name string) string {
	for v := range a.Values(name) {
		return v
	}
	return ""
}

// Forward yields the fields of the request that a proxy passes on: all but the hop-by-hop fields and those that Connection
// nominates (RFC 9110 §7.6.1).
func (a *Ask) Forward() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for i := range a.lines {
			l := &a.lines[i]
			if HopByHop(l.name) || a.nominated(l.name) {
				continue
			}
			if !yield(l.name, l.value) {
				return
			}
		}
	}
}

func (a *Ask) nominated(name string) bool {
	for v := range a.Values("Connection") {
		if listHas(v, name) {
			return true
		}
	}
	return false
}

// Cacheable reports whether the method lets a cache answer (RFC 9110 §9.2.3): GET and HEAD.
func (a *Ask) Cacheable() bool { return a.Method <= MethodHead }
