package main

import "testing"

func TestGCPercent(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, mostPercent}, {1 << 20, mostPercent}, {16 << 20, 400}, {64 << 20, 100}, {128 << 20, 50}, {256 << 20, 25}, {8 << 30, 25},
	} {
		if got := gcPercent(c.live); got != c.want {
			t.Errorf("gcPercent(%d) = %d, want %d", c.live, got, c.want)
		}
	}
}

func TestMemoryIsGivenBackInALull(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name      string
		allocated []uint64 // by each turn, in MiB
		want      int      // the turn in which memory is given back; 0 for none
	}{
		{"after a burst", []uint64{100, 200, 200, 200}, 4},
		{"not while it goes on", []uint64{100, 200, 300, 400}, 0},
		{"not in a short pause", []uint64{100, 200, 200, 300}, 0},
		{"a little is no burst", []uint64{100, 101, 102}, 3},
		{"nothing to speak of", []uint64{7, 7, 7}, 0},
		{"a little at a time, once it has become much", []uint64{1, 2, 3, 4, 5, 6, 7, 8}, 8},
	} {
		var l lull
		got := 0
		for i, a := range c.allocated {
			if l.over(a * mib) {
				got = i + 1
				break
			}
		}
		if got != c.want {
			t.Errorf("%s: given back in turn %d, want %d", c.name, got, c.want)
		}
	}
	l := lull{}
	for range 4 {
		l.over(100 * mib)
	}
	if l.over(100 * mib) {
		t.Error("given back again, with nothing allocated since")
	}
}
