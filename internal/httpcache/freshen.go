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
	if s.Meta.ETag != "" {
		if etag := r.Header.Get("ETag"); etag != "" && !weakMatch(etag, s.Meta.ETag) {
			return Admission{}, false
		}
	} else if lm, ok := ParseDate(r.Header.Get("Last-Modified")); ok && lm != s.Meta.LastModified {
		return Admission{}, false
	}
	return s.update(a, r, p), true
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
	updated.Header = merge(s.Header, r.Header)
	get := *a
	get.Method = MethodGet
	f := readFields(updated.Header)
	adm := f.admit(&get, &updated, p)
	f.keep(&adm, &updated)
	return adm
}

// merge returns the fields of the newer response and those stored ones that it has none of (RFC 9111 §3.2). Its Date and Age
// are its own even if it has none: they say when it was made.
func merge(stored, newer Header) Header {
	b := make([]byte, 0, len(stored)+len(newer))
	for name, value := range stored.All() {
		if ofBody(name) || !newer.Has(name) && !fold(name, "Date") {
			b = appendField(b, name, value)
		}
	}
	for name, value := range newer.All() {
		if !ofBody(name) {
			b = appendField(b, name, value)
		}
	}
	return Header(b)
}

// ofBody reports whether a field describes the stored bytes, which a validation leaves as they are.
func ofBody(name string) bool {
	return fold(name, "Content-Length") || fold(name, "Content-Encoding") || fold(name, "Content-Range")
}
