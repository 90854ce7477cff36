package cache

import (
	"io"
	"unsafe"

	"cdnlab/internal/disk"
	"cdnlab/internal/evict"
	"cdnlab/internal/httpcache"
)

// Object is a stored response. It is immutable to others than its store and stays valid for those who hold it after the store has given it up.
type Object struct {
	Meta   httpcache.Meta
	Header httpcache.Header

	node     evict.Node // its place in the order of eviction; guarded by the store's mutex
	key      string     // in the store; the primary key, with what tells variants apart
	first    []byte     // the body up to the first chunk's end
	rest     [][]byte
	size     int64
	tags     []uint64     // hashes of its surrogate keys
	checked  Ticket       // purges up to it have been held against the object; guarded by the store's mutex
	twins    *twins       // its encoded bodies; nil for none; guarded by the store's mutex
	slicing  *slicing     // not nil: the body is kept in slices
	file     *disk.Object // that has the body; nil for none; guarded by the store's mutex, unless onDisk
	onDisk   bool         // the body is in the file alone
	variants *variants    // not nil: no response but the marker of a key whose responses vary
}

// Size returns the length of the body.
func (o *Object) Size() int64 { return o.size }

// Bytes returns the whole body when it is in one piece, which it is up to the chunk size; ok is false otherwise. The bytes
// must not be changed.
func (o *Object) Bytes() (body []byte, ok bool) { return o.first, len(o.rest) == 0 && !o.onDisk }

// Stored returns the object as the rules of HTTP caching see it.
func (o *Object) Stored() httpcache.Stored {
	return httpcache.Stored{Meta: &o.Meta, Header: o.Header, Size: o.size}
}

// Body returns a reader of part of a body that is in RAM; All selects the whole. [Store.Open] reads others as well.
func (o *Object) Body(s httpcache.Span) *Body {
	if s == All {
		s.Length = o.size
	}
	return &Body{object: o, off: s.First, end: min(s.First+s.Length, o.size)}
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
	chunk, at := b.object.first, b.off
	if size := int64(len(chunk)); at >= size {
		chunk, at = b.object.rest[at/size-1], at%size
	}
	return chunk[at:min(int64(len(chunk)), at+b.end-b.off)]
}

// Overhead is what one object is accounted beside its key, header and body: the Object, its entry in the eviction order
// and in the map.
const Overhead = 400

// inRAM is how much of the body is in memory.
func (o *Object) inRAM() int64 {
	if o.onDisk || o.slicing != nil {
		return 0
	}
	return o.size
}

func (o *Object) cost() int64 {
	n := int64(Overhead + len(o.key) + len(o.Header) + cap(o.first) + 8*cap(o.tags))
	for _, c := range o.rest {
		n += int64(cap(c)) + 24
	}
	if o.variants != nil {
		n += o.variants.cost()
	}
	if o.twins != nil {
		n += o.twins.cost()
	}
	if o.slicing != nil {
		n += int64(unsafe.Sizeof(*o.slicing))
	}
	return n
}
