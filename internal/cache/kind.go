package cache

import (
	"strings"
	"sync"
	"time"

	"cdnlab/internal/httpcache"
)

// kind is what many stored responses have in common. It is in memory once for all of them.
type kind struct {
	traits
	pieces []string // of the skeleton: what comes before each value that is a response's own, and after the last
}

// traits tell kinds apart.
type traits struct {
	skeleton             string // the header section, with a NUL in the place of each value that is a response's own
	revalidating, erring time.Duration
	status               uint16
	source               httpcache.Source
	flags                uint8
}

func newKind(t traits) *kind { return &kind{t, strings.Split(t.skeleton, "\x00")} }

// whole is the skeleton of a header section that has nothing in common with others.
const whole = "\x00"

// appendHeader appends the header section of a response. Of its own values each but the last comes after its length.
func (k *kind) appendHeader(dst []byte, values string) []byte {
	dst = append(dst, k.pieces[0]...)
	for i, after := range k.pieces[1:] {
		value := values
		if i+2 < len(k.pieces) {
			size, n := uvarint(values)
			value, values = values[n:n+size], values[n+size:]
		}
		dst = append(append(dst, value...), after...)
	}
	return dst
}

// uvarint reads what binary.AppendUvarint has written.
func uvarint(s string) (v, n int) {
	for shift := 0; ; shift += 7 {
		c := s[n]
		n++
		v |= int(c&0x7f) << shift
		if c < 0x80 {
			return v, n
		}
	}
}

// kinds knows the kinds of the responses of a store.
type kinds struct {
	most int // that are known at a time

	mu               sync.Mutex // guards the fields below
	known            map[traits]*kind
	asked            int // since there were none
	skeleton, values []byte
	again            []byte
}

// Bounds of what is shared. Kinds are not accounted: these see to it that they are few for the objects that there are.
const (
	maxSkeleton   = 1 << 10
	bytesPerKind  = 64 << 10 // of a store's budget
	askedPerKind  = 64       // objects for each kind that is known, before the kinds of a full table give way to those of today
	leastKinds    = 16
	mostKindsEver = 1 << 12
)

func newKinds(budget int64) *kinds {
	return &kinds{most: int(min(max(budget/bytesPerKind, leastKinds), mostKindsEver)), known: map[traits]*kind{}}
}

// of returns the kind of a response, and the text that its object keeps: the key and the values that are its own.
func (ks *kinds) of(key string, h httpcache.Header, m *httpcache.Meta) (*kind, string) {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	ks.asked++
	t := traits{revalidating: m.StaleWhileRevalidate, erring: m.StaleIfError, status: m.Status, source: m.Source, flags: flagsOf(m)}
	ks.split(h)
	t.skeleton = text(ks.skeleton)
	if len(t.skeleton) > maxSkeleton || strings.Contains(string(h), "\x00") {
		t.skeleton = whole
	}
	if k := ks.shared(t); k != nil && t.skeleton != whole {
		if ks.again = k.appendHeader(ks.again[:0], text(ks.values)); string(ks.again) == string(h) {
			return k, key + text(ks.values)
		}
	}
	t.skeleton = whole
	if k := ks.shared(t); k != nil {
		return k, key + string(h)
	}
	return newKind(t), key + string(h)
}

// split sets the skeleton and the values of a header section.
func (ks *kinds) split(h httpcache.Header) {
	s, v := ks.skeleton[:0], ks.values[:0]
	own, before := 0, ""
	for name, value := range h.All() {
		s = append(append(s, name...), ": "...)
		if common(name) {
			s = append(s, value...)
		} else {
			if own++; own > 1 {
				v = appendText(v, before)
			}
			s, before = append(s, 0), value
		}
		s = append(s, "\r\n"...)
	}
	ks.skeleton, ks.values = s, append(v, before...)
}

// shared returns the one kind with these traits; nil when too many are known.
func (ks *kinds) shared(t traits) *kind {
	if k, ok := ks.known[t]; ok {
		return k
	}
	most := ks.most
	if t.skeleton == whole {
		most *= 2 // there are fewer of those
	}
	if len(ks.known) >= most {
		if ks.asked < askedPerKind*ks.most {
			return nil
		}
		clear(ks.known)
		ks.asked = 0
	}
	t.skeleton = strings.Clone(t.skeleton)
	k := newKind(t)
	ks.known[t] = k
	return k
}

// commonFields are those whose values many responses share, by the lengths of their names.
var commonFields = func() (byLength [40][]string) {
	for _, name := range strings.Fields(`
		Accept-Ranges Access-Control-Allow-Credentials Access-Control-Allow-Headers Access-Control-Allow-Methods Access-Control-Allow-Origin
		Access-Control-Expose-Headers Access-Control-Max-Age Alt-Svc Cache-Control CDN-Cache-Control Content-Encoding Content-Language
		Content-Security-Policy Content-Type Cross-Origin-Embedder-Policy Cross-Origin-Opener-Policy Cross-Origin-Resource-Policy NEL
		Permissions-Policy Pragma Referrer-Policy Report-To Reporting-Endpoints Server Strict-Transport-Security Surrogate-Control
		Timing-Allow-Origin Vary Via X-Content-Type-Options X-Frame-Options X-Powered-By X-XSS-Protection`) {
		byLength[len(name)] = append(byLength[len(name)], name)
	}
	return byLength
}()

func common(name string) bool {
	if len(name) >= len(commonFields) {
		return false
	}
	for _, c := range commonFields[len(name)] {
		if httpcache.Fold(c, name) {
			return true
		}
	}
	return false
}
