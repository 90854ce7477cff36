package topology

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestLimits(t *testing.T) {
	top, err := Parse("x.yaml", []byte(`
origins: { main: { at: Ashburn } }
edges: { paris: {} }
trusted_proxies: [10.0.0.0/8, 127.0.0.1, "2001:db8::/32"]
limits:
  per-client: { rate: 100/s }
  login: { rate: 10/m, limiter: token-bucket, burst: 3, key: [client/24/48, class, "header:X-Api-Key"], site: www.cdn.test, path: /login, response: block,
           classes: { hard: { paths: [/login/reset, /login/new], cost: 3 } } }
  queue: { rate: 5/h, limiter: leaky-bucket, response: delay, key: [site] }
`), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []Limit{
		{Name: "per-client", Limiter: "sliding-counter", Rate: 100, Per: time.Second, Key: []KeyPart{{From: "client"}}, Response: "reject"},
		{Name: "login", Limiter: "token-bucket", Rate: 10, Per: time.Minute, Burst: 3, Key: []KeyPart{{From: "client", V4: 24, V6: 48}, {From: "class"}, {From: "header", Header: "X-Api-Key"}},
			Site: "www.cdn.test", Path: "/login", Classes: []PathClass{{"hard", []string{"/login/reset", "/login/new"}, 3}}, Response: "block", BlockFor: time.Minute},
		{Name: "queue", Limiter: "leaky-bucket", Rate: 5, Per: time.Hour, Key: []KeyPart{{From: "site"}}, Response: "delay", MaxDelay: time.Second},
	}
	if !reflect.DeepEqual(top.Limits, want) {
		t.Errorf("Limits =\n%+v, want\n%+v", top.Limits, want)
	}
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("2001:db8::/32")}
	if !reflect.DeepEqual(top.TrustedProxies, proxies) {
		t.Errorf("TrustedProxies = %v, want %v", top.TrustedProxies, proxies)
	}
}

func TestFaultsOfLimits(t *testing.T) {
	for limit, want := range map[string]string{
		"{ rate: 100 }":                                           `limits.a.rate: "100" has no unit; write 100/s, 100/m or 100/h`,
		"{ rate: 0/s }":                                           "limits.a.rate: ",
		"{ rate: 5/d }":                                           `unknown unit "d"`,
		"{ burst: 5 }":                                            "limits.a.rate: is missing",
		"{ rate: 5/s, burst: 5 }":                                 "limits.a.burst: a sliding-counter has no burst",
		"{ rate: 5/s, limiter: tokenbucket }":                     `did you mean "token-bucket"`,
		"{ rate: 5/s, key: [ip] }":                                `limits.a.key[0]: "ip" is no part of a key`,
		"{ rate: 5/s, key: [client/40] }":                         "limits.a.key[0]: ",
		"{ rate: 5/s, key: ['header:a b'] }":                      "limits.a.key[0]: ",
		"{ rate: 5/s, site: ww.cdn.test }":                        `unknown site "ww.cdn.test" (did you mean "www.cdn.test"?)`,
		"{ rate: 5/s, path: api }":                                "limits.a.path: ",
		"{ rate: 5/s, response: blok }":                           `did you mean "block"`,
		"{ rate: 5/s, block_for: 5s }":                            "limits.a.block_for: is for response: block",
		"{ rate: 5/s, max_delay: 5s }":                            "limits.a.max_delay: is for response: delay",
		"{ rate: 5/s, response: block, key: [site] }":             "nobody can be blocked",
		"{ rate: 5/s, classes: { x: { paths: [/x], cost: 6 } } }": "limits.a.classes.x.cost: 6 units are more than the limit ever allows, 5",
		"{ rate: 5/s, classes: { x: { paths: [x] } } }":           "limits.a.classes.x.cost: is missing",
	} {
		_, err := Parse("x.yaml", []byte("origins: { main: { at: Ashburn } }\nedges: { paris: {} }\nlimits: { a: "+limit+" }"), "", nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", limit, err, want)
		}
	}
	_, err := Parse("x.yaml", []byte("origins: { main: { at: Ashburn } }\nedges: { paris: {} }\ntrusted_proxies: [0.0.0.0/0, 10.0.0.1/8, x]"), "", nil)
	for _, want := range []string{"trusted_proxies[0]: 0.0.0.0/0 is everybody", "trusted_proxies[1]: 10.0.0.1/8 has bits", `trusted_proxies[2]: "x"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
