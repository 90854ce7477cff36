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
func (s *Store) placeLocked(f *Fill, p *parts) (*Object, bool) {
	held := s.entries.get(f.key)
	var v *variants
	if held != nil {
		v = held.more().variants
	}
	switch {
	case v != nil && httpcache.MergeVary(v.vary, f.vary) != f.vary:
		return nil, false
	case f.vary == "":
		o := p.build(s.kinds)
		return o, s.storeLocked(o)
	case v == nil || v.vary != f.vary:
		v = &variants{vary: f.vary, generation: rand.Uint64()}
		marker := parts{rare: rare{variants: v}, key: f.key, checked: s.purges.ruled}
		if held = marker.build(s.kinds); !s.storeLocked(held) {
			return nil, false
		}
	}
	p.key = string(append(v.appendPrefix(nil, []byte(f.key)), f.values...))
	o := p.build(s.kinds)
	if !s.storeLocked(o) {
		return nil, false
	}
	s.listLocked(held, p.key)
	return o, s.entries.peek(o.key()) != nil // gone when the list took the room
}

// listLocked notes a variant that was just stored as the marker's newest. Of too many the marker gives up the oldest, once it
// has forgotten those that are no longer stored.
func (s *Store) listLocked(marker *Object, key string) {
	v := marker.more().variants
	s.bytes -= marker.cost()
	v.keys = slices.DeleteFunc(v.keys, func(k string) bool {
		return k == key || s.entries.peek(k) == nil
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
