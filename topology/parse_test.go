package topology

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

const smallest = "origins: { main: { at: Ashburn } }\nedges: { paris: {}, tokyo: {}, lutetia: { at: CDG } }\n"

func TestDefaultsOfTheSmallestFile(t *testing.T) {
	top := parse(t, smallest)
	paris, tokyo, ashburn := city(t, "Paris"), city(t, "Tokyo"), city(t, "Ashburn")
	main := origin("main")
	want := &Topology{
		Name: "cdnlab", File: "test.yaml", Dir: top.Dir, Zone: "cdn.test", Seed: 1, Fallback: "paris",
		DNS:     DNS{Servers: 1, TTL: time.Minute, Health: Health{Interval: 500 * time.Millisecond, Timeout: time.Second, Fall: 3, Rise: 2}},
		Origins: []Origin{{Name: "main", At: ashburn}},
		Edges: []Edge{
			{Name: "paris", At: paris, Servers: 1, RAM: 256 << 20, Eviction: "lru", Admission: Admission{Rule: "always"}, Parent: main},
			{Name: "tokyo", At: tokyo, Servers: 1, RAM: 256 << 20, Eviction: "lru", Admission: Admission{Rule: "always"}, Parent: main},
			{Name: "lutetia", At: paris, Servers: 1, RAM: 256 << 20, Eviction: "lru", Admission: Admission{Rule: "always"}, Parent: main},
		},
		Clients: []Client{
			{Name: "paris", At: paris, Weight: 1, Networks: []netip.Prefix{netip.MustParsePrefix("198.18.0.0/24")}},
			{Name: "tokyo", At: tokyo, Weight: 1, Networks: []netip.Prefix{netip.MustParsePrefix("198.18.1.0/24")}},
		},
		Sites: []Site{{Host: "www.cdn.test", Origin: "main", Customer: "default", Cache: SiteCache{Collapse: true, Compress: true, StaleIfError: 24 * time.Hour, CutOff: 10 * time.Second}}},
		Push:  Push{Every: 5 * time.Second},
	}
	same(t, top, want)
	if cwd, _ := os.Getwd(); top.Dir != cwd {
		t.Errorf("Dir = %q, want the working directory %q", top.Dir, cwd)
	}
}

// same compares the exported fields of two topologies.
func same(t *testing.T, got, want *Topology) {
	t.Helper()
	g, w := reflect.ValueOf(got).Elem(), reflect.ValueOf(want).Elem()
	for i := range g.NumField() {
		if f := g.Type().Field(i); f.IsExported() && !reflect.DeepEqual(g.Field(i).Interface(), w.Field(i).Interface()) {
			t.Errorf("%s =\n%+v, want\n%+v", f.Name, g.Field(i), w.Field(i))
		}
	}
}

// TestEveryKeyChangesItsField sets each key of the schema to something other than its default and looks for it in the
// topology.
func TestEveryKeyChangesItsField(t *testing.T) {
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	for _, c := range []struct {
		set  string
		got  func(*Topology) any
		want any
	}{
		{"version=1", func(t *Topology) any { return t.Zone }, "cdn.test"},
		{"name=shop", func(t *Topology) any { return t.Name }, "shop"},
		{"zone=Example.ORG.", func(t *Topology) any { return t.Zone + " " + t.Sites[0].Host }, "example.org www.example.org"},
		{"seed=18446744073709551615", func(t *Topology) any { return t.Seed }, uint64(1<<64 - 1)},
		{"fallback=tokyo", func(t *Topology) any { return t.Fallback }, "tokyo"},
		{"defaults.edges.servers=3", func(t *Topology) any { return t.Edges[0].Servers }, 3},
		{"defaults.edges.ram=1GiB", func(t *Topology) any { return t.Edges[0].RAM }, Bytes(1 << 30)},
		{"defaults.hubs.servers=2", func(t *Topology) any { return t.Hubs[0].Servers }, 2},
		{"defaults.hubs.ram=1MB", func(t *Topology) any { return t.Hubs[0].RAM }, Bytes(1e6)},
		{"dns.servers=2", func(t *Topology) any { return t.DNS.Servers }, 2},
		{"dns.ttl=5s", func(t *Topology) any { return t.DNS.TTL }, 5 * time.Second},
		{"dns.addresses=[192.0.2.1, 192.0.2.2]", func(t *Topology) any { return fmt.Sprint(t.DNS.Servers, t.DNS.Addresses) }, "2 [192.0.2.1 192.0.2.2]"},
		{"dns.health=off", func(t *Topology) any { return t.DNS.Health.Off }, true},
		{"dns.health.interval=10ms", func(t *Topology) any { return t.DNS.Health.Interval }, 10 * time.Millisecond},
		{"dns.health.timeout=50ms", func(t *Topology) any { return t.DNS.Health.Timeout }, 50 * time.Millisecond},
		{"dns.health.fall=1", func(t *Topology) any { return t.DNS.Health.Fall }, 1},
		{"dns.health.rise=1", func(t *Topology) any { return t.DNS.Health.Rise }, 1},
		{"origins.main.at=Paris", func(t *Topology) any { return t.Origins[0].At.City }, "Paris"},
		{"origins.main.store=builtin", func(t *Topology) any { return t.Origins[0].Kind }, Builtin},
		{"origins.main.app=https://app.test:8443/x", func(t *Topology) any { return fmt.Sprint(t.Origins[0].Kind, t.Origins[0].App) }, "1 https://app.test:8443/x"},
		{"origins.main.dir=/srv/www/", func(t *Topology) any { return fmt.Sprint(t.Origins[0].Kind, t.Origins[0].Dir) }, "2/srv/www"},
		{"origins.main.dir=public", func(t *Topology) any { return t.Origins[0].Dir == filepath.Join(t.Dir, "public") }, true},
		{"origins.main.addresses=[192.0.2.1]", func(t *Topology) any { return t.Origins[0].Addresses }, []netip.Addr{addr("192.0.2.1")}},
		{"hubs.eu.at=MUC", func(t *Topology) any { return t.Hubs[0].At.City }, "Munich"},
		{"hubs.eu.servers=2", func(t *Topology) any { return t.Hubs[0].Servers }, 2},
		{"defaults.edges.eviction=sieve", func(t *Topology) any { return t.Edges[0].Eviction }, "sieve"},
		{"defaults.hubs.eviction=gdsf", func(t *Topology) any { return t.Hubs[0].Eviction }, "gdsf"},
		{"hubs.eu.eviction=lfu", func(t *Topology) any { return t.Hubs[0].Eviction }, "lfu"},
		{"edges.paris.eviction=s3fifo", func(t *Topology) any { return t.Edges[0].Eviction }, "s3fifo"},
		{"defaults.edges.admission=second-hit", func(t *Topology) any { return t.Edges[0].Admission }, Admission{Rule: "second-hit"}},
		{"defaults.hubs.admission=leave-copy-down", func(t *Topology) any { return t.Hubs[0].Admission }, Admission{Rule: "leave-copy-down"}},
		{"hubs.eu.admission=probability 12.5%", func(t *Topology) any { return t.Hubs[0].Admission }, Admission{Rule: "probability", Probability: 0.125}},
		{"edges.paris.admission=size 1.5KiB", func(t *Topology) any { return t.Edges[0].Admission }, Admission{Rule: "size", Size: 1536}},
		{"hubs.eu.ram=0", func(t *Topology) any { return t.Hubs[0].RAM }, Bytes(0)},
		{"hubs.eu.parent=other", func(t *Topology) any { return t.Hubs[0].Parent }, origin("other")},
		{"hubs.eu.addresses=[[192.0.2.1], [192.0.2.2]]", func(t *Topology) any { return fmt.Sprint(t.Hubs[0].Servers, t.Hubs[0].Addresses) }, "2 [[192.0.2.1] [192.0.2.2]]"},
		{"edges.paris.at={lat: 48.9, lon: 2.4}", func(t *Topology) any { return t.Edges[0].At }, Location{Lat: 48.9, Lon: 2.4}},
		{"edges.paris.servers=2", func(t *Topology) any { return t.Edges[0].Servers }, 2},
		{"edges.paris.ram=1.5KiB", func(t *Topology) any { return t.Edges[0].RAM }, Bytes(1536)},
		{"edges.paris.parent=other", func(t *Topology) any { return t.Edges[0].Parent }, origin("other")},
		{`edges.paris.addresses=[[192.0.2.1, "2001:db8::1"]]`, func(t *Topology) any { return t.Edges[0].Addresses }, [][]netip.Addr{{addr("192.0.2.1"), addr("2001:db8::1")}}},
		{"clients.tokyo.at=Osaka", func(t *Topology) any { return t.Clients[1].At.City }, "Osaka"},
		{"clients.tokyo.weight=0.5", func(t *Topology) any { return t.Clients[1].Weight }, 0.5},
		{"clients.tokyo.networks=[198.18.0.0/24]", func(t *Topology) any { return t.Clients[1].Networks }, []netip.Prefix{prefix("198.18.0.0/24")}},
		{"links[0].between=[eu, other]", func(t *Topology) any { return t.Links[0].B }, origin("other")},
		{"links[0].rtt=40ms", func(t *Topology) any { return t.Links[0].RTT }, 40 * time.Millisecond},
		{"links[0].rtt=null", func(t *Topology) any { return t.Links[0].HasRTT }, false},
		{"links[0].bandwidth=2.5Gbps", func(t *Topology) any { return t.Links[0].Bandwidth }, Bandwidth(2.5e9)},
		{"links[0].loss=2.5%", func(t *Topology) any { return t.Links[0].Loss }, 0.025},
		{"sites.www.cdn.test.origin=other", func(t *Topology) any { return t.Sites[0].Origin }, "other"},
		{"sites.www.cdn.test.customer=acme", func(t *Topology) any { return t.Sites[0].Customer }, "acme"},
		{"sites.www.cdn.test.host=app.test:81", func(t *Topology) any { return t.Sites[0].HostHeader }, "app.test:81"},
		{"sites.www.cdn.test.host=preserve", func(t *Topology) any { return t.Sites[0].HostHeader }, ""},
		{"sites.www.cdn.test.scheme=https", func(t *Topology) any { return t.Sites[0].Scheme }, "https"},
		{"sites.www.cdn.test.cache.ttl=1d", func(t *Topology) any { return t.Sites[0].Cache.TTL }, 24 * time.Hour},
		{"sites.www.cdn.test.cache.query=sort", func(t *Topology) any { return t.Sites[0].Cache.Query }, QuerySort},
		{"sites.www.cdn.test.cache.query=drop", func(t *Topology) any { return t.Sites[0].Cache.Query }, QueryDrop},
		{"push.budget=64MiB", func(t *Topology) any { return t.Push.Budget }, Bytes(64 << 20)},
		{"push.every=1s", func(t *Topology) any { return t.Push.Every }, time.Second},
		{"sites.www.cdn.test.cache.cut_off=1h", func(t *Topology) any { return t.Sites[0].Cache.CutOff }, time.Hour},
		{"sites.www.cdn.test.cache.stale_if_error=0", func(t *Topology) any { return t.Sites[0].Cache.StaleIfError }, time.Duration(0)},
		{"sites.www.cdn.test.access={/: token, /a/: signed, /b: public}", func(t *Topology) any { return t.Sites[0].Access },
			[]AccessRule{{"/", AccessToken}, {"/a/", AccessSigned}, {"/b", AccessPublic}}},
		{"records.Info.a=[192.0.2.7]", func(t *Topology) any { return t.Records }, []Record{{Name: "info", A: []netip.Addr{addr("192.0.2.7")}}}},
		{`records._x.y.aaaa=["2001:db8::7"]`, func(t *Topology) any { return t.Records }, []Record{{Name: "_x.y", AAAA: []netip.Addr{addr("2001:db8::7")}}}},
		{"records.a.cname=Elsewhere.Test.", func(t *Topology) any { return t.Records }, []Record{{Name: "a", CNAME: "elsewhere.test"}}},
		{"records.a.cname=www", func(t *Topology) any { return t.Records }, []Record{{Name: "a", CNAME: "www.cdn.test"}}},
		{"records.@.txt=[no, 12, v=1; x]", func(t *Topology) any { return t.Records }, []Record{{Name: "@", TXT: []string{"no", "12", "v=1; x"}}}},
		{"records.@.mx=[10 mail, 20 mail.example.org]", func(t *Topology) any { return t.Records },
			[]Record{{Name: "@", MX: []MX{{10, "mail.cdn.test"}, {20, "mail.example.org"}}}}},
	} {
		top := parse(t, `
origins: { main: { at: Ashburn }, other: { at: Dallas } }
hubs: { eu: { at: Frankfurt } }
edges: { paris: {} }
clients: { paris: {}, tokyo: {} }
links: [ { between: [main, eu], rtt: 80ms, loss: 1% } ]
sites: { www.cdn.test: { origin: main } }
`, fixZone(c.set)...)
		if got := c.got(top); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %#v, want %#v", c.set, got, c.want)
		}
	}
}

// fixZone drops the sites for a case that changes the zone, so that the default site shows.
func fixZone(set string) []string {
	if strings.HasPrefix(set, "zone=") {
		return []string{set, "sites=null", "origins.other=null"}
	}
	return []string{set}
}

func TestLeftOutIsTheSameAsEmpty(t *testing.T) {
	same(t, parse(t, "origins: { main: { at: Ashburn } }\nedges:\n  paris:\ndns:\nhubs:\nclients:\nlinks:\nsites:\nrecords:\ndefaults:\n"),
		parse(t, "origins: { main: { at: Ashburn } }\nedges: { paris: {} }\n"))
}

func TestDefaultNetworksAvoidGivenOnes(t *testing.T) {
	top := parse(t, `
origins: { main: { at: Ashburn } }
edges: { paris: {} }
clients:
  paris: {}
  tokyo: { networks: [198.18.1.0/24, 198.18.2.128/25] }
  london: {}
  berlin: { networks: [198.18.4.0/22, "2001:db8::/32"] }
  madrid: {}
  rome: {}
`)
	var got []string
	for _, c := range top.Clients {
		got = append(got, fmt.Sprint(c.Name, c.Networks, c.OwnNetworks))
	}
	want := []string{
		"paris[198.18.0.0/24] false", "tokyo[198.18.1.0/24 198.18.2.128/25] true", "london[198.18.3.0/24] false",
		"berlin[198.18.4.0/22 2001:db8::/32] true", "madrid[198.18.8.0/24] false", "rome[198.18.9.0/24] false",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("networks\n%v, want\n%v", got, want)
	}
}

func TestDefaultNetworksFillTheRange(t *testing.T) {
	var b strings.Builder
	b.WriteString("origins: { main: { at: Ashburn } }\nedges: { paris: {} }\nclients:\n")
	for i := range 512 {
		fmt.Fprintf(&b, "  c%d: { at: Paris }\n", i)
	}
	top := parse(t, b.String())
	if got := top.Clients[511].Networks[0].String(); got != "198.19.255.0/24" {
		t.Errorf("the last place has %s, want 198.19.255.0/24", got)
	}
}

func TestAliasesStandForTheirValue(t *testing.T) {
	same(t, parse(t, "origins: { main: { at: Ashburn } }\nedges:\n  paris: &two { servers: 2 }\n  tokyo: *two\n", "edges.tokyo.ram=1MiB"),
		parse(t, "origins: { main: { at: Ashburn } }\nedges: { paris: { servers: 2 }, tokyo: { servers: 2, ram: 1MiB } }\n"))
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "net.yaml")
	if err := os.WriteFile(file, []byte("origins: { main: { at: Ashburn, dir: ./public } }\nedges: { paris: {} }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	top, err := Load(file, []string{"name=loaded"})
	if err != nil {
		t.Fatal(err)
	}
	if top.Name != "loaded" || top.File != file || top.Dir != dir || top.Origins[0].Dir != filepath.Join(dir, "public") {
		t.Errorf("Load = %q of %q in %q with %q", top.Name, top.File, top.Dir, top.Origins[0].Dir)
	}
	var faults Faults
	if _, err := Load(filepath.Join(dir, "none.yaml"), nil); !errors.Is(err, fs.ErrNotExist) || errors.As(err, &faults) {
		t.Errorf("a missing file: %v, want fs.ErrNotExist and no Faults", err)
	}
	if _, err := Load(dir, nil); err == nil || errors.As(err, &faults) {
		t.Errorf("a directory: %v, want an error and no Faults", err)
	}
}

func TestHugeFileIsRefusedUnread(t *testing.T) {
	file := filepath.Join(t.TempDir(), "huge.yaml")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(1 << 40); err != nil { // sparse; reading it all would not end
		t.Fatal(err)
	}
	_, err = Load(file, nil)
	var faults Faults
	if !errors.As(err, &faults) || err.Error() != file+": is larger than 16 MiB, which no topology needs" {
		t.Errorf("Load = %v", err)
	}
}

func TestDeepNestingIsRefused(t *testing.T) {
	for _, text := range []string{strings.Repeat("[", 100_000), strings.Repeat("a: {", 100_000), strings.Repeat("- ", 100_000)} {
		_, err := Parse("deep.yaml", []byte(text), "", nil)
		if faults := (Faults)(nil); !errors.As(err, &faults) {
			t.Errorf("%.8s…: %v, want Faults", text, err)
		}
	}
}

func TestFaultsComeInOrderAndOptionsLast(t *testing.T) {
	_, err := Parse("net.yaml", []byte("edges: { paris: { ram: 1 } }\nnonsense: 1\n"), "", []string{"edges.tokyo.ram=2", "edges.paris.servers=x"})
	want := `net.yaml:1:1: origins: there is no origin; write origins: { main: { at: Ashburn } }
net.yaml:1:24: edges.paris.ram: "1" has no unit; write 1B, 1KiB, 1MiB, 1GiB, 1TiB, 1KB, 1MB, 1GB or 1TB
net.yaml:2:1: nonsense: unknown key; the keys here are version, name, zone, seed, fallback, defaults, dns, origins, hubs, edges, clients, links, sites, records, limits, push, trusted_proxies, addresses
--set edges.paris.servers=x: edges.paris.servers: "x" is not a whole number
--set edges.tokyo.ram=2: edges.tokyo.ram: "2" has no unit; write 2B, 2KiB, 2MiB, 2GiB, 2TiB, 2KB, 2MB, 2GB or 2TB`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}
