package httpcache

import (
	"math"
	"time"
)

// maxSeconds is what delta-seconds too large to represent count as (RFC 9111 §1.2.2).
const maxSeconds = math.MaxInt32

// directive is one member of a Cache-Control field.
type directive struct {
	name   string // as written; compare with fold
	value  string // without quotes; escapes in quoted strings are kept, no directive that we know needs them
	valued bool   // there was a "="
}

// nextDirective cuts the first directive off a Cache-Control value. more is false at the end of the list. Members that are
// no directive (empty, or with a name that is no token) come back with an empty name.
func nextDirective(list string) (d directive, rest string, more bool) {
	item, rest, more := nextItem(list)
	name := 0
	for name < len(item) && tokenByte(item[name]) {
		name++
	}
	switch {
	case name == 0:
	case name == len(item):
		d.name = item
	case item[name] == '=':
		d = directive{name: item[:name], value: unquote(item[name+1:]), valued: true}
	}
	return d, rest, more
}

func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// deltaSeconds parses the seconds of a directive or of Age (RFC 9111 §1.2.2): digits only. Too large is the largest; ok is
// false for anything else.
func deltaSeconds(s string) (d time.Duration, ok bool) {
	n := int64(0)
	for i := range len(s) {
		c := s[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(n*10+int64(c-'0'), maxSeconds)
	}
	return time.Duration(n) * time.Second, s != ""
}
