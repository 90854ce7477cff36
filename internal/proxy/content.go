package proxy

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"

	"cdnlab/internal/cache"
	"cdnlab/internal/httpcache"
	"cdnlab/internal/stats"
)

// content is a response out of the cache: stored, or being stored.
type content struct {
	meta   *httpcache.Meta
	header httpcache.Header // of a fill; see fields
	size   int64            // lengthUnknown while that is so
	object *cache.Object    // either this
	store  *cache.Store     // of the object
	fill   *cache.Fill      // or this
	pieces *slicer          // of an object in slices
	aged   bool             // it comes from a cache, here or below: Age belongs to it
	once   httpcache.Header // fields beside header, for this request alone
}

func (s *Server) contentOf(ctx context.Context, r *request, o *cache.Object) content {
	o.ReadMeta(&r.meta)
	c := content{meta: &r.meta, size: o.Size(), object: o, store: s.store}
	if o.Sliced() {
		c.pieces = &slicer{server: s, ctx: ctx, r: r, head: o}
	}
	return c
}

// fields returns the stored fields. Those of an object are in memory of the request.
func (c *content) fields(r *request) (h httpcache.Header) {
	if c.object == nil {
		return c.header
	}
	h, r.stored = c.object.HeaderIn(r.stored)
	return h
}

// appendFields appends the stored fields.
func (c *content) appendFields(b []byte) []byte {
	if c.object == nil {
		return append(b, c.header...)
	}
	return c.object.AppendHeader(b)
}

// body returns a reader of a part.
func (c *content) body(part httpcache.Span) (source, bool) {
	switch {
	case c.pieces != nil:
		return c.pieces.body(part)
	case c.object != nil:
		src, err := c.store.Open(c.object, part)
		return src, err == nil
	}
	return c.fill.Reader(part)
}

// sendHit answers with a stored response that needs no question upstream.
func (s *Server) sendHit(ctx context.Context, r *request, c *content, d httpcache.Decision) {
	r.out.result = stats.Stale
	if d.Outcome == httpcache.Hit {
		r.out.result = stats.Hit
	}
	r.out.status = httpcache.CacheStatus{Hit: true, HasTTL: true, TTL: d.TTL}
	if s.pushed.hit(r.key) {
		r.out.status.Detail = pushedDetail
	}
	c.aged = true
	switch {
	case s.sendContent(r, c):
	case c.pieces == nil: // the file is gone
		r.out.status = httpcache.CacheStatus{}
		s.fetch(ctx, r, nil, httpcache.FwdURIMiss)
	default: // slices are missing and cannot be had
		r.out.status = httpcache.CacheStatus{Fwd: httpcache.FwdPartial}
		s.relay(ctx, r, stats.Miss, nil, nil)
	}
}

// sendContent answers with what the request's preconditions and ranges select (RFC 9110 §13.2, §14.2). It does nothing and
// returns false when the body is no longer to be had.
func (s *Server) sendContent(r *request, c *content) bool {
	if e := s.encoded(r, c); e != nil {
		s.sendEncoded(r, c, e)
		return true
	}
	if httpcache.NotModified(&r.ask, c.meta) {
		s.send(r, http.StatusNotModified, s.appendContent(r, c, http.StatusNotModified))
		s.finish(r, 0)
		return true
	}
	if c.size != lengthUnknown && r.ask.Range != "" {
		switch sel := r.ask.Select(c.meta, c.size); sel.Status {
		case http.StatusRequestedRangeNotSatisfiable:
			b := s.appendContent(r, c, sel.Status)
			b = append(httpcache.AppendUnsatisfied(append(b, "Content-Range: "...), c.size), crlf...)
			s.send(r, sel.Status, b)
			s.sendBytes(r, nil)
			return true
		case http.StatusPartialContent:
			return s.sendPart(r, c, sel.Spans)
		}
	}
	return s.sendWhole(r, c)
}

func (s *Server) sendWhole(r *request, c *content) bool {
	code := int(c.meta.Status)
	if r.rc.IsHead() {
		s.send(r, code, s.appendContent(r, c, code))
		if c.size != lengthUnknown {
			r.rc.Response.Header.SetContentLength(int(c.size))
		}
		s.finish(r, 0)
		return true
	}
	if c.object != nil && c.pieces == nil {
		if body, ok := c.object.Bytes(); ok {
			s.send(r, code, s.appendContent(r, c, code))
			s.sendBytes(r, body)
			return true
		}
	}
	src, ok := c.body(cache.All)
	if ok {
		s.send(r, code, s.appendContent(r, c, code))
		s.sendStream(r, src, c.size, c.fill != nil)
	}
	return ok
}

// sendPart answers with one range, or with several as multipart/byteranges (RFC 9110 §14.6).
func (s *Server) sendPart(r *request, c *content, spans []httpcache.Span) bool {
	if len(spans) == 1 {
		src, ok := c.body(spans[0])
		if ok {
			b := s.appendContent(r, c, http.StatusPartialContent)
			b = append(httpcache.AppendContentRange(append(b, "Content-Range: "...), spans[0], c.size), crlf...)
			s.send(r, http.StatusPartialContent, b)
			s.sendStream(r, src, spans[0].Length, c.fill != nil)
		}
		return ok
	}
	parts := multipart{boundary: fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64()), contentType: c.fields(r).Get("Content-Type"), size: c.size}
	for _, span := range spans {
		src, ok := c.body(span)
		if !ok {
			_ = parts.Close()
			return false
		}
		parts.add(span, src)
	}
	b := s.appendContent(r, c, http.StatusPartialContent)
	b = appendLine(b, "Content-Type", "multipart/byteranges; boundary="+parts.boundary)
	s.send(r, http.StatusPartialContent, b)
	s.sendStream(r, &parts, parts.length(), c.fill != nil)
	return true
}

// appendContent appends the stored fields that belong to a response of the given status, and Age.
func (s *Server) appendContent(r *request, c *content, code int) []byte {
	b := r.buf
	same := code == int(c.meta.Status)
	if same && !(c.meta.Limits && len(r.limits) > 0) {
		b = c.appendFields(b)
	} else {
		for name, value := range c.fields(r).All() {
			if (same || !leftOut(name, code, r)) && !r.replaced(name) {
				b = appendLine(b, name, value)
			}
		}
	}
	if c.varies(r) {
		b = append(b, varyLine...)
	}
	return c.appendPassage(b, r, code)
}

// appendPassage appends what belongs to the response this time only.
func (c *content) appendPassage(b []byte, r *request, code int) []byte {
	for name, value := range c.once.All() {
		if (code == int(c.meta.Status) || !leftOut(name, code, r)) && !r.replaced(name) {
			b = appendLine(b, name, value)
		}
	}
	if c.aged {
		b = appendAge(b, c.meta.Age(r.now))
	}
	return b
}

// leftOut reports whether a stored field does not go with another status than its own: a 304 says nothing about the body that
// the client has, unless to guide the update of a cache (RFC 9110 §15.4.5), an error has none of it, and ranges have a Content-Range of their own, several a type.
func leftOut(name string, code int, r *request) bool {
	if len(name) < len("Content-") || !strings.EqualFold(name[:len("Content-")], "Content-") {
		return false
	}
	switch {
	case code == http.StatusPartialContent:
		return strings.EqualFold(name, "Content-Range") || strings.EqualFold(name, "Content-Type") && strings.Contains(r.ask.Range, ",")
	case code == http.StatusNotModified && !r.clientLike(): // a tier updates what it has stored
		return strings.EqualFold(name, "Content-Encoding") || strings.EqualFold(name, "Content-Range")
	}
	return !strings.EqualFold(name, "Content-Location")
}

// multipart is a body of several ranges.
type multipart struct {
	boundary    string
	contentType string
	size        int64 // of the whole representation
	parts       []part
}

type part struct {
	head   string
	length int64
	body   source
}

func (m *multipart) add(s httpcache.Span, body source) {
	head := "\r\n--" + m.boundary + "\r\n"
	if m.contentType != "" {
		head += "Content-Type: " + m.contentType + "\r\n"
	}
	head += "Content-Range: " + string(httpcache.AppendContentRange(nil, s, m.size)) + "\r\n\r\n"
	m.parts = append(m.parts, part{head, s.Length, body})
}

func (m *multipart) end() string { return "\r\n--" + m.boundary + "--\r\n" }

func (m *multipart) length() int64 {
	n := int64(len(m.end()))
	for _, p := range m.parts {
		n += int64(len(p.head)) + p.length
	}
	return n
}

// WriteTo implements io.WriterTo.
func (m *multipart) WriteTo(w io.Writer) (total int64, err error) {
	for _, p := range m.parts {
		n, err := io.WriteString(w, p.head)
		total += int64(n)
		if err != nil {
			return total, err
		}
		body, err := p.body.WriteTo(w)
		total += body
		if err != nil {
			return total, err
		}
	}
	n, err := io.WriteString(w, m.end())
	return total + int64(n), err
}

// Close implements io.Closer.
func (m *multipart) Close() error {
	for _, p := range m.parts {
		_ = p.body.Close() // of memory: never fails
	}
	return nil
}
