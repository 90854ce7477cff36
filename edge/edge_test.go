package edge_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"cdnlab/edge"
	"cdnlab/topology"
)

func (n *network) want(what string, a *answer, status int, cacheStatus, xCache, body string) {
	n.t.Helper()
	if a.status != status || a.cacheStatus() != cacheStatus || a.header.Get("X-Cache") != xCache || a.body != body {
		n.t.Errorf("%s:\n got %d, Cache-Status %q, X-Cache %q, body %q\nwant %d, Cache-Status %q, X-Cache %q, body %q", what,
			a.status, a.cacheStatus(), a.header.Get("X-Cache"), a.body, status, cacheStatus, xCache, body)
	}
}

const fetched = ";fwd=uri-miss;fwd-status=200;stored"

func TestMissThenHit(t *testing.T) {
	n := startNetwork(t, small)
	a := n.get("paris-1", "/obj/a")
	n.want("first", a, 200, "eu-1"+fetched+", paris-1"+fetched, "MISS, paris-1", "1 /obj/a")
	if timing := a.header.Get("Server-Timing"); !strings.Contains(timing, `desc="eu-1"`) || !strings.Contains(timing, `desc="paris-1"`) {
		t.Errorf("Server-Timing = %q, want the times of eu-1 and paris-1", timing)
	}
	if via := strings.Join(a.header.Values("Via"), ", "); !strings.Contains(via, "paris-1") {
		t.Errorf("Via = %q, want paris-1 in it", via)
	}
	n.pass(10 * time.Second)
	a = n.get("paris-1", "/obj/a")
	n.want("again", a, 200, "paris-1;hit;ttl=50", "HIT, paris-1", "1 /obj/a")
	if got := a.header.Get("Age"); got != "10" {
		t.Errorf("Age = %q after 10 s, want 10", got)
	}
	n.want("elsewhere", n.get("london-1", "/obj/a"), 200, "eu-1;hit;ttl=50, london-1"+fetched, "MISS, london-1", "1 /obj/a")
	if got := len(n.asked()); got != 1 {
		t.Errorf("the origin was asked %d times, want once", got)
	}
}

func TestHubsDieAndReturn(t *testing.T) {
	n := startNetwork(t, small)
	n.get("paris-1", "/obj/old") // leaves a connection to eu-1 open
	n.kill("eu-1")
	n.want("hub dead", n.get("paris-1", "/obj/1"), 200, "na-1"+fetched+", paris-1"+fetched, "MISS, paris-1", "2 /obj/1")
	tried := n.dialed("eu-1")
	n.want("hub left alone", n.get("paris-1", "/obj/2"), 200, "na-1"+fetched+", paris-1"+fetched, "MISS, paris-1", "3 /obj/2")
	if got := n.dialed("eu-1"); got != tried {
		t.Errorf("a dead hub was tried %d times during its back-off", got-tried)
	}
	n.kill("na-1")
	n.want("both dead", n.get("paris-1", "/obj/3"), 200, "paris-1"+fetched, "MISS, paris-1", "4 /obj/3")
	n.want("a hit needs nobody", n.get("paris-1", "/obj/old"), 200, "paris-1;hit;ttl=60", "HIT, paris-1", "1 /obj/old")
	n.start("eu-1", "na-1")
	n.want("before the back-off is over", n.get("paris-1", "/obj/4"), 200, "paris-1"+fetched, "MISS, paris-1", "5 /obj/4")
	n.pass(time.Second + grace)
	n.want("hub back", n.get("paris-1", "/obj/5"), 200, "eu-1"+fetched+", paris-1"+fetched, "MISS, paris-1", "6 /obj/5")
}

// No request has to be the trial: time stands still before one would be let through.
func TestAHubIsProbedWhileItIsDown(t *testing.T) {
	n := newNetwork(t, small)
	n.probe = time.Millisecond
	n.start("main", "eu-1", "na-1", "paris-1")
	n.kill("eu-1")
	n.get("paris-1", "/obj/0")
	tried := n.dialed("eu-1")
	n.pass(time.Second)
	n.wait("a probe", func() bool { return n.dialed("eu-1") > tried })
	n.want("hub dead", n.get("paris-1", "/obj/1"), 200, "na-1"+fetched+", paris-1"+fetched, "MISS, paris-1", "2 /obj/1")
	n.start("eu-1")
	i := 1
	n.wait("the hub to be used", func() bool {
		i++
		n.pass(100 * time.Millisecond)
		a := n.get("paris-1", fmt.Sprint("/obj/", i))
		return strings.HasPrefix(a.header.Get("Cache-Status"), "eu-1")
	})
}

// grace is how long a probe of a parent may take to tell; without one a request is the trial then.
const grace = 7 * time.Second

// A failed trial doubles the back-off.
func TestBackOff(t *testing.T) {
	n := startNetwork(t, small)
	n.kill("eu-1")
	n.get("paris-1", "/obj/0")
	for i, after := range []time.Duration{1, 2, 4, 8, 8} {
		after = after*time.Second + grace
		tried := n.dialed("eu-1")
		n.pass(after - time.Millisecond)
		n.get("paris-1", fmt.Sprintf("/obj/%d/before", i))
		if got := n.dialed("eu-1") - tried; got != 0 {
			t.Errorf("trial %d: %d tries before %s were over, want 0", i+1, got, after)
		}
		n.pass(time.Millisecond)
		n.get("paris-1", fmt.Sprintf("/obj/%d/after", i))
		n.get("paris-1", fmt.Sprintf("/obj/%d/beside", i))
		if got := n.dialed("eu-1") - tried; got != 1 {
			t.Errorf("trial %d: %d tries after %s, want 1", i+1, got, after)
		}
	}
}

func TestEverythingDead(t *testing.T) {
	n := startNetwork(t, small)
	n.get("paris-1", "/obj/a")
	n.kill("eu-1", "na-1", "main")
	a := n.get("paris-1", "/obj/a")
	n.want("fresh", a, 200, "paris-1;hit;ttl=60", "HIT, paris-1", "1 /obj/a")
	n.pass(time.Minute + time.Second)
	const dead = "paris-1 has no answer for http://www.cdn.test%s: " +
		"eu-1: cannot connect: connection refused; na-1: cannot connect: connection refused; main: cannot connect: connection refused"
	stale := fmt.Sprintf(`paris-1;fwd=stale;detail="served stale: `+dead+`"`, "/obj/a")
	for _, when := range []string{"stale", "stale while all are left alone"} {
		n.want(when, n.get("paris-1", "/obj/a"), 200, stale, "STALE, paris-1", "1 /obj/a")
	}
	n.want("not stored", n.get("paris-1", "/obj/b"), 504, "paris-1;fwd=uri-miss", "ERROR, paris-1", fmt.Sprintf(dead, "/obj/b"))
	n.pass(time.Hour)
	n.want("too stale", n.get("paris-1", "/obj/a"), 504, "paris-1;fwd=stale", "ERROR, paris-1", fmt.Sprintf(dead, "/obj/a"))

	n.start("main") // found at once: when nothing is healthy, everything is tried
	n.want("origin back", n.get("paris-1", "/obj/b"), 200, "paris-1"+fetched, "MISS, paris-1", "2 /obj/b")
}

// The hubs live and say that the origin does not.
func TestOriginDead(t *testing.T) {
	n := startNetwork(t, small)
	n.get("paris-1", "/obj/a")
	n.kill("main")
	a := n.get("paris-1", "/obj/b")
	if a.status != 504 || !strings.Contains(a.body, "main: cannot connect: connection refused") {
		t.Errorf("without its origin: %d %q, want 504 and a sentence that names main", a.status, a.body)
	}
	n.pass(time.Minute + time.Second)
	if a := n.get("paris-1", "/obj/a"); a.status != 200 || a.body != "1 /obj/a" {
		t.Errorf("stale without its origin: %d %q, want what was stored", a.status, a.body)
	}
	n.start("main")
	n.want("back", n.get("paris-1", "/obj/b"), 200, "eu-1"+fetched+", paris-1"+fetched, "MISS, paris-1", "2 /obj/b")
}

func TestConcurrentMissesAskOnce(t *testing.T) {
	n := startNetwork(t, small)
	var wg sync.WaitGroup
	for i := range 40 {
		to := []topology.NodeName{"paris-1", "london-1"}[i%2]
		wg.Go(func() {
			if a := n.get(to, "/obj/a"); a.body != "1 /obj/a" {
				t.Errorf("body = %q, want that of the first request", a.body)
			}
		})
	}
	wg.Wait()
	if got := len(n.asked()); got != 1 {
		t.Errorf("the origin was asked %d times, want once", got)
	}
}

func TestWhatTheOriginIsToldOfTheClient(t *testing.T) {
	n := startNetwork(t, small)
	tokyo, _ := n.plan.Place("tokyo")
	outside := n.place.Locate(tokyo.Client).Client
	forged := http.Header{"X-Forwarded-For": {"192.0.2.1"}, "Cdn-Client-City": {"Atlantis"}, "Cdn-Client-Country": {"XX"}, "X-Request-Id": {"mine"}}
	with := func(s string) http.Header {
		h := forged.Clone()
		h.Set("Cdnlab-Secret", s)
		return h
	}
	for i, c := range []struct {
		name                    string
		from                    netip.Addr
		header                  http.Header
		addr, city, country, id string // "" for an ID of the edge's making
	}{
		{"a client in Tokyo", tokyo.Client, nil, outside.String(), "Tokyo", "JP", ""},
		{"a client that lies", tokyo.Client, forged, outside.String(), "Tokyo", "JP", ""},
		{"a client that guesses the secret", tokyo.Client, with("of the lag"), outside.String(), "Tokyo", "JP", ""},
		{"a client with an empty secret", tokyo.Client, with(""), outside.String(), "Tokyo", "JP", ""},
		{"a node of the lab", tokyo.Client, with(secret), "192.0.2.1", "Atlantis", "XX", "mine"},
		{"an unknown client", netip.MustParseAddr("127.0.0.1"), nil, "127.0.0.1", "Paris", "FR", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := n.do(request{to: "paris-1", path: fmt.Sprintf("/obj/%d", i), from: c.from.String(), header: c.header})
			all := n.asked()
			h := all[len(all)-1].Header
			got := [3]string{h.Get("X-Forwarded-For"), h.Get("CDN-Client-City"), h.Get("CDN-Client-Country")}
			if want := [3]string{c.addr, c.city, c.country}; got != want {
				t.Errorf("the origin was told %q, want %q", got, want)
			}
			switch id := h.Get("X-Request-Id"); {
			case c.id != "" && id != c.id:
				t.Errorf("X-Request-Id at the origin = %q, want %q", id, c.id)
			case c.id == "" && (len(id) != 32 || id != a.header.Get("X-Request-Id")):
				t.Errorf("X-Request-Id = %q at the origin and %q at the client, want the same 32 digits", id, a.header.Get("X-Request-Id"))
			}
			if got, want := h.Get("CDN-Loop"), "paris-1.cdnlab"; got != want {
				t.Errorf("CDN-Loop = %q, want %q first", got, want)
			}
		})
	}
}

func TestAccessLog(t *testing.T) {
	var out bytes.Buffer
	n := newNetwork(t, small)
	n.access = &out
	n.start("main", "eu-1", "na-1", "paris-1")
	tokyo, _ := n.plan.Place("tokyo")
	ask := func(r request) *answer {
		r.to, r.from = "paris-1", tokyo.Client.String()
		return n.do(r)
	}
	first := ask(request{path: "/obj/a?x=%22y"})
	n.pass(time.Second)
	second := ask(request{path: "/obj/a?x=%22y"})
	third := ask(request{path: "/obj/a", host: "other.test"})
	n.kill("paris-1") // writes what is pending
	const line = `{"time":"2026-01-01T12:00:0%d.000000Z","node":"paris-1","client":"%s","place":"tokyo","method":"GET","host":"%s","path":"%s",` +
		`"status":%d,"bytes":%d,"ttfb_ms":0,"total_ms":0,"cache":"%s","request_id":"%s"}` + "\n"
	client := n.place.Locate(tokyo.Client).Client.String()
	id := func(a *answer) string { return a.header.Get("X-Request-Id") }
	want := fmt.Sprintf(line, 0, client, "www.cdn.test", "/obj/a?x=%22y", 200, len("1 /obj/a"), "MISS", id(first)) +
		fmt.Sprintf(line, 1, client, "www.cdn.test", "/obj/a?x=%22y", 200, len("1 /obj/a"), "HIT", id(second)) +
		fmt.Sprintf(line, 1, client, "other.test", "/obj/a", 404, len(third.body)+1, "ERROR", id(third))
	if out.String() != want {
		t.Errorf("access log =\n%swant\n%s", &out, want)
	}
	for text := range strings.Lines(out.String()) {
		if !json.Valid([]byte(text)) {
			t.Errorf("line %q is no JSON", text)
		}
	}
}

func TestUnknownHost(t *testing.T) {
	n := startNetwork(t, small)
	a := n.do(request{to: "paris-1", path: "/", host: "nosuch.test"})
	if want := `unknown host "nosuch.test": this CDN serves www.cdn.test`; a.status != 404 || a.body != want {
		t.Errorf("answer = %d %q, want 404 %q", a.status, a.body, want)
	}
}

func TestHeadOfARequestHasALimit(t *testing.T) {
	n := startNetwork(t, small)
	for length, want := range map[int]int{14 << 10: 200, 17 << 10: 431} {
		a := n.do(request{to: "paris-1", path: "/obj/a", header: http.Header{"X-Long": {strings.Repeat("x", length)}}})
		if a.status != want {
			t.Errorf("a header of %d bytes got %d, want %d", length, a.status, want)
		}
	}
}

func TestCacheBudgetOfTheTopology(t *testing.T) {
	tight := strings.Replace(small, "paris: {}, london", "paris: { ram: 1KiB }, london", 1)
	for source, want := range map[string]string{small: "HIT, paris-1", tight: "MISS, paris-1"} {
		n := startNetwork(t, source)
		path := "/obj/" + strings.Repeat("long", 500) // and so is the answer
		n.get("paris-1", path)
		if got := n.get("paris-1", path).header.Get("X-Cache"); got != want {
			t.Errorf("with ram: %d, the second time: X-Cache = %q, want %q", n.top.Edges[0].RAM, got, want)
		}
	}
}

func TestStopWaitsForRequests(t *testing.T) {
	for _, c := range []struct {
		name  string
		drain time.Duration
		whole bool
	}{
		{"within the drain limit", patience, true},
		{"no longer than the drain limit", 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNetwork(t, small)
			n.start("main")
			n.drain = c.drain
			n.start("eu-1", "paris-1")
			answered := make(chan bool, 1)
			go func() {
				a, err := n.try(request{to: "paris-1", path: "/held/a"})
				answered <- err == nil && a.status == 200
			}()
			n.wait("the request to reach the origin", func() bool { return len(n.asked()) == 1 })
			addr, stopped := n.addr("paris-1"), make(chan struct{})
			go func() {
				n.kill("paris-1")
				close(stopped)
			}()
			if c.whole {
				n.wait("paris-1 to refuse connections", func() bool { return refuses(addr) })
				close(n.held)
			}
			if got := <-answered; got != c.whole {
				t.Errorf("the request under way was answered: %t, want %t", got, c.whole)
			}
			<-stopped
		})
	}
}

// A server can be told to stop before it has begun.
func TestStopAtOnce(t *testing.T) {
	n := newNetwork(t, small)
	for range 20 {
		n.start("paris-1", "eu-1")
		n.kill("paris-1", "eu-1")
	}
}

func TestNewRefusesAnUnknownPoP(t *testing.T) {
	n := newNetwork(t, small)
	_, err := edge.New(edge.Config{Node: topology.Node{Name: "oslo-1", Group: "oslo"}, Topology: n.top})
	if want := `start edge oslo-1: the topology has no edge "oslo"`; err == nil || err.Error() != want {
		t.Errorf("New = %v, want %s", err, want)
	}
}
