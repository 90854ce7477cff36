package httpcache

import (
	"slices"
	"time"

	"cdnlab/topology"
)

// Policy is what a site decides about the storing of its responses.
type Policy struct {
	TTL          time.Duration          // freshness of a response below 400 that states none; 0 leaves it to the heuristic of RFC 9111 §4.2.2
	StaleIfError time.Duration          // for responses without stale-if-error of their own; 0 never
	Negative     []topology.NegativeTTL // of errors that state no freshness
	Vary         string                 // what tells all responses of the site apart, beside what they say themselves; see VaryOf
	ShareCookies bool                   // store what sets a cookie, or answers a request with one, even when it does not say that it may be shared
}

// PolicyOf is what a site's options decide.
func PolicyOf(c *topology.SiteCache) Policy {
	return Policy{TTL: c.TTL, StaleIfError: c.StaleIfError, ShareCookies: c.ShareCookies, Negative: c.Negative, Vary: VaryOf(c.Headers, c.Cookies)}
}

// Response is a response as it came from upstream.
type Response struct {
	Status       int
	Header       Header // all fields, hop-by-hop ones included
	RequestTime  int64  // when the request for it was sent
	ResponseTime int64  // when its header section had arrived
}

// Admission says whether a response may be stored and as what.
type Admission struct {
	Stored bool
	Meta   Meta   // valid even when the response is not stored
	Header Header // the fields to store, and to serve later with an Age of their own; empty when the response is not stored
	Once   Header // the fields that no-cache="…" or private="…" name: not stored, for the request that brought them alone
	Detail string // why the response is not stored, in plain words, for Cache-Status
}

// Admit decides whether a shared cache may store the response to a request (RFC 9111 §3) and what it means.
func Admit(a *Ask, r *Response, p *Policy) Admission {
	f := readFields(r.Header)
	adm := f.admit(a, r, p)
	if adm.Stored {
		f.keep(&adm, r)
	}
	return adm
}

// admit decides without making the header to store.
func (f *fields) admit(a *Ask, r *Response, p *Policy) Admission {
	vary := ""
	if f.varies {
		vary = ParseVary(r.Header)
	}
	adm := Admission{Meta: f.meta(r, p, MergeVary(vary, p.Vary))}
	adm.Detail = f.refusal(a, r.Status, p, &adm.Meta)
	adm.Stored = adm.Detail == ""
	return adm
}

// refusal says why the response may not be stored; "" when it may.
func (f *fields) refusal(a *Ask, status int, p *Policy, m *Meta) string {
	validator := f.etag != "" || f.lastModified != 0
	switch {
	case a.Method != MethodGet:
		return "only responses to GET are stored"
	case a.NoStore:
		return "the request says no-store"
	case !storable(status):
		return "a response of this status is about one request and never stored"
	case f.mustUnderstand && !understood(status):
		return "the response says must-understand and has an unknown status"
	case f.noStore && !f.mustUnderstand:
		return "the response says no-store"
	case f.private:
		return "the response says private"
	case m.Vary == VaryAny:
		return "the response says Vary: *"
	case a.Authorization && !f.public && f.sMaxAge < 0 && !f.mustRevalidate:
		return "the request carries Authorization and the response does not say public"
	case f.cookies && !f.shared() && !p.ShareCookies && !f.unlists("Set-Cookie"):
		return "the response sets a cookie and does not say public"
	case a.Cookie && (m.Source >= SourcePolicy || m.Lifetime <= 0) && !f.shared() && !p.ShareCookies && !variesByCookie(m.Vary):
		return "the request carries a cookie and the response does not say how long it is fresh" // it may be one user's page (web cache deception)
	case m.NoCache && !validator:
		return "the response says no-cache and has no ETag or Last-Modified"
	case m.Source == SourceNone && !heuristic(status):
		return "the response does not say how long it is fresh"
	case m.Source == SourceNone && !validator:
		return "the response does not say how long it is fresh and has no ETag or Last-Modified"
	}
	return ""
}

// shared reports whether the response says that it is meant for shared caches.
func (f *fields) shared() bool { return f.public || f.sMaxAge >= 0 || f.targeted }

// storable reports whether a response of the status may be stored at all. Beside what RFC 9111 §3 leaves out (interim and
// partial responses, 304) these are the errors which say that this one request was at fault or came at the wrong time:
// stored, they would be served to requests that are not.
func storable(status int) bool {
	switch status {
	case 206, 304, 401, 407, 408, 412, 413, 416, 417, 421, 425, 426, 428, 429, 431, 511:
		return false
	}
	return status >= 200
}

// understood reports whether we know the caching requirements of the status (RFC 9111 §5.2.2.3).
func understood(status int) bool {
	switch status {
	case 200, 201, 202, 203, 204, 205, 300, 301, 302, 303, 307, 308, 400, 402, 403, 404, 405, 406, 409, 410, 411, 414, 415, 422, 451,
		500, 501, 502, 503, 504, 505:
		return true
	}
	return false
}

// keep makes the header to store (RFC 9111 §3.1).
func (f *fields) keep(adm *Admission, r *Response) {
	var room [1 << 10]byte // for most: what is stored is then allocated once, and no longer than it is
	b := room[:0]
	for name, value := range r.Header.All() {
		switch {
		case f.drops(name):
		case f.unlists(name):
			adm.Once = Header(appendField([]byte(adm.Once), name, value))
		default:
			b = appendField(b, name, value)
		}
	}
	if !f.dated {
		b = append(AppendDate(append(b, "Date: "...), adm.Meta.Date), "\r\n"...)
	}
	adm.Header = Header(b)
	adm.Meta.ETag = adm.Header.Get("ETag") // so that the Meta does not hold on to all of the response's header
}

// drops reports whether a field is neither stored nor passed on as it came.
func (f *fields) drops(name string) bool {
	if HopByHop(name) || ofOnePassage(name) || !f.dated && Fold(name, "Date") {
		return true
	}
	for _, value := range f.connection {
		if listHas(value, name) {
			return true
		}
	}
	return false
}

// unlists reports whether a qualified directive names the field (RFC 9111 §5.2.2.4, §5.2.2.7).
func (f *fields) unlists(name string) bool {
	return slices.ContainsFunc(f.unlisted, func(n string) bool { return Fold(n, name) })
}

// ofOnePassage reports whether a field is about one passage of the response rather than about the response: framing and Age,
// which are made anew, and what each tier says about its own handling.
func ofOnePassage(name string) bool {
	switch len(name) {
	case 3:
		return Fold(name, "Age")
	case 7:
		return Fold(name, "X-Cache")
	case 12:
		return Fold(name, "Cache-Status") || Fold(name, "X-Request-Id") || cdnlab(name)
	case 13:
		return Fold(name, "Server-Timing") || cdnlab(name)
	case 14:
		return Fold(name, "Content-Length") || cdnlab(name)
	}
	return cdnlab(name)
}

func cdnlab(name string) bool { return len(name) > 7 && Fold(name[:7], "Cdnlab-") }
