package topology

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// largeFile has n PoPs with addresses of their own in all cities, 40 hubs, and a client place with networks per 50 PoPs.
func largeFile(n int) []byte {
	all := Cities()
	var b bytes.Buffer
	b.WriteString("version: 1\nname: large\norigins:\n  main: { at: Ashburn, addresses: [192.0.2.1] }\nhubs:\n")
	for i := range 40 {
		fmt.Fprintf(&b, "  hub%d: { at: %q, ram: 8GiB, addresses: [ [10.255.0.%d] ] }\n", i, all[i*7].City, i+1)
	}
	b.WriteString("edges:\n")
	for i := range n {
		fmt.Fprintf(&b, "  pop%d:\n    at: { lat: %.2f, lon: %.2f }\n    ram: 512MiB\n    addresses: [ [10.%d.%d.%d, \"2001:db8::%x\"] ]\n",
			i, all[i%len(all)].Lat, all[i%len(all)].Lon, i>>16, i>>8&255, i&255, i+1)
	}
	b.WriteString("clients:\n")
	for i := range n / 50 {
		fmt.Fprintf(&b, "  place%d: { at: %s, networks: [100.64.%d.0/24] }\n", i, all[i%len(all)].IATA, i)
	}
	b.WriteString("dns: { servers: 2, addresses: [192.0.2.53, 192.0.2.54], health: off }\n")
	return b.Bytes()
}

func TestLargeFileWithAddressesOfItsOwn(t *testing.T) {
	top, err := Parse("large.yaml", largeFile(10_000), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := top.Plan(PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n, ok := p.Node("pop9999-1")
	if !ok || len(top.Edges) != 10_000 || n.HTTP.String() != "10.0.39.15:8080" || n.Public[1].String() != "2001:db8::2710" {
		t.Errorf("%d edges, the last %+v", len(top.Edges), n)
	}
}

func BenchmarkParseLargeFile(b *testing.B) {
	data := largeFile(10_000)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("large.yaml", data, "", nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPath(b *testing.B) {
	top := parse(b, settable)
	b.ReportAllocs()
	for b.Loop() {
		top.Path(client("paris"), edge("tokyo"))
	}
}

func BenchmarkSite(b *testing.B) {
	top := parse(b, settable)
	b.ReportAllocs()
	for b.Loop() {
		top.Site("www.cdn.test:8080")
	}
}

// TestGuessesAreLimited keeps a large file in which every name is wrong from being searched for as often as it has names.
func TestGuessesAreLimited(t *testing.T) {
	var b strings.Builder
	b.WriteString("origins: { main: { at: Ashburn } }\nedges:\n")
	for i := range 3 * maxGuesses {
		fmt.Fprintf(&b, "  x%d: { at: Pariss }\n", i)
	}
	_, err := Parse("wrong.yaml", []byte(b.String()), "", nil)
	var faults Faults
	if !errors.As(err, &faults) || len(faults) != 3*maxGuesses || strings.Count(err.Error(), "did you mean") != maxGuesses {
		t.Errorf("%d faults with %d suggestions", len(faults), strings.Count(fmt.Sprint(err), "did you mean"))
	}
}
