package mgmt

import (
	"testing"

	"cdnlab/topology"
)

func TestServersThatFetchFromEachOtherPurgeTwice(t *testing.T) {
	top, err := topology.Parse("net.yaml", []byte("origins: { main: { at: Paris } }\nhubs: { eu: { at: Frankfurt } }\nedges: { paris: { servers: 2 }, london: {} }\n"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := top.Plan(topology.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{cfg: Config{Plan: plan}}
	var got []string
	for _, list := range s.purgeOrder() {
		names := ""
		for _, n := range list {
			names += string(n.Name) + " "
		}
		got = append(got, names)
	}
	if got[0] != "eu-1 " || got[1] != "paris-1 paris-2 london-1 " || got[2] != "paris-1 paris-2 " {
		t.Errorf("%q", got)
	}
}
