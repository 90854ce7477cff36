package topology

import (
	"errors"
	"reflect"
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
		"steps": {"topology: tiny\nload: [{rate: 5/s, for: 1s}]\ntimeline: [{at: 1s}, {at: 1s, down: eu, reset: eu}, {at: 1s, crowd: /x}, {at: 1s, down: eu, latency: 1s}, {at: 1s, degrade: eu}, {at: 1s, down: eu, rate: 5/s}, {at: 1s, down: eu, when: a=b}, {at: 1s, down: eu, when: a}]",
			[]string{"timeline[0]: says nothing", "timeline[1]: has down and reset", "timeline[2].rate: is missing", "timeline[3]: down takes no latency", "timeline[4].degrade: nothing goes wrong", "timeline[5]: down takes no from and rate", "timeline[6].when: no variant has a=b", `timeline[7].when: "a" is not PATH=VALUE`}},
		"put": {"topology: tiny\nload: [{rate: 5/s, for: 1s}]\ntimeline: [{at: 1s, put: x}, {at: 1s, put: /x?y}, {at: 1s, put: /x, for: 1s}, {at: 1s, put: /x, size: 2GiB}, {at: 1s, put: /x, to: edges}, {at: 1s, put: [/x]}, {at: 1s, put: /x, site: a.test}, {at: 1s, down: eu, size: 1KiB}, {at: 1s, put: /x, size: 1B}]",
			[]string{`timeline[0].put: "x" is not a path`, "timeline[1].put: \"/x?y\" has a query", "timeline[2]: put takes no for", "timeline[3].size: 2GiB is too large", "timeline[8].size: 1B is too small", "timeline[4]: put takes no to", "timeline[5].put: must be a path", `timeline[6].site: unknown site "a.test"`, "timeline[7]: down takes no size and key"}},
		"put at an app": {"topology: tiny\nset: { origins.main: { at: Ashburn, app: http://127.0.0.1:3000 } }\nload: [{rate: 5/s, for: 1s}]\ntimeline: [{at: 1s, put: /x}]", []string{"timeline[0].put: the origin of www.cdn.test stores no objects"}},
		"purge": {"topology: tiny\nload: [{rate: 5/s, for: 1s}]\ntimeline: [{at: 1s, purge: all}, {at: 1s, purge: {}}, {at: 1s, purge: {url: /x, all: on}}, {at: 1s, purge: {uri: /x}}, {at: 1s, purge: [/x]}, {at: 1s, purge: /x, size: 1KiB}, {at: 1s, purge: {url: x}}]",
			[]string{`timeline[0].purge: "all" is not a path`, "timeline[1].purge: wants a path, or one of", "timeline[2].purge: wants a path, or one of", `timeline[3].purge.uri: unknown key (did you mean "url"?)`, "timeline[4].purge: must be a map", "timeline[5]: purge takes no size and key", `timeline[6].purge.url: "x" is not a path`}},
		"push": {"topology: tiny\nload: [{rate: 5/s, for: 1s, objects: 10}]\ntimeline: [{at: 1s, push: x}, {at: 1s, push: 0}, {at: 1s, push: 11}, {at: 1s, push: []}, {at: 1s, push: [/x, y]}, {at: 1s, push: /x, to: rome}, {at: 1s, push: /x, rate: 5/s}]",
			[]string{`timeline[0].push: "x" is neither a path`, `timeline[1].push: "0" is neither a path`, "timeline[2].push: the first load has 10 objects", "timeline[3].push: names 0 paths", `timeline[4].push[1]: "y" is not a path`, `timeline[5].to: want hubs, edges, or the name`, "timeline[6]: push takes no from and rate"}},
		"push of a path's load": {"topology: tiny\nload: [{rate: 5/s, for: 1s, path: /x}]\ntimeline: [{at: 1s, push: 5}]", []string{"timeline[0].push: the first load asks for a path alone"}},
		"figures that have no value": {"topology: tiny\nload: [{rate: 5/s, for: 1s}]\ntimeline: [{at: 0s, put: /x}]\nexpect: [purge.time < 1s, purge.stale_served = 0, push.vain < 30%, purge.time < 5, purge.time < 1s from paris]",
			[]string{"expect[0]: purge.time has no value: there is no purge", "expect[1]: purge.stale_served has no value: there is no purge", "expect[2]: push.vain has no value", `expect[3]: "5" has no unit`, "expect[4]: purge.time is not counted by place"}},
		"stale without a version": {"topology: tiny\nload: [{rate: 5/s, for: 1s}]\ntimeline: [{at: 0s, put: /x}, {at: 500ms, purge: /x}]\nexpect: [purge.stale_served = 0]", []string{"expect[0]: purge.stale_served has no value: nothing is put after the start"}},
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

func TestATimelineChangesContent(t *testing.T) {
	e, err := ParseExperiment("x.yaml", []byte(`
topology: three-continents
vary: { name: [a, b] }
load: [ { rate: 5/s, for: 9s } ]
timeline:
  - { at: 0s, put: /a, size: 1KiB, key: k }
  - { at: 1s, put: /b, when: name=b }
  - { at: 2s, purge: "/a?b=c" }
  - { at: 3s, purge: { prefix: /img/, soft: on } }
  - { at: 4s, purge: { key: k } }
  - { at: 5s, purge: { all: true } }
  - { at: 6s, push: /a, to: tokyo }
  - { at: 7s, push: [/a, "/b?c"], to: hubs }
  - { at: 8s, push: 40, when: name=a }
expect: [ purge.stale_served = 0, purge.time < 200ms, push.vain < 30% ]
`), "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	const site = "www.cdn.test"
	want := []Step{
		{Put: &PutStep{site, "/a", 1024, "k"}}, {Put: &PutStep{site, "/b", 4096, ""}, When: Condition{"name", "b"}},
		{Purge: &PurgeStep{Site: site, Path: "/a?b=c"}}, {Purge: &PurgeStep{Site: site, Prefix: "/img/", Soft: true}}, {Purge: &PurgeStep{Site: site, Key: "k"}}, {Purge: &PurgeStep{Site: site, All: true}},
		{Push: &PushStep{Site: site, Paths: []string{"/a"}, To: "tokyo"}}, {Push: &PushStep{Site: site, Paths: []string{"/a", "/b?c"}, To: "hubs"}},
		{Push: &PushStep{Site: site, Top: 40}, When: Condition{"name", "a"}},
	}
	if len(e.Timeline) != len(want) {
		t.Fatalf("%d steps, want %d", len(e.Timeline), len(want))
	}
	for i, w := range want {
		w.At = time.Duration(i) * time.Second
		if got := e.Timeline[i]; !reflect.DeepEqual(got, w) {
			t.Errorf("step %d = %+v, want %+v", i, got, w)
		}
	}
	if s := e.Timeline[8].When; !s.In(e.Variants[0]) || s.In(e.Variants[1]) {
		t.Error("when: name=a is not met in the first variant alone")
	}
}

func TestAPurgeCoversWhatWasPut(t *testing.T) {
	put := PutStep{Site: "s", Path: "/img/a", Key: "k"}
	for p, want := range map[PurgeStep]bool{
		{Site: "s", Path: "/img/a"}: true, {Site: "s", Path: "/img/"}: false, {Site: "s", Prefix: "/img/"}: true, {Site: "s", Prefix: "/x"}: false,
		{Site: "s", Key: "k"}: true, {Site: "s", Key: "l"}: false, {Site: "s", All: true}: true, {Site: "other", All: true}: false,
	} {
		if got := p.Covers(put); got != want {
			t.Errorf("%+v covers %+v: %v, want %v", p, put, got, want)
		}
	}
}

func TestPushTargets(t *testing.T) {
	top, err := Preset("three-continents", nil)
	if err != nil {
		t.Fatal(err)
	}
	for place, want := range map[string]string{"": "", "hubs": "hubs", "edges": "edges", "eu": "eu", "eu-1": "eu-1", "tokyo": "tokyo", "tokyo-2": "tokyo-2", "CDG": "paris",
		"tokyo-3": "none", "rome": "none", "main": "none"} {
		if got, err := top.PushTarget(place); err == nil && got != want || err != nil && want != "none" {
			t.Errorf("PushTarget(%q) = %q, %v, want %q", place, got, err, want)
		}
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
