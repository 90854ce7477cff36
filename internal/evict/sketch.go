package evict

import "encoding/binary"

// sketch estimates how often each hash was counted of late: a count-min sketch with conservative update. A hash has its
// four counters in one block of 64, one cache line. The sketch grows with what it is told to hold, and halves all counters
// from time to time.
type sketch struct {
	blocks []block // power of two
	counts int     // since the last halving
}

type block [64]uint8

// perBlock is how many held nodes a block serves: 32 counters for each, since it counts what is not held too. After period
// counts for each node held the sketch halves. Both were chosen on the trace in testdata: with 8 counters for each, misses
// are up to 0.03 of the requests more.
const (
	perBlock = 2
	period   = 10
)

func newSketch() *sketch { return &sketch{blocks: make([]block, 8)} }

// hold makes the sketch fit for as many nodes. Doubling it gives each hash the counters of the hashes it shared with.
func (s *sketch) hold(nodes int) {
	for nodes > perBlock*len(s.blocks) {
		s.blocks = append(s.blocks, s.blocks...)
	}
}

func (s *sketch) count(hash uint64) {
	b, places := s.of(hash)
	least := b.least(places)
	for _, i := range places {
		b[i&63] = max(b[i&63], least+1) // after 255 comes 0, which changes nothing
	}
	if s.counts++; s.counts >= period*perBlock*len(s.blocks) {
		s.halve()
	}
}

func (s *sketch) estimate(hash uint64) uint8 {
	b, places := s.of(hash)
	return b.least(places)
}

// of returns where the counters of a hash are.
func (s *sketch) of(hash uint64) (*block, [4]uint8) {
	h := hash >> 40
	return &s.blocks[hash&uint64(len(s.blocks)-1)],
		[4]uint8{uint8(h & 15), uint8(16 + h>>4&15), uint8(32 + h>>8&15), uint8(48 + h>>12&15)}
}

func (b *block) least(places [4]uint8) uint8 {
	return min(b[places[0]&63], b[places[1]&63], b[places[2]&63], b[places[3]&63])
}

func (s *sketch) halve() {
	s.counts /= 2
	for i := range s.blocks {
		for at := 0; at < len(block{}); at += 8 {
			eight := s.blocks[i][at : at+8]
			binary.LittleEndian.PutUint64(eight, binary.LittleEndian.Uint64(eight)>>1&0x7f7f7f7f7f7f7f7f)
		}
	}
}
