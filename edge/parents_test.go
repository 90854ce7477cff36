package edge

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cdnlab/internal/proxy"
	"cdnlab/internal/stats"
	"cdnlab/topology"
)

// parentsOf returns the parents of an edge server; it connects to none.
func parentsOf(t *testing.T, top *topology.Topology, name topology.NodeName) *parents {
	t.Helper()
	plan, err := top.Plan(topology.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	node, ok := plan.Node(name)
	if !ok {
		t.Fatalf("the topology has no node %s", name)
	}
	noDial := func(context.Context, topology.Node) (net.Conn, error) {
		return nil, errors.New("unexpected connection")
	}
	p := newParents(&Config{Topology: top, Plan: plan, Node: node, Dial: noDial, Stats: stats.New(noon)})
	t.Cleanup(p.Close)
	return p
}

// chosen lists the names of what is to be tried for an object of a site.
func chosen(p *parents, site *topology.Site, hash uint64, now time.Time) []string {
	var names []string
	for _, u := range p.Choose(nil, site, hash, now) {
		names = append(names, string(u.Node.Name))
	}
	return names
}

func preset(t *testing.T, sets ...string) *topology.Topology {
	t.Helper()
	top, err := topology.Preset("three-continents", sets)
	if err != nil {
		t.Fatal(err)
	}
	return top
}

func TestParentsOrder(t *testing.T) {
	for _, c := range []struct {
		name string
		node topology.NodeName
		sets []string
		want string
	}{
		{"nearest hub first, in Europe", "paris-2", nil, "eu-1 na-1 ap-1 main"},
		{"nearest hub first, in Asia", "tokyo-1", nil, "ap-1 eu-1 na-1 main"},
		{"nearest hub first, in America", "los-angeles-1", nil, "na-1 eu-1 ap-1 main"},
		{"a named hub before nearer ones", "tokyo-1", []string{"edges.tokyo.parent=na"}, "na-1 ap-1 eu-1 main"},
		{"a named origin makes hubs needless", "tokyo-1", []string{"edges.tokyo.parent=main"}, "main"},
		{"a link decides which hub is nearest", "paris-1", []string{`links=[{between: [paris, ap], rtt: 1ms}]`}, "ap-1 eu-1 na-1 main"},
		{"the site's origin, whichever the hub's parent is", "paris-1",
			[]string{"origins.other.at=Tokyo", "sites={www.cdn.test: {origin: other}}"}, "eu-1 na-1 ap-1 other"},
	} {
		t.Run(c.name, func(t *testing.T) {
			top := preset(t, c.sets...)
			p := parentsOf(t, top, c.node)
			if got := strings.Join(chosen(p, &top.Sites[0], 1, noon), " "); got != c.want {
				t.Errorf("Choose at %s = %s, want %s", c.node, got, c.want)
			}
		})
	}
}

func TestParentsWithoutHubs(t *testing.T) {
	top, err := topology.Parse("net.yaml", []byte("origins: { main: { at: Ashburn } }\nedges: { paris: {} }\n"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := chosen(parentsOf(t, top, "paris-1"), &top.Sites[0], 1, noon); !slices.Equal(got, []string{"main"}) {
		t.Errorf("Choose = %v, want [main]", got)
	}
}

// Every edge must have the same idea of where in a hub an object lives, or the hub holds it twice.
func TestEdgesAgreeOnTheServerOfAHub(t *testing.T) {
	top := preset(t, "hubs.ap.servers=3")
	tokyo, sydney := parentsOf(t, top, "tokyo-2"), parentsOf(t, top, "sydney-1")
	count := map[string]int{}
	for _, h := range hashes(300) {
		a, b := chosen(tokyo, &top.Sites[0], h, noon), chosen(sydney, &top.Sites[0], h, noon)
		if !slices.Equal(a[:maxOfGroup], b[:maxOfGroup]) {
			t.Fatalf("Choose(%x) = %v in tokyo and %v in sydney, want the same order in ap", h, a, b)
		}
		count[a[0]]++
	}
	for _, server := range []string{"ap-1", "ap-2", "ap-3"} {
		if count[server] == 0 {
			t.Errorf("%s is the home of no object: %v", server, count)
		}
	}
}

const twoOrigins = `
origins: { main: { at: Ashburn }, other: { at: Tokyo } }
hubs:    { eu: { at: Frankfurt }, na: { at: Chicago } }
edges:   { paris: {} }
sites:
  www.cdn.test:   { origin: main }
  other.cdn.test: { origin: other }
`

func TestHealthIsSharedBySites(t *testing.T) {
	top, err := topology.Parse("net.yaml", []byte(twoOrigins), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	p := parentsOf(t, top, "paris-1")
	www, other := &top.Sites[0], &top.Sites[1]
	report := func(name string, ok bool, now time.Time) {
		var err error
		if !ok {
			err = io.EOF
		}
		p.Report(p.servers[topology.NodeName(name)].Upstream, err, now)
	}
	check := func(when string, site *topology.Site, now time.Time, want string) {
		t.Helper()
		if got := strings.Join(chosen(p, site, 1, now), " "); got != want {
			t.Errorf("%s: Choose(%s) = %s, want %s", when, site.Host, got, want)
		}
	}
	if a, b := p.Choose(nil, www, 1, noon)[0], p.Choose(nil, other, 1, noon)[0]; a != b {
		t.Errorf("the sites have different connections to %s", a.Node.Name)
	}
	report("eu-1", false, noon)
	check("eu failed for one site", www, noon, "na-1 main")
	check("eu failed for one site", other, noon, "na-1 other")
	report("main", false, noon)
	report("na-1", false, noon)
	check("all of its own failed", www, noon, "eu-1 na-1 main")
	check("its origin has not failed", other, noon, "other")
	back := noon.Add(firstBackOff + grace)
	check("the trial", www, back, "eu-1 na-1 main")
	check("the trial is one for all sites", other, back, "na-1 other")
	report("eu-1", true, back)
	check("back", www, back, "eu-1 main")
	check("back", other, back, "eu-1 other")
}

func TestParentsConcurrently(t *testing.T) {
	top := preset(t)
	p := parentsOf(t, top, "tokyo-1")
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 500 {
				now := noon.Add(time.Duration(i) * 100 * time.Millisecond)
				var room [maxTries]*proxy.Upstream
				all := p.Choose(room[:0], &top.Sites[0], uint64(i), now)
				if last := all[len(all)-1].Node.Name; last != "main" {
					t.Errorf("Choose ends with %s, want main", last)
				}
				p.Report(all[0], []error{nil, io.EOF, os.ErrDeadlineExceeded}[(i+w)%3], now)
			}
		})
	}
	wg.Wait()
}

func BenchmarkParentsChoose(b *testing.B) {
	top, err := topology.Preset("three-continents", []string{"hubs.ap.servers=2"})
	if err != nil {
		b.Fatal(err)
	}
	plan, err := top.Plan(topology.PlanOptions{})
	if err != nil {
		b.Fatal(err)
	}
	node, _ := plan.Node("tokyo-1")
	p := newParents(&Config{Topology: top, Plan: plan, Node: node, Stats: stats.New(noon)})
	b.ReportAllocs()
	for i := range b.N {
		var room [maxTries]*proxy.Upstream
		if got := p.Choose(room[:0], &top.Sites[0], uint64(i), noon); len(got) != maxTries {
			b.Fatalf("Choose names %d servers, want %d", len(got), maxTries)
		}
	}
}
