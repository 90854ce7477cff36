package httpcache

import (
	"strconv"
	"time"

	"github.com/dunglas/httpsfv"
)

// control is what the cache directives of a response say, in Cache-Control (RFC 9111 §5.2.2) or CDN-Cache-Control (RFC 9213).
type control struct {
	public, private, noStore, noCache bool
	mustRevalidate, proxyRevalidate   bool
	mustUnderstand, immutable         bool
	sMaxAge, maxAge                   time.Duration // negative when absent, as are the next two
	staleWhileRevalidate              time.Duration
	staleIfError                      time.Duration
	unlisted                          []string // fields named by no-cache="…" and private="…"
}

func newControl() control {
	return control{sMaxAge: absent, maxAge: absent, staleWhileRevalidate: absent, staleIfError: absent}
}

// addLine adds the directives of one Cache-Control line.
func (c *control) addLine(v string) {
	for d, rest, more := nextDirective(v); more; d, rest, more = nextDirective(rest) {
		c.add(d)
	}
}

func (c *control) add(d directive) {
	switch {
	case Fold(d.name, "public"):
		c.public = true
	case Fold(d.name, "private"):
		c.private = c.private || !c.unlist(d)
	case Fold(d.name, "no-cache"):
		c.noCache = c.noCache || !c.unlist(d)
	case Fold(d.name, "no-store"):
		c.noStore = true
	case Fold(d.name, "must-revalidate"):
		c.mustRevalidate = true
	case Fold(d.name, "proxy-revalidate"):
		c.proxyRevalidate = true
	case Fold(d.name, "must-understand"):
		c.mustUnderstand = true
	case Fold(d.name, "immutable"):
		c.immutable = true
	case Fold(d.name, "s-maxage"):
		c.sMaxAge = lifetime(c.sMaxAge, d)
	case Fold(d.name, "max-age"):
		c.maxAge = lifetime(c.maxAge, d)
	case Fold(d.name, "stale-while-revalidate"):
		c.staleWhileRevalidate = firstSeconds(c.staleWhileRevalidate, d)
	case Fold(d.name, "stale-if-error"):
		c.staleIfError = firstSeconds(c.staleIfError, d)
	}
}

// unlist takes the field names of a qualified directive (RFC 9111 §5.2.2.4, §5.2.2.7). It is false for a directive that is
// not qualified, or not properly, and then holds for the whole response.
func (c *control) unlist(d directive) bool {
	named := false
	for item, rest, more := nextItem(d.value); more; item, rest, more = nextItem(rest) {
		if !token(item) {
			return false
		}
		c.unlisted = append(c.unlisted, item)
		named = true
	}
	return named
}

// lifetime keeps the first value of a directive; one that is no number is stale at once (RFC 9111 §4.2.1).
func lifetime(had time.Duration, d directive) time.Duration {
	if had != absent {
		return had
	}
	s, _ := deltaSeconds(d.value)
	return s
}

// secondsDirectives and flagDirectives are the directives that we know, by the type of their value in a structured field.
var (
	secondsDirectives = [...]string{"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"}
	flagDirectives    = [...]string{"public", "no-store", "must-revalidate", "proxy-revalidate", "must-understand", "immutable"}
	namingDirectives  = [...]string{"private", "no-cache"}
)

// targetedControl parses the lines of a CDN-Cache-Control field (RFC 9213 §2.1). The field is invalid, and then ignored as a
// whole, when it is no structured field, empty, or gives a directive that we know a value of another type.
func targetedControl(lines []string) (control, bool) {
	c := newControl()
	dict, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil || len(dict.Names()) == 0 {
		return c, false
	}
	for _, name := range secondsDirectives {
		if value, ok := item(dict, name); ok {
			n, ok := value.(int64)
			if !ok {
				return c, false
			}
			c.add(directive{name: name, value: strconv.FormatInt(n, 10), valued: true})
		}
	}
	for _, name := range flagDirectives {
		if value, ok := item(dict, name); ok {
			set, ok := value.(bool)
			if !ok {
				return c, false
			}
			if set {
				c.add(directive{name: name})
			}
		}
	}
	for _, name := range namingDirectives {
		switch value, ok := item(dict, name); v := value.(type) {
		case bool:
			if v {
				c.add(directive{name: name})
			}
		case string:
			c.add(directive{name: name, value: v, valued: true})
		default:
			if ok {
				return c, false
			}
		}
	}
	return c, true
}

// item returns the value of a member of the dictionary; nil for an inner list.
func item(dict *httpsfv.Dictionary, name string) (value any, ok bool) {
	m, ok := dict.Get(name)
	if i, is := m.(httpsfv.Item); is {
		value = i.Value
	}
	return value, ok
}
