package httpcache

// Stored is a stored response, for what may update it.
type Stored struct {
	Meta   *Meta
	Header Header
	Size   int64 // of its body
}

// Validators returns what a request upstream carries to validate the stored response (RFC 9111 §4.3.1): If-None-Match and
// If-Modified-Since, each "" when there is none.
func (s *Stored) Validators() (ifNoneMatch, ifModifiedSince string) {
	if s.Meta.LastModified != 0 {
		ifModifiedSince = s.Header.Get("Last-Modified")
	}
	return s.Meta.ETag, ifModifiedSince
}

// Freshen updates a stored response by a 304 that validated it (RFC 9111 §4.3.4). matched is false when the 304 is about
// another representation; the request must then be repeated without validators. The Admission is that of the updated
// response, whose Header is set even when it may not be kept any longer: it still answers the request that caused the
// validation.
func Freshen(s *Stored, a *Ask, r *Response, p *Policy) (adm Admission, matched bool) {
	if !s.selected(r.Header) {
		return Admission{}, false
	}
	return s.update(a, r, p), true
}

// selected reports whether a 304 is about the stored response: the strongest validator that it carries has to be the stored
// one, and one without validators is about what was asked (RFC 9111 §4.3.4). Entity tags are compared weakly, beyond what
// the RFC has: servers that compress on the fly make the tag of a 200 weak, that of a 304 not.
func (s *Stored) selected(h Header) bool {
	etag := h.Get("ETag")
	if etag != "" && s.Meta.ETag != "" {
		return weakMatch(etag, s.Meta.ETag)
	}
	if lm, ok := ParseDate(h.Get("Last-Modified")); ok {
		return lm == s.Meta.LastModified
	}
	return etag == ""
}

// FreshenByHead updates a stored response by the 200 response to a HEAD (RFC 9111 §4.3.5). matched is false when that shows
// the stored response to be outdated, which then is to be invalidated.
func FreshenByHead(s *Stored, a *Ask, r *Response, p *Policy) (adm Admission, matched bool) {
	if etag := r.Header.Get("ETag"); etag != "" && etag != s.Meta.ETag {
		return Admission{}, false
	}
	if lm, ok := ParseDate(r.Header.Get("Last-Modified")); ok && lm != s.Meta.LastModified {
		return Admission{}, false
	}
	if n, ok := parseOffset(r.Header.Get("Content-Length")); ok && n != s.Size {
		return Admission{}, false
	}
	return s.update(a, r, p), true
}

// update admits anew the stored response with the fields of a newer one (RFC 9111 §3.2).
func (s *Stored) update(a *Ask, r *Response, p *Policy) Admission {
	updated := *r
	updated.Status = int(s.Meta.Status)
	updated.Header = s.merge(r.Header)
	get := *a
	get.Method = MethodGet
	get.Cookie = false // what it is about is what others get
	f := readFields(updated.Header)
	adm := f.admit(&get, &updated, p)
	f.keep(&adm, &updated)
	return adm
}

// merge returns the fields of the newer response and those stored ones that it has none of (RFC 9111 §3.2). Its Date and Age
// are its own even if it has none: they say when it was made. A weak entity tag stays so: the bytes may not be those that a
// strong one stands for.
func (s *Stored) merge(newer Header) Header {
	keeps := func(name string) bool { return ofBody(name) || weak(s.Meta.ETag) && Fold(name, "ETag") }
	b := make([]byte, 0, len(s.Header)+len(newer))
	for name, value := range s.Header.All() {
		if keeps(name) || !newer.Has(name) && !Fold(name, "Date") {
			b = appendField(b, name, value)
		}
	}
	for name, value := range newer.All() {
		if !keeps(name) {
			b = appendField(b, name, value)
		}
	}
	return Header(b)
}

// ofBody reports whether a field describes the stored bytes, which a validation leaves as they are.
func ofBody(name string) bool {
	return Fold(name, "Content-Length") || Fold(name, "Content-Encoding") || Fold(name, "Content-Range")
}
