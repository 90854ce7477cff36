package httpcache

import (
	"slices"
	"strconv"
	"strings"
)

// VaryAny as Vary matches no request (RFC 9110 §12.5.5).
const VaryAny = "*"

// ParseVary returns the header names that the Vary fields of a response list: in lower case, sorted, each once, separated by
// commas. It is "" when the response does not vary, and VaryAny when any member is "*" or no field name.
func ParseVary(h Header) string {
	var names []string
	for v := range h.Values("Vary") {
		for item, rest, more := nextItem(v); more; item, rest, more = nextItem(rest) {
			switch {
			case item == "":
			case item == "*" || !token(item):
				return VaryAny
			default:
				names = append(names, strings.ToLower(item))
			}
		}
	}
	return joinNames(names)
}

// MergeVary returns the names that a or b list.
func MergeVary(a, b string) string {
	switch {
	case a == b || b == "":
		return a
	case a == "":
		return b
	case a == VaryAny || b == VaryAny:
		return VaryAny
	}
	return joinNames(append(strings.Split(a, ","), strings.Split(b, ",")...))
}

// cookiePrefix begins what stands for a single cookie among the names of fields.
const cookiePrefix = "cookie:"

// VaryOf returns, in the form of ParseVary, fields and single cookies that tell responses apart.
func VaryOf(fields, cookies []string) string {
	var names []string
	for _, f := range fields {
		names = append(names, strings.ToLower(f))
	}
	for _, c := range cookies {
		names = append(names, cookiePrefix+c)
	}
	return joinNames(names)
}

// appendCookie appends the values of a cookie, each in the order of the request (RFC 6265 §4.2.1).
func appendCookie(dst []byte, cookie string, a *Ask) []byte {
	for v := range a.Values("Cookie") {
		for v != "" {
			var pair string
			pair, v, _ = strings.Cut(v, ";")
			if name, value, ok := strings.Cut(trim(pair), "="); ok && name == cookie {
				dst = append(append(dst, '='), value...)
				dst = append(dst, ';') // no value has one
			}
		}
	}
	return dst
}

// variesByCookie reports whether fields, as MergeVary returns them, tell responses apart by cookies.
func variesByCookie(vary string) bool {
	for name := range strings.SplitSeq(vary, ",") {
		if name == "cookie" || strings.HasPrefix(name, cookiePrefix) {
			return true
		}
	}
	return false
}

func joinNames(names []string) string {
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ",")
}

// AppendVariant appends to a cache key what tells the variants of a response apart: the values that the request has in the
// fields that vary lists (as ParseVary and MergeVary return it), normalised so that values which mean the same are the same
// (RFC 9111 §4.1). It allocates only to grow dst.
func AppendVariant(dst []byte, vary string, a *Ask) []byte {
	for vary != "" {
		var name string
		name, vary, _ = strings.Cut(vary, ",")
		dst = appendSelecting(dst, name, a)
		dst = append(dst, '\n')
	}
	return dst
}

// appendSelecting appends the normalised value of one selecting field.
func appendSelecting(dst []byte, name string, a *Ask) []byte {
	if cookie, ok := strings.CutPrefix(name, cookiePrefix); ok {
		return appendCookie(dst, cookie, a)
	}
	if name == "accept-language" || name == "accept-encoding" {
		if out, ok := appendPreferences(dst, name, a); ok {
			return out
		}
	}
	first := true
	for v := range a.Values(name) {
		if first {
			dst = append(dst, '=') // tells an empty field from none
		}
		for item, rest, more := nextItem(v); more; item, rest, more = nextItem(rest) {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(dst, item...)
		}
		first = false
	}
	return dst
}

// preference is one member of Accept-Language or Accept-Encoding.
type preference struct {
	name   string
	weight int // in thousandths
}

// maxPreferences bounds the members that are put in order; a longer field is keyed as it is written.
const maxPreferences = 24

// appendPreferences appends a field of weighted names by weight, then name, in lower case: order among equals and the way in
// which a weight is written mean nothing (RFC 9110 §12.4.2, §12.5). ok is false when the field is not of that form.
func appendPreferences(dst []byte, field string, a *Ask) (out []byte, ok bool) {
	var buf [maxPreferences]preference
	list := buf[:0]
	present := false
	for v := range a.Values(field) {
		present = true
		for item, rest, more := nextItem(v); more; item, rest, more = nextItem(rest) {
			if item == "" {
				continue
			}
			p, ok := parsePreference(item)
			if !ok || len(list) == maxPreferences {
				return dst, false
			}
			list = append(list, p)
		}
	}
	if !present {
		return dst, true
	}
	slices.SortFunc(list, comparePreferences)
	dst = append(dst, '~') // tells it from a field that is keyed as it is written
	for i, p := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		for _, c := range []byte(p.name) {
			dst = append(dst, lower(c))
		}
		if p.weight != 1000 {
			dst = strconv.AppendInt(append(dst, ';'), int64(p.weight), 10)
		}
	}
	return dst, true
}

func comparePreferences(a, b preference) int {
	if a.weight != b.weight {
		return b.weight - a.weight
	}
	for i := range min(len(a.name), len(b.name)) {
		if d := int(lower(a.name[i])) - int(lower(b.name[i])); d != 0 {
			return d
		}
	}
	return len(a.name) - len(b.name)
}

// parsePreference parses a token with an optional weight (RFC 9110 §12.4.2).
func parsePreference(s string) (preference, bool) {
	name, weight, weighted := strings.Cut(s, ";")
	p := preference{trim(name), 1000}
	if !token(p.name) {
		return p, false
	}
	if !weighted {
		return p, true
	}
	weight = trim(weight)
	if len(weight) < 3 || lower(weight[0]) != 'q' || weight[1] != '=' {
		return p, false
	}
	var ok bool
	p.weight, ok = ParseWeight(weight[2:])
	return p, ok
}

// ParseWeight parses a qvalue into thousandths.
func ParseWeight(s string) (int, bool) {
	if len(s) > 5 || s[0] != '0' && s[0] != '1' || len(s) > 1 && s[1] != '.' {
		return 0, false
	}
	n, unit := int(s[0]-'0')*1000, 100
	for i := 2; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n += int(s[i]-'0') * unit
		unit /= 10
	}
	return n, n <= 1000
}
