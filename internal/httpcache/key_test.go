package httpcache

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"cdnlab/topology"
)

func key(host, target string, query topology.QueryRule) string {
	return string(AppendKey(nil, []byte(host), []byte(target), &topology.SiteCache{Query: query, QueryNames: []string{"a", "utm_*"}}))
}

func TestAppendKey(t *testing.T) {
	const keep, sort, drop, only, except = topology.QueryKeep, topology.QuerySort, topology.QueryDrop, topology.QueryOnly, topology.QueryExcept
	many := strings.Repeat("b&", maxSorted) + "a"
	tests := []struct {
		name   string
		host   string
		target string
		query  topology.QueryRule
		want   string
	}{
		{"path", "h", "/a/b", keep, "h/a/b"},
		{"RFC 9110 §4.2.3 host in lower case", "Www.CDN.test", "/", keep, "www.cdn.test/"},
		{"port is no part of it", "h:8080", "/", keep, "h/"},
		{"empty port", "h:", "/", keep, "h/"},
		{"IPv6", "[2001:DB8::1]", "/", keep, "[2001:db8::1]/"},
		{"IPv6 with a port", "[2001:db8::1]:80", "/", keep, "[2001:db8::1]/"},
		{"RFC 9110 §4.2.3 path is case-sensitive", "h", "/A", keep, "h/A"},
		{"RFC 3986 §6.2.2 escapes as they are", "h", "/%7e%7E~/%2F%2f", keep, "h/%7e%7E~/%2F%2f"},
		{"RFC 3986 §6.2.2.3 dots as they are", "h", "/a/../b/.//", keep, "h/a/../b/.//"},
		{"bytes that are no ASCII", "h", "/\xff", keep, "h/\xff"},
		{"asterisk form", "h", "*", keep, "h*"},
		{"fragment", "h", "/a#b?c", keep, "h/a"},
		{"fragment after a query", "h", "/a?b#c", sort, "h/a?b"},

		{"keep: order", "h", "/?b=2&a=1", keep, "h/?b=2&a=1"},
		{"keep: escapes", "h", "/?a=%20+%2b", keep, "h/?a=%20+%2b"},
		{"keep: empty query", "h", "/?", keep, "h/?"},
		{"keep: second question mark", "h", "/?a?b", keep, "h/?a?b"},
		{"drop", "h", "/a?b=2&a=1", drop, "h/a"},
		{"drop: empty query", "h", "/a?", drop, "h/a"},
		{"sort", "h", "/?b=2&c&a=1", sort, "h/?a=1&b=2&c"},
		{"sort: escapes as they are", "h", "/?b=%2f&%61=1&a=%2F", sort, "h/?%61=1&a=%2F&b=%2f"},
		{"sort: names are case-sensitive", "h", "/?a&B", sort, "h/?B&a"},
		{"sort: by name, not by value", "h", "/?a=1&a-b=1", sort, "h/?a=1&a-b=1"},
		{"sort: equal names keep their order", "h", "/?a=2&b&a=1&a", sort, "h/?a=2&a=1&a&b"},
		{"sort: empty parameters", "h", "/?b&&a&", sort, "h/?&&a&b"},
		{"sort: empty query", "h", "/?", sort, "h/?"},
		{"sort: no query", "h", "/", sort, "h/"},
		{"sort: most", "h", "/?" + many[2:], sort, "h/?a&" + many[2:len(many)-2]},
		{"only: the others are left out", "h", "/?z=1&a=2&utm_x=3", only, "h/?a=2&utm_x=3"},
		{"only: none of them", "h", "/?z=1&y", only, "h/"},
		{"only: each of several", "h", "/?a=2&z&a=1", only, "h/?a=2&a=1"},
		{"only: a name in percent-encoding, which the app decodes", "h", "/?a=1&%61=2&%75tm_x", only, "h/?%61=2&%75tm_x&a=1"},
		{"only: what some apps take for two", "h", "/?z=1;a=2", only, "h/?z=1;a=2"},
		{"only: the beginning of a name is none", "h", "/?ab=1&utm=2", only, "h/"},
		{"except: the others are sorted", "h", "/?z=1&a=2&utm_x=3&b", except, "h/?b&z=1"},
		{"except: nothing is left", "h", "/?a&utm_x", except, "h/"},
		{"except: a name in percent-encoding stays", "h", "/?%61=1", except, "h/?%61=1"},
		{"sort: too many stay as they are", "h", "/?" + many, sort, "h/?" + many},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := key(tt.host, tt.target, tt.query); got != tt.want {
				t.Errorf("AppendKey(%q, %q) = %q, want %q", tt.host, tt.target, got, tt.want)
			}
		})
	}
}

func TestAppendKeyAppends(t *testing.T) {
	target := []byte("/?b&a")
	got := AppendKey([]byte("x"), []byte("H"), target, &topology.SiteCache{Query: topology.QuerySort})
	if string(got) != "xh/?a&b" || string(target) != "/?b&a" {
		t.Errorf("AppendKey to %q = %q and the target is %q, want what it was given kept", "x", got, target)
	}
}

func TestAppendKeyDoesNotAllocate(t *testing.T) {
	dst := make([]byte, 0, 256)
	host, target := []byte("WWW.cdn.test:8080"), []byte("/a/b?d=4&c=3&b=2&a=1&a=0&e")
	for _, query := range []topology.QueryRule{topology.QueryKeep, topology.QuerySort, topology.QueryDrop} {
		site := topology.SiteCache{Query: query}
		if n := testing.AllocsPerRun(100, func() { AppendKey(dst, host, target, &site) }); n != 0 {
			t.Errorf("AppendKey with query rule %d allocates %v times, want 0", query, n)
		}
	}
}

func BenchmarkAppendKey(b *testing.B) {
	dst := make([]byte, 0, 256)
	host, target := []byte("www.cdn.test:8080"), []byte("/assets/img/logo.png?width=640&v=7&height=480&dpr=2")
	for name, query := range map[string]topology.QueryRule{"keep": topology.QueryKeep, "sort": topology.QuerySort} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			site := topology.SiteCache{Query: query}
			for b.Loop() {
				AppendKey(dst, host, target, &site)
			}
		})
	}
}

// Requests of other hosts, paths or parameters never share a key: an attacker could choose what others are served.
func FuzzAppendKey(f *testing.F) {
	f.Add("h", "/a?b", "h", "/a?c", uint8(0))
	f.Add("h", "/?b&a", "h", "/?a&b", uint8(1))
	f.Add("h.test", "/", "h", "/.test/", uint8(2))
	f.Add("h", "*", "h", "/", uint8(0))
	f.Fuzz(func(t *testing.T, host1, target1, host2, target2 string, rule uint8) {
		query := topology.QueryRule(rule % 3)
		r1, ok1 := identify(host1, target1, query)
		r2, ok2 := identify(host2, target2, query)
		if !ok1 || !ok2 {
			return
		}
		k1, k2 := key(host1, target1, query), key(host2, target2, query)
		if (k1 == k2) != slices.Equal(r1, r2) {
			t.Errorf("%q%q and %q%q have the keys %q and %q under rule %d", host1, target1, host2, target2, k1, k2, query)
		}
	})
}

// identify takes a request apart into what its key is about, by other means than AppendKey; ok is false for what no server
// takes for a request.
func identify(host, target string, query topology.QueryRule) (parts []string, ok bool) {
	notHost := func(r rune) bool { return r >= utf8.RuneSelf || strings.ContainsRune("/:[]?*", r) }
	if strings.ContainsFunc(host, notHost) || target != "*" && !strings.HasPrefix(target, "/") || strings.Contains(target, "#") {
		return nil, false
	}
	path, params, has := strings.Cut(target, "?")
	parts = []string{strings.ToLower(host), path}
	switch {
	case !has || query == topology.QueryDrop:
		return parts, true
	case query == topology.QueryKeep || strings.Count(params, "&") >= maxSorted:
		return append(parts, params), true
	}
	named := map[string][]string{}
	var names []string
	for p := range strings.SplitSeq(params, "&") {
		name, _, _ := strings.Cut(p, "=")
		if named[name] == nil {
			names = append(names, name)
		}
		named[name] = append(named[name], p)
	}
	slices.Sort(names)
	for _, name := range names {
		parts = append(parts, named[name]...)
	}
	return parts, true
}
