package cache

import (
	"slices"
	"time"
)

// firstChunk is the memory that a body of unknown length starts with.
const firstChunk = 4 << 10

// roomLocked makes room at the end of the last chunk and returns how much there is.
func (f *Fill) roomLocked(want int) (int, error) {
	if f.storing && f.size+int64(want) > f.store.most {
		f.storing = false
	}
	for {
		if last := len(f.chunks) - 1; last >= 0 && len(f.chunks[last]) < cap(f.chunks[last]) {
			return cap(f.chunks[last]) - len(f.chunks[last]), nil
		}
		if f.storing && f.growLocked(want) {
			continue
		}
		f.storing = false
		if err := f.passLocked(); err != nil {
			return 0, err
		}
	}
}

// growLocked takes memory out of the store's budget for the next bytes; false when there is none.
func (f *Fill) growLocked(want int) bool {
	last := len(f.chunks) - 1
	full := last < 0 || len(f.chunks[last]) == f.chunk
	had := 0
	if !full {
		had = cap(f.chunks[last])
	}
	size := max(want, firstChunk, 2*had)
	if f.length >= 0 {
		size = int(min(f.length-f.size, int64(f.chunk))) + had
	}
	size = min(max(size, had+1), f.chunk)
	if !f.store.reserve(int64(size - had)) {
		return false
	}
	f.reserved += int64(size - had)
	if full {
		f.chunks = append(f.chunks, make([]byte, 0, size))
	} else {
		f.chunks[last] = append(make([]byte, 0, size), f.chunks[last]...)
	}
	return true
}

// passLocked makes room in a body that is not stored: it waits until its readers have left no more than a window of it
// unread, and takes over the memory that they are through with.
func (f *Fill) passLocked() error {
	window := f.window()
	for {
		if len(f.readers) == 0 {
			return ErrNoReaders
		}
		f.dropLocked()
		if len(f.chunks) < window {
			break
		}
		f.awaitReadersLocked()
	}
	var chunk []byte
	if last := len(f.spare) - 1; last >= 0 {
		chunk, f.spare = f.spare[last], f.spare[:last]
	} else {
		chunk = make([]byte, 0, f.chunk)
	}
	if last := len(f.chunks) - 1; last >= 0 && len(f.chunks[last]) < f.chunk {
		f.chunks[last] = append(chunk, f.chunks[last]...)
	} else {
		f.chunks = append(f.chunks, chunk)
	}
	return nil
}

// window returns how many chunks a body that is not stored holds at most.
func (f *Fill) window() int {
	if f.chunk > passChunk {
		return 2
	}
	return passWindow
}

// dropLocked gives up the chunks that all readers have read.
func (f *Fill) dropLocked() {
	least := f.size
	for _, r := range f.readers {
		least = min(least, r.off)
	}
	for len(f.chunks) > 0 && int64(f.dropped+1)*int64(f.chunk) <= least {
		chunk := f.chunks[0]
		f.chunks[0] = nil
		f.chunks = f.chunks[1:]
		f.dropped++
		freed := min(int64(cap(chunk)), f.reserved)
		f.reserved -= freed
		f.store.release(freed)
		if !f.pinned && len(f.spare)+len(f.chunks) < f.window() {
			f.spare = append(f.spare, chunk[:0])
		}
	}
}

// awaitReadersLocked waits until some reader has read on or left. Should the readers that hold up the others not have read
// anything for the store's patience, they are cut off; a reader that holds up nobody but upstream is waited for.
func (f *Fill) awaitReadersLocked() {
	behind := int64(f.dropped+1) * int64(f.chunk)
	waiting := map[*Reader]int64{}
	for _, r := range f.readers {
		if r.off < behind {
			waiting[r] = r.off
		}
	}
	if len(waiting) < len(f.readers) {
		t := time.AfterFunc(f.store.cfg.Patience, func() { f.cut(waiting) })
		defer t.Stop()
	}
	f.changed.Wait()
}

// cut ends the readers that are where they were.
func (f *Fill) cut(were map[*Reader]int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for r, off := range were {
		if r.off == off && slices.Contains(f.readers, r) {
			f.leaveLocked(r, ErrLagging)
		}
	}
}
