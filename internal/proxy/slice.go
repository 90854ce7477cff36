package proxy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"cdnlab/internal/cache"
	"cdnlab/internal/httpcache"
	"cdnlab/internal/stats"
)

// wholeLimit is up to which length a body is stored in one piece; one that the store has no such room for, or a part of which was
// asked for, is stored in slices, tied together by its strong entity tag.
const wholeLimit = 8 << 20

// sliceAsked returns what to ask the parents for when a client asks for a range of what is not stored: the slice that the range
// begins in, or a single byte where that takes the length to know. It is false when slices are of no use.
func (s *Server) sliceAsked(r *request) (httpcache.Span, bool) {
	size := s.store.SliceSize()
	if size == 0 || !httpcache.AsksForBytes(r.ask.Range) {
		return httpcache.Span{}, false
	}
	off, ok := httpcache.FirstOffset(r.ask.Range)
	if !ok {
		return httpcache.Span{Length: 1}, true
	}
	return httpcache.Span{First: off / size * size, Length: size}, true
}

// takeSlice stores the answer to the request for a slice. It is nil when the answer is of no use for that.
func (s *Server) takeSlice(r *request, f *flight, resp *response, rr *httpcache.Response, ticket cache.Ticket) *answer {
	span, size, ok := httpcache.ParseContentRange(resp.header.Get("Content-Range"))
	if !ok || strings.HasPrefix(resp.header.Get("Content-Type"), "multipart/") || resp.body.length >= 0 && resp.body.length != span.Length {
		return nil
	}
	whole := *rr
	whole.Status, whole.Header = http.StatusOK, rr.Header.Without("Content-Range")
	adm := httpcache.Admit(&r.ask, &whole, &r.site.policy)
	switch {
	case !adm.Stored:
		return nil
	case span.Length == size:
		resp.status, resp.header = whole.Status, whole.Header
		return s.take(r, f, resp, &whole, ticket)
	case !adm.Meta.Strong():
		return nil
	}
	c := cache.FillConfig{Key: r.key, Ask: &r.ask, Admission: adm, Length: size, Ticket: ticket}
	no := s.filter(r, &c, resp)
	head := s.store.PutSliced(c, size)
	a := &answer{object: head, result: stats.Miss, status: resp.status, below: resp.below(), aged: resp.aged, once: adm.Once, vary: adm.Meta.Vary, stored: no == nil, detail: c.Admission.Detail}
	switch i := head.SliceAt(span.First); {
	case head.SliceSpan(i) != span:
		resp.close()
	case no != nil: // its readers come before its first byte: it does not wait for any
		resp.body.idle = stallLimit
		a.stream, a.slice, a.part = resp, i, true
	default:
		sf, _ := s.flights.join(head.AppendSliceKey(nil, i)) // the generation is new: nobody else has it
		resp.flies(sf)
		fill := s.store.BeginSlice(head, i, ticket)
		s.flights.land(sf, &answer{fill: fill}, true)
		s.tasks.Go(func() {
			defer s.flights.leave(sf)
			s.copyFill(resp, fill, 0)
		})
	}
	if a.soon = r.soon; no != nil && !a.soon {
		s.apart.mark(hash(r.key), r.start, !no.Final)
	}
	return s.landed(f, a)
}

// slices reports whether a response is stored in slices while it goes through.
func (s *Server) slices(resp *response, m *httpcache.Meta) bool {
	return (resp.body.length > wholeLimit || resp.body.length > s.store.MaxObject()) && m.Strong() && m.Status == http.StatusOK &&
		s.store.SliceSize() > 0 && strings.EqualFold(resp.header.Get("Accept-Ranges"), "bytes")
}

// slicer finds the slices of a body, in the store or upstream, for one request.
type slicer struct {
	server *Server
	ctx    context.Context // of fetches, which go on while fasthttp has the body write itself
	r      *request
	head   *cache.Object
	stream *response     // the body on its way from upstream, if it is; nil when it is gone
	next   int64         // the slice that comes next in it; -1 for none
	part   bool          // it ends with that
	behind chan struct{} // closed when the last slice out of the stream is done
	open   int           // readers of the body, the last of which closes the stream: a slice out of it may wait for any of them
}

// body returns a reader of a part of the body. It is false when not even its beginning can be had.
func (c *slicer) body(part httpcache.Span) (source, bool) {
	if part == cache.All {
		part = httpcache.Span{Length: c.head.Size()}
	}
	b := &slicedBody{slicer: c, off: part.First, end: part.First + part.Length}
	if part.Length > 0 {
		c.note(part)
		if b.piece = c.find(part); b.piece == nil {
			return nil, false
		}
	}
	c.open++
	return b, true
}

// note tells in Cache-Status when not all of a part is stored.
func (c *slicer) note(part httpcache.Span) {
	if o := &c.r.out; o.status.Hit {
		for i := c.head.SliceAt(part.First); i <= c.head.SliceAt(part.First+part.Length-1); i++ {
			if !c.server.store.HasSlice(c.head, i) {
				o.result = stats.Miss
				o.status = httpcache.CacheStatus{Fwd: httpcache.FwdPartial, FwdStatus: http.StatusPartialContent, Stored: true}
				return
			}
		}
	}
}

// find returns the beginning of a part, up to the end of the slice that it is in; nil when it cannot be had.
func (c *slicer) find(part httpcache.Span) source {
	i := c.head.SliceAt(part.First)
	slice := c.head.SliceSpan(i)
	within := httpcache.Span{First: part.First - slice.First, Length: min(part.Length, slice.First+slice.Length-part.First)}
	if c.stream != nil && c.next == i {
		return c.fromStream(i, within)
	}
	for range 2 {
		if src := c.stored(i, within); src != nil {
			return src
		}
		f, first := c.server.flights.join(c.head.AppendSliceKey(nil, i))
		if first {
			if src := c.stored(i, within); src != nil { // it has come meanwhile
				c.server.landed(f, &answer{})
				return src
			}
			return c.fetch(f, i, within)
		}
		c.r.follows(f)
		select {
		case <-f.landed:
		case <-c.ctx.Done():
			return nil
		}
		if f.fill != nil {
			if b, ok := f.fill.Reader(within); ok {
				return b
			}
		}
	}
	return c.fetch(nil, i, within) // what others bring does not last until it is read
}

// stored returns what the store has of a slice; nil for nothing.
func (c *slicer) stored(i int64, within httpcache.Span) source {
	o, ok := c.server.store.Slice(c.head, i)
	if !ok {
		return nil
	}
	src, err := c.server.store.Open(o, within)
	if err != nil {
		return nil
	}
	return src
}

// fetch asks the parents for a slice. Should the representation be another by now, its head is given up.
func (c *slicer) fetch(f *flight, i int64, within httpcache.Span) source {
	s, span := c.server, c.head.SliceSpan(i)
	ticket := s.store.Ticket()
	resp, err := s.forward(c.ctx, s.outgoing(c.r, want{whole: true, span: span, unchanged: c.head.Meta().ETag}), c.r.site.Site, hash(c.r.key))
	if err != nil {
		s.landed(f, &answer{})
		return nil
	}
	got, size, ok := httpcache.ParseContentRange(resp.header.Get("Content-Range"))
	same := ok && resp.status == http.StatusPartialContent && got == span && size == c.head.Size() && resp.header.Get("ETag") == c.head.Meta().ETag
	if !same {
		if resp.status < http.StatusInternalServerError {
			s.store.Drop(c.head)
		}
		resp.close()
		s.landed(f, &answer{})
		return nil
	}
	fill := s.store.BeginSlice(c.head, i, ticket)
	b, _ := fill.Reader(within) // a new fill has a place for its first reader
	s.flights.land(f, &answer{fill: fill}, true)
	resp.body.idle = bodyStall
	resp.flies(f)
	s.tasks.Go(func() {
		defer s.flights.leave(f)
		s.copyFill(resp, fill, 0)
	})
	return b
}

// fromStream takes the next slice from the body that is on its way.
func (c *slicer) fromStream(i int64, within httpcache.Span) source {
	if c.behind != nil {
		<-c.behind
	}
	s, length := c.server, c.head.SliceSpan(i).Length
	fill := s.store.BeginSlice(c.head, i, s.store.Ticket())
	b, _ := fill.Reader(within) // a new fill has a place for its first reader
	f, first := s.flights.join(c.head.AppendSliceKey(nil, i))
	if !first {
		f = nil
	}
	s.flights.land(f, &answer{fill: fill}, true)
	done, stream := make(chan struct{}), c.stream
	if c.next, c.behind = i+1, done; c.part {
		c.next = -1
	}
	s.tasks.Go(func() {
		defer close(done)
		defer s.flights.leave(f)
		if _, err := io.CopyN(fill, &stream.body, length); err != nil {
			fill.Abort(err)
			return
		}
		_, _ = fill.Complete() // its readers know
	})
	return b
}

// closeUnread ends what is on its way from upstream if no reader will.
func (c *slicer) closeUnread() {
	if c != nil && c.open == 0 {
		c.close()
	}
}

// close ends what is on its way from upstream.
func (c *slicer) close() {
	if c.stream == nil {
		return
	}
	if c.behind != nil {
		<-c.behind
	}
	c.stream.close()
	c.stream = nil
}

// slicedBody is a part of a body in slices.
type slicedBody struct {
	*slicer
	off, end int64
	piece    source // that begins at off
}

// WriteTo implements io.WriterTo.
func (b *slicedBody) WriteTo(w io.Writer) (total int64, err error) {
	for b.off < b.end {
		if b.piece == nil {
			if b.piece = b.find(httpcache.Span{First: b.off, Length: b.end - b.off}); b.piece == nil {
				return total, fmt.Errorf("no more of %s behind byte %d: %w", b.r.target, b.off, io.ErrUnexpectedEOF)
			}
		}
		n, err := b.piece.WriteTo(w)
		_ = b.piece.Close() // of memory: never fails
		b.piece = nil
		b.off += n
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// Close implements io.Closer.
func (b *slicedBody) Close() error {
	if b.piece != nil {
		_ = b.piece.Close() // of memory: never fails
	}
	if b.open--; b.open == 0 {
		b.slicer.close()
	}
	return nil
}
