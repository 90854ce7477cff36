package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// Bounds of the garbage that may pile up before a collection, unless GOGC says otherwise. A cache is a heap of which little is
// garbage: Go's own rule, as much again as is in use, would double its memory. A small heap may grow by more than it holds,
// so that a node without much in its cache does not collect all the time.
const (
	leastGarbage  = 64 << 20 // bytes
	percentOfHeap = 25
	mostPercent   = 1000
)

// tuneGC sets the bounds, and again after each collection.
func tuneGC() {
	if os.Getenv("GOGC") != "" {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	debug.SetGCPercent(gcPercent(live[0].Value.Uint64()))
	runtime.AddCleanup(new([4]*int), func(int) { tuneGC() }, 0) // runs once the next collection finds it unused
}

// gcPercent is what GOGC is to be with so many bytes in use.
func gcPercent(live uint64) int {
	return int(min(max(leastGarbage*100/max(live, 1), percentOfHeap), mostPercent))
}
