package topology

import (
	"errors"
	"strings"
	"testing"
	"time"
)

const experimentOfTheIssue = `
version: 1
topology: three-continents
seed: 7
set:  { "edges.*.ram": 32MiB }
vary: { "sites.*.cache.ttl": [1s, 60s] }
load: [ { site: www.cdn.test, from: { paris: 3, tokyo: 1 }, rate: 500/s, objects: 10000, zipf: 1.0, for: 60s } ]
timeline:
  - { at: 20s, crowd: /launch.mp4, from: tokyo, rate: 2000/s, for: 20s }
  - { at: 30s, down: hubs.ap, for: 15s }
  - { at: 5s, degrade: "paris:eu", latency: 100ms, loss: 2% }
expect: [ "edge.hit_ratio > 0.8 after 20s", "responses.5xx < 0.1%", "origin.share<5% when sites.*.cache.ttl=60s", "latency.p99 <= 250ms from tokyo" ]
`

func TestAnExperimentIsReadWhole(t *testing.T) {
	e, err := ParseExperiment("x.yaml", []byte(experimentOfTheIssue), "", []string{"edges.tokyo.ram=64MiB"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Variants) != 2 || e.Variants[0].Label() != "sites.*.cache.ttl=1s" || e.Variants[1].Label() != "sites.*.cache.ttl=60s" {
		t.Fatalf("variants %+v", e.Variants)
	}
	for i, ttl := range []time.Duration{time.Second, time.Minute} {
		top := e.Variants[i].Topology
		tokyo, _ := top.Edge("tokyo")
		paris, _ := top.Edge("paris")
		if top.Sites[0].Cache.TTL != ttl || paris.RAM != 32<<20 || tokyo.RAM != 64<<20 || top.Seed != 7 {
			t.Errorf("variant %d: ttl %v, ram %d and %d, seed %d", i, top.Sites[0].Cache.TTL, paris.RAM, tokyo.RAM, top.Seed)
		}
	}
	if len(e.Load) != 2 || e.Length != time.Minute || e.Name != "x" || e.Seed != 7 || e.NoNetem {
		t.Fatalf("experiment %+v", e)
	}
	want := Workload{Site: "www.cdn.test", From: []PlaceShare{{"paris", 3}, {"tokyo", 1}}, Rate: 500, For: time.Minute, Objects: 10000, Zipf: 1, Size: [2]Bytes{4096, 4096}}
	if l := e.Load[0]; l.Site != want.Site || l.Rate != want.Rate || l.Objects != want.Objects || l.Size != want.Size || len(l.From) != 2 || l.From[0] != want.From[0] || l.From[1] != want.From[1] {
		t.Errorf("load %+v, want %+v", l, want)
	}
	if c := e.Load[1]; c.Path != "/launch.mp4" || c.At != 20*time.Second || c.Rate != 2000 || len(c.From) != 1 || c.From[0].Place != "tokyo" {
		t.Errorf("crowd %+v", c)
	}
	if len(e.Timeline) != 2 || !e.Timeline[0].Impairment.Down || e.Timeline[0].For != 15*time.Second || e.Timeline[1].Impairment.Loss != 0.02 {
		t.Errorf("timeline %+v", e.Timeline)
	}
	x := e.Expect[2]
	if x.Metric != "origin.share" || x.Op != "<" || x.Value != 0.05 || x.In(e.Variants[0]) || !x.In(e.Variants[1]) {
		t.Errorf("expectation %+v", x)
	}
	if x := e.Expect[3]; x.From != "tokyo" || x.Value != 0.25 || x.Holds(0.3) || !x.Holds(0.25) {
		t.Errorf("expectation %+v", x)
	}
}

func TestEveryFaultOfAnExperimentIsReportedAtItsPlace(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		want []string
	}{
		"empty":       {"", []string{"x.yaml: is empty"}},
		"a list":      {"[1]", []string{"x.yaml:1:1: is a list"}},
		"no load":     {"topology: tiny", []string{"load: there is none"}},
		"not YAML":    {"load: [", []string{"x.yaml:2:1: not valid YAML"}},
		"unknown key": {"loads: []\nload: [{rate: 1/s, for: 1s}]", []string{`x.yaml:1:1: loads: unknown key (did you mean "load"?)`}},
		"all at once": {"topology: tiny\nload: [{rate: 500, for: 10}, {for: 1s}]\nexpect: [edge.hitratio > 1, latency.p99 < 50]",
			[]string{`x.yaml:2:15: load[0].rate: "500" has no unit; write 500/s`, "x.yaml:2:25: load[0].for", "load[1].rate: is missing",
				`x.yaml:3:10: expect[0]: unknown metric "edge.hitratio" (did you mean "edge.hit_ratio"?)`, `expect[1]: "50" has no unit`}},
		"names": {"topology: tiny\nload: [{rate: 5/s, for: 1s, from: lyon, site: a.test}]\ntimeline: [{at: 1s, down: pariss}, {at: 1s, degrade: paris, slow_disk: 1s}]",
			[]string{`load[0].from: unknown client place "lyon"`, `load[0].site: unknown site "a.test"`, `x.yaml:3:27: timeline[0].down: unknown`, "timeline[1].degrade: paris-1 keeps everything in memory"}},
		"preset":        {"topology: three-continent\nload: [{rate: 5/s, for: 1s}]", []string{`topology: no preset "three-continent" (did you mean "three-continents"?)`}},
		"no such file":  {"topology: ./none.yaml\nload: [{rate: 5/s, for: 1s}]", []string{"topology: load topology"}},
		"set":           {"topology: tiny\nset: { edges.paris.ram: 32 }\nload: [{rate: 5/s, for: 1s}]", []string{`x.yaml:2:25: set.edges.paris.ram: "32" has no unit`}},
		"set nothing":   {"topology: tiny\nset: { edges.rome.ram: 32MiB, origins.x*.at: rome }\nload: [{rate: 5/s, for: 1s}]", []string{"matches nothing"}},
		"vary":          {"topology: tiny\nvary: { edges.paris.ram: [1MiB, 2] }\nload: [{rate: 5/s, for: 1s}]", []string{"x.yaml:2:33: vary.edges.paris.ram[1]"}},
		"vary nothing":  {"topology: tiny\nvary: { edges.paris.ram: [] }\nload: [{rate: 5/s, for: 1s}]", []string{"vary.edges.paris.ram: has no values"}},
		"vary too much": {"topology: tiny\nvary: { a: [1,2,3,4,5,6,7,8,9], b: [1,2,3,4,5,6,7,8,9] }\nload: [{rate: 5/s, for: 1s}]", []string{"vary: makes more than 64"}},
		"steps": {"topology: tiny\nload: [{rate: 5/s, for: 1s}]\ntimeline: [{at: 1s}, {at: 1s, down: eu, reset: eu}, {at: 1s, crowd: /x}, {at: 1s, down: eu, latency: 1s}, {at: 1s, degrade: eu}, {at: 1s, purge: all}, {at: 1s, down: eu, rate: 5/s}]",
			[]string{"timeline[0]: says nothing", "timeline[1]: has down and reset", "timeline[2].rate: is missing", "timeline[3]: down takes no latency", "timeline[4].degrade: nothing goes wrong", "timeline[5].purge: not known yet", "timeline[6]: site, from and rate are for a crowd"}},
		"expectations": {"topology: tiny\nload: [{rate: 5/s, for: 1s}]\nexpect: [requests, requests ~ 5, requests > x, requests > 1 after 2s, requests > 1 from rome, requests > 1 soon 2s, requests > 1 after, hub.hit_ratio > 1 from paris, requests > 1 when a=b, requests > 1 after 5ms until 4ms]",
			[]string{"expect[0]: ", "expect[1]: ", "expect[2]: ", "expect[3]: the load has ended", `expect[4]: unknown client place "rome"`, `expect[5]: unknown word "soon"`, `expect[6]: "after" says nothing`, "expect[7]: hub.hit_ratio is not counted by place", "expect[8]: no variant has a=b", "expect[9]: until is not later"}},
		"sizes and shares": {"topology: tiny\nload: [{rate: 5/s, for: 1s, size: [2MiB, 1KiB], from: {paris: 0}}, {rate: 5/s, for: 1s, size: [1KiB]}, {rate: -5/s, for: 1s, from: {paris: -1}}]",
			[]string{"load[0].size: the smallest", "load[0].from: no place has a share", "load[1].size: has 1 item", "load[2].rate: ", "load[2].from.paris: -1 is negative"}},
		"netem off": {"topology: tiny\nnetem: off\nload: [{rate: 5/s, for: 1s}]\ntimeline: [{at: 1s, degrade: eu, latency: 1s}]", []string{"timeline[0].degrade: nothing is emulated"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseExperiment("x.yaml", []byte(c.file), t.TempDir(), nil, nil)
			var faults Faults
			if !errors.As(err, &faults) {
				t.Fatalf("ParseExperiment = %v, want Faults", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the faults are\n%v\nwithout %q", err, want)
				}
			}
			if len(faults) != len(c.want) {
				t.Errorf("%d faults, want %d:\n%v", len(faults), len(c.want), err)
			}
		})
	}
}

func FuzzParseExperiment(f *testing.F) {
	f.Add([]byte(experimentOfTheIssue))
	f.Add([]byte("load: [{rate: 1/s, for: 1s, from: {paris: 1}, size: [1KiB, 2KiB]}]\nexpect: [requests=1 when a=b]\ntopology: tiny"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := ParseExperiment("x.yaml", data, "/nonexistent", nil, nil)
		if err == nil && (len(e.Variants) == 0 || len(e.Load) == 0) {
			t.Errorf("valid, but %+v", e)
		}
	})
}
