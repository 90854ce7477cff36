package lab_test

import (
	"reflect"
	"testing"

	"cdnlab/internal/lab"
	"cdnlab/topology"
)

func TestADiffTellsWhoMovesWhere(t *testing.T) {
	parse := func(edges, clients string) *topology.Topology {
		t.Helper()
		top, err := topology.Parse("x.yaml", []byte("origins: { main: { at: Ashburn } }\nedges: "+edges+"\nclients: "+clients+"\n"+
			"links: [ { between: [clients.paris, paris], rtt: 2ms }, { between: [clients.lyon, paris], rtt: 8ms }, { between: [clients.lyon, marseille], rtt: 6ms } ]"), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		return top
	}
	before := parse("{ paris: {}, marseille: {} }", "{ paris: { weight: 3 }, lyon: { weight: 1 } }")
	if d := lab.NewDiff(before, before); len(d.Moves) != 0 || d.MeanBefore != 3 || d.MeanAfter != 3 {
		t.Errorf("NewDiff of the same = %+v, want no moves and a mean of 3 ms", d)
	}
	top, err := topology.Parse("y.yaml", []byte("origins: { main: { at: Ashburn } }\nedges: { paris: {}, tokyo: {} }\nclients: { paris: {}, lyon: {}, tokyo: { weight: 2 } }\n"+
		"links: [ { between: [clients.paris, paris], rtt: 2ms }, { between: [clients.lyon, paris], rtt: 8ms }, { between: [clients.tokyo, tokyo], rtt: 1ms } ]"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := lab.Diff{
		Moves: []lab.Move{{"tokyo", 0.5, "", "tokyo", 0, 1}, {"lyon", 0.25, "marseille", "paris", 6, 8}},
		PoPs:  []lab.PoPShare{{"paris", 0.75, 0.5}, {"marseille", 0.25, 0}, {"tokyo", 0, 0.5}}, MeanBefore: 3, MeanAfter: 3,
	}
	if got := lab.NewDiff(before, top); !reflect.DeepEqual(got, want) {
		t.Errorf("NewDiff = %+v, want %+v", got, want)
	}
}
