package httpcache

import (
	"bytes"
	"net/url"
	"slices"
	"strings"

	"cdnlab/topology"
)

// AppendKey appends the primary cache key of a request to dst: the host in lower case and without its port, then the path
// byte for byte as the request target has it (nothing is decoded), then of the query what the rule keeps. A fragment is cut
// off. target is in origin form, "/path?query". It allocates only to grow dst, and for names in percent-encoding.
func AppendKey(dst, host, target []byte, site *topology.SiteCache) []byte {
	for _, c := range withoutPort(host) {
		dst = append(dst, lower(c))
	}
	target, _, _ = bytes.Cut(target, []byte{'#'})
	path, params, has := bytes.Cut(target, []byte{'?'})
	dst = append(dst, path...)
	switch {
	case !has || site.Query == topology.QueryDrop:
		return dst
	case site.Query == topology.QueryKeep:
		return append(append(dst, '?'), params...)
	}
	return appendSorted(dst, params, site)
}

// belongs reports whether a parameter belongs to the key. Where only some do, one that an application could take for one of them
// does too: with its name in percent-encoding, or behind a semicolon.
func belongs(p []byte, site *topology.SiteCache) bool {
	name := paramName(p)
	switch site.Query {
	case topology.QueryOnly:
		if strings.IndexByte(name, '%') >= 0 || strings.IndexByte(name, '+') >= 0 {
			if plain, err := url.QueryUnescape(name); err == nil {
				name = plain
			}
		}
		return listed(name, site.QueryNames) || bytes.IndexByte(p, ';') >= 0
	case topology.QueryExcept:
		return !listed(name, site.QueryNames)
	}
	return true
}

func listed(name string, names []string) bool {
	for _, n := range names {
		if prefix, ok := strings.CutSuffix(n, "*"); ok && strings.HasPrefix(name, prefix) || n == name {
			return true
		}
	}
	return false
}

func withoutPort(host []byte) []byte {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && bytes.IndexByte(host[i:], ']') < 0 {
		return host[:i]
	}
	return host
}

// maxSorted bounds the parameters that are put in order; a longer query is keyed as it is.
const maxSorted = 64

// appendSorted appends the parameters that belong to the key, ordered by name; equal names keep their order, which applications give
// a meaning.
func appendSorted(dst, params []byte, site *topology.SiteCache) []byte {
	var buf [maxSorted][]byte
	list := buf[:0]
	for rest := params; ; {
		p, more, found := bytes.Cut(rest, []byte{'&'})
		if len(list) == maxSorted {
			return append(append(dst, '?'), params...)
		}
		if belongs(p, site) {
			list = append(list, p)
		}
		if !found {
			break
		}
		rest = more
	}
	slices.SortStableFunc(list, func(a, b []byte) int { return strings.Compare(paramName(a), paramName(b)) })
	for i, p := range list {
		separator := byte('&')
		if i == 0 {
			separator = '?'
		}
		dst = append(append(dst, separator), p...)
	}
	return dst
}

func paramName(p []byte) string {
	name, _, _ := bytes.Cut(p, []byte{'='})
	return text(name)
}
