package experiment

import (
	"math"
	"net/http"
	"testing"
	"time"

	"cdnlab/topology"
)

// seen is a run of ten seconds: ten requests a second from a and b in turn, hits from second 5 on, errors in second 7. The counters are
// read ever later than they are to be.
func seen() *record {
	r := &record{}
	for i := range 100 {
		s := sample{at: time.Duration(i) * 100 * time.Millisecond, latency: time.Duration(i+1) * time.Millisecond, status: 200, place: "a", bytes: 10, edge: missed}
		if i%2 == 1 {
			s.place, s.hub = "b", hit
		}
		if i >= 50 {
			s.edge, s.hub = hit, notReached
		}
		if i >= 70 && i < 80 {
			s.status, s.edge, s.bytes = 503, missed, 0
		}
		r.samples = append(r.samples, s)
	}
	for i := range 11 {
		n := uint64(i)
		r.readings = append(r.readings, reading{time.Duration(i) * 1010 * time.Millisecond, Counters{HubRequests: 10 * n, HubHits: 5 * n, OriginRequests: 2 * n}})
	}
	return r
}

func TestFiguresOfWindows(t *testing.T) {
	r := seen()
	r.samples = append(r.samples, sample{at: 9 * time.Second, place: "b", latency: time.Hour}) // no response
	for _, c := range []struct {
		name string
		w    window
		want map[string]float64
	}{
		{"the whole", window{}, map[string]float64{"requests": 101, "errors": 11. / 101, "responses.2xx": 90. / 101, "responses.5xx": 10. / 101, "responses.3xx": 0,
			"edge.hit_ratio": 40. / 101, "edge.byte_hit_ratio": 400. / 900, "cdn.hit_ratio": 65. / 101, "hub.hit_ratio": 0.5, "origin.requests": 20, "origin.share": 20. / 101,
			"latency.p50": 0.050, "latency.p99": 0.099, "latency.max": 0.100, "latency.mean": 0.0505}},
		{"from 5 s on", window{from: 5 * time.Second}, map[string]float64{"requests": 51, "edge.hit_ratio": 40. / 51, "origin.requests": 10, "latency.p50": 0.075}},
		{"one second", window{from: 7 * time.Second, until: 8 * time.Second}, map[string]float64{"requests": 10, "responses.5xx": 1, "errors": 1, "origin.requests": 2}},
		{"one place", window{until: 5 * time.Second, place: "b"}, map[string]float64{"requests": 25, "edge.hit_ratio": 0, "cdn.hit_ratio": 1, "latency.p90": 0.046}},
	} {
		got := r.figures(c.w)
		for m, want := range c.want {
			if math.Abs(float64(got[m])-want) > 1e-9 {
				t.Errorf("%s: %s = %v, want %v", c.name, m, got[m], want)
			}
		}
		for _, m := range topology.Metrics() {
			if _, ok := got[m]; !ok {
				t.Errorf("%s has no value", m)
			}
		}
		if len(got) != len(topology.Metrics()) {
			t.Errorf("%d figures, want those of %v", len(got), topology.Metrics())
		}
	}
	empty := (&record{}).figures(window{})
	if !math.IsNaN(float64(empty["edge.hit_ratio"])) || !math.IsNaN(float64(empty["latency.p99"])) || empty["requests"] != 0 {
		t.Errorf("figures of nothing: %v, want NaN", empty)
	}
}

func TestExpectationsAreHeldAgainstTheirVariant(t *testing.T) {
	expect := func(text string) topology.Expectation {
		e, err := topology.ParseExpectation(text)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	all := []topology.Expectation{expect("edge.hit_ratio >= 40%"), expect("latency.max < 100ms"), expect("requests = 25 from b until 5s"),
		expect("errors > 0.5 after 7s until 8s when a=2"), expect("requests = 100 when a=1"), expect("hub.hit_ratio != 1 after 11s")}
	v := topology.Variant{Values: []topology.Setting{{Path: "a", Value: "2"}}}
	got := seen().judge(all, v)
	want := []bool{true, false, true, true, false}
	if len(got) != len(want) {
		t.Fatalf("judge gave %+v, want %d outcomes", got, len(want))
	}
	for i := range want {
		if got[i].Held != want[i] {
			t.Errorf("%q with %v: held %v, want %v", got[i].Text, got[i].Value, got[i].Held, want[i])
		}
	}
}

func TestASeriesHasAValueForEachSecond(t *testing.T) {
	s := seen().series(9500 * time.Millisecond)
	if len(s.Requests) != 10 || s.Requests[3] != 10 || s.Errors[7] != 10 || s.EdgeHitRatio[6] != 1 || s.EdgeHitRatio[2] != 0 || s.Origin[4] != 2 || s.P50[0] != 5 {
		t.Errorf("series %+v", s)
	}
}

func TestCacheStatusTellsWhatEachTierHad(t *testing.T) {
	for value, want := range map[string][2]reached{
		"":                   {notReached, notReached},
		"paris-1;hit;ttl=58": {hit, notReached},
		"eu-1;fwd=uri-miss;fwd-status=200;stored, paris-1;fwd=uri-miss;fwd-status=200;stored": {missed, missed},
		"eu-1;hit;ttl=3, paris-1;fwd=uri-miss;stored":                                         {missed, hit},
		"paris-1;fwd=uri-miss;collapsed":                                                      {joined, notReached},
		"eu-1;fwd=uri-miss;collapsed, paris-1;fwd=stale;fwd-status=200":                       {missed, joined},
	} {
		h := http.Header{}
		if value != "" {
			h.Set("Cache-Status", value)
		}
		edge, hub := readCacheStatus(h.Values("Cache-Status"))
		if got := [2]reached{edge, hub}; got != want {
			t.Errorf("readCacheStatus(%q) = %v, want %v", value, got, want)
		}
	}
}
