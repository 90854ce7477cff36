package lab_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// layers is the import map of the project: a folder may import the folders that its line names and nothing else of this
// module. Change it in the same commit as the design, never to silence the test.
var layers = map[string][]string{
	"topology":            {},
	"internal/stats":      {"topology"},
	"internal/probe":      {"topology", "internal/stats"},
	"internal/httpcache":  {"topology"},
	"internal/cache":      {"internal/disk", "internal/evict", "internal/httpcache"},
	"internal/disk":       {"internal/evict"},
	"internal/coding":     {"internal/httpcache"},
	"internal/netem":      {},
	"internal/evict":      {},
	"internal/place":      {"topology"},
	"internal/proxy":      {"topology", "internal/stats", "internal/probe", "internal/httpcache", "internal/cache", "internal/evict", "internal/coding", "internal/journal", "internal/retry"},
	"internal/duplex":     {},
	"internal/gateway":    {"topology", "internal/duplex"},
	"internal/uplot":      {},
	"internal/ring":       {},
	"internal/retry":      {},
	"internal/journal":    {},
	"internal/merkle":     {},
	"internal/popular":    {},
	"internal/planner":    {},
	"internal/experiment": {"topology", "internal/uplot"},
	"internal/compose":    {"topology"},
	"edge":                {"topology", "internal/*"},
	"regional":            {"topology", "internal/*"},
	"origin":              {"topology", "internal/*"},
	"dnsredirect":         {"topology", "internal/*"},
	"scrubber":            {"topology", "internal/*"},
	"distribution":        {"topology", "internal/*"},
	"mgmt":                {"topology", "internal/*"},
	"internal/lab":        {"topology", "internal/*", "edge", "regional", "origin", "dnsredirect", "scrubber", "distribution", "mgmt"},
	"cmd/cdnlab":          {"topology", "internal/*", "mgmt"},
}

// top are the drivers that shared packages and components must not reach up to.
var top = []string{"internal/lab", "internal/sim"}

func TestImportsPointDown(t *testing.T) {
	const root = "../.."
	seen := map[string]bool{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && d.Name() != "..") {
			return filepath.SkipDir
		}
		if filepath.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		folder := path.Dir(filepath.ToSlash(rel))
		seen[folder] = true
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imp := range parsed.Imports {
			target, ours := strings.CutPrefix(strings.Trim(imp.Path.Value, `"`), "cdnlab/")
			if ours && !allowed(folder, target) {
				t.Errorf("%s imports %s: the map allows %v", rel, target, layers[folder])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for folder := range seen {
		if _, ok := layers[folder]; !ok {
			t.Errorf("folder %s is not in the map: a new package needs a noun, a reason and a line here", folder)
		}
	}
	for folder := range layers {
		if !seen[folder] && folder != "scrubber" && folder != "distribution" {
			t.Errorf("the map names %s, which holds no Go file", folder)
		}
	}
}

func allowed(folder, target string) bool {
	rules := layers[folder]
	if slices.Contains(rules, target) {
		return true
	}
	driver := folder == "internal/lab" || folder == "cmd/cdnlab"
	return slices.Contains(rules, "internal/*") && strings.HasPrefix(target, "internal/") && (driver || !slices.Contains(top, target))
}

func TestAForbiddenArrowIsSeen(t *testing.T) {
	for _, c := range [][2]string{{"edge", "regional"}, {"edge", "internal/lab"}, {"internal/cache", "edge"}, {"topology", "internal/stats"}, {"mgmt", "internal/sim"}} {
		if allowed(c[0], c[1]) {
			t.Errorf("%s → %s is allowed", c[0], c[1])
		}
	}
	for _, c := range [][2]string{{"edge", "internal/proxy"}, {"internal/lab", "edge"}, {"cmd/cdnlab", "internal/lab"}} {
		if !allowed(c[0], c[1]) {
			t.Errorf("%s → %s is forbidden", c[0], c[1])
		}
	}
}
