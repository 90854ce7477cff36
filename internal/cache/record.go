package cache

import (
	"encoding/binary"
	"math"

	"cdnlab/internal/disk"
	"cdnlab/internal/httpcache"
)

// recordVersion is the first byte of a record; files with another are of no use.
const recordVersion = 1

// What a record is of.
const (
	recordBody = iota
	recordVariants
	recordSliced
)

// Flags of a record.
const (
	flagNoCache = 1 << iota
	flagMustRevalidate
	flagEncodable
	flagLimits
	flagImmutable
)

// appendRecord appends what is kept of an object on disk beside its key and its body. The epoch ties it to the purges that the
// object was checked against.
func appendRecord(b []byte, o *Object, epoch uint64) []byte {
	m, r := o.Meta(), o.more()
	b = binary.BigEndian.AppendUint64(append(b, recordVersion), epoch)
	b = binary.AppendUvarint(b, uint64(o.checked))
	for _, v := range []int64{m.ResponseTime, m.Date, m.LastModified, int64(m.InitialAge), int64(m.Lifetime), int64(m.StaleWhileRevalidate), int64(m.StaleIfError)} {
		b = binary.AppendVarint(b, v)
	}
	b = binary.AppendUvarint(b, uint64(m.Status))
	b = append(b, byte(m.Source), flagsOf(&m))
	for _, v := range []string{m.ETag, m.Vary, string(o.Header())} {
		b = appendText(b, v)
	}
	b = binary.AppendUvarint(b, uint64(len(r.tags)))
	for _, t := range r.tags {
		b = binary.BigEndian.AppendUint64(b, t)
	}
	switch {
	case r.variants != nil:
		b = binary.BigEndian.AppendUint64(append(b, recordVariants), r.variants.generation)
		b = appendText(b, r.variants.vary)
		b = binary.AppendUvarint(b, uint64(len(r.variants.keys)))
		for _, k := range r.variants.keys {
			b = appendText(b, k)
		}
	case r.slicing != nil:
		b = binary.BigEndian.AppendUint64(append(b, recordSliced), r.slicing.generation)
		b = binary.AppendVarint(binary.AppendVarint(b, r.slicing.size), r.size)
	default:
		b = append(b, recordBody)
	}
	return b
}

func flagsOf(m *httpcache.Meta) byte {
	return flag(m.NoCache, flagNoCache) | flag(m.MustRevalidate, flagMustRevalidate) | flag(m.Encodable, flagEncodable) |
		flag(m.Limits, flagLimits) | flag(m.Immutable, flagImmutable)
}

func setFlags(m *httpcache.Meta, flags byte) {
	m.NoCache, m.MustRevalidate, m.Encodable = flags&flagNoCache != 0, flags&flagMustRevalidate != 0, flags&flagEncodable != 0
	m.Limits, m.Immutable = flags&flagLimits != 0, flags&flagImmutable != 0
}

func flag(set bool, f byte) byte {
	if set {
		return f
	}
	return 0
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// parseRecord makes the object of a file. It is false for a record that is malformed or of another epoch.
func parseRecord(key []byte, record []byte, epoch uint64, file *disk.Object, body []byte, ks *kinds) (*Object, bool) {
	r := recordReader{record, true}
	if r.byte() != recordVersion || r.uint64() != epoch {
		return nil, false
	}
	p := parts{key: string(key), rare: rare{file: file, size: file.Size}, checked: Ticket(r.uvarint())}
	m := &p.meta
	for _, p := range []*int64{&m.ResponseTime, &m.Date, &m.LastModified, (*int64)(&m.InitialAge), (*int64)(&m.Lifetime), (*int64)(&m.StaleWhileRevalidate), (*int64)(&m.StaleIfError)} {
		*p = r.varint()
	}
	status := r.uvarint()
	m.Status, m.Source = uint16(status), httpcache.Source(r.byte())
	setFlags(m, r.byte())
	m.ETag, m.Vary, p.header = r.text(), r.text(), httpcache.Header(r.text())
	if n := r.count(8); n > 0 {
		p.tags = make([]uint64, n)
		for i := range p.tags {
			p.tags[i] = r.uint64()
		}
	}
	switch kind := r.byte(); kind {
	case recordVariants:
		v := &variants{generation: r.uint64(), vary: r.text()}
		for range r.count(1) {
			v.keys = append(v.keys, r.text())
		}
		p.variants = v
	case recordSliced:
		p.slicing = &slicing{generation: r.uint64(), size: r.varint()}
		p.size = r.varint()
		r.ok = r.ok && p.slicing.size > 0 && p.size >= 0 && file.Size == 0
	case recordBody:
		p.first, p.onDisk = trimmed(body), body == nil && p.size > 0 // the file's other bytes are not kept
	default:
		r.ok = false
	}
	return p.build(ks), r.ok && len(r.b) == 0 && status <= math.MaxUint16
}

// recordReader reads what appendRecord has written; ok turns false where that is not so.
type recordReader struct {
	b  []byte
	ok bool
}

// take returns the next n bytes; zeros once something is wrong.
func (r *recordReader) take(n int) []byte {
	if !r.ok || n < 0 || n > len(r.b) {
		r.ok = false
		return make([]byte, 8)
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *recordReader) byte() byte     { return r.take(1)[0] }
func (r *recordReader) uint64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }

func (r *recordReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.ok = false
		return 0
	}
	r.take(n)
	return v
}

func (r *recordReader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.ok = false
		return 0
	}
	r.take(n)
	return v
}

// count reads how many things follow, each of which takes some bytes at least.
func (r *recordReader) count(least int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/least) {
		r.ok = false
		return 0
	}
	return int(n)
}

func (r *recordReader) text() string {
	n := r.count(1)
	if !r.ok {
		return ""
	}
	return string(r.take(n))
}
