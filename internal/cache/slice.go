package cache

import (
	"encoding/binary"
	"math/rand/v2"

	"cdnlab/internal/httpcache"
)

// maxSlices is how many slices are removed with their head; those of a longer body wait for eviction, out of reach.
const maxSlices = 1 << 16

// slicing says that an object is the head of a body that is kept in slices: objects of their own, of one size but for the last,
// any of which may be missing. Their keys hold the generation of the head, so that those of another representation are out of
// its reach.
type slicing struct {
	generation uint64
	size       int64 // of each
	passing    bool  // neither the head nor any slice is stored: the body only goes through
}

// Sliced reports whether the body is kept in slices: [Store.Slice] has them, the object itself has none of it.
func (o *Object) Sliced() bool { return o.more().slicing != nil }

// SliceSpan returns which bytes of the body the slice has.
func (o *Object) SliceSpan(i int64) httpcache.Span {
	size := o.more().slicing.size
	return httpcache.Span{First: i * size, Length: min(size, o.Size()-i*size)}
}

// SliceAt returns the slice that has the offset.
func (o *Object) SliceAt(off int64) int64 { return off / o.more().slicing.size }

// AppendSliceKey appends the key of a slice.
func (o *Object) AppendSliceKey(dst []byte, i int64) []byte {
	dst = append(append(dst, o.key()...), 0, 's')
	dst = binary.BigEndian.AppendUint64(dst, o.more().slicing.generation)
	return binary.BigEndian.AppendUint64(dst, uint64(i))
}

// SliceSize returns how large slices are, in bytes; 0 when the store is too small for any.
func (s *Store) SliceSize() int64 {
	if size := int64(s.cfg.Chunk); size <= s.cfg.MaxObject {
		return size
	}
	return 0
}

// PutSliced stores the head of a body of size bytes whose slices are to come, and returns it: whether it is stored or not it
// serves the request at hand. When the response is not admitted, its slices are not stored either.
func (s *Store) PutSliced(c FillConfig, size int64) *Object {
	c.Length = -1
	f := s.Begin(c)
	p := f.parts()
	p.size, p.slicing = size, &slicing{generation: rand.Uint64(), size: s.SliceSize(), passing: !c.Admission.Stored}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.storing && s.wantedLocked(f) {
		if o, ok := s.placeLocked(f, &p); ok {
			return o
		}
	}
	return p.build(s.kinds)
}

// Slice returns a slice of the head's body, if it is stored.
func (s *Store) Slice(head *Object, i int64) (*Object, bool) {
	s.mu.Lock()
	s.scratch = head.AppendSliceKey(s.scratch[:0], i)
	o := s.getLocked(s.scratch)
	s.mu.Unlock()
	if o == nil && s.tier != nil {
		o = s.reach(head.AppendSliceKey(nil, i))
	}
	return o, o != nil
}

// HasSlice reports whether a slice is stored, as far as can be told without a look at its file.
func (s *Store) HasSlice(head *Object, i int64) bool {
	return s.has(head.AppendSliceKey(nil, i))
}

// BeginSlice starts the storing of a slice, whose bytes were asked for after the ticket was taken. A slice of what is not stored
// passes, as with Begin.
func (s *Store) BeginSlice(head *Object, i int64, ticket Ticket) *Fill {
	f := s.newFill(FillConfig{
		Key: head.AppendSliceKey(nil, i), Length: head.SliceSpan(i).Length, Ticket: ticket,
		Admission: httpcache.Admission{Stored: !head.more().slicing.passing, Meta: head.Meta()},
	})
	if head.more().slicing.passing {
		f.chunk = min(passChunk, f.chunk)
	}
	f.tags = head.more().tags
	return f
}

// Drop removes an object, if it is stored: it has turned out not to be what the origin has.
func (s *Store) Drop(o *Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.entries.peek(o.key())
	if s.keepsLocked(o, held) || held != nil && held.more().slicing != nil && held.more().slicing == o.more().slicing {
		s.removeLocked(o.key())
		s.unsaveLocked(o.key())
	}
}

// removeSlicesLocked removes the slices of a head that has left.
func (s *Store) removeSlicesLocked(head *Object) {
	var key []byte
	for i := range min(head.SliceAt(head.Size()-1)+1, maxSlices) {
		key = head.AppendSliceKey(key[:0], i)
		s.removeLocked(text(key))
	}
}
