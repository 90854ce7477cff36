package topology

import (
	"strings"
	"testing"
)

func TestARewrittenFileMeansTheSame(t *testing.T) {
	sets := []string{"edges.tokyo.ram=32MiB", "hubs.ap=null", "records.x={ txt: ['null', \"a: b\", '~'] }", "edges.paris.addresses=[[192.0.2.1], [192.0.2.2]]"}
	for _, preset := range Presets() {
		data, _ := PresetSource(preset)
		if preset == "tiny" {
			sets = []string{"edges.tokyo={}", "addresses.admin=192.0.2.9"}
		}
		want, err := Parse("x", data, "", sets)
		if err != nil {
			t.Fatal(err)
		}
		rewritten, err := Rewrite("x", data, sets)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse("x", rewritten, "", nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, rewritten)
		}
		same(t, got, want)
		again, err := Rewrite("x", rewritten, nil)
		if err != nil || string(again) != string(rewritten) {
			t.Errorf("rewritten once more it is %s (%v), want %s", again, err, rewritten)
		}
	}
}

func TestRewriteReportsFaults(t *testing.T) {
	_, err := Rewrite("net.yaml", []byte("edges: { paris: {} }\nedges: {}\n"), []string{"hubs.*.ram=1MiB"})
	if err == nil || !strings.Contains(err.Error(), "net.yaml:2:1: edges") || !strings.Contains(err.Error(), "matches nothing") {
		t.Errorf("Rewrite = %v, want both faults", err)
	}
}

func FuzzRewrite(f *testing.F) {
	for _, preset := range Presets() {
		data, _ := PresetSource(preset)
		f.Add(data)
	}
	f.Add([]byte("a: 'null'\nb: \"\"\nc: [~, {d: 'x: y', 1: \"# no\"}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		out, err := Rewrite("x", data, nil)
		if err != nil {
			return
		}
		var before, after collector
		want, got := parseTree(&before, "x", data), parseTree(&after, "x", out)
		if len(after.faults) > 0 || !equal(got, want) {
			t.Errorf("%q was rewritten as %q: %v", data, out, after.faults)
		}
	})
}

func equal(a, b *node) bool {
	if a.kind != b.kind || a.text != b.text || len(a.fields) != len(b.fields) || len(a.items) != len(b.items) {
		return false
	}
	for i := range a.fields {
		if a.fields[i].key != b.fields[i].key || !equal(a.fields[i].value, b.fields[i].value) {
			return false
		}
	}
	for i := range a.items {
		if !equal(a.items[i], b.items[i]) {
			return false
		}
	}
	return true
}
