package evict

import "testing"

func TestS3FIFOAdmits(t *testing.T) {
	p := newPolicy(t, "s3fifo", 100).(*s3fifo)
	for _, test := range []struct {
		size int64
		want bool
	}{{1, true}, {9, true}, {10, false}, {11, false}} {
		if got := p.Admits(1, test.size); got != test.want {
			t.Errorf("Admits(1, %d) = %v, want %v", test.size, got, test.want)
		}
	}
}

func TestS3FIFORemembersWhatItWasAskedFor(t *testing.T) {
	p := newPolicy(t, "s3fifo", 100).(*s3fifo)
	back := Node{Hash: 1, Size: 9}
	p.Add(&back)
	p.Victim()
	p.Admits(1, 9)
	for i := range 20 {
		p.ghost.add(uint64(100+i), 9) // enough to push any other out
	}
	p.Add(&back)
	if back.at != inMain {
		t.Errorf("Add() after the ghost lost what Admits found there: queue %d, want the main one", back.at)
	}
	again := Node{Hash: 1, Size: 9}
	p.Add(&again)
	if again.at != inSmall {
		t.Errorf("the second Add() after Admits: queue %d, want the small one", again.at)
	}
}

func TestS3FIFODoesNotTakeOneForTheOther(t *testing.T) {
	p := newPolicy(t, "s3fifo", 100).(*s3fifo)
	back, other := Node{Hash: 1, Size: 1}, Node{Hash: 2, Size: 1}
	p.Add(&back)
	p.Victim()
	p.Admits(1, 1)
	p.Add(&other)
	if other.at != inSmall {
		t.Errorf("Add() of another than Admits found in the ghost: queue %d, want the small one", other.at)
	}
}

func TestS3FIFOEvictsFromMainWhenItIsTooLarge(t *testing.T) {
	p := newPolicy(t, "s3fifo", 100).(*s3fifo)
	nodes := make([]Node, 92)
	for i := range nodes {
		nodes[i] = Node{Hash: uint64(i), Size: 1}
		p.ghost.add(uint64(i), 1)
		p.Add(&nodes[i])
	}
	small := Node{Hash: 1000, Size: 1}
	p.Add(&small)
	for i, want := range []*Node{&nodes[0], &nodes[1], &small, &nodes[2]} {
		if got := p.Victim(); got != want {
			t.Errorf("victim %d of 92 in a main queue of 90 = %v, want %v", i, got, want)
		}
	}
}

func TestGhost(t *testing.T) {
	g := newGhost(1000)
	for i := range uint64(150) {
		g.add(i, 10)
	}
	for _, test := range []struct {
		name string
		hash uint64
		want bool
	}{
		{"the oldest was pushed out", 49, false},
		{"the oldest that fits", 50, true},
		{"taken once", 50, false},
		{"the newest", 149, true},
		{"never added", 999, false},
	} {
		if got := g.take(test.hash); got != test.want {
			t.Errorf("%s: take(%d) = %v, want %v", test.name, test.hash, got, test.want)
		}
	}
	if g.size != 980 || len(g.where) != 98 {
		t.Errorf("size = %d of %d entries, want 980 of 98", g.size, len(g.where))
	}
	g.add(149, 10)
	g.add(148, 10)
	g.add(148, 10)
	if g.size != 990 {
		t.Errorf("size after one more entry, twice = %d, want 990", g.size)
	}
	auditGhost(t, g)
	g.add(2000, 1001)
	if g.take(2000) {
		t.Error("take() of what is larger than the ghost = true, want false")
	}
}

func TestGhostRingIsBounded(t *testing.T) {
	g := newGhost(100)
	g.add(0, 1) // stays oldest, so that holes pile up behind it
	for i := uint64(1); i < 100000; i++ {
		g.add(i, 1)
		if i%100 != 0 {
			g.take(i)
		} else if i%1000 == 0 {
			g.take(i - 500)
		}
	}
	auditGhost(t, g)
	if len(g.ring) > 256 {
		t.Errorf("the ring of %d entries has %d places, want at most 256", len(g.where), len(g.ring))
	}
}

func TestGhostOfNothingIsBounded(t *testing.T) {
	g := newGhost(100)
	for i := range uint64(1000) {
		g.add(i, 0)
	}
	if len(g.where) != 100 {
		t.Errorf("a ghost of 100 remembers %d objects without size, want 100", len(g.where))
	}
}
