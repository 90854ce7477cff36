package stats

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

func TestSitesAreCountedApart(t *testing.T) {
	n := New(time.Unix(0, 0))
	a, b := n.Site("a.test"), n.Site("b.test")
	n.Site("idle.test")
	if n.Site("a.test") != a {
		t.Fatal("a site has two counters")
	}
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for range 100 {
				a.Request(uint64(i), Request{Result: Hit, Status: 200, Out: 10, TTFB: time.Millisecond})
				b.Request(uint64(i), Request{Result: Miss, Status: 404, Out: 1, TTFB: 20 * time.Millisecond})
			}
			b.Request(uint64(i), Request{Result: Stale, Status: 7, Out: -1})
		})
	}
	all.Wait()
	got := n.Snapshot().Sites
	if len(got) != 2 {
		t.Fatalf("%d sites are counted, want those with requests", len(got))
	}
	if c := got["a.test"]; c.Hits != 400 || c.Bytes != 4000 || c.Status["2xx"] != 400 || c.TTFB.Count != 400 || c.TTFB.Sum != 400_000 {
		t.Errorf("a.test = %+v", c)
	}
	if c := got["b.test"]; c.Hits != 4 || c.Bytes != 400 || c.Status["4xx"] != 400 || c.Status["0xx"] != 4 {
		t.Errorf("b.test = %+v", c)
	}
}

func TestCountingForASiteAllocatesNothing(t *testing.T) {
	s := New(time.Unix(0, 0)).Site("a.test")
	r := Request{Status: 200}
	if n := testing.AllocsPerRun(100, func() { s.Request(1, r) }); n != 0 {
		t.Errorf("a request allocates %v times, want 0", n)
	}
}

func TestPlacesAreCountedApart(t *testing.T) {
	n := New(time.Unix(0, 0))
	n.Place("idle")
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for range 100 {
				n.Place("paris").Request(uint64(i), Request{Result: Hit, Status: 200, Out: 10, TTFB: time.Millisecond})
				n.Place("tokyo").Request(uint64(i), Request{Result: Miss, Status: 504, Out: 1, TTFB: 20 * time.Millisecond})
			}
		})
	}
	all.Wait()
	got := n.Snapshot().Places
	if len(got) != 2 {
		t.Fatalf("%d places are counted, want those with requests", len(got))
	}
	if c := got["paris"]; c.Hits != 400 || c.Bytes != 4000 || c.Status["2xx"] != 400 || c.TTFB.Quantile(0.5).Round(100*time.Microsecond) != time.Millisecond {
		t.Errorf("paris = %+v", c)
	}
	if c := got["tokyo"]; c.Hits != 0 || c.Bytes != 400 || c.Status["5xx"] != 400 || c.TTFB.Count != 400 || c.TTFB.Sum != 8_000_000 {
		t.Errorf("tokyo = %+v", c)
	}
	if allocs := testing.AllocsPerRun(100, func() { n.Place("paris").Request(1, Request{Status: 200}) }); allocs != 0 {
		t.Errorf("a request from a known place allocates %v times, want 0", allocs)
	}
}

func TestPlacesAreBounded(t *testing.T) {
	n := New(time.Unix(0, 0))
	for i := range maxPlaces + 10 {
		n.Place(fmt.Sprint(i)).Request(0, Request{Status: 200})
	}
	got := n.Snapshot()
	if len(got.Places) != maxPlaces+1 || got.Places[otherPlace].TTFB.Count != 10 {
		t.Errorf("%d places, %d requests of others; want %d and 10", len(got.Places), got.Places[otherPlace].TTFB.Count, maxPlaces+1)
	}
	if len(got.Flows) != maxPlaces {
		t.Errorf("%d flows, want %d: the others are no place", len(got.Flows), maxPlaces)
	}
}
