package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Bounds of the garbage that may pile up before a collection, unless GOGC says otherwise. A cache is a heap of which little is
// garbage: Go's own rule, as much again as is in use, would double its memory. A small heap may grow by more than it holds,
// so that a node without much in its cache does not collect all the time.
const (
	leastGarbage  = 64 << 20 // bytes
	percentOfHeap = 25
	mostPercent   = 1000
)

// tuneGC sets the bounds, and again after each collection; and it has memory given back when a burst is over.
func tuneGC() {
	if os.Getenv("GOGC") != "" {
		return
	}
	boundGarbage()
	new(lull).watch()
}

func boundGarbage() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	debug.SetGCPercent(gcPercent(live[0].Value.Uint64()))
	runtime.AddCleanup(new([4]*int), func(int) { boundGarbage() }, 0) // runs once the next collection finds it unused
}

// gcPercent is what GOGC is to be with so many bytes in use.
func gcPercent(live uint64) int {
	return int(min(max(leastGarbage*100/max(live, 1), percentOfHeap), mostPercent))
}

// What a lull is. Hits allocate nothing: there may be any number of them. What is given back costs one collection; where little has been
// allocated since the last one it is left alone.
const (
	lullEvery = time.Second / 2
	lullTurns = 2       // as many in a row
	lullRate  = 1 << 20 // bytes allocated in one, at most
	lullWorth = 8 << 20 // bytes allocated since memory was last given back, at least
)

// lull finds the times in which nothing is stored.
type lull struct {
	allocated uint64 // by now
	given     uint64 // of it, when memory was last given back
	turns     int    // of little in a row
}

// over takes the bytes that have been allocated by now. It reports whether memory is to be given back.
func (l *lull) over(allocated uint64) bool {
	if allocated-l.allocated > lullRate {
		l.turns = 0
	} else {
		l.turns++
	}
	l.allocated = allocated
	if l.turns < lullTurns || allocated-l.given < lullWorth {
		return false
	}
	l.given = allocated
	return true
}

// watch looks at the heap from time to time, as long as the process lives.
func (l *lull) watch() {
	time.AfterFunc(lullEvery, func() {
		allocs := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
		metrics.Read(allocs)
		if l.over(allocs[0].Value.Uint64()) {
			debug.FreeOSMemory()
		}
		l.watch()
	})
}
