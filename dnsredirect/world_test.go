package dnsredirect

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"cdnlab/internal/place"
	"cdnlab/internal/stats"
	"cdnlab/topology"
)

var (
	parisAt   = topology.Location{City: "Paris", Country: "FR", Continent: "EU", Lat: 48.86, Lon: 2.35}
	tokyoAt   = topology.Location{City: "Tokyo", Country: "JP", Continent: "AS", Lat: 35.68, Lon: 139.69}
	newYorkAt = topology.Location{City: "New York", Country: "US", Continent: "NA", Lat: 40.71, Lon: -74.01}

	client = netip.MustParseAddr("198.18.1.7") // in Paris
)

func addrs(list ...string) (out []netip.Addr) {
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

// world is a CDN of three PoPs: Paris with two servers, of which the first has an IPv6 address too, Tokyo and New York.
func world() (*topology.Topology, *topology.Plan) {
	t := &topology.Topology{
		Name: "world", Zone: "cdn.test", Fallback: "new-york",
		DNS: topology.DNS{Servers: 2, TTL: time.Minute,
			Health: topology.Health{Off: true, Interval: 20 * ms, Timeout: 15 * ms, Fall: 3, Rise: 2}},
		Origins: []topology.Origin{{Name: "main", At: newYorkAt}},
		Edges: []topology.Edge{
			{Name: "paris", At: parisAt, Servers: 2, Parent: topology.Ref{Kind: topology.KindOrigin, Name: "main"}},
			{Name: "tokyo", At: tokyoAt, Servers: 1, Parent: topology.Ref{Kind: topology.KindOrigin, Name: "main"}},
			{Name: "new-york", At: newYorkAt, Servers: 1, Parent: topology.Ref{Kind: topology.KindOrigin, Name: "main"}},
		},
		Clients: []topology.Client{
			{Name: "paris", At: parisAt, Networks: []netip.Prefix{netip.MustParsePrefix("198.18.1.0/24"), netip.MustParsePrefix("2001:db8:1::/48")}},
			{Name: "tokyo", At: tokyoAt, Networks: []netip.Prefix{netip.MustParsePrefix("198.18.2.0/24"), netip.MustParsePrefix("2001:db8:2::/48")}},
			{Name: "new-york", At: newYorkAt, Networks: []netip.Prefix{netip.MustParsePrefix("198.18.3.0/24")}},
		},
		Sites: []topology.Site{
			{Host: "www.cdn.test", Origin: "main"},
			{Host: "a.b.cdn.test", Origin: "main"},
			{Host: "shop.example", Origin: "main"},
		},
		Records: []topology.Record{
			{Name: "info", TXT: []string{"hello", `back\slash`}},
			{Name: "big", TXT: []string{strings.Repeat("x", 600), strings.Repeat("y", 600), strings.Repeat("z", 600)}},
			{Name: "alias", CNAME: "www.cdn.test"},
			{Name: "away", CNAME: "www.example.org"},
			{Name: "nowhere", CNAME: "missing.cdn.test"},
			{Name: "circle", CNAME: "circus.cdn.test"},
			{Name: "circus", CNAME: "circle.cdn.test"},
			{Name: "@", MX: []topology.MX{{Preference: 10, Host: "mail.cdn.test"}}},
			{Name: "mail", A: addrs("192.0.2.25"), AAAA: addrs("2001:db8::25")},
			{Name: "tokyo-1", A: addrs("192.0.2.99")},
		},
	}
	http := func(a string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(a), 8080) }
	p := &topology.Plan{
		Nodes: []topology.Node{
			{Name: "main", Kind: topology.KindOrigin, Group: "main", Index: 1, At: newYorkAt, HTTP: http("127.1.0.1"), Public: addrs("127.1.0.1")},
			{Name: "paris-1", Kind: topology.KindEdge, Group: "paris", Index: 1, At: parisAt, HTTP: http("127.3.1.1"), Public: addrs("127.3.1.1", "2001:db8::1")},
			{Name: "paris-2", Kind: topology.KindEdge, Group: "paris", Index: 2, At: parisAt, HTTP: http("127.3.1.2"), Public: addrs("127.3.1.2")},
			{Name: "tokyo-1", Kind: topology.KindEdge, Group: "tokyo", Index: 1, At: tokyoAt, HTTP: http("127.3.2.1"), Public: addrs("127.3.2.1")},
			{Name: "new-york-1", Kind: topology.KindEdge, Group: "new-york", Index: 1, At: newYorkAt, HTTP: http("127.3.3.1"), Public: addrs("127.3.3.1")},
			{Name: "dns-1", Kind: topology.KindDNS, Group: "dns", Index: 1, HTTP: http("127.0.0.1"), Public: addrs("127.0.0.1")},
			{Name: "dns-2", Kind: topology.KindDNS, Group: "dns", Index: 2, HTTP: http("127.0.0.2"), Public: addrs("127.0.0.2", "2001:db8::53")},
		},
		Places: []topology.Place{
			{Name: "paris", Prefix: netip.MustParsePrefix("127.101.0.0/16")},
			{Name: "tokyo", Prefix: netip.MustParsePrefix("127.102.0.0/16")},
			{Name: "new-york", Prefix: netip.MustParsePrefix("127.103.0.0/16")},
		},
	}
	return t, p
}

// newTestServer makes a server of the world without sockets, for what needs none; change alters it beforehand.
func newTestServer(t testing.TB, change func(*Config)) *Server {
	t.Helper()
	top, plan := world()
	cfg := Config{Node: plan.Nodes[5], Topology: top, Plan: plan, Stats: stats.New(time.Now()), Log: slog.New(slog.DiscardHandler), Now: time.Now}
	if change != nil {
		change(&cfg)
	}
	var err error
	if cfg.Locator == nil {
		if cfg.Locator, err = place.New(cfg.Topology, cfg.Plan, ""); err != nil {
			t.Fatal(err)
		}
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// kill makes every server of the named PoPs fail.
func (s *Server) kill(t testing.TB, pops ...string) {
	t.Helper()
	rule := topology.Health{Fall: 1, Rise: 1}
	for _, name := range pops {
		for _, p := range s.fleet {
			if p.edge.Name != name {
				continue
			}
			for i := range p.servers {
				p.observe(i, s.cfg.Now(), false, rule)
			}
		}
	}
}
