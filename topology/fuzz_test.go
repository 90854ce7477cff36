package topology

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// FuzzParse holds Parse to its word: it returns a topology that can be asked anything, or Faults.
func FuzzParse(f *testing.F) {
	for _, name := range Presets() {
		data, _ := PresetSource(name)
		f.Add(data, "")
	}
	files, _ := filepath.Glob("testdata/broken/*.yaml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "")
	}
	f.Add([]byte(settable), "edges.*.ram=1MiB")
	f.Add([]byte(settable), "sites.www.cdn.test.cache={ttl: 1s}")
	f.Add([]byte(settable), "links[0]=null")
	f.Add([]byte(planned), `edges."lab"=&a [*a]`)
	f.Fuzz(func(t *testing.T, data []byte, set string) {
		var sets []string
		if set != "" {
			sets = []string{set}
		}
		top, err := Parse("fuzz.yaml", data, "", sets)
		if err != nil {
			var faults Faults
			if !errors.As(err, &faults) || len(faults) == 0 || err.Error() == "" {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		if _, ok := top.Client(top.Fallback); !ok || len(top.Sites) == 0 || len(top.Origins) == 0 || len(top.Edges) == 0 {
			t.Fatalf("incomplete: %+v", top)
		}
		for _, c := range top.Clients {
			if len(c.Networks) == 0 {
				t.Fatalf("%s has no network", c.Name)
			}
		}
		for _, e := range top.Edges {
			parents := top.Parents(e.Name, top.Sites[0].Origin)
			if e.Servers < 1 || parents[len(parents)-1].Kind != KindOrigin || top.Path(edge(e.Name), e.Parent).RTT < 0 {
				t.Fatalf("%+v has parents %v", e, parents)
			}
		}
		if plan, err := top.Plan(PlanOptions{}); err == nil && len(plan.Places) != len(top.Clients) {
			t.Fatalf("%d places for %d clients", len(plan.Places), len(top.Clients))
		}
	})
}
