package httpcache

import "strings"

// Fold reports whether two strings of ASCII are equal in any case (RFC 9110 §5.1).
func Fold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] && lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// trim removes optional whitespace (RFC 9110 §5.6.3) at both ends.
// strings.Trim takes longer to make a set of two bytes than this takes for most values.
func trim(s string) string {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// nextItem cuts the first member off a comma-separated list (RFC 9110 §5.6.1), trimmed; commas in quoted strings do not
// separate. more is false when the list has ended and item holds nothing.
func nextItem(list string) (item, rest string, more bool) {
	if list == "" {
		return "", "", false
	}
	quoted := false
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			return trim(list[:i]), list[i+1:], true
		}
	}
	return trim(list), "", true
}

// listHas reports whether a comma-separated list has a member that equals name in any case.
func listHas(list, name string) bool {
	for item, rest, more := nextItem(list); more; item, rest, more = nextItem(rest) {
		if Fold(item, name) {
			return true
		}
	}
	return false
}

// token reports whether s is a token (RFC 9110 §5.6.2).
func token(s string) bool {
	for i := range len(s) {
		if !tokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func tokenByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
