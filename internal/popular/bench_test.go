package popular

import (
	"math/rand/v2"
	"testing"
	"time"
)

func BenchmarkSketch(b *testing.B) {
	const k = 1000
	var keys [1 << 16][]byte
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 1)), 1.1, 1, 1<<20)
	for i := range keys {
		keys[i] = []byte(path(zipf.Uint64()))
	}
	observe := func(key func(i int) []byte) func(b *testing.B) {
		return func(b *testing.B) {
			s := sketch(b, k, half)
			now := start
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				now = now.Add(50 * time.Microsecond)
				s.Observe(key(i), 1000, now)
			}
		}
	}
	b.Run("ObserveKnown", observe(func(i int) []byte { return keys[i%64] }))
	b.Run("ObserveZipf", observe(func(i int) []byte { return keys[i%len(keys)] }))
	full := sketch(b, k, half)
	for _, key := range keys {
		full.Observe(key, 1000, start)
	}
	b.Run("Top100", func(b *testing.B) {
		for b.Loop() {
			full.Top(100, start)
		}
	})
	encoded := full.Append(nil, start)
	b.Run("Append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			encoded = full.Append(encoded[:0], start)
		}
		b.ReportMetric(float64(len(encoded)), "B")
	})
	b.Run("DecodeMerge", func(b *testing.B) {
		b.ReportAllocs()
		hub := sketch(b, k, half)
		for b.Loop() {
			edge, err := Decode(encoded, start)
			if err != nil {
				b.Fatal(err)
			}
			if err := hub.Merge(edge, start); err != nil {
				b.Fatal(err)
			}
		}
	})
}
