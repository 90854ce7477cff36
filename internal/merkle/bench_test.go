package merkle

import (
	"math/rand/v2"
	"runtime"
	"testing"
)

func BenchmarkMillionKeys(b *testing.B) {
	const n = 1_000_000
	keys := make([]string, n)
	for i := range keys {
		keys[i] = key(i)
	}
	build := func() *Tree {
		tree := new(Tree)
		for _, k := range keys {
			if err := tree.Set(k, "2026-11-2"); err != nil {
				b.Fatal(err)
			}
		}
		return tree
	}
	b.Run("Build", func(b *testing.B) {
		for b.Loop() {
			before := heap()
			tree := build()
			b.ReportMetric(float64(heap()-before)/n, "B/key")
			runtime.KeepAlive(tree)
		}
	})
	local, remote := build(), build()
	b.Run("Set", func(b *testing.B) {
		b.ReportAllocs()
		versions := [2]string{"2026-11-3", "2026-11-2"}
		i := 0
		for b.Loop() {
			if err := local.Set(keys[i/2*7919%n], versions[i%2]); err != nil {
				b.Fatal(err)
			}
			i++
		}
		if i%2 == 1 {
			_ = local.Set(keys[i/2*7919%n], versions[1])
		}
	})
	b.Run("Diff10", func(b *testing.B) {
		change(b, local, rand.New(rand.NewPCG(5, 5)), n, 10)
		for b.Loop() {
			found, stats, err := Diff(local, asker(b, remote), 1000)
			if err != nil || len(found) != 10 {
				b.Fatalf("%d differences, %v", len(found), err)
			}
			b.ReportMetric(float64(stats.Sent+stats.Received), "B/diff")
			b.ReportMetric(float64(stats.RoundTrips), "trips/diff")
		}
	})
	b.Run("DiffAll", func(b *testing.B) {
		for b.Loop() {
			found, stats, err := Diff(new(Tree), asker(b, remote), 2*n)
			if err != nil || len(found) != n {
				b.Fatalf("%d differences, %v", len(found), err)
			}
			b.ReportMetric(float64(stats.Sent+stats.Received)/n, "B/key")
			b.ReportMetric(float64(stats.RoundTrips), "trips/diff")
		}
	})
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
