package experiment

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"cdnlab/topology"
)

var update = flag.Bool("update", false, "rewrite golden files")

// aReport compares two variants with two seeds each.
func aReport(t *testing.T) Report {
	t.Helper()
	e, err := topology.ParseExperiment("lesson.yaml", []byte(`
about: "Two words </script><b>"
topology: tiny
vary: { edges.paris.ram: [1MiB, 2MiB] }
load: [ { rate: 10/s, for: 10s } ]
expect: [ requests = 100, edge.hit_ratio > 0.5 when edges.paris.ram=2MiB ]
`), "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var runs []Run
	for seed := range uint64(2) {
		for i, v := range e.Variants {
			r := seen()
			if i == 1 {
				r.samples = r.samples[:90+seed]
			}
			runs = append(runs, Run{Variant: v.Label(), Seed: seed, Seconds: 10, Figures: r.figures(window{}), Expected: r.judge(e.Expect, v),
				Series: r.series(10 * time.Second), Problems: map[string]int{"503 Service Unavailable": 10}})
		}
	}
	return NewReport(e, runs)
}

func TestAReportIsATable(t *testing.T) {
	r := aReport(t)
	if r.Passed {
		t.Error("the report says that all held")
	}
	got := r.Text()
	const golden = "testdata/report.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("Text() =\n%s\nwant\n%s", got, want)
	}
}

func TestAReportIsAPageOfItsOwn(t *testing.T) {
	page, err := aReport(t).HTML()
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	for _, want := range []string{"lesson", "Two words &lt;/script&gt;&lt;b&gt;", "edges.paris.ram=2MiB", "uPlot", "edge.hit_ratio &gt; 0.5", "Not all that was expected held"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, never := range []string{"src=", "href=", "url(", "@import", "</script><b>"} {
		if strings.Contains(text, never) {
			t.Errorf("the page has %q: it is to need nothing else and to let nothing through", never)
		}
	}
}

func TestAReportIsJSON(t *testing.T) {
	r := aReport(t)
	r.Runs[0].Figures = (&record{}).figures(window{}) // NaN is null
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Passed bool
		Runs   []struct {
			Variant string
			Figures map[string]*float64
			Expect  []struct {
				Held bool
			}
		}
	}
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if back.Passed || len(back.Runs) != 4 || back.Runs[0].Variant != back.Runs[1].Variant || back.Runs[0].Figures["latency.p99"] != nil || *back.Runs[1].Figures["requests"] != 100 || len(back.Runs[2].Expect) != 2 {
		t.Errorf("JSON %+v", back)
	}
}
