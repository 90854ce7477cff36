package cache

import (
	"math"
	"strings"
	"time"
	"unsafe"

	"cdnlab/internal/disk"
	"cdnlab/internal/httpcache"
)

// rare is what few objects have. It is not changed but replaced.
type rare struct {
	size     int64           // of the body
	rest     [][]byte        // its chunks after the first
	onDisk   bool            // it is in the file alone
	file     *disk.Object    // that has the body; nil for none
	slicing  *slicing        // not nil: the body is kept in slices
	twins    *twins          // its encoded bodies; nil for none
	variants *variants       // not nil: no response but the marker of a key whose responses vary; guarded by the store's mutex
	tags     []uint64        // hashes of its surrogate keys
	vary     string          // of its Meta
	meta     *httpcache.Meta // all of it, where it is not compact
}

// any reports whether there is anything but a size.
func (r *rare) any() bool {
	return len(r.rest) > 0 || r.onDisk || r.file != nil || r.slicing != nil || r.twins != nil || r.variants != nil || len(r.tags) > 0 ||
		r.vary != "" || r.meta != nil
}

// parts are what an object is made of.
type parts struct {
	rare    // vary and meta are set by build
	key     string
	header  httpcache.Header
	meta    httpcache.Meta
	first   []byte // the body up to the first chunk's end
	checked Ticket
}

// build makes the object.
func (p *parts) build(ks *kinds) *Object {
	o := &Object{checked: p.checked}
	var text string
	o.kind, text = ks.of(p.key, p.header, &p.meta)
	o.text, o.textSize, o.keySize = unsafe.StringData(text), uint32(len(text)), uint32(len(p.key))
	o.body, o.bodySize = unsafe.SliceData(p.first), uint32(len(p.first))
	r := p.rare
	r.vary, r.meta = p.meta.Vary, nil
	if !o.compact(&p.meta) {
		m := p.meta
		if etag := o.etag(); etag == m.ETag {
			m.ETag = etag // does not keep the header section
		}
		r.meta = &m
	}
	if r.any() {
		o.rare.Store(&r)
	}
	return o
}

// parts takes an object apart, to make another.
func (o *Object) parts() parts {
	p := parts{rare: *o.more(), key: o.key(), header: o.Header(), meta: o.Meta(), first: o.first(), checked: o.checked}
	p.size = o.Size()
	return p
}

const tenth = time.Second / 10

// lifetimeUnit is in what the lifetime is counted: that of a heuristic is a tenth of whole seconds.
func (k *kind) lifetimeUnit() time.Duration {
	if k.source == httpcache.SourceHeuristic {
		return tenth
	}
	return time.Second
}

// compact notes a Meta in an object that has its kind and its text. It reports whether expand brings back the same.
func (o *Object) compact(m *httpcache.Meta) bool {
	o.responseTime, o.initialAge = m.ResponseTime, m.InitialAge
	o.date = int32((m.Date - seconds(m.ResponseTime)) / int64(time.Second))
	o.lastModified = uint32(m.LastModified / int64(time.Second))
	o.lifetime = uint32(m.Lifetime / o.kind.lifetimeUnit())
	if at := strings.Index(o.values(), m.ETag); at >= 0 && at <= math.MaxUint16 && len(m.ETag) <= math.MaxUint16 {
		o.etagAt, o.etagSize = uint16(at), uint16(len(m.ETag))
	}
	again := httpcache.Meta{Vary: m.Vary}
	o.expand(&again)
	return again == *m
}

// seconds rounds to whole seconds.
func seconds(t int64) int64 { return t - t%int64(time.Second) }

func (o *Object) etag() string { return o.values()[o.etagAt:][:o.etagSize] }

// expand is the reverse of compact. It leaves Vary alone.
func (o *Object) expand(m *httpcache.Meta) {
	k := o.kind
	m.ResponseTime, m.InitialAge = o.responseTime, o.initialAge
	m.Date = seconds(o.responseTime) + int64(o.date)*int64(time.Second)
	m.LastModified = int64(o.lastModified) * int64(time.Second)
	m.Lifetime = time.Duration(o.lifetime) * k.lifetimeUnit()
	m.StaleWhileRevalidate, m.StaleIfError = k.revalidating, k.erring
	m.ETag, m.Status, m.Source = o.etag(), k.status, k.source
	setFlags(m, k.flags)
}

// Meta returns what the response means.
func (o *Object) Meta() (m httpcache.Meta) {
	o.ReadMeta(&m)
	return m
}

// ReadMeta sets m to what the response means.
func (o *Object) ReadMeta(m *httpcache.Meta) {
	r := o.more()
	if r.meta != nil {
		*m = *r.meta
		return
	}
	o.expand(m)
	m.Vary = r.vary
}
