package evict

import (
	"fmt"
	"math/bits"
)

// Doorkeeper admits what it was asked for before: at the second request. It remembers the last Remember to 2·Remember
// objects in two Bloom filters: when the present one is full, it becomes the former, and the former one is emptied. A
// request moves an object from the former to the present. About one in 300 objects is admitted at its first request.
type Doorkeeper struct {
	present, former bloom
	remember, free  int // free is how many the present filter takes yet
}

// NewDoorkeeper returns an empty Doorkeeper. It takes four bytes for each object to remember.
func NewDoorkeeper(remember int) (*Doorkeeper, error) {
	if remember < 1 {
		return nil, fmt.Errorf("admission: doorkeeper remembers %d objects, want 1 or more", remember)
	}
	return &Doorkeeper{newBloom(remember), newBloom(remember), remember, remember}, nil
}

// Admit implements Admission.
func (d *Doorkeeper) Admit(c Candidate) bool {
	hash := c.Hash
	if d.present.has(hash) {
		return true
	}
	known := c.Held || d.former.has(hash)
	if d.free == 0 {
		d.present, d.former = d.former, d.present
		clear(d.present)
		d.free = d.remember
	}
	d.present.add(hash)
	d.free--
	return known
}

// bloom keeps the bits of a hash in one block of 512, one cache line: the block by its upper bits, the places by its lower.
type bloom [][8]uint64

// Sixteen bits for each key of a full filter; five of them are set by one.
const (
	bitsPerKey = 16
	bitsSet    = 5
)

func newBloom(keys int) bloom { return make(bloom, (keys*bitsPerKey+511)/512) }

func (b bloom) block(hash uint64) *[8]uint64 {
	i, _ := bits.Mul64(hash, uint64(len(b)))
	return &b[i]
}

func (b bloom) add(hash uint64) {
	block := b.block(hash)
	for range bitsSet {
		block[hash>>6&7] |= 1 << (hash & 63)
		hash >>= 9
	}
}

func (b bloom) has(hash uint64) bool {
	block := b.block(hash)
	for range bitsSet {
		if block[hash>>6&7]&(1<<(hash&63)) == 0 {
			return false
		}
		hash >>= 9
	}
	return true
}
