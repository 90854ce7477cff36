package httpcache

import (
	"net/url"
	"slices"
	"strings"
)

// Invalidates reports whether the response to a request invalidates what is stored under its target (RFC 9111 §4.4): the
// method is unsafe or unknown, and the response is not an error.
func Invalidates(a *Ask, status int) bool {
	return a.Method == MethodUnsafe && status >= 200 && status < 400
}

// Targets returns the request targets, in origin form, that a response which Invalidates takes with it: the target of the
// request, and of Location and Content-Location what lies on the same host (RFC 9111 §4.4).
func Targets(host, target string, h Header) []string {
	list := []string{target}
	for _, field := range [...]string{"Location", "Content-Location"} {
		if t, ok := located(host, target, h, field); ok && !slices.Contains(list, t) {
			list = append(list, t)
		}
	}
	return list
}

// located returns the request target that a field of the response to one for host and target refers to. ok is false when that lies on
// another host, or the response has no such field.
func located(host, target string, h Header, field string) (t string, ok bool) {
	if !h.Has(field) {
		return "", false
	}
	base, err := url.Parse("http://" + host + target)
	if err != nil {
		return "", false
	}
	u, err := base.Parse(h.Get(field))
	if err != nil || !strings.EqualFold(u.Hostname(), base.Hostname()) {
		return "", false
	}
	return u.RequestURI(), true
}
