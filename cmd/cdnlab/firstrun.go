package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"cdnlab/internal/lab"
	"cdnlab/topology"
)

// firstRun tells a person that all is ready, and what to try; the commands work as they stand when they are pasted.
func firstRun(w io.Writer, t *topology.Topology, p *topology.Plan, s lab.State, dataDir string, took time.Duration) {
	var b strings.Builder
	fmt.Fprintf(&b, "cdnlab: %s is ready after %s\n\n", title(t), took.Round(time.Millisecond))
	tick := func(tier, format string, args ...any) {
		fmt.Fprintf(&b, "  %s %-8s %s\n", green(w, "✓"), tier, fmt.Sprintf(format, args...))
	}
	var dns []string
	for _, at := range s.DNS {
		dns = append(dns, at.String())
	}
	tick("dns", "%s for %s: %s", count(len(dns), "server"), t.Zone, strings.Join(dns, ", "))
	edges, hubs := 0, 0
	for _, n := range p.Nodes {
		switch n.Kind {
		case topology.KindEdge:
			edges++
		case topology.KindHub:
			hubs++
		}
	}
	tick("edge", "%s, %s", count(len(t.Edges), "PoP"), count(edges, "server"))
	if hubs > 0 {
		tick("hub", "%s, %s", count(len(t.Hubs), "hub"), count(hubs, "server"))
	}
	for _, o := range t.Origins {
		tick("origin", "%s: %s", o.Name, contentOf(o))
	}
	tick("gateway", "http://%s, %s", s.Gateway, count(len(t.Clients), "client place"))
	tick("map", "%s", s.Admin)

	site, place := mainSite(t), examplePlace(t)
	url := "http://" + site.Host + examplePath(t, site)
	fmt.Fprintf(&b, "\nTry in another terminal:\n\n")
	fmt.Fprintf(&b, "  dig @%s -p %d %s +subnet=%s\n", s.DNS[0].Addr(), s.DNS[0].Port(), site.Host, place.Networks[0])
	fmt.Fprintf(&b, "  curl -i -x http://%s:@%s %s\n", place.Name, s.Gateway, url)
	fmt.Fprintf(&b, "  %s explain %s --from %s%s\n", ownName(), url, place.Name, dirFlag(dataDir))
	fmt.Fprintf(&b, "\nCtrl-C stops it.\n")
	_, _ = io.WriteString(w, b.String()) // a closed standard output is no reason to stop serving
}

// title says what runs, and where it comes from unless the name has said so.
func title(t *topology.Topology) string {
	switch {
	case t.File == "preset "+t.Name:
		return t.Name
	case t.Name == unnamed:
		return t.File
	default:
		return t.Name + " (" + t.File + ")"
	}
}

const unnamed = "cdnlab" // the name of a topology whose file gives none

// dirFlag leads a command to the data directory where it would not look by itself.
func dirFlag(dir string) string {
	if dir == defaultDataDir {
		return ""
	}
	if strings.ContainsFunc(dir, func(r rune) bool {
		return !strings.ContainsRune("/._-+", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		dir = "'" + strings.ReplaceAll(dir, "'", `'\''`) + "'"
	}
	return " --data-dir " + dir
}

func contentOf(o topology.Origin) string {
	switch o.Kind {
	case topology.App:
		return "your app at " + o.App.String()
	case topology.Dir:
		return "the files in " + o.Dir
	default:
		return "object store with samples"
	}
}

// examplePlace is a client place to try: one that is not where everybody sits by default, if there is one.
func examplePlace(t *topology.Topology) topology.Client {
	for _, c := range t.Clients {
		if c.Name != t.Fallback {
			return c
		}
	}
	return t.Clients[0]
}

// examplePath is a path that the site has: a sample of the object store.
func examplePath(t *topology.Topology, site *topology.Site) string {
	for _, o := range t.Origins {
		if o.Name == site.Origin && o.Kind == topology.Builtin {
			return "/hello.txt"
		}
	}
	return "/"
}

// ownName is how a person can call this program again from where it was started.
func ownName() string {
	switch typed := os.Args[0]; {
	case strings.Contains(typed, string(filepath.Separator)+"go-build"):
		return "go run ./cmd/cdnlab"
	case filepath.Base(typed) == typed:
		return typed
	default:
		if found, err := exec.LookPath(filepath.Base(typed)); err == nil && found == typed {
			return filepath.Base(typed)
		}
		return typed
	}
}
