package evict

import (
	"slices"
	"testing"
)

// hashes returns those of a queue, newest first.
func hashes(l *list) []uint64 {
	all := []uint64{}
	for n := l.head; n != nil; n = n.next {
		all = append(all, n.Hash)
	}
	return all
}

// tiny returns a policy with a window of 1 and a main part of 4 in probation (1..4, 4 the newest) of 5, and its nodes by hash.
func tiny(t *testing.T) (*wtinylfu, []Node) {
	t.Helper()
	p := &wtinylfu{sketch: newSketch(), windowSize: 1, mainSize: 5, protectedSize: 3}
	nodes := make([]Node, 20)
	for i := range nodes {
		nodes[i] = Node{Hash: uint64(i) * 0x0001_1111_0000_0001, Size: 1}
	}
	for i := 1; i <= 4; i++ {
		p.Add(&nodes[i])
		p.enter(&nodes[i])
	}
	return p, nodes
}

func check(t *testing.T, what string, l *list, of []Node, want ...int) {
	t.Helper()
	wanted := []uint64{}
	for _, i := range want {
		wanted = append(wanted, of[i].Hash)
	}
	if got := hashes(l); !slices.Equal(got, wanted) {
		t.Errorf("%s = %x, want %x", what, got, wanted)
	}
}

func TestWTinyLFUSegments(t *testing.T) {
	p, nodes := tiny(t)
	check(t, "probation where it is full, the rest protected", &p.probation, nodes, 2, 1)
	check(t, "protected", &p.protected, nodes, 4, 3)
	p.Hit(&nodes[1])
	check(t, "probation after a use of 1", &p.probation, nodes, 2)
	check(t, "protected after a use of 1", &p.protected, nodes, 1, 4, 3)
	p.Hit(&nodes[2])
	check(t, "probation after protected overflowed", &p.probation, nodes, 3)
	p.Hit(&nodes[4])
	check(t, "protected after a use in it", &p.protected, nodes, 4, 2, 1)
}

func TestWTinyLFUContest(t *testing.T) {
	tests := []struct {
		name             string
		newcomer, oldest int // uses
		victim           int
	}{
		{"the newcomer loses a tie", 0, 0, 6},
		{"the newcomer was used more often", 1, 0, 1},
		{"the oldest was used more often", 1, 2, 6},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, nodes := tiny(t)
			p.Add(&nodes[5])
			p.enter(&nodes[5]) // the main part is full now
			for range test.oldest {
				p.sketch.count(nodes[1].Hash)
			}
			nodes[6].uses = 1 // as an earlier stay might have left it
			p.Add(&nodes[6])
			for range test.newcomer {
				p.Hit(&nodes[6])
			}
			if got := p.Victim(); got != &nodes[test.victim] {
				t.Errorf("Victim() = %x, want %x", got.Hash, nodes[test.victim].Hash)
			}
		})
	}
}

func TestWTinyLFUWinnerTakesAllItNeeds(t *testing.T) {
	p, nodes := tiny(t)
	for range 3 {
		p.sketch.count(nodes[2].Hash) // more than the newcomer's, which does not have to contest twice
	}
	nodes[6].Size = 3
	p.Add(&nodes[6])
	p.Hit(&nodes[6])
	for i, want := range []int{1, 2} {
		if got := p.Victim(); got != &nodes[want] {
			t.Errorf("victim %d = %x, want %x", i, got.Hash, nodes[want].Hash)
		}
	}
	if nodes[6].at == inWindow {
		t.Error("the winner is in the window still, want it in the main part")
	}
}

func TestWTinyLFUAdmits(t *testing.T) {
	p := newPolicy(t, "wtinylfu", 1000).(*wtinylfu)
	for size, want := range map[int64]bool{1: true, 10: true, 11: false} {
		if got := p.Admits(1, size); got != want {
			t.Errorf("Admits(1, %d) = %v, want %v", size, got, want)
		}
	}
}

func TestWTinyLFUWhatFitsNeitherSegmentIsOnProbation(t *testing.T) {
	p := &wtinylfu{sketch: newSketch(), windowSize: 2, mainSize: 5, protectedSize: 3}
	a, b, c := Node{Hash: 1, Size: 1}, Node{Hash: 2, Size: 2}, Node{Hash: 3, Size: 2}
	for _, n := range []*Node{&a, &b, &c} {
		p.Add(n)
		p.enter(n)
	}
	if a.at != inProbation || b.at != inProtected || c.at != inProbation {
		t.Errorf("queues = %d, %d, %d, want probation, protected, probation", a.at, b.at, c.at)
	}
}

func TestWTinyLFUSizesItsSketch(t *testing.T) {
	p := newPolicy(t, "wtinylfu", 1000).(*wtinylfu)
	nodes := make([]Node, 1000)
	for i := range nodes {
		nodes[i] = Node{Hash: mix(uint64(i)), Size: 1}
		p.Add(&nodes[i])
	}
	if got := len(p.sketch.blocks) * perBlock; got < 1000 {
		t.Errorf("the sketch is for %d nodes, want 1000 or more", got)
	}
}

func TestWTinyLFUCountsAddAndHit(t *testing.T) {
	p, n := newPolicy(t, "wtinylfu", 1000).(*wtinylfu), Node{Hash: 1, Size: 1}
	p.Add(&n)
	if got := p.sketch.estimate(1); got != 1 {
		t.Errorf("estimate() after Add = %d, want 1", got)
	}
	p.Hit(&n)
	if got := p.sketch.estimate(1); got != 2 {
		t.Errorf("estimate() after Hit = %d, want 2", got)
	}
}
