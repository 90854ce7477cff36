package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Each option of a site's cache changes what is a hit.
func TestCacheOptions(t *testing.T) {
	type ask struct{ target, line string }
	ok := func(lines string) script {
		return func(c *call) bool { return c.write(reply("200 OK", dated+lines, fmt.Sprint("body ", c.number))) }
	}
	fresh := ok("Cache-Control: max-age=60\r\n")
	missing := func(c *call) bool { return c.write(reply("404 Not Found", dated, fmt.Sprint("none ", c.number))) }
	for name, tt := range map[string]struct {
		option        string
		origin        script
		first, second ask
		with, without bool // whether the second is a hit
	}{
		"query_only leaves the others out":       {"query_only: [page]", fresh, ask{"/?page=1&x=1", ""}, ask{"/?x=2&page=1", ""}, true, false},
		"query_only tells its own apart":         {"query_only: [page]", fresh, ask{"/?page=1", ""}, ask{"/?page=2", ""}, false, false},
		"query_except leaves its own out":        {"query_except: [utm_*]", fresh, ask{"/?a=1&utm_source=x", ""}, ask{"/?utm_medium=y&a=1", ""}, true, false},
		"headers tell apart":                     {"headers: [X-Tenant]", fresh, ask{"/", "X-Tenant: a"}, ask{"/", "X-Tenant: b"}, false, true},
		"headers of the same value":              {"headers: [X-Tenant]", fresh, ask{"/", "X-Tenant: a"}, ask{"/", "x-tenant: a"}, true, true},
		"an empty header is not none":            {"headers: [X-Tenant]", fresh, ask{"/", "X-Tenant:"}, ask{"/", ""}, false, true},
		"cookies tell apart":                     {"cookies: [group]", fresh, ask{"/", "Cookie: a=1; group=x"}, ask{"/", "Cookie: group=y; a=1"}, false, true},
		"other cookies do not":                   {"cookies: [group]", fresh, ask{"/", "Cookie: a=1; group=x"}, ask{"/", "Cookie: group=x; a=2"}, true, true},
		"the name of a cookie is case-sensitive": {"cookies: [group]", fresh, ask{"/", "Cookie: group=x"}, ask{"/", "Cookie: GROUP=x"}, false, true},
		"share_cookies":                          {"share_cookies: on", ok("Cache-Control: max-age=60\r\nSet-Cookie: a=b\r\n"), ask{"/", ""}, ask{"/", ""}, true, false},
		"negative, by status":                    {"negative: { 404: 5s }", missing, ask{"/", ""}, ask{"/", ""}, true, false},
		"negative, by class":                     {"negative: { 4xx: 5s }", missing, ask{"/", ""}, ask{"/", ""}, true, false},
		"negative, another status":               {"negative: { 410: 5s, 5xx: 5s }", missing, ask{"/", ""}, ask{"/", ""}, false, false},
	} {
		for _, c := range []struct {
			option string
			hit    bool
		}{{tt.option, tt.with}, {"stale_if_error: 1h", tt.without}} {
			t.Run(name+" "+c.option, func(t *testing.T) {
				f := start(t, setup{cache: c.option}, tt.origin)
				get := func(a ask) *received {
					if a.line == "" {
						return f.get(a.target)
					}
					return f.get(a.target, a.line)
				}
				get(tt.first)
				f.settled()
				if a := get(tt.second); strings.HasPrefix(a.header.Get("X-Cache"), "HIT") != c.hit {
					t.Errorf("second request: %s %s, want a hit: %t", a.header.Get("X-Cache"), a.cacheStatus(), c.hit)
				}
			})
		}
	}
}

func TestNegativeAnswersEnd(t *testing.T) {
	f := start(t, setup{cache: "negative: { 404: 5s }"}, func(c *call) bool { return c.write(reply("404 Not Found", "", "none")) })
	f.get("/a")
	f.pass(6 * time.Second)
	if a := f.get("/a"); !strings.HasPrefix(a.header.Get("X-Cache"), "MISS") {
		t.Errorf("after its time: %s, want MISS", a.header.Get("X-Cache"))
	}
}

func TestPurgeTakesAllThatAHeaderTellsApart(t *testing.T) {
	f := start(t, setup{cache: "headers: [X-Tenant], cookies: [group]"}, fresh)
	for _, tenant := range []string{"a", "b"} {
		f.get("/a", "X-Tenant: "+tenant, "Cookie: group="+tenant)
		f.settled()
	}
	f.purgeURL("/a")
	for _, tenant := range []string{"a", "b"} {
		if a := f.get("/a", "X-Tenant: "+tenant, "Cookie: group="+tenant); strings.HasPrefix(a.header.Get("X-Cache"), "HIT") {
			t.Errorf("after the purge tenant %s gets a hit", tenant)
		}
	}
}
