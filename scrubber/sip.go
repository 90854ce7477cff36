package scrubber

import (
	"encoding/binary"
	"math/bits"
)

// sipKey is the secret of SipHash-2-4 (Aumasson and Bernstein, 2012): without it nobody can choose keys that collide, so a
// 64-bit sum may stand for a key.
type sipKey struct{ k0, k1 uint64 }

func newSipKey(seed [16]byte) sipKey {
	return sipKey{binary.LittleEndian.Uint64(seed[:]), binary.LittleEndian.Uint64(seed[8:])}
}

type sip struct{ v0, v1, v2, v3 uint64 }

func (k sipKey) start() sip {
	return sip{k.k0 ^ 0x736f6d6570736575, k.k1 ^ 0x646f72616e646f6d, k.k0 ^ 0x6c7967656e657261, k.k1 ^ 0x7465646279746573}
}

// rounds mixes the state n times.
func (s *sip) rounds(n int) {
	v0, v1, v2, v3 := s.v0, s.v1, s.v2, s.v3
	for ; n > 0; n-- {
		v0 += v1
		v1 = bits.RotateLeft64(v1, 13) ^ v0
		v0 = bits.RotateLeft64(v0, 32)
		v2 += v3
		v3 = bits.RotateLeft64(v3, 16) ^ v2
		v0 += v3
		v3 = bits.RotateLeft64(v3, 21) ^ v0
		v2 += v1
		v1 = bits.RotateLeft64(v1, 17) ^ v2
		v2 = bits.RotateLeft64(v2, 32)
	}
	s.v0, s.v1, s.v2, s.v3 = v0, v1, v2, v3
}

// word adds eight bytes, the first in the lowest bits.
func (s *sip) word(m uint64) {
	s.v3 ^= m
	s.rounds(2)
	s.v0 ^= m
}

// sum ends the hash; last holds the bytes that do not fill a word, and in its highest byte the length.
func (s *sip) sum(last uint64) uint64 {
	s.word(last)
	s.v2 ^= 0xff
	s.rounds(4)
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3
}

// text hashes a string of any length.
func text[T ~string | ~[]byte](k sipKey, b T) uint64 {
	s := k.start()
	i := 0
	for ; i+8 <= len(b); i += 8 {
		s.word(uint64(b[i]) | uint64(b[i+1])<<8 | uint64(b[i+2])<<16 | uint64(b[i+3])<<24 |
			uint64(b[i+4])<<32 | uint64(b[i+5])<<40 | uint64(b[i+6])<<48 | uint64(b[i+7])<<56)
	}
	last := uint64(len(b)) << 56
	for j := 0; i < len(b); i, j = i+1, j+8 {
		last |= uint64(b[i]) << j
	}
	return s.sum(last)
}
