package cache

import (
	"unsafe"

	"cdnlab/internal/httpcache"
)

// Encoded is a body in a content coding, with the fields that go with it. It is immutable.
type Encoded struct {
	Header httpcache.Header
	ETag   string // "" when the response has none
	Body   []byte // nil when the coding is of no use
}

// Codings is how many content codings an object may have beside its own.
const Codings = 4

// twins are the encoded bodies of an object, which go when it goes. They are replaced, not changed.
type twins [Codings]*Encoded

func (t *twins) cost() int64 {
	n := int64(unsafe.Sizeof(*t))
	for _, e := range t {
		if e != nil {
			n += int64(int(unsafe.Sizeof(*e)) + len(e.Header) + len(e.ETag) + cap(e.Body))
		}
	}
	return n
}

// Encoded returns an object's body in a coding; nil when it has not been made.
func (s *Store) Encoded(o *Object, coding int) *Encoded {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := o.more().twins; t != nil {
		return t[coding]
	}
	return nil
}

// AddEncoded keeps an object's body in a coding beside it, if the object is stored and there is room.
func (s *Store) AddEncoded(o *Object, coding int, e *Encoded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries.peek(o.key()) != o {
		return
	}
	var t twins
	if had := o.more().twins; had != nil {
		t = *had
	}
	t[coding] = e
	s.amendLocked(o, func(r *rare) { r.twins = &t })
}
