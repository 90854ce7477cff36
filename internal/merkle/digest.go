package merkle

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
)

// Digest stands for a set of entries: the sum modulo 2^128 of their hashes, big-endian. The empty set has the zero Digest.
type Digest [16]byte

// String is the digest in hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// sum is a Digest to calculate with.
type sum struct{ hi, lo uint64 }

func (s sum) plus(o sum) sum {
	lo, carry := bits.Add64(s.lo, o.lo, 0)
	hi, _ := bits.Add64(s.hi, o.hi, carry)
	return sum{hi, lo}
}

func (s sum) minus(o sum) sum {
	lo, borrow := bits.Sub64(s.lo, o.lo, 0)
	hi, _ := bits.Sub64(s.hi, o.hi, borrow)
	return sum{hi, lo}
}

func (s sum) digest() (d Digest) {
	binary.BigEndian.PutUint64(d[:8], s.hi)
	binary.BigEndian.PutUint64(d[8:], s.lo)
	return d
}

// scratch is large enough for most keys with their versions to be hashed on the stack.
const scratch = 256

// position is where in the hash space a key lies. It is cut from SHA-256, as whoever chooses the keys of a site could find any
// number of them that lie together under a hash made for speed.
func position(key string) uint64 {
	var room [scratch]byte
	h := sha256.Sum256(append(room[:0], key...))
	return binary.BigEndian.Uint64(h[:])
}

func (e entry) sum() sum {
	var room [scratch]byte
	b := binary.AppendUvarint(room[:0], uint64(len(e.key))) // so that no two entries are the same bytes
	b = append(append(b, e.key...), e.version...)
	h := sha256.Sum256(b)
	return sum{binary.BigEndian.Uint64(h[:]), binary.BigEndian.Uint64(h[8:])}
}
