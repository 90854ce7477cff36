package place

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"cdnlab/topology"
)

var (
	parisAt     = topology.Location{City: "Paris", IATA: "CDG", Country: "FR", Continent: "EU", Lat: 48.86, Lon: 2.35}
	tokyoAt     = topology.Location{City: "Tokyo", IATA: "HND", Country: "JP", Continent: "AS", Lat: 35.68, Lon: 139.69}
	frankfurtAt = topology.Location{City: "Frankfurt", IATA: "FRA", Country: "DE", Continent: "EU", Lat: 50.11, Lon: 8.68}
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func world() (*topology.Topology, *topology.Plan) {
	return &topology.Topology{
			Name: "world", Fallback: "frankfurt",
			Edges: []topology.Edge{{Name: "paris", At: parisAt}, {Name: "tokyo", At: tokyoAt}},
			Clients: []topology.Client{
				{Name: "paris", At: parisAt, Networks: prefixes("198.18.1.0/24", "198.18.9.7/32", "2001:db8:1::/48")},
				{Name: "tokyo", At: tokyoAt, Networks: prefixes("2001:db8:2::/64", "198.18.2.0/24", "10.0.0.0/8", "2002:a00::/24")},
				{Name: "frankfurt", At: frankfurtAt, Networks: prefixes("203.0.113.128/25")},
				{Name: "everyone", At: parisAt, Networks: prefixes("::/0")},
			},
		}, &topology.Plan{Places: []topology.Place{
			{Name: "paris", Prefix: netip.MustParsePrefix("127.101.0.0/16")},
			{Name: "tokyo", Prefix: netip.MustParsePrefix("127.102.0.0/16")},
			{Name: "frankfurt", Prefix: netip.MustParsePrefix("127.103.0.0/16")},
		}}
}

func locator(t testing.TB, withPlan bool, geoip string) *Locator {
	t.Helper()
	top, plan := world()
	if !withPlan {
		plan = nil
	}
	l, err := New(top, plan, geoip)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLocate(t *testing.T) {
	l := locator(t, true, "")
	for _, c := range []struct {
		about, addr, place, client string
		by                         By
		scope                      int
	}{
		{"a network", "198.18.2.9", "tokyo", "198.18.2.9", ByNetwork, 24},
		{"another of the same place", "10.200.3.4", "tokyo", "10.200.3.4", ByNetwork, 8},
		{"a network of one address", "198.18.9.7", "paris", "198.18.9.7", ByNetwork, 32},
		{"half a network", "203.0.113.200", "frankfurt", "203.0.113.200", ByNetwork, 25},
		{"IPv4 mapped into IPv6", "::ffff:198.18.2.9", "tokyo", "198.18.2.9", ByNetwork, 24},
		{"IPv6", "2001:db8:2::1", "tokyo", "2001:db8:2::1", ByNetwork, 64},
		{"IPv6 with a zone", "2001:db8:2::1%lo", "tokyo", "2001:db8:2::1", ByNetwork, 64},
		{"6to4, no alias of IPv4", "2002:a00:1::1", "tokyo", "2002:a00:1::1", ByNetwork, 24},
		{"a loopback source", "127.101.2.7", "paris", "198.18.1.7", ByPlan, 16},
		{"a loopback source of a place whose first network is IPv6", "127.102.1.7", "tokyo", "2001:db8:2::107", ByPlan, 16},
		{"a loopback source into half a network", "127.103.0.130", "frankfurt", "203.0.113.130", ByPlan, 16},
		{"a loopback source of nobody", "127.0.0.1", "frankfurt", "127.0.0.1", ByFallback, 10},
		{"an unknown address: the empty region around it", "203.0.113.1", "frankfurt", "203.0.113.1", ByFallback, 25},
		{"an unknown address far from all", "8.8.8.8", "frankfurt", "8.8.8.8", ByFallback, 7},
	} {
		t.Run(c.about, func(t *testing.T) {
			a := l.Locate(netip.MustParseAddr(c.addr))
			if a.Place != c.place || a.By != c.by || a.Client.String() != c.client || a.Scope != c.scope || a.Evidence == "" {
				t.Errorf("Locate(%s) = %+v, want %s (%v), client %s, scope %d", c.addr, a, c.place, c.by, c.client, c.scope)
			}
			if at, ok := l.top.Client(c.place); !ok || a.Location != at.At {
				t.Errorf("Locate(%s) is at %+v, want where %s is", c.addr, a.Location, c.place)
			}
		})
	}
	t.Run("no address at all", func(t *testing.T) {
		if a := l.Locate(netip.Addr{}); a.Place != "frankfurt" || a.By != ByFallback {
			t.Errorf("Locate(invalid) = %+v, want the fallback place", a)
		}
	})
}

// Every address within the scope of an answer gets the same answer: a resolver may give it to all of them.
func TestScopeIsTheRegionOfTheAnswer(t *testing.T) {
	l := locator(t, true, cityFile(t))
	for _, s := range []string{"198.18.1.1", "198.18.0.1", "10.1.1.1", "8.8.8.8", "203.0.113.1", "1.2.3.4", "1.2.4.4", "127.0.0.1", "127.102.0.1", "2001:db8:2::9"} {
		addr := netip.MustParseAddr(s)
		a := l.Locate(addr)
		region, err := addr.Prefix(a.Scope)
		if err != nil || a.Scope == 0 {
			t.Fatalf("Locate(%s): scope %d", s, a.Scope)
		}
		for _, other := range []netip.Addr{region.Addr(), last(region)} {
			if b := l.Locate(other); b.Place != a.Place || b.By != a.By || b.Location != a.Location || b.Scope != a.Scope {
				t.Errorf("Locate(%s) = %+v, but %s of its scope %v is %+v", s, a, other, region, b)
			}
		}
	}
}

func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func TestLongerPrefixWinsWhateverTheOrder(t *testing.T) {
	for _, first := range []string{"wide", "narrow"} {
		wide := topology.Client{Name: "wide", At: parisAt, Networks: prefixes("198.18.0.0/15")}
		narrow := topology.Client{Name: "narrow", At: tokyoAt, Networks: prefixes("198.18.2.0/24")}
		top := &topology.Topology{Fallback: "wide", Clients: []topology.Client{wide, narrow}}
		if first == "narrow" {
			top.Clients = []topology.Client{narrow, wide}
		}
		l, err := New(top, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		if a, b := l.Locate(netip.MustParseAddr("198.18.2.1")), l.Locate(netip.MustParseAddr("198.18.3.1")); a.Place != "narrow" || b.Place != "wide" {
			t.Errorf("with %s first: %s and %s, want narrow and wide", first, a.Place, b.Place)
		}
	}
}

func TestWithoutPlanLoopbackIsUnknown(t *testing.T) {
	if a := locator(t, false, "").Locate(netip.MustParseAddr("127.102.0.7")); a.By != ByFallback || a.Client.String() != "127.102.0.7" {
		t.Errorf("Locate = %+v, want the fallback and the address as it is", a)
	}
}

func TestPlacesWithoutAPrefixInThePlan(t *testing.T) {
	top, err := topology.Preset("three-continents", nil)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := top.Plan(topology.PlanOptions{OnePort: true})
	if err != nil {
		t.Fatal(err)
	}
	l, err := New(top, plan, "")
	if err != nil {
		t.Fatalf("New with a plan on one address: %v", err)
	}
	if a := l.Locate(netip.MustParseAddr("127.0.0.1")); a.By != ByFallback || a.Place != top.Fallback {
		t.Errorf("Locate(127.0.0.1) = %+v, want the fallback place", a)
	}
	if a := l.Locate(top.Clients[1].Networks[0].Addr()); a.By != ByNetwork || a.Place != top.Clients[1].Name {
		t.Errorf("Locate in the network of %s = %+v", top.Clients[1].Name, a)
	}
}

func TestUnknownFallbackIsAnError(t *testing.T) {
	top, _ := world()
	top.Fallback = "atlantis"
	if _, err := New(top, nil, ""); err == nil || !strings.Contains(err.Error(), "atlantis") {
		t.Errorf("New = %v, want an error that names the fallback", err)
	}
}

// mmdb writes a database and returns its file.
func mmdb(t testing.TB, kind string, version int, records map[string]mmdbtype.Map) string {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: kind, IPVersion: version, IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	for prefix, record := range records {
		_, ip, err := net.ParseCIDR(prefix)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(ip, record); err != nil {
			t.Fatal(err)
		}
	}
	var buf bytes.Buffer
	if _, err := tree.WriteTo(&buf); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "geo.mmdb")
	if err := os.WriteFile(file, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func coordinates(lat, lon float64) mmdbtype.Map {
	return mmdbtype.Map{"latitude": mmdbtype.Float64(lat), "longitude": mmdbtype.Float64(lon)}
}

func cityFile(t testing.TB) string {
	osaka := mmdbtype.Map{"city": mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String("Osaka")}},
		"country": mmdbtype.Map{"iso_code": mmdbtype.String("JP")}, "continent": mmdbtype.Map{"code": mmdbtype.String("AS")}, "location": coordinates(34.69, 135.5)}
	return mmdb(t, "GeoLite2-City", 6, map[string]mmdbtype.Map{
		"1.2.3.0/24":     osaka,
		"1.2.4.0/24":     {"location": coordinates(0, 0)},
		"1.2.5.0/24":     {"country": mmdbtype.Map{"iso_code": mmdbtype.String("JP")}},
		"198.18.0.0/15":  osaka,
		"2001:db9::/32":  osaka,
		"203.0.112.0/22": osaka,
	})
}

func TestGeoIP(t *testing.T) {
	top, plan := world()
	top.Clients = top.Clients[:3]
	l, err := New(top, plan, cityFile(t))
	if err != nil {
		t.Fatal(err)
	}
	osaka := topology.Location{City: "Osaka", Country: "JP", Continent: "AS", Lat: 34.69, Lon: 135.5}
	for _, c := range []struct {
		about, addr, place string
		at                 topology.Location
		by                 By
		scope              int
	}{
		{"known to the database alone", "1.2.3.4", "", osaka, ByGeoIP, 24},
		{"IPv4 mapped into IPv6", "::ffff:1.2.3.4", "", osaka, ByGeoIP, 24},
		{"IPv6", "2001:db9::1", "", osaka, ByGeoIP, 32},
		{"0°, 0° is a place", "1.2.4.4", "", topology.Location{}, ByGeoIP, 24},
		{"a country without coordinates", "1.2.5.4", "frankfurt", frankfurtAt, ByFallback, 24},
		{"known to nobody", "1.2.6.4", "frankfurt", frankfurtAt, ByFallback, 23},
		{"the topology's networks win", "198.18.2.4", "tokyo", tokyoAt, ByNetwork, 24},
		{"the hole in the topology's networks is narrower than the record", "198.18.3.4", "", osaka, ByGeoIP, 24},
		{"the plan's prefixes win", "127.102.0.7", "tokyo", tokyoAt, ByPlan, 16},
	} {
		for range 2 { // decoded, then remembered
			if a := l.Locate(netip.MustParseAddr(c.addr)); a.Place != c.place || a.Location != c.at || a.By != c.by || a.Scope != c.scope {
				t.Errorf("%s: Locate(%s) = %+v, want %q at %+v by %v with scope %d", c.about, c.addr, a, c.place, c.at, c.by, c.scope)
			}
		}
	}
	if a, b := l.Locate(netip.MustParseAddr("1.2.5.4")), l.Locate(netip.MustParseAddr("1.2.6.4")); a.Evidence == b.Evidence {
		t.Errorf("the evidence %q does not tell a record without coordinates from none", a.Evidence)
	}
}

func TestGeoIPOfIPv4Only(t *testing.T) {
	top, _ := world()
	top.Clients = top.Clients[:3]
	l, err := New(top, nil, mmdb(t, "DBIP-City-Lite", 4, map[string]mmdbtype.Map{"1.2.3.0/24": {"location": coordinates(1, 2)}}))
	if err != nil {
		t.Fatal(err)
	}
	if a := l.Locate(netip.MustParseAddr("1.2.3.4")); a.By != ByGeoIP || a.Scope != 24 {
		t.Errorf("IPv4: %+v, want GeoIP with scope 24", a)
	}
	if a := l.Locate(netip.MustParseAddr("2001:db9::1")); a.By != ByFallback || a.Scope == 0 {
		t.Errorf("IPv6: %+v, want the fallback", a)
	}
}

func TestBadGeoIPFile(t *testing.T) {
	noise := filepath.Join(t.TempDir(), "noise.mmdb")
	if err := os.WriteFile(noise, []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ about, file, want string }{
		{"no such file", filepath.Join(t.TempDir(), "missing.mmdb"), "no such file"},
		{"no database", noise, "invalid MaxMind DB"},
		{"a database of networks' owners", mmdb(t, "GeoLite2-ASN", 6, map[string]mmdbtype.Map{"1.0.0.0/24": {"autonomous_system_number": mmdbtype.Uint32(7)}}), "a City database is needed"},
		{"a database without networks", mmdb(t, "GeoLite2-City", 6, nil), "no network"},
		{"a flat database", mmdb(t, "ip-location-db", 6, map[string]mmdbtype.Map{"1.0.0.0/24": {"latitude": mmdbtype.Float64(1), "city": mmdbtype.String("x")}}), "a City database is needed"},
	} {
		top, _ := world()
		if _, err := New(top, nil, c.file); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.file) {
			t.Errorf("%s: New = %v, want an error with the file and %q", c.about, err, c.want)
		}
	}
}

func TestPath(t *testing.T) {
	l := locator(t, true, cityFile(t))
	tokyo, paris := topology.Ref{Kind: topology.KindEdge, Name: "tokyo"}, topology.Ref{Kind: topology.KindEdge, Name: "paris"}
	a := l.Locate(netip.MustParseAddr("198.18.2.1"))
	if got, want := l.Path(a, paris), l.top.Path(topology.Ref{Kind: topology.KindClient, Name: "tokyo"}, paris); got != want || got.RTT == 0 {
		t.Errorf("Path from a client place = %+v, want the topology's %+v", got, want)
	}
	osaka := l.Locate(netip.MustParseAddr("1.2.3.4"))
	if near, far := l.Path(osaka, tokyo).RTT, l.Path(osaka, paris).RTT; near <= 0 || far < 10*near || far != topology.FibreRTT(osaka.Location, parisAt) {
		t.Errorf("from Osaka: %v to Tokyo and %v to Paris", near, far)
	}
	if dns := (topology.Ref{Kind: topology.KindDNS}); l.Path(osaka, dns) != l.Path(a, dns) || l.Path(osaka, dns).RTT == 0 {
		t.Errorf("to the DNS: %v from Osaka and %v from Tokyo, want the same", l.Path(osaka, dns), l.Path(a, dns))
	}
	if got := l.Path(osaka, topology.Ref{Kind: topology.KindEdge, Name: "atlantis"}); got != (topology.Path{}) {
		t.Errorf("to an edge that does not exist: %+v, want nothing", got)
	}
}

func TestLocateAllocatesNothing(t *testing.T) {
	l := locator(t, true, cityFile(t))
	for _, s := range []string{"198.18.2.9", "127.102.0.7", "1.2.3.4", "8.8.8.8", "2001:db8:2::1"} {
		addr := netip.MustParseAddr(s)
		if n := testing.AllocsPerRun(100, func() { l.Locate(addr) }); n != 0 {
			t.Errorf("Locate(%s) allocates %v times", s, n)
		}
	}
}

func BenchmarkLocate(b *testing.B) {
	l := locator(b, true, cityFile(b))
	for name, s := range map[string]string{"network": "198.18.2.9", "plan": "127.102.0.7", "geoip": "1.2.3.4"} {
		addr := netip.MustParseAddr(s)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.Locate(addr)
			}
		})
	}
}
