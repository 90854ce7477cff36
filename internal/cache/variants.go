package cache

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"cdnlab/internal/httpcache"
)

// variants is the marker of a key whose responses vary: by which fields, and under which keys they are stored. Its
// generation is part of those keys, so that what belonged to an older marker is out of reach.
type variants struct {
	vary       string
	generation uint64
	keys       []string // oldest first
}

// appendKey appends the key of the variant that a request selects.
func (v *variants) appendKey(dst, primary []byte, ask *httpcache.Ask) []byte {
	return httpcache.AppendVariant(v.appendPrefix(dst, primary), v.vary, ask)
}

// appendPrefix appends what the keys of all variants begin with. No primary key holds a NUL.
func (v *variants) appendPrefix(dst, primary []byte) []byte {
	dst = append(dst, primary...)
	dst = append(dst, 0)
	return binary.BigEndian.AppendUint64(dst, v.generation)
}

func (v *variants) cost() int64 {
	n := int64(len(v.vary) + 64)
	for _, k := range v.keys {
		n += int64(len(k)) + 16
	}
	return n
}

// placeLocked stores a complete response under its key, or as a variant of it. It fails when there is no room, or when the
// key has come to vary by fields that the fill did not look at.
func (s *Store) placeLocked(f *Fill, o *Object) bool {
	held, ok := s.entries.get(f.key)
	varies := ok && held.variants != nil
	switch {
	case varies && httpcache.MergeVary(held.variants.vary, f.vary) != f.vary:
		return false
	case f.vary == "":
		return s.storeLocked(o)
	case !varies || held.variants.vary != f.vary:
		held = &Object{key: f.key, checked: s.purges.ruled, variants: &variants{vary: f.vary, generation: rand.Uint64()}}
		if !s.storeLocked(held) {
			return false
		}
	}
	o.key = string(append(held.variants.appendPrefix(nil, []byte(f.key)), f.values...))
	if !s.storeLocked(o) {
		return false
	}
	s.listLocked(held, o.key)
	_, ok = s.entries.peek(o.key) // gone when the list took the room
	return ok
}

// listLocked notes a variant that was just stored as the marker's newest. Of too many the marker gives up the oldest, once it
// has forgotten those that are no longer stored.
func (s *Store) listLocked(marker *Object, key string) {
	v := marker.variants
	s.bytes -= marker.cost()
	v.keys = slices.DeleteFunc(v.keys, func(k string) bool {
		_, ok := s.entries.peek(k)
		return k == key || !ok
	})
	for len(v.keys) >= s.cfg.MaxVariants {
		s.removeLocked(v.keys[0])
		s.unsaveLocked(v.keys[0])
		v.keys = slices.Delete(v.keys, 0, 1)
	}
	v.keys = append(v.keys, key)
	s.bytes += marker.cost()
	s.saveLocked(marker)
	s.makeRoomLocked(0)
}
