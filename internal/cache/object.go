package cache

import (
	"io"
	"sync/atomic"
	"time"
	"unsafe"

	"cdnlab/internal/evict"
	"cdnlab/internal/httpcache"
)

// Object is a stored response. It is immutable to others than its store and stays valid for those who hold it after the store has given it up.
//
// A cache holds millions: what all have is here, in 128 bytes, two lines of a processor's cache, what few have is behind a pointer.
type Object struct {
	node    evict.Node           // first: see evict.Entry; its place in the order of eviction; guarded by the store's mutex
	checked Ticket               // purges up to it have been held against the object; guarded by the store's mutex
	rare    atomic.Pointer[rare] // nil for nothing of it; set under the store's mutex

	kind                        *kind
	text, body                  *byte // the key and what the kind does not have of the header section; the body up to the first chunk's end
	textSize, keySize, bodySize uint32

	// What the kind does not have of the Meta: see compact.
	lifetime         uint32 // in seconds, a heuristic one in tenths
	responseTime     int64
	initialAge       time.Duration
	date             int32  // in seconds after the response
	lastModified     uint32 // in seconds
	etagAt, etagSize uint16 // in the values
}

var nothingRare rare

// more returns what the object has beside what all have; the size is not set where that is nothing.
func (o *Object) more() *rare {
	if r := o.rare.Load(); r != nil {
		return r
	}
	return &nothingRare
}

func (o *Object) key() string { return unsafe.String(o.text, o.keySize) }

func (o *Object) first() []byte { return unsafe.Slice(o.body, o.bodySize) }

// values are those of the header section that the kind does not have.
func (o *Object) values() string { return unsafe.String(o.text, o.textSize)[o.keySize:] }

// AppendHeader appends the fields of the response that are stored, as a Header.
func (o *Object) AppendHeader(dst []byte) []byte { return o.kind.appendHeader(dst, o.values()) }

// HeaderIn returns the fields of the response that are stored. They are in the memory of buf, which is returned for use again, as far as
// it is enough, and valid for as long as that is left alone.
func (o *Object) HeaderIn(buf []byte) (h httpcache.Header, used []byte) {
	used = o.AppendHeader(buf[:0])
	return httpcache.Header(text(used)), used
}

// Header returns the fields of the response that are stored.
func (o *Object) Header() httpcache.Header {
	h, _ := o.HeaderIn(make([]byte, 0, len(o.kind.skeleton)+len(o.values())))
	return h
}

// Size returns the length of the body.
func (o *Object) Size() int64 {
	if r := o.rare.Load(); r != nil {
		return r.size
	}
	return int64(o.bodySize)
}

// Bytes returns the whole body when it is in one piece, which it is up to the chunk size; ok is false otherwise. The bytes
// must not be changed.
func (o *Object) Bytes() (body []byte, ok bool) {
	r := o.more()
	return o.first(), len(r.rest) == 0 && !r.onDisk
}

// Stored returns the object as the rules of HTTP caching see it.
func (o *Object) Stored() httpcache.Stored {
	m := o.Meta()
	return httpcache.Stored{Meta: &m, Header: o.Header(), Size: o.Size()}
}

// Body returns a reader of part of a body that is in RAM; All selects the whole. [Store.Open] reads others as well.
func (o *Object) Body(s httpcache.Span) *Body {
	if s == All {
		s.Length = o.Size()
	}
	return &Body{object: o, off: s.First, end: min(s.First+s.Length, o.Size())}
}

// All is the span of a whole body, however long.
var All = httpcache.Span{Length: -1}

// Body reads a part of an object's body.
type Body struct {
	object   *Object
	off, end int64
}

// Read implements io.Reader.
func (b *Body) Read(p []byte) (int, error) {
	piece := b.piece()
	if len(piece) == 0 {
		return 0, io.EOF
	}
	n := copy(p, piece)
	b.off += int64(n)
	return n, nil
}

// WriteTo implements io.WriterTo without copying.
func (b *Body) WriteTo(w io.Writer) (total int64, err error) {
	for piece := b.piece(); len(piece) > 0 && err == nil; piece = b.piece() {
		var n int
		n, err = w.Write(piece)
		b.off += int64(n)
		total += int64(n)
	}
	return total, err
}

// Close implements io.Closer; it does nothing.
func (b *Body) Close() error { return nil }

// piece returns what can be read at once from the present offset.
func (b *Body) piece() []byte {
	if b.off >= b.end {
		return nil
	}
	chunk, at := b.object.first(), b.off
	if size := int64(len(chunk)); at >= size {
		chunk, at = b.object.more().rest[at/size-1], at%size
	}
	return chunk[at:min(int64(len(chunk)), at+b.end-b.off)]
}

// Overhead is what one object is accounted beside its key, values, body and what few objects have: the Object, its place in the table,
// and what Go's allocator needs for it all.
const Overhead = 200

// inRAM is how much of the body is in memory.
func (o *Object) inRAM() int64 {
	if r := o.more(); r.onDisk || r.slicing != nil {
		return 0
	}
	return o.Size()
}

func (o *Object) cost() int64 {
	return Overhead + int64(o.textSize) + int64(o.bodySize) + o.rare.Load().cost()
}

func (r *rare) cost() int64 {
	if r == nil {
		return 0
	}
	n := int64(unsafe.Sizeof(*r)) + int64(len(r.vary)+8*cap(r.tags))
	for _, c := range r.rest {
		n += int64(cap(c)) + 24
	}
	if r.slicing != nil {
		n += int64(unsafe.Sizeof(*r.slicing))
	}
	if r.twins != nil {
		n += r.twins.cost()
	}
	if r.variants != nil {
		n += r.variants.cost()
	}
	if r.meta != nil {
		n += int64(unsafe.Sizeof(*r.meta))
	}
	return n
}
