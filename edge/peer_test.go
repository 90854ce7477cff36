package edge_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cdnlab/internal/stats"
	"cdnlab/topology"
)

const threeServers = `
origins: { main: { at: Ashburn } }
hubs:    { eu: { at: Frankfurt } }
edges:   { paris: { servers: 3 } }
clients: { paris: {} }
sites:   { www.cdn.test: { origin: main } }
`

var servers = []topology.NodeName{"paris-1", "paris-2", "paris-3"}

func startPoP(t *testing.T) *network {
	t.Helper()
	n := newNetwork(t, threeServers)
	n.start("main", "eu-1")
	n.start(servers...)
	return n
}

// home returns the server that a path belongs to: the one that has stored it.
func (n *network) home(path string) topology.NodeName {
	n.t.Helper()
	a := n.get(servers[0], path)
	word, name, ok := strings.Cut(a.header.Get("X-Cache"), ", ")
	if a.status != 200 || !ok || word != "MISS" {
		n.t.Fatalf("%s: %d, X-Cache %q, want a miss", path, a.status, a.header.Get("X-Cache"))
	}
	return topology.NodeName(name)
}

func TestServersOfAPoPAreOneCache(t *testing.T) {
	n := startPoP(t)
	homes := map[topology.NodeName]int{}
	for i := range 60 {
		path := fmt.Sprintf("/obj/%d", i)
		home := n.home(path)
		homes[home]++
		for _, s := range servers {
			a := n.get(s, path)
			n.want(path+" at "+string(s), a, 200, string(home)+";hit;ttl=60", "HIT, "+string(home), fmt.Sprintf("%d %s", i+1, path))
			if via := strings.Join(a.header.Values("Via"), ", "); !strings.Contains(via, string(s)) {
				t.Errorf("Via = %q, want %s in it", via, s)
			}
			if a.header.Get("X-Request-Id") == "" || len(a.header.Values("X-Cache")) != 1 {
				t.Errorf("%v", a.header)
			}
		}
	}
	if len(n.asked()) != 60 {
		t.Errorf("the origin was asked %d times, want once for each of 60", len(n.asked()))
	}
	for _, s := range servers {
		if homes[s] < 8 {
			t.Errorf("%s is the home of %d of 60 objects", s, homes[s])
		}
	}
	var all stats.Snapshot
	sum := func() (requests, hits uint64) {
		for _, s := range servers {
			n.mu.Lock()
			all = n.stats[s].Snapshot()
			n.mu.Unlock()
			for _, r := range all.Requests {
				requests += r
			}
			hits += all.Requests["hit"]
		}
		return requests, hits
	}
	n.wait("the last request to be counted", func() bool { requests, _ := sum(); return requests >= 240 })
	if requests, hits := sum(); requests != 240 || hits != 180 {
		t.Errorf("%d requests and %d hits are counted, want 240 and 180", requests, hits)
	}
}

func TestWhatAHomeIsAskedAsTheClientDid(t *testing.T) {
	n := startPoP(t)
	home := n.home("/obj/a")
	other := servers[(slices.Index(servers, home)+1)%len(servers)]
	for _, tt := range []struct {
		name   string
		method string
		header http.Header
		status int
		body   string
	}{
		{"range", "", http.Header{"Range": {"bytes=2-5"}}, 206, "/obj"},
		{"HEAD", "HEAD", nil, 200, ""},
		{"precondition", "", http.Header{"If-Modified-Since": {n.clock().Format(http.TimeFormat)}}, 304, ""},
		{"only if cached", "", http.Header{"Cache-Control": {"only-if-cached"}}, 200, "1 /obj/a"},
	} {
		a := n.do(request{to: other, method: tt.method, path: "/obj/a", header: tt.header})
		if a.status != tt.status || a.body != tt.body || a.header.Get("X-Cache") != "HIT, "+string(home) {
			t.Errorf("%s: %d %q %v", tt.name, a.status, a.body, a.header)
		}
	}
	if a := n.do(request{to: other, method: "POST", path: "/obj/a"}); a.status != 200 {
		t.Errorf("POST: %d", a.status)
	}
	if a := n.get(home, "/obj/a"); a.body != "3 /obj/a" || a.header.Get("X-Cache") != "MISS, "+string(home) {
		t.Errorf("after a POST at another server: %q, %s", a.body, a.header.Get("X-Cache"))
	}
	if n := len(n.asked()); n != 3 {
		t.Errorf("the origin was asked %d times, want 3", n)
	}
}

func TestAHomeThatIsDeadIsReplaced(t *testing.T) {
	n := startPoP(t)
	home := n.home("/obj/a")
	n.kill(home)
	left := slices.DeleteFunc(slices.Clone(servers), func(s topology.NodeName) bool { return s == home })
	for _, s := range left {
		if a := n.get(s, "/obj/a"); a.status != 200 || a.body != "1 /obj/a" {
			t.Errorf("%s answers %d %q while the home is dead", s, a.status, a.body)
		}
	}
	second := map[string]bool{}
	for _, s := range left {
		second[n.get(s, "/obj/a").header.Get("X-Cache")] = true
	}
	if len(second) > 2 || second["MISS, "+string(left[0])] || second["MISS, "+string(left[1])] {
		t.Errorf("the second answers are %v, want hits", second)
	}
	n.start(home)
	n.pass(time.Minute)
	for _, s := range left {
		if a := n.get(s, "/obj/a"); a.status != 200 || !strings.HasSuffix(a.header.Get("X-Cache"), string(home)) {
			t.Errorf("%s answers %d, %s once %s is back", s, a.status, a.header.Get("X-Cache"), home)
		}
	}
}

func TestWhatIsHotIsKeptByAll(t *testing.T) {
	n := startPoP(t)
	n.home("/obj/hot")
	var clients sync.WaitGroup
	for _, s := range servers {
		clients.Go(func() {
			for range 700 {
				if a, err := n.try(request{to: s, path: "/obj/hot"}); err != nil || a.body != "1 /obj/hot" {
					t.Errorf("%s: %v, %v", s, a, err)
					return
				}
			}
		})
	}
	clients.Wait()
	for _, s := range servers {
		if a := n.get(s, "/obj/hot"); a.header.Get("X-Cache") != "HIT, "+string(s) {
			t.Errorf("%s: %s, want a hit of its own", s, a.header.Get("X-Cache"))
		}
	}
	if got := len(n.asked()); got != 1 {
		t.Errorf("the origin was asked %d times, want once", got)
	}
	cold := n.home("/obj/cold")
	other := servers[(slices.Index(servers, cold)+1)%len(servers)]
	if a := n.get(other, "/obj/cold"); a.header.Get("X-Cache") != "HIT, "+string(cold) {
		t.Errorf("what is cold comes as %s, want from its home %s", a.header.Get("X-Cache"), cold)
	}
}
