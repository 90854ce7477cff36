package cache

import (
	"fmt"
	"io"
	"testing"

	"cdnlab/internal/httpcache"
)

// lookups are the ways in which a request meets the store.
func lookups(tb testing.TB) (*Store, []lookup) {
	tb.Helper()
	s := New(Config{Budget: 64 << 20})
	add := func(key string, a *httpcache.Ask, adm httpcache.Admission) {
		f := begin(s, key, a, adm)
		if _, err := f.Write([]byte("body")); err != nil {
			tb.Fatal(err)
		}
		if o, err := f.Complete(); o == nil || err != nil {
			tb.Fatalf("Complete() = %v, %v, want it stored", o, err)
		}
	}
	for i := range 1000 {
		add(fmt.Sprint("www.cdn.test/", i), askFor(), admitted())
	}
	fields := []string{"Accept-Encoding", "gzip, br;q=0.9", "Accept-Language", "de-CH, fr;q=0.7", "X", "y"}
	add("varies", askFor(fields...), admitted("Vary", "Accept-Encoding, Accept-Language, X"))
	return s, []lookup{
		{"hit", []byte("www.cdn.test/500"), askFor(fields...), true},
		{"hit of a variant", []byte("varies"), askFor(fields...), true},
		{"miss", []byte("www.cdn.test/none"), askFor(fields...), false},
		{"miss of a variant", []byte("varies"), askFor("X", "z"), false},
	}
}

type lookup struct {
	name  string
	key   []byte
	ask   *httpcache.Ask
	found bool
}

func TestFindAllocatesNothing(t *testing.T) {
	s, all := lookups(t)
	for _, l := range all {
		t.Run(l.name, func(t *testing.T) {
			if o, _ := s.Find(l.key, l.ask); (o != nil) != l.found {
				t.Fatalf("Find(%s) = %v, want found: %v", l.key, o, l.found)
			}
			if n := testing.AllocsPerRun(100, func() { s.Find(l.key, l.ask) }); n != 0 {
				t.Errorf("Find(%s) allocates %v times, want 0", l.key, n)
			}
		})
	}
}

func BenchmarkFind(b *testing.B) {
	s, all := lookups(b)
	for _, l := range all {
		b.Run(l.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Find(l.key, l.ask)
			}
		})
	}
	b.Run("hit, in parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				s.Find(all[0].key, all[0].ask)
			}
		})
	})
}

func BenchmarkFill(b *testing.B) {
	for _, size := range []int{1 << 10, 100 << 10, 4 << 20} {
		for _, known := range []bool{true, false} {
			b.Run(fmt.Sprint(size>>10, " KiB, length known ", known), func(b *testing.B) {
				s := New(Config{Budget: 256 << 20})
				body := []byte(pattern(size))
				length := int64(-1)
				if known {
					length = int64(size)
				}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					f := beginOf(s, length)
					for p := body; len(p) > 0; p = p[min(len(p), 32<<10):] {
						_, _ = f.Write(p[:min(len(p), 32<<10)])
					}
					if o, _ := f.Complete(); o == nil {
						b.Fatal("Complete() = not stored, want stored")
					}
				}
			})
		}
	}
}

func BenchmarkPass(b *testing.B) {
	s := New(Config{Budget: 8 << 20})
	body := []byte(pattern(16 << 20))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		f := beginOf(s, int64(len(body)))
		r, _ := f.Reader(All)
		go func() {
			_, _ = f.Write(body)
			_, _ = f.Complete()
		}()
		if n, err := io.Copy(io.Discard, r); n != int64(len(body)) || err != nil {
			b.Fatalf("Copy() = %d, %v, want %d", n, err, len(body))
		}
		_ = r.Close()
	}
}
