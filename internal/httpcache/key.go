package httpcache

import (
	"bytes"
	"slices"
	"strings"

	"cdnlab/topology"
)

// AppendKey appends the primary cache key of a request to dst: the host in lower case and without its port, then the path
// byte for byte as the request target has it (nothing is decoded), then of the query what the rule keeps. A fragment is cut
// off. target is in origin form, "/path?query". It allocates only to grow dst.
func AppendKey(dst, host, target []byte, query topology.QueryRule) []byte {
	for _, c := range withoutPort(host) {
		dst = append(dst, lower(c))
	}
	target, _, _ = bytes.Cut(target, []byte{'#'})
	path, params, has := bytes.Cut(target, []byte{'?'})
	dst = append(dst, path...)
	if !has || query == topology.QueryDrop {
		return dst
	}
	dst = append(dst, '?')
	if query == topology.QuerySort {
		return appendSorted(dst, params)
	}
	return append(dst, params...)
}

func withoutPort(host []byte) []byte {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && bytes.IndexByte(host[i:], ']') < 0 {
		return host[:i]
	}
	return host
}

// maxSorted bounds the parameters that are put in order; a longer query is keyed as it is.
const maxSorted = 64

// appendSorted appends the parameters ordered by name; equal names keep their order, which applications give a meaning.
func appendSorted(dst, params []byte) []byte {
	var buf [maxSorted][]byte
	list := buf[:0]
	for rest := params; ; {
		p, more, found := bytes.Cut(rest, []byte{'&'})
		if len(list) == maxSorted {
			return append(dst, params...)
		}
		list = append(list, p)
		if !found {
			break
		}
		rest = more
	}
	slices.SortStableFunc(list, func(a, b []byte) int { return strings.Compare(paramName(a), paramName(b)) })
	for i, p := range list {
		if i > 0 {
			dst = append(dst, '&')
		}
		dst = append(dst, p...)
	}
	return dst
}

func paramName(p []byte) string {
	name, _, _ := bytes.Cut(p, []byte{'='})
	return text(name)
}
