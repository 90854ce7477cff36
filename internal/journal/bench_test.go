package journal

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
)

// benchJournal returns one that flushes, as in use.
func benchJournal(b *testing.B) *Journal {
	return mustOpen(b, Config{Dir: b.TempDir(), Log: slog.New(slog.DiscardHandler)})
}

func BenchmarkAppend(b *testing.B) {
	for name, callers := range map[string]int{"1 caller": 1, "64 callers": 64} {
		b.Run(name, func(b *testing.B) {
			j := benchJournal(b)
			b.ReportAllocs()
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if _, err := j.Append(purge("some/path.jpg")); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// BenchmarkWake appends an event, without a flush, and waits until 500 followers have read it.
func BenchmarkWake(b *testing.B) {
	cfg := testConfig(b)
	cfg.SegmentBytes = 0
	j := mustOpen(b, cfg)
	b.ReportAllocs()
	var followers, seen sync.WaitGroup
	for range 500 {
		followers.Go(func() {
			for after := range Seq(b.N) {
				if err := j.Wait(context.Background(), after); err != nil {
					b.Error(err)
				}
				if events, err := j.Read(after, 1); err != nil || len(events) != 1 {
					b.Errorf("Read = %v, %v", events, err)
				}
				seen.Done()
			}
		})
	}
	for range b.N {
		seen.Add(500)
		mustAppend(b, j, "some/path.jpg")
		seen.Wait()
	}
	followers.Wait()
}

func BenchmarkRead(b *testing.B) {
	j := mustOpen(b, testConfig(b))
	events := make([]Event, 1000)
	for i := range events {
		events[i] = purge("some/path.jpg")
	}
	if _, err := j.Append(events...); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if events, err := j.Read(0, 1000); err != nil || len(events) != 1000 {
			b.Fatal(len(events), err)
		}
	}
}

func BenchmarkMarkStore(b *testing.B) {
	m, err := OpenMark(b.TempDir() + "/mark")
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	seq := Seq(0)
	for b.Loop() {
		seq++
		if err := m.Store(Position{9, seq}); err != nil {
			b.Fatal(err)
		}
	}
}
