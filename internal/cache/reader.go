package cache

import (
	"io"
	"slices"

	"cdnlab/internal/httpcache"
)

// Reader follows a body while it arrives. Read, WriteTo and Close are for one goroutine; Close may also be called from
// another to end a Read that waits.
type Reader struct {
	fill *Fill
	off  int64 // guarded by fill.mu, like the fields below
	end  int64 // -1: the end of the body
	busy bool  // a piece is being copied
	err  error
}

// Reader returns a reader of part of the body, from its start even when that arrived long ago; All selects the whole. ok is
// false when the body is not stored and somebody reads it already, or when the fill has failed: the request then needs a
// fetch of its own.
func (f *Fill) Reader(s httpcache.Span) (r *Reader, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil || !f.storing && f.joined {
		return nil, false
	}
	r = &Reader{fill: f, off: s.First, end: -1}
	if s.Length >= 0 {
		r.end = s.First + s.Length
	}
	f.joined = true
	f.readers = append(f.readers, r)
	return r, true
}

// Read implements io.Reader. It waits for bytes to arrive. After a body that did not arrive whole it returns the error that
// Abort was given, never io.EOF.
func (r *Reader) Read(p []byte) (int, error) {
	piece, err := r.next()
	if err != nil {
		return 0, err
	}
	n := copy(p, piece)
	r.took(n)
	return n, nil
}

// WriteTo implements io.WriterTo without copying.
func (r *Reader) WriteTo(w io.Writer) (total int64, err error) {
	for {
		piece, err := r.next()
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		n, err := w.Write(piece)
		r.took(n)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
}

// Close ends the reader. The fill goes on for the others and for the store.
func (r *Reader) Close() error {
	r.fill.mu.Lock()
	defer r.fill.mu.Unlock()
	if slices.Contains(r.fill.readers, r) {
		r.fill.leaveLocked(r, ErrClosed)
	}
	return nil
}

// next waits for the bytes at the present offset. They stay as they are until took.
func (r *Reader) next() ([]byte, error) {
	f := r.fill
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		switch {
		case r.err != nil:
			return nil, r.err
		case r.end >= 0 && r.off >= r.end:
			return nil, io.EOF
		case r.off < f.size:
			r.busy = true
			chunk := f.chunks[r.off/int64(f.chunk)-int64(f.dropped)][r.off%int64(f.chunk):]
			if r.end >= 0 {
				chunk = chunk[:min(int64(len(chunk)), r.end-r.off)]
			}
			return chunk, nil
		case f.err != nil:
			return nil, f.err
		case f.done:
			return nil, io.EOF
		}
		f.changed.Wait()
	}
}

func (r *Reader) took(n int) {
	f := r.fill
	f.mu.Lock()
	defer f.mu.Unlock()
	r.off += int64(n)
	r.busy = false
	if !f.storing {
		f.changed.Broadcast()
	}
}

// leaveLocked ends a reader; its further calls return err.
func (f *Fill) leaveLocked(r *Reader, err error) {
	r.err = err
	f.pinned = f.pinned || r.busy
	f.readers = slices.DeleteFunc(f.readers, func(o *Reader) bool { return o == r })
	f.changed.Broadcast()
}
