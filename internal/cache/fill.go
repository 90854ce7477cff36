package cache

import (
	"errors"
	"io"
	"strings"
	"sync"

	"cdnlab/internal/httpcache"
)

// Errors of fills and their readers.
var (
	ErrNoReaders = errors.New("cache: the body is not stored and nobody reads it") // returned by Write
	ErrLagging   = errors.New("cache: reader held up the others of a body that is not stored")
	ErrClosed    = errors.New("cache: fill or reader is closed")
	errLonger    = errors.New("cache: the body is longer than announced")
)

// FillConfig describes a response whose body is about to arrive.
type FillConfig struct {
	Key       []byte         // primary
	Ask       *httpcache.Ask // the request that it answers
	Admission httpcache.Admission
	Length    int64  // of the body; -1 when not known
	Ticket    Ticket // taken before the request went upstream
	Own       Ticket // of the purge of Key that the response itself has meant; 0 for none
}

// passChunk and passWindow are the piece size and the number of pieces in which a body known not to be stored passes.
const (
	passChunk  = 64 << 10
	passWindow = 4
)

// Fill is a response whose body is arriving. One goroutine calls Write and then Complete or Abort; the other methods may be
// called concurrently.
type Fill struct {
	store  *Store
	meta   httpcache.Meta
	header httpcache.Header
	key    string // primary
	vary   string // fields by which values tells variants apart
	values string
	length int64 // -1 when not known
	tags   []uint64
	ticket Ticket
	own    Ticket
	chunk  int

	mu       sync.Mutex // guards the fields below; locked before Store.mu
	changed  sync.Cond
	dropped  int      // leading chunks that are gone
	chunks   [][]byte // those after them; all full but the last
	size     int64
	storing  bool
	reserved int64
	done     bool // completed
	err      error
	readers  []*Reader
	joined   bool     // there was a reader
	spare    [][]byte // empty chunks for use again
	pinned   bool     // a reader left in the middle of a copy: chunks may not be used again
}

// Begin starts the storing of a response. A response that is not admitted, or whose length is known to be too large, is
// passed through to its first reader only; join that before the first Write.
func (s *Store) Begin(c FillConfig) *Fill {
	f := s.newFill(c)
	if f.storing {
		f.tags, f.storing = tagsOf(f.header)
	}
	if !f.storing {
		f.chunk = min(passChunk, f.chunk)
		f.vary = httpcache.VaryAny // matches no other request
		return f
	}
	f.vary = s.varyOf(c.Key, f.meta.Vary)
	f.values = string(httpcache.AppendVariant(nil, f.vary, c.Ask))
	return f
}

func (s *Store) newFill(c FillConfig) *Fill {
	f := &Fill{
		store: s, meta: c.Admission.Meta, header: c.Admission.Header, key: string(c.Key),
		length: c.Length, ticket: c.Ticket, own: c.Own, chunk: s.cfg.Chunk,
		storing: c.Admission.Stored && c.Length <= s.most,
	}
	f.changed.L = &f.mu
	return f
}

// varyOf returns the fields by which the responses under a key vary, those of one more included.
func (s *Store) varyOf(key []byte, vary string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.entries.peek(text(key)); o != nil && o.more().variants != nil {
		vary = httpcache.MergeVary(o.more().variants.vary, vary)
	}
	return vary
}

// Meta returns what the response means.
func (f *Fill) Meta() *httpcache.Meta { return &f.meta }

// Header returns the fields of the response that are stored.
func (f *Fill) Header() httpcache.Header { return f.header }

// Length returns the length of the body, -1 when not known yet.
func (f *Fill) Length() int64 { return f.length }

// Matches reports whether the response also answers another request for the same key: its Vary selects it (RFC 9111 §4.1).
func (f *Fill) Matches(ask *httpcache.Ask) bool {
	return string(httpcache.AppendVariant(nil, f.vary, ask)) == f.values
}

// Storing reports whether the response is, as far as is known, going to be stored.
func (f *Fill) Storing() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.storing && f.err == nil
}

// Failed reports whether the body broke off.
func (f *Fill) Failed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err != nil
}

// Write takes the next bytes of the body. When they are not stored it waits for the readers to take earlier ones. It fails
// when nobody is left to read them. Bytes past the announced length are not taken: they abort the fill.
func (f *Fill) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.done && f.err == nil && f.length >= 0 && int64(len(p)) > f.length-f.size {
		f.abortLocked(errLonger)
		return 0, errLonger
	}
	total := 0
	for len(p) > 0 {
		if f.done || f.err != nil {
			return total, ErrClosed
		}
		room, err := f.roomLocked(len(p))
		if err != nil {
			return total, err
		}
		n := min(len(p), room)
		last := len(f.chunks) - 1
		f.chunks[last] = append(f.chunks[last], p[:n]...)
		f.size += int64(n)
		total += n
		p = p[n:]
		f.changed.Broadcast()
	}
	return total, nil
}

// Complete ends the body. One shorter than announced is an error and is aborted. It returns the stored object, nil when the
// response was not stored.
func (f *Fill) Complete() (*Object, error) {
	if t := f.store.tier; t != nil && f.Storing() {
		t.pace(f.size) // which this goroutine alone changes
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.done || f.err != nil:
		return nil, ErrClosed
	case f.length >= 0 && f.size != f.length:
		f.abortLocked(io.ErrUnexpectedEOF)
		return nil, io.ErrUnexpectedEOF
	}
	f.done = true
	f.changed.Broadcast()
	if !f.storing {
		f.releaseLocked()
		return nil, nil
	}
	return f.keepLocked(), nil
}

// Wait returns when the body is complete, and stored if it is going to be, or was aborted.
func (f *Fill) Wait() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.done && f.err == nil {
		f.changed.Wait()
	}
}

// Abort ends a body that did not arrive whole. Its readers get err after the bytes that did arrive, io.ErrUnexpectedEOF for
// none and for io.EOF, which would tell them that the body is whole; nothing is stored.
func (f *Fill) Abort(err error) {
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.done && f.err == nil {
		f.abortLocked(err)
	}
}

func (f *Fill) abortLocked(err error) {
	f.err = err
	f.releaseLocked()
	f.changed.Broadcast()
}

func (f *Fill) releaseLocked() {
	f.store.release(f.reserved)
	f.reserved = 0
	f.spare = nil
}

// keepLocked makes the complete body an object of the store.
func (f *Fill) keepLocked() *Object {
	p := f.parts()
	p.size = f.size
	if len(f.chunks) > 0 {
		last := len(f.chunks) - 1
		f.chunks[last] = trimmed(f.chunks[last])
		p.first, p.rest = f.chunks[0], f.chunks[1:]
	}
	s := f.store
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reserved -= f.reserved
	f.reserved = 0
	if !s.wantedLocked(f) {
		return nil
	}
	if o, ok := s.placeLocked(f, &p); ok {
		return o
	}
	return nil
}

// parts are those of the object that the fill makes, without its body.
func (f *Fill) parts() parts {
	return parts{key: f.key, header: f.header, meta: f.meta, rare: rare{tags: f.tags}, checked: f.ticket}
}

// wantedLocked reports whether no purge but its own has come between the request for a response and its storing.
func (s *Store) wantedLocked(f *Fill) bool {
	primary, _, _ := strings.Cut(f.key, "\x00")
	gone, stale, _ := s.purges.verdict(f.key, f.tags, f.ticket)
	return !gone && stale == 0 && !s.purges.since(f.ticket, []byte(primary), f.own)
}

// trimmed returns the chunk without unused memory.
func trimmed(c []byte) []byte {
	if cap(c) == len(c) {
		return c
	}
	return append(make([]byte, 0, len(c)), c...)
}
