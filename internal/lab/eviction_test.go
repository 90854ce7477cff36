package lab_test

import (
	"fmt"
	"strings"
	"testing"

	"cdnlab/internal/evict"
	"cdnlab/topology"
)

func TestEveryEvictionPolicyHasANameInTheTopology(t *testing.T) {
	for _, name := range evict.Names() {
		if _, err := topology.Preset("tiny", []string{"defaults.edges.eviction=" + name, "hubs.eu.eviction=" + name}); err != nil {
			t.Error(err)
		}
	}
	_, err := topology.Preset("tiny", []string{"edges.paris.eviction=none"})
	if err == nil {
		t.Fatal("eviction: none is accepted")
	}
	for _, name := range evict.Names() {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("the fault does not name %s: %v", name, err)
		}
	}
}

// TestTheEvictionOfAnEdgeIsTheTopologys fills an edge's cache while it asks for the first object again and again.
func TestTheEvictionOfAnEdgeIsTheTopologys(t *testing.T) {
	for policy, want := range map[string]string{"lru": "HIT", "sieve": "HIT", "fifo": "MISS"} {
		l := startLab(t, "tiny", "edges.paris.ram=1MiB", "edges.paris.eviction="+policy)
		c := l.direct(t)
		get := func(i int) string {
			resp, _ := l.get(t, c, fmt.Sprintf("http://%s/synthetic/100KiB/%d", l.site, i))
			got, _, _ := strings.Cut(resp.Header.Get("X-Cache"), ",")
			return got
		}
		get(0)
		last := ""
		for i := 1; i <= 12; i++ {
			if last = get(0); last == "MISS" {
				break
			}
			get(i)
		}
		if last != want {
			t.Errorf("with %s the object that is asked for all the time is a %s, want a %s", policy, last, want)
		}
	}
}
