package coding

import "cdnlab/internal/httpcache"

// Coding is a content coding (RFC 9110 §8.4.1). The zero value is Identity.
type Coding uint8

// The codings, best last: among equals in the eyes of the client the greater is chosen.
const (
	Identity Coding = iota
	Gzip            // RFC 1952
	Zstd            // RFC 8878, with the window of RFC 9659
	Brotli          // RFC 7932

	codings = iota
)

var names = [codings]string{"identity", "gzip", "zstd", "br"}

// String returns the registered name: "identity", "gzip", "zstd" or "br".
func (c Coding) String() string { return names[c] }

// Parse returns the coding of a name in any case; x-gzip is gzip (RFC 9110 §8.4.1.3).
func Parse(name string) (c Coding, ok bool) {
	for i, n := range names {
		if httpcache.Fold(n, name) {
			return Coding(i), true
		}
	}
	return Gzip, httpcache.Fold("x-gzip", name)
}

// Set is a set of codings. Identity is in every set.
type Set uint8

// All has every coding.
const All Set = 1<<codings - 1

// SetOf returns the set of the codings.
func SetOf(codings ...Coding) Set {
	s := Set(0)
	for _, c := range codings {
		s |= 1 << c
	}
	return s
}

// Has reports whether the coding is in the set.
func (s Set) Has(c Coding) bool { return c == Identity || s>>c&1 == 1 }
