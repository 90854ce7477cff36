package topology

import (
	"fmt"
	"reflect"
	"testing"
	"time"
)

// parse reads a valid file.
func parse(t testing.TB, text string, sets ...string) *Topology {
	t.Helper()
	top, err := Parse("test.yaml", []byte(text), "", sets)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return top
}

func hub(name string) Ref    { return Ref{KindHub, name} }
func edge(name string) Ref   { return Ref{KindEdge, name} }
func client(name string) Ref { return Ref{KindClient, name} }
func origin(name string) Ref { return Ref{KindOrigin, name} }

func TestPath(t *testing.T) {
	top := parse(t, `
origins: { main: { at: Ashburn } }
hubs: { frankfurt: {} }
edges: { paris: {}, tokyo: {} }
clients: { paris: {}, lagos: {} }
links:
  - { between: [main, frankfurt], rtt: 85ms, bandwidth: 1Gbps, loss: 0.1% }
  - { between: [clients.lagos, paris], bandwidth: 10Mbps }
  - { between: [clients.lagos, dns], rtt: 30ms, loss: 2% }
  - { between: [dns, tokyo], rtt: 0 }
  - { between: [hubs.frankfurt, edges.tokyo], loss: 5% }
`)
	rtt := func(a, b string) time.Duration { return FibreRTT(city(t, a), city(t, b)) }
	dns := Ref{Kind: KindDNS}
	for _, c := range []struct {
		name string
		a, b Ref
		want Path
	}{
		{"distance where no link is given", edge("paris"), hub("frankfurt"), Path{RTT: rtt("Paris", "Frankfurt")}},
		{"all of a link", origin("main"), hub("frankfurt"), Path{85 * time.Millisecond, 1e9, 0.001}},
		{"bandwidth alone leaves the distance", client("lagos"), edge("paris"), Path{rtt("Lagos", "Paris"), 1e7, 0}},
		{"loss alone leaves the distance", edge("tokyo"), hub("frankfurt"), Path{rtt("Tokyo", "Frankfurt"), 0, 0.05}},
		{"a link to the DNS", client("lagos"), dns, Path{30 * time.Millisecond, 0, 0.02}},
		{"a link of no RTT", edge("tokyo"), dns, Path{}},
		{"the DNS is near everyone", client("paris"), dns, Path{RTT: time.Millisecond}},
		{"a DNS server by name is the DNS", client("lagos"), Ref{KindDNS, "dns"}, Path{30 * time.Millisecond, 0, 0.02}},
		{"same name, other kind", client("paris"), edge("paris"), Path{RTT: time.Millisecond}},
		{"unknown entry", client("paris"), edge("mars"), Path{}},
	} {
		if got := top.Path(c.a, c.b); got != c.want {
			t.Errorf("%s: Path(%v, %v) = %+v, want %+v", c.name, c.a, c.b, got, c.want)
		}
		if got := top.Path(c.b, c.a); got != c.want {
			t.Errorf("%s, backwards: Path(%v, %v) = %+v, want %+v", c.name, c.b, c.a, got, c.want)
		}
	}
}

func TestParents(t *testing.T) {
	const text = `
origins: { main: { at: Ashburn }, other: { at: Paris } }
hubs: { frankfurt: {}, singapore: {}, chicago: {} }
edges: { paris: {}, tokyo: { parent: chicago }, madrid: { parent: other }, london: {} }
sites: { www.cdn.test: { origin: main } }
links: [ { between: [london, frankfurt], rtt: 2s } ]
`
	main, other := origin("main"), origin("other")
	fra, sin, chi := hub("frankfurt"), hub("singapore"), hub("chicago")
	for _, c := range []struct {
		name, edge, origin string
		want               []Ref
	}{
		{"nearest hubs first, then the origin of the site", "paris", "other", []Ref{fra, chi, sin, other}},
		{"a chosen hub before nearer ones", "tokyo", "main", []Ref{chi, sin, fra, main}},
		{"an origin for parent means no hub", "madrid", "main", []Ref{main}},
		{"a link counts, not the distance", "london", "main", []Ref{chi, sin, fra, main}},
		{"an unknown edge has the origin alone", "mars", "main", []Ref{main}},
	} {
		if got := parse(t, text).Parents(c.edge, c.origin); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: Parents(%s, %s) = %v, want %v", c.name, c.edge, c.origin, got, c.want)
		}
	}
}

func TestSiteByHost(t *testing.T) {
	top := parse(t, "origins: { main: { at: Ashburn } }\nedges: { paris: {} }\nsites: { WWW.cdn.test: {} }\n")
	for host, want := range map[string]bool{
		"www.cdn.test": true, "www.cdn.test:8080": true, "WWW.Cdn.Test": true, "www.cdn.test.": true, "www.cdn.test.:80": true,
		"cdn.test": false, "": false, ":80": false, "wwww.cdn.test": false,
	} {
		site, ok := top.Site(host)
		if ok != want || ok && site.Host != "www.cdn.test" {
			t.Errorf("Site(%q) = %+v, %v, want %v", host, site, ok, want)
		}
	}
}

func TestEntriesByName(t *testing.T) {
	top := parse(t, "origins: { main: { at: Ashburn } }\nedges: { paris: {} }\nclients: { tokyo: {} }\n")
	if e, ok := top.Edge("paris"); !ok || e.At.City != "Paris" {
		t.Errorf("Edge(paris) = %+v, %v", e, ok)
	}
	if c, ok := top.Client("tokyo"); !ok || c.At.City != "Tokyo" {
		t.Errorf("Client(tokyo) = %+v, %v", c, ok)
	}
	if _, ok := top.Edge("tokyo"); ok {
		t.Error("Edge(tokyo) exists")
	}
	if _, ok := top.Client("paris"); ok {
		t.Error("Client(paris) exists")
	}
}

func TestNamesInText(t *testing.T) {
	for _, c := range []struct {
		ref    Ref
		server NodeName
		want   string
	}{
		{origin("main"), "main", "origin origins.main main"},
		{hub("eu"), "eu-2", "hub hubs.eu eu-2"},
		{edge("paris"), "paris-2", "edge edges.paris paris-2"},
		{Ref{KindDNS, ""}, "dns-2", "dns dns dns-2"},
	} {
		if got := fmt.Sprint(c.ref.Kind, " ", c.ref, " ", ServerName(c.ref, 2)); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
