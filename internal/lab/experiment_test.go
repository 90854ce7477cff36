package lab_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"cdnlab/internal/experiment"
	"cdnlab/internal/lab"
	"cdnlab/internal/stats"
	"cdnlab/topology"
)

// counted asks the edges for their own counts, once they have counted all requests, before it lets the lab end.
type counted struct {
	experiment.Lab
	t     *testing.T
	all   uint64
	edges map[string]uint64 // requests by result
	ttfb  stats.Histogram
}

func (c *counted) Stop() error {
	waitFor(c.t, "the count of the last request, whose client may be quicker", func() error {
		c.count()
		var all uint64
		for _, n := range c.edges {
			all += n
		}
		if all < c.all {
			return fmt.Errorf("%d of %d requests are counted", all, c.all)
		}
		return nil
	})
	return c.Lab.Stop()
}

func (c *counted) count() {
	c.edges, c.ttfb = map[string]uint64{}, stats.Histogram{}
	client := newClient(c.t, &http.Transport{DisableKeepAlives: true})
	for _, n := range c.Plan().Nodes {
		if n.Kind != topology.KindEdge {
			continue
		}
		resp, err := client.Get("http://" + n.HTTP.String() + "/-/stats")
		if err != nil {
			c.t.Fatal(err)
		}
		var s stats.Snapshot
		if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
			c.t.Fatal(err)
		}
		resp.Body.Close()
		for result, n := range s.Requests {
			c.edges[result] += n
		}
		c.ttfb.Merge(s.TTFB)
	}
}

func TestAnExperimentSeesWhatTheNodesCount(t *testing.T) {
	e, err := topology.ParseExperiment("x.yaml", []byte(`
topology: three-continents
netem: off
load:
  - { from: { paris: 2, tokyo: 1 }, rate: 300/s, objects: 100, size: [1KiB, 64KiB], for: 2s }
  - { from: london, rate: 50/s, path: /no-such-object, for: 1s, at: 500ms }
timeline: [ { at: 1s, degrade: main, slow_disk: 5ms, for: 200ms } ]
expect: [ requests = 650, errors = 0, responses.4xx > 7%, responses.4xx < 8%, origin.requests > 100 ]
`), "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var seen *counted
	start := lab.StartExperiment(slog.New(slog.DiscardHandler))
	run, err := experiment.Execute(t.Context(), e, e.Variants[0], func(ctx context.Context, top *topology.Topology, noNetem bool) (experiment.Lab, error) {
		l, err := start(ctx, top, noNetem)
		seen = &counted{Lab: l, t: t, all: 650}
		return seen, err
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !run.Passed() {
		t.Errorf("expectations: %+v, problems %v", run.Expected, run.Problems)
	}
	var all uint64
	for _, n := range seen.edges {
		all += n
	}
	hits := seen.edges["hit"] + seen.edges["stale"]
	if float64(run.Figures["requests"]) != float64(all) || math.Abs(float64(run.Figures["edge.hit_ratio"])-float64(hits)/float64(all)) > 1e-9 {
		t.Errorf("the experiment saw %v requests with hit ratio %v, the edges %d with %d hits", run.Figures["requests"], run.Figures["edge.hit_ratio"], all, hits)
	}
	if run.Problems["404 Not Found"] != 50 || len(run.Problems) != 1 {
		t.Errorf("problems %v, want 50 answers of 404", run.Problems)
	}
	if p50 := seen.ttfb.Quantile(0.5); float64(run.Figures["latency.p50"]) < p50.Seconds()*0.98 {
		t.Errorf("clients saw a median of %v s, less than the edges' own %v", run.Figures["latency.p50"], p50)
	}
}

func TestAnExperimentChangesContent(t *testing.T) {
	e, err := topology.ParseExperiment("x.yaml", []byte(`
topology: tiny
netem: off
load:
  - { rate: 100/s, path: /a, for: 5s }
  - { rate: 20/s, objects: 20, zipf: 0, for: 1s, at: 4s }
timeline:
  - { at: 0s, put: /a, size: 1KiB, key: k }
  - { at: 200ms, put: /a, key: k }
  - { at: 200ms, purge: /a }
  - { at: 600ms, put: /a, key: k }
  - { at: 600ms, purge: { key: k } }
  - { at: 1000ms, put: /a }
  - { at: 1000ms, purge: { prefix: / } }
  - { at: 1400ms, put: /a }
  - { at: 1400ms, purge: { all: true, soft: on } }
  - { at: 1800ms, push: [/synthetic/4096B/1, /synthetic/4096B/2], to: edges }
  - { at: 4500ms, put: /a }
expect: [ purge.stale_served = 0, purge.time < 10s, push.vain = 0 after 4s, errors = 0, responses.2xx = 1, edge.hit_ratio > 0.5, origin.requests >= 5 until 4s ]
`), "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	run, err := experiment.Execute(t.Context(), e, e.Variants[0], lab.StartExperiment(slog.New(slog.DiscardHandler)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !run.Passed() {
		t.Errorf("expectations: %+v, problems %v", run.Expected, run.Problems)
	}
	e.Timeline = []topology.Step{{Push: &topology.PushStep{Site: "www.cdn.test", Paths: []string{"/none"}}}}
	if _, err := experiment.Execute(t.Context(), e, e.Variants[0], lab.StartExperiment(slog.New(slog.DiscardHandler)), nil); err == nil || !strings.Contains(err.Error(), "404 for /none") {
		t.Errorf("a push of what is not there: %v, want the origin's answer", err)
	}
}

func TestAnExperimentRefusesTargetsThatAreNotItsOwn(t *testing.T) {
	e, err := topology.ParseExperiment("x.yaml", []byte("topology: tiny\nload: [ { rate: 1/s, for: 1s } ]\n"), "", []string{"origins.main.addresses=[192.0.2.1]"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	started := false
	_, err = experiment.Execute(t.Context(), e, e.Variants[0], func(ctx context.Context, top *topology.Topology, _ bool) (experiment.Lab, error) {
		started = true
		plan, err := top.Plan(topology.PlanOptions{})
		return elsewhere{plan}, err
	}, nil)
	if err == nil || !started {
		t.Errorf("Execute = %v, want a refusal: load goes to this machine's own lab only", err)
	}
}

// elsewhere is a lab whose nodes are not on this machine.
type elsewhere struct{ plan *topology.Plan }

func (e elsewhere) Plan() *topology.Plan        { return e.plan }
func (elsewhere) Counters() experiment.Counters { return experiment.Counters{} }
func (elsewhere) Stop() error                   { return nil }
func (elsewhere) Impair(string, topology.Impairment, time.Duration) error {
	return nil
}
func (elsewhere) Put(context.Context, topology.PutStep, uint64) (string, error)    { return "", nil }
func (elsewhere) Purge(context.Context, topology.PurgeStep) (time.Duration, error) { return 0, nil }
func (elsewhere) Push(context.Context, topology.PushStep) error                    { return nil }
