package topology

import (
	"fmt"
	"strings"
	"testing"
)

const settable = `
origins: { main: { at: Ashburn, dir: ./public } }
hubs: { frankfurt: {}, singapore: {} }
edges:
  paris: { ram: 1MiB }
  tokyo:
  eu-west: { at: London }
  eu-north: { at: Oslo, addresses: [ [192.0.2.1], [192.0.2.2] ] }
links:
  - { between: [paris, main], rtt: 1ms }
  - { between: [tokyo, main], rtt: 2ms }
sites:
  www.cdn.test: {}
  cdn.test: {}
`

// summary shows what the options of the test change.
func summary(t *Topology) string {
	var b strings.Builder
	for _, e := range t.Edges {
		fmt.Fprintf(&b, "%s %d %d %v\n", e.Name, e.Servers, e.RAM>>20, e.Parent)
	}
	for _, l := range t.Links {
		fmt.Fprintf(&b, "%v %v %v\n", l.A, l.B, l.RTT)
	}
	for _, s := range t.Sites {
		fmt.Fprintf(&b, "%s %v %v\n", s.Host, s.Cache.TTL, s.Cache.Query)
	}
	for _, o := range t.Origins {
		fmt.Fprintf(&b, "%s %d %v\n", o.Name, o.Kind, o.App)
	}
	return b.String()
}

func TestSet(t *testing.T) {
	before := summary(parse(t, settable))
	for _, c := range []struct {
		name string
		sets []string
		want string // lines that are new, then those that are gone
	}{
		{"a value in place of another", []string{"edges.paris.ram=2MiB"}, "+paris 1 2 hubs.frankfurt -paris 1 1 hubs.frankfurt"},
		{"a value below an empty entry", []string{"edges.tokyo.ram=2MiB"}, "+tokyo 1 2 hubs.singapore -tokyo 1 256 hubs.singapore"},
		{"a new entry", []string{"edges.lyon.ram=3MiB"}, "+lyon 1 3 hubs.frankfurt"},
		{"a new empty entry", []string{"edges.lyon={}"}, "+lyon 1 256 hubs.frankfurt"},
		{"a new section", []string{"defaults.edges.ram=64MiB"},
			"+tokyo 1 64 hubs.singapore +eu-west 1 64 hubs.frankfurt +eu-north 2 64 hubs.frankfurt " +
				"-tokyo 1 256 hubs.singapore -eu-west 1 256 hubs.frankfurt -eu-north 2 256 hubs.frankfurt"},
		{"all by a star", []string{"edges.*.parent=main"},
			"+paris 1 1 origins.main +tokyo 1 256 origins.main +eu-west 1 256 origins.main +eu-north 2 256 origins.main " +
				"-paris 1 1 hubs.frankfurt -tokyo 1 256 hubs.singapore -eu-west 1 256 hubs.frankfurt -eu-north 2 256 hubs.frankfurt"},
		{"some by a star", []string{"edges.*-w*t.servers=3"}, "+eu-west 3 256 hubs.frankfurt -eu-west 1 256 hubs.frankfurt"},
		{"a value set by a star is each one's own", []string{"edges.*west={at: London, servers: 2}", "edges.eu-west.ram=1MiB"},
			"+eu-west 2 1 hubs.frankfurt -eu-west 1 256 hubs.frankfurt"},
		{"a removal", []string{"edges.tokyo=null", "links.1="}, "-tokyo 1 256 hubs.singapore -edges.tokyo origins.main 2ms"},
		{"a removal of all", []string{"edges.*.ram=null"}, "+paris 1 256 hubs.frankfurt -paris 1 1 hubs.frankfurt"},
		{"a whole section", []string{"hubs={frankfurt: {}}"}, "+tokyo 1 256 hubs.frankfurt -tokyo 1 256 hubs.singapore"},
		{"the longest key with dots", []string{"sites.www.cdn.test.cache.ttl=5s"}, "+www.cdn.test 5s 0 -www.cdn.test 0s 0"},
		{"the shorter key with dots", []string{"sites.cdn.test.cache.ttl=5s"}, "+cdn.test 5s 0 -cdn.test 0s 0"},
		{"keys with dots by a star", []string{"sites.*.cache.ttl=5s"}, "+www.cdn.test 5s 0 +cdn.test 5s 0 -www.cdn.test 0s 0 -cdn.test 0s 0"},
		{"a new key with dots", []string{"sites.img.cdn.test.cache.ttl=5s"}, "+img.cdn.test 5s 0"},
		{"a new key with dots, one of them named like a key", []string{"sites.cache.cdn.test.cache={query: drop}"}, "+cache.cdn.test 0s 2"},
		{"a new key with dots and nothing below", []string{"sites.img.cdn.test={}"}, "+img.cdn.test 0s 0"},
		{"a quoted key", []string{`sites."a.origin".cache.ttl=7s`}, "+a.origin 7s 0"},
		{"an item of a list", []string{"links.0.rtt=9ms"}, "+edges.paris origins.main 9ms -edges.paris origins.main 1ms"},
		{"an item as faults write it", []string{"links[1].rtt=9ms"}, "+edges.tokyo origins.main 9ms -edges.tokyo origins.main 2ms"},
		{"all items", []string{"links.*.rtt=9ms"},
			"+edges.paris origins.main 9ms +edges.tokyo origins.main 9ms -edges.paris origins.main 1ms -edges.tokyo origins.main 2ms"},
		{"the last of two wins", []string{"edges.paris.ram=2MiB", "edges.paris.ram=3MiB"}, "+paris 1 3 hubs.frankfurt -paris 1 1 hubs.frankfurt"},
		{"a value with = and :", []string{"origins.main.app=http://127.0.0.1:3000/?a=b"}, "+main 1 http://127.0.0.1:3000/?a=b -main 2 <nil>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := difference(before, summary(parse(t, settable, c.sets...))); got != c.want {
				t.Errorf("%v:\ngot  %s\nwant %s", c.sets, got, c.want)
			}
		})
	}
}

// difference lists the lines that only after has, then those that only before has.
func difference(before, after string) string {
	var lines []string
	only := func(sign, text, other string) {
		for l := range strings.Lines(text) {
			if !strings.Contains("\n"+other, "\n"+l) {
				lines = append(lines, sign+strings.TrimSpace(l))
			}
		}
	}
	only("+", after, before)
	only("-", before, after)
	return strings.Join(lines, " ")
}

func TestSetFaultsNameTheOption(t *testing.T) {
	for set, want := range map[string]string{
		"edges.paris.ram":           "write PATH=VALUE, such as edges.tokyo.ram=64MiB",
		"=1":                        "write PATH=VALUE, such as edges.tokyo.ram=64MiB",
		"edges..ram=1MiB":           "write PATH=VALUE, such as edges.tokyo.ram=64MiB",
		"edges.paris.ram=64":        `edges.paris.ram: "64" has no unit; write 64B, 64KiB, 64MiB, 64GiB, 64TiB, 64KB, 64MB, 64GB or 64TB`,
		"edges.paris.rma=64MiB":     `edges.paris.rma: unknown key (did you mean "ram"?)`,
		"egdes.paris.ram=64MiB":     `egdes: unknown key (did you mean "edges"?)`,
		"edges.paris.parent=fra":    `edges.paris.parent: unknown hub or origin "fra" (did you mean "frankfurt"?)`,
		"edges.paris.ram.x=1":       `edges.paris.ram.x: "1MiB" has a single value in the file, so "x" cannot be set below it`,
		"edges.z*.ram=64MiB":        "edges.z*.ram: matches nothing in the file",
		"hubs.eu=null":              "hubs.eu: matches nothing in the file",
		"links.7.rtt=1ms":           "links.7.rtt: matches nothing in the file",
		"edges.atlantis={}":         `edges.atlantis.at: is missing, and "atlantis" is no city that is known (did you mean "atlanta"?)`,
		"edges.paris={ram: [}":      "not valid YAML: did not find expected node content while parsing a flow node that starts at 1:8",
		"edges.paris.addresses=[1]": "edges.paris.addresses[0]: must be a list; write [1]",
		"dns.health=on":             `dns.health: unknown value "on"; it is off, or a map such as { interval: 500ms, fall: 3 }`,
	} {
		_, err := Parse("net.yaml", []byte(settable), "", []string{set})
		if err == nil {
			t.Errorf("%s: no fault, want %s", set, want)
		} else if got := err.Error(); got != "--set "+set+": "+want {
			t.Errorf("%s:\ngot  %s\nwant --set %s: %s", set, got, set, want)
		}
	}
}
