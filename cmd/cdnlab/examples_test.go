package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cdnlab/topology"
)

// output runs the program as a command line does and returns its exit code and what it printed.
func output(args ...string) (code int, stdout, stderr string) {
	var out, problems bytes.Buffer
	code = run(args, strings.NewReader(""), &out, &problems)
	return code, out.String(), problems.String()
}

// TestExamples runs every experiment that is shipped: what it teaches has to hold.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../../examples/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	lessons := 0
	for _, file := range files {
		if strings.HasSuffix(file, ".topology.yaml") {
			continue
		}
		lessons++
		t.Run(filepath.Base(file), func(t *testing.T) {
			e, err := topology.LoadExperiment(file, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(e.About) < 200 || len(e.Expect) == 0 {
				t.Errorf("a lesson has a paragraph and expectations; this one says %q and expects %d things", e.About, len(e.Expect))
			}
			if testing.Short() {
				t.Skip("takes seconds")
			}
			report := filepath.Join(t.TempDir(), "report.html")
			code, out, problems := output("run", file, "-o", report)
			if code != 0 {
				t.Errorf("exit code %d\n%s%s", code, out, problems)
			}
			if page, err := os.ReadFile(report); err != nil || !bytes.Contains(page, []byte("All that was expected held")) {
				t.Errorf("the report: %v, without its verdict", err)
			}
		})
	}
	if lessons < 8 {
		t.Errorf("%d lessons, want at least 8", lessons)
	}
}

// TestALessonFailsWhenWhatItTeachesIsBroken takes away what each lesson is about.
func TestALessonFailsWhenWhatItTeachesIsBroken(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for lesson, broken := range map[string]string{
		"first-hit":  "edges.*.ram=0",
		"herd":       "sites.*.cache.collapse=off",
		"hub":        "edges.*.parent=main",
		"purge-race": "sites.*.cache.ttl=1s", // what purged too early is gone soon
	} {
		t.Run(lesson, func(t *testing.T) {
			code, out, problems := output("run", "../../examples/"+lesson+".yaml", "--set", broken)
			if code != exitMissed || !strings.Contains(out, "✗") {
				t.Errorf("with %s: exit code %d, want %d\n%s%s", broken, code, exitMissed, out, problems)
			}
		})
	}
}
