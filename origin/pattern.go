package origin

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"strconv"
)

// pattern is an endless sequence of bytes that looks random and follows from a seed and a name alone. Any part of it can be
// read without what stands before it, so objects of any size cost no memory.
type pattern struct {
	key  uint64
	etag string // strong, of the pattern cut to the size that it was made for
}

func newPattern(seed uint64, name string, size int64) pattern {
	sum := sha256.Sum256([]byte(strconv.FormatUint(seed, 10) + " " + strconv.FormatInt(size, 10) + " " + name))
	return pattern{key: binary.LittleEndian.Uint64(sum[:]), etag: `"` + hex.EncodeToString(sum[16:]) + `"`}
}

// section returns the n bytes from offset start.
func (p pattern) section(start, n int64) (io.Reader, error) {
	return &patternReader{p.key, start, start + n}, nil
}

type patternReader struct {
	key      uint64
	pos, end int64
}

func (r *patternReader) Read(b []byte) (int, error) {
	if r.pos >= r.end {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), r.end-r.pos)]
	n := 0
	for n < len(b) {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], mix(r.key+uint64(r.pos/8)))
		c := copy(b[n:], word[r.pos%8:])
		n += c
		r.pos += int64(c)
	}
	return n, nil
}

// mix is the finaliser of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
func mix(z uint64) uint64 {
	z *= 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
