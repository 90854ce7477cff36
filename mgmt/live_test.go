package mgmt

import (
	"bufio"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"cdnlab/internal/stats"
	"cdnlab/topology"
)

// reading counts what f does on a node that started at a time.
func reading(started int64, f func(*stats.Node)) sample {
	n := stats.New(time.Unix(started, 0))
	n.SetCache(func() stats.Cache { return stats.Cache{Objects: 3, Bytes: 50, Budget: 200} })
	f(n)
	return sample{Snapshot: n.Snapshot()}
}

func entry(kind topology.Kind, group string) topology.Node {
	return topology.Node{Name: topology.NodeName(group + "-1"), Kind: kind, Group: group}
}

func requests(n *stats.Node, count int, result stats.Result, status int, took time.Duration) {
	for range count {
		n.Request(0, stats.Request{Result: result, Status: status, Out: 10, TTFB: took})
	}
}

func TestATickIsWhatCameSinceTheLastReading(t *testing.T) {
	nodes := []topology.Node{entry(topology.KindEdge, "paris"), entry(topology.KindEdge, "tokyo"), entry(topology.KindHub, "eu"), entry(topology.KindEdge, "rome")}
	paris := topology.Ref{Kind: topology.KindClient, Name: "paris"}
	eu := topology.Ref{Kind: topology.KindHub, Name: "eu"}
	origin := topology.Ref{Kind: topology.KindOrigin, Name: "main"}
	before := []sample{
		reading(1, func(n *stats.Node) { requests(n, 5, stats.Hit, 200, time.Millisecond); n.Flow(paris, 10, time.Second) }),
		reading(1, func(n *stats.Node) { requests(n, 100, stats.Hit, 200, time.Millisecond) }),
		reading(1, func(n *stats.Node) {}),
		reading(1, func(n *stats.Node) { requests(n, 9, stats.Hit, 200, time.Millisecond) }),
	}
	now := []sample{
		reading(1, func(n *stats.Node) {
			requests(n, 5, stats.Hit, 200, time.Millisecond)
			requests(n, 3, stats.Hit, 200, 2*time.Millisecond)
			requests(n, 1, stats.Miss, 502, 100*time.Millisecond)
			n.Flow(paris, 10, time.Second)
			n.Flow(paris, 30, 4*time.Millisecond)
			n.Flow(paris, 30, 2*time.Millisecond)
			n.Flow(eu, 10, 100*time.Millisecond)
		}),
		reading(2, func(n *stats.Node) { requests(n, 2, stats.Hit, 200, time.Millisecond) }), // it was restarted
		reading(1, func(n *stats.Node) {
			requests(n, 1, stats.Miss, 200, 90*time.Millisecond)
			n.Fetch(stats.Fetch{To: topology.KindOrigin, Bytes: 10})
			n.Flow(origin, 10, 80*time.Millisecond)
		}),
		{Snapshot: before[3].Snapshot, problem: errors.New("connection refused")},
	}
	tick := newTick(time.Unix(77, 0), nodes, now, before)
	if tick.At != 77 || len(tick.Nodes) != 4 || len(tick.Tiers) != 2 {
		t.Fatalf("tick %+v", tick)
	}
	p := tick.Nodes[0]
	if !p.Up || p.Requests != 4 || p.Bytes != 40 || *p.Hit != 0.75 || p.Errors != 1 || math.Abs(*p.P50-2) > 0.05 || math.Abs(*p.P99-100) > 1 || *p.Fill != 0.25 || p.Objects != 3 || p.Status["5xx"] != 1 {
		t.Errorf("paris %+v", p)
	}
	if tokyo := tick.Nodes[1]; tokyo.Requests != 2 || *tokyo.Hit != 1 {
		t.Errorf("a node that was restarted: %+v, want what it has counted since", tokyo)
	}
	if rome := tick.Nodes[3]; rome.Up || rome.Problem != "connection refused" || rome.Requests != 0 || rome.Hit != nil {
		t.Errorf("a node that is down: %+v", rome)
	}
	if e := tick.Tiers[0]; e.Role != "edge" || e.Nodes != 3 || e.Up != 2 || e.Requests != 6 || *e.Hit != 5./6 {
		t.Errorf("edges %+v", e)
	}
	if *tick.Offload != 5./6 {
		t.Errorf("offload %v, want 5 of 6", *tick.Offload)
	}
	want := []FlowTick{{"clients.paris", "edges.paris", 2, 60, 3}, {"edges.paris", "hubs.eu", 1, 10, 100}, {"hubs.eu", "origins.main", 1, 10, 80}}
	if !reflect.DeepEqual(tick.Flows, want) {
		t.Errorf("flows %+v, want %+v", tick.Flows, want)
	}
	quiet := newTick(time.Unix(78, 0), nodes, now, now)
	if q := quiet.Nodes[0]; quiet.Offload != nil || q.Hit != nil || q.P99 != nil || q.Requests != 0 || len(quiet.Flows) != 0 {
		t.Errorf("a second without requests: %+v", quiet)
	}
}

func TestTopObjectsAreThoseOfTheWindow(t *testing.T) {
	nodes := []topology.Node{entry(topology.KindEdge, "paris"), entry(topology.KindEdge, "tokyo"), entry(topology.KindHub, "eu")}
	ask := func(n *stats.Node, path string, count int, hit bool) {
		for range count {
			n.Object("a.test", []byte(path), hit)
		}
	}
	before := []sample{reading(1, func(n *stats.Node) { ask(n, "/old", 100, true); ask(n, "/both", 5, true) }), reading(1, func(n *stats.Node) {}), reading(1, func(n *stats.Node) {})}
	now := []sample{reading(1, func(n *stats.Node) { ask(n, "/old", 100, true); ask(n, "/both", 5, true); ask(n, "/both", 15, false) }),
		reading(1, func(n *stats.Node) { ask(n, "/both", 5, true); ask(n, "/new", 10, true) }), reading(1, func(n *stats.Node) { ask(n, "/hub", 50, true) })}
	got := topOf(nodes, now, before, 10)
	if len(got) != 2 || got[0].Path != "/both" || got[0].Requests != 2 || *got[0].Hit != 0.25 || got[1].Path != "/new" || got[1].Requests != 1 {
		t.Errorf("topOf = %+v, want /both at 2/s with a quarter of hits, then /new at 1/s", got)
	}
}

func TestChangesBecomeEvents(t *testing.T) {
	s := &Server{cfg: Config{Plan: &topology.Plan{Nodes: []topology.Node{entry(topology.KindEdge, "paris"), entry(topology.KindEdge, "tokyo")}}}}
	down := errors.New("refused")
	p := netip.MustParsePrefix("192.0.2.0/24")
	before := &watched{faults: []Fault{{ID: "f1", FaultSpec: FaultSpec{Target: "eu"}}}, samples: []sample{{problem: down}, {}}}
	now := &watched{faults: []Fault{{ID: "f2", FaultSpec: FaultSpec{Target: "ap"}}}, scrub: Scrub{Blocked: []Blocked{{Prefix: p}}}, samples: []sample{{}, {problem: down}}}
	var kinds []string
	for _, e := range append(s.changes(time.Unix(5, 0), before, now), s.changes(time.Unix(6, 0), now, before)...) {
		kinds = append(kinds, e.Kind)
	}
	if want := []string{"up", "down", "fault", "mended", "blocked", "down", "up", "fault", "mended", "unblocked"}; !reflect.DeepEqual(kinds, want) {
		t.Errorf("events %v, want %v", kinds, want)
	}
}

func TestARingKeepsTheLastHour(t *testing.T) {
	r := &ring{}
	for i := range history + 10 {
		r.add(point{at: int64(i)})
	}
	if last := r.last(3); last[0].at != history+7 || last[2].at != history+9 {
		t.Errorf("last(3) = %+v", last)
	}
	if all := r.last(2 * history); len(all) != history || all[0].at != 10 {
		t.Errorf("%d points from %d on, want the last %d", len(all), all[0].at, history)
	}
}

func TestSeriesAndEventsAreServed(t *testing.T) {
	r := serve(t, nil)
	for path, want := range map[string]int{
		"/api/v1/series?of=edge&window=60": 200, "/api/v1/series?of=nothing": 404, "/api/v1/series?of=edge&window=0": 400, "/api/v1/series?of=edge&window=9999": 400,
	} {
		if status, body := r.call(t, "GET", path); status != want {
			t.Errorf("GET %s = %d %s, want %d", path, status, body, want)
		}
	}
	resp, err := http.Get(r.base + "/api/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("Content-Type %q", got)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, isData := strings.CutPrefix(lines.Text(), "data: ")
		if !isData {
			continue
		}
		var tick Tick
		if err := json.Unmarshal([]byte(data), &tick); err != nil {
			t.Fatal(err)
		}
		if len(tick.Nodes) != len(r.cfg.Plan.Nodes) || tick.Nodes[0].Up {
			t.Errorf("tick %+v, want all nodes down: nobody serves them here", tick.Nodes)
		}
		return
	}
	t.Fatalf("the events ended: %v", lines.Err())
}
