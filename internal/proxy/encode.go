package proxy

import (
	"bytes"
	"net/http"
	"runtime"
	"strings"

	"cdnlab/internal/cache"
	"cdnlab/internal/coding"
	"cdnlab/internal/httpcache"
)

// maxEncoded is how long a body may be that is encoded while a client waits.
const maxEncoded = 8 << 20

// encoder makes the content codings of what is stored (RFC 9110 §8.4). A body is encoded when it is first asked for in a coding, and
// kept beside the object; what is still arriving, and what is not stored, goes as it is.
type encoder struct {
	pool  *coding.Pool
	slots chan struct{} // one for each body that is being encoded: beyond them clients get what there is
}

func newEncoder() *encoder {
	pool, err := coding.NewPool(coding.Levels{})
	if err != nil {
		panic(err) // the levels are its own
	}
	return &encoder{pool, make(chan struct{}, 2*runtime.GOMAXPROCS(0))}
}

// judge notes in what is about to be stored whether it may be encoded.
func (s *Server) judge(adm *httpcache.Admission, t *site) {
	if s.encoder == nil || !t.Cache.Compress || !adm.Stored || adm.Meta.Limits {
		return
	}
	resp := coding.Response{Status: int(adm.Meta.Status), Header: adm.Header, Length: lengthUnknown}
	adm.Meta.Encodable = resp.Refuse(coding.MinSize) == ""
}

// varies reports whether the request's Accept-Encoding decides what a client is sent, whatever that then is (RFC 9110 §12.5.5).
func (c *content) varies(r *request) bool {
	return c.meta.Encodable && r.clientLike() && (c.size == lengthUnknown || c.size >= coding.MinSize)
}

// encoded returns the content in the coding that the request prefers; nil for what is sent as it is. Ranges are of that alone.
func (s *Server) encoded(r *request, c *content) *cache.Encoded {
	if !c.varies(r) || c.object == nil || c.pieces != nil || c.size > maxEncoded || r.ask.Range != "" {
		return nil
	}
	var accept coding.Accept
	for v := range r.ask.Values("Accept-Encoding") {
		accept.Add(v)
	}
	best := accept.Best(coding.All)
	if best == coding.Identity {
		return nil
	}
	e := s.store.Encoded(c.object, int(best))
	if e == nil {
		e = s.encode(c.object, best)
	}
	if e == nil || e.Body == nil {
		return nil
	}
	return e
}

// encode encodes a stored body and keeps the result; nil when too many others are being encoded.
func (s *Server) encode(o *cache.Object, c coding.Coding) *cache.Encoded {
	select {
	case s.encoder.slots <- struct{}{}:
		defer func() { <-s.encoder.slots }()
	default:
		return nil
	}
	src, err := s.store.Open(o, cache.All)
	if err != nil {
		return nil
	}
	defer src.Close()
	var buf bytes.Buffer
	w := s.encoder.pool.NewWriter(c, &buf)
	_, err = src.WriteTo(w)
	_ = w.Close() // to memory: never fails
	if err != nil {
		return nil
	}
	e := &cache.Encoded{}
	if int64(buf.Len()) < o.Size() {
		e.Body = bytes.Clone(buf.Bytes())
		e.ETag = coding.TagFor(o.Meta().ETag, c)
		e.Header = encodedHeader(o.Header(), e.ETag, c)
	}
	s.store.AddEncoded(o, int(c), e)
	return e
}

// encodedHeader makes the fields that go with an encoded body.
func encodedHeader(h httpcache.Header, etag string, c coding.Coding) httpcache.Header {
	b := make([]byte, 0, len(h)+64)
	for name, value := range h.All() {
		switch {
		case strings.EqualFold(name, "Accept-Ranges"), strings.EqualFold(name, "Content-Encoding"): // the latter is identity, if anything
		case strings.EqualFold(name, "ETag"):
			b = appendLine(b, name, etag)
		default:
			b = appendLine(b, name, value)
		}
	}
	b = appendLine(b, "Content-Encoding", c.String())
	return httpcache.Header(append(b, varyLine...))
}

const varyLine = "Vary: Accept-Encoding\r\n"

// sendEncoded answers with an encoded body, or says that the client has it.
func (s *Server) sendEncoded(r *request, c *content, e *cache.Encoded) {
	meta := *c.meta
	meta.ETag = e.ETag
	code := int(meta.Status)
	if httpcache.NotModified(&r.ask, &meta) {
		code = http.StatusNotModified
	}
	b := r.buf
	if code != http.StatusNotModified {
		b = append(b, e.Header...)
	} else {
		for name, value := range e.Header.All() {
			if !leftOut(name, code, r) {
				b = appendLine(b, name, value)
			}
		}
	}
	s.send(r, code, c.appendPassage(b, r, code))
	if code == http.StatusNotModified {
		s.finish(r, 0)
		return
	}
	s.sendBytes(r, e.Body)
}
