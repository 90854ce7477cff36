package evict

import (
	"slices"
	"testing"
)

func TestSketch(t *testing.T) {
	s := newSketch()
	s.hold(1000)
	for i := range uint64(500) {
		for range i % 8 {
			s.count(mix(i))
		}
	}
	above := 0
	for i := range uint64(500) {
		switch got := int(s.estimate(mix(i))); {
		case got < int(i%8):
			t.Errorf("estimate(%d) = %d, want at least %d", i, got, i%8)
		case got > int(i%8):
			above++
		}
	}
	if above > 10 {
		t.Errorf("%d of 500 estimates are too high, want at most 10", above)
	}
}

func TestSketchKeepsCountsAsItGrows(t *testing.T) {
	s := newSketch()
	for i := range uint64(10) {
		for range i {
			s.count(mix(i))
		}
	}
	before := len(s.blocks)
	s.hold(perBlock*before + 1)
	if len(s.blocks) != 2*before {
		t.Fatalf("hold() made %d blocks of %d, want twice as many", len(s.blocks), before)
	}
	for i := range uint64(10) {
		if got := s.estimate(mix(i)); uint64(got) < i {
			t.Errorf("estimate(%d) after growing = %d, want at least %d", i, got, i)
		}
	}
}

func TestSketchAges(t *testing.T) {
	s := newSketch()
	limit := period * perBlock * len(s.blocks)
	for range 100 {
		s.count(1)
	}
	for range limit - 101 {
		s.count(2 << 40)
	}
	if got := s.estimate(1); got != 100 {
		t.Errorf("estimate(1) before the period is over = %d, want 100", got)
	}
	s.count(2 << 40)
	if got := s.estimate(1); got != 50 {
		t.Errorf("estimate(1) after the period = %d, want 50", got)
	}
	for range limit/2 - 1 {
		s.count(2 << 40)
	}
	if got := s.estimate(1); got != 50 {
		t.Errorf("estimate(1) before half as many more = %d, want 50", got)
	}
	s.count(2 << 40)
	if got := s.estimate(1); got != 25 {
		t.Errorf("estimate(1) after half as many more = %d, want 25", got)
	}
}

func TestSketchHalvesEachCounter(t *testing.T) {
	s := newSketch()
	for i := range s.blocks[0] {
		s.blocks[0][i] = 255
	}
	s.halve()
	for i, got := range s.blocks[0] {
		if got != 127 {
			t.Errorf("counter %d, half of 255 = %d, want 127", i, got)
		}
	}
}

func TestSketchSaturates(t *testing.T) {
	s := newSketch()
	s.hold(1000)
	for range 300 {
		s.count(1)
	}
	if got := s.estimate(1); got != 255 {
		t.Errorf("estimate() after 300 counts = %d, want 255", got)
	}
}

func TestSketchTellsApartWhatSharesThreeCounters(t *testing.T) {
	for shift := 40; shift < 56; shift += 4 {
		s := newSketch()
		for range 5 {
			s.count(0)
		}
		other := uint64(1) << shift
		if got := s.estimate(other); got != 0 {
			t.Errorf("estimate(%x) = %d, want 0", other, got)
		}
		s.count(other)
		if got := slices.Max(s.blocks[0][:]); got != 5 {
			t.Errorf("the highest counter after counting %x = %d, want 5: only the least are raised", other, got)
		}
	}
}
