package origin

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxPath bounds a decoded path, in bytes.
const maxPath = 1024

// target is what a request names: a host without port, in lower case, the path as it came and the query without "?".
type target struct {
	host, path, query string
}

// parseTarget reads a request target in origin form or absolute form; the host of an absolute one replaces the Host header
// (RFC 9112 §3.2.2).
func parseTarget(uri, hostHeader string) (target, error) {
	host := hostHeader
	if !strings.HasPrefix(uri, "/") {
		scheme, rest, ok := strings.Cut(uri, "://")
		if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
			return target{}, fmt.Errorf("bad request target %q: it starts with / or http://", uri)
		}
		cut := strings.IndexAny(rest, "/?#")
		if cut < 0 {
			cut = len(rest)
		}
		host, uri = rest[:cut], rest[cut:]
		if !strings.HasPrefix(uri, "/") {
			uri = "/" + uri
		}
	}
	uri, _, _ = strings.Cut(uri, "#")
	path, query, _ := strings.Cut(uri, "?")
	return target{host: hostName(host), path: path, query: query}, nil
}

// hostName strips the port and the root's dot and lowers the case.
func hostName(host string) string {
	if rest, ok := strings.CutPrefix(host, "["); ok {
		addr, _, _ := strings.Cut(rest, "]")
		return strings.ToLower(addr)
	}
	name, _, _ := strings.Cut(host, ":")
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// parsePath turns the path of a URL into the name by which content is stored and guarded: percent-decoded exactly once. All
// spellings of one path (/a/b, /a%2Fb, /%61/b) thus name one object, and no spelling evades an access rule.
func parsePath(raw string) (string, error) {
	path, err := url.PathUnescape(raw)
	if err != nil {
		return "", fmt.Errorf("bad path: %w", err)
	}
	return path, checkPath(path)
}

// checkPath says why a decoded path cannot name anything.
func checkPath(path string) error {
	switch {
	case !strings.HasPrefix(path, "/"):
		return fmt.Errorf("bad path %q: it starts with /", path)
	case len(path) > maxPath:
		return fmt.Errorf("bad path of %d bytes: %d at most", len(path), maxPath)
	case !utf8.ValidString(path):
		return fmt.Errorf("bad path %q: not UTF-8", path)
	case strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("bad path %q: control characters", path)
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return fmt.Errorf("bad path %q: a segment is %q", path, segment)
		}
	}
	return nil
}

// escapePath is the inverse of parsePath, in its canonical spelling.
func escapePath(path string) string {
	return (&url.URL{Path: path}).EscapedPath()
}
