package stats

import (
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"cdnlab/topology"
)

func TestFlowsAreCountedByPeer(t *testing.T) {
	n := New(time.Unix(0, 0))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				n.Flow(topology.Ref{Kind: topology.KindHub, Name: "eu"}, 10, 2*time.Millisecond)
				n.Place("paris").Request(0, Request{Out: -1, TTFB: -time.Second})
			}
		})
	}
	wg.Wait()
	want := []Flow{{"clients.paris", 2000, 0, 0}, {"hubs.eu", 2000, 20_000, 4_000_000}}
	if got := n.Snapshot().Flows; !reflect.DeepEqual(got, want) {
		t.Errorf("Flows = %+v, want %+v", got, want)
	}
	ref := topology.Ref{Kind: topology.KindHub, Name: "eu"}
	if allocs := testing.AllocsPerRun(100, func() { n.Flow(ref, 1, time.Second) }); allocs != 0 {
		t.Errorf("a known peer costs %v allocations", allocs)
	}
	for i := range 2 * maxFlows {
		n.Flow(topology.Ref{Kind: topology.KindOrigin, Name: fmt.Sprint(i)}, 1, 1)
	}
	if got := len(n.Snapshot().Flows); got != maxFlows+1 { // paris
		t.Errorf("%d peers, want them bounded at %d", got, maxFlows+1)
	}
}

func TestPopularObjectsStayOnTop(t *testing.T) {
	n := New(time.Unix(0, 0))
	for i := range 20_000 {
		n.Object("a.test", fmt.Appendf(nil, "/rare/%d", i), false)
		if i%10 == 0 {
			n.Object("a.test", []byte("/popular"), true)
		}
		if i%20 == 0 {
			n.Object("b.test", []byte("/popular"), false)
		}
	}
	all := n.Snapshot().Top
	if len(all) != topSize {
		t.Errorf("%d objects, want %d", len(all), topSize)
	}
	for i, want := range []Object{{"a.test", "/popular", 2000, 2000}, {"b.test", "/popular", 1000, 0}} {
		if got := all[i]; got.Site != want.Site || got.Path != want.Path || got.Hits > got.Count || got.Hits < want.Hits*9/10 || got.Count < want.Count*9/10 || got.Count > want.Count*3/2 {
			t.Errorf("object %d is %+v, want about %+v", i, got, want)
		}
	}
	path := []byte("/popular")
	if allocs := testing.AllocsPerRun(100, func() { n.Object("a.test", path, true) }); allocs != 0 {
		t.Errorf("a kept object costs %v allocations", allocs)
	}
}
