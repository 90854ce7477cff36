package scrubber

import (
	"math"
	"net/netip"
)

// Request is what limits look at. Nothing of it is kept.
type Request struct {
	Client netip.Addr               // see ClientAddr
	Site   string                   // the host of the site that it is for
	Path   []byte                   // as it came; what follows "?" does not count
	Header func(name string) []byte // the first value of a header field; nil stands for no fields
}

// matches reports whether the rule is about the request.
func (r *rule) matches(q *Request) bool {
	return (r.Match.Site == "" || r.Match.Site == q.Site) && (r.Match.Path == "" || hasPrefix(q.Path, r.Match.Path))
}

// class is the class of a path, counted from 1, and what a request for it costs; 0 and one unit when it has none.
func (r *rule) class(path []byte) (class int, cost int64) {
	for i := range r.classes {
		if p := &r.classes[i]; hasPrefix(path, p.path) {
			return p.class, p.cost
		}
	}
	return 0, 1
}

// key is the sum that stands for the request's key in a table; it is never 0.
func (r *rule) key(secret sipKey, q *Request, class int) uint64 {
	s := secret.start()
	for i := range r.Key {
		switch p := &r.Key[i]; p.From {
		case ByClient:
			p.hash(&s, q.Client)
		case BySite:
			s.word(text(secret, q.Site))
		case ByClass:
			s.word(uint64(class))
		case ByHeader:
			var value []byte
			if q.Header != nil {
				value = q.Header(p.Header)
			}
			s.word(text(secret, value))
		}
	}
	return max(1, s.sum(uint64(family(q.Client.Unmap()))))
}

// hash adds the bits of an address that count. Of one family and one rule all keys have the same number of words, so that the
// sum of a key need not cover its length, but the family.
func (p *Part) hash(s *sip, a netip.Addr) {
	hi, lo := halves(a)
	switch {
	case a.Is4() || a.Is4In6():
		s.word(lo & (math.MaxUint64 << (32 - p.V4)))
	case p.V6 <= 64:
		s.word(hi & (math.MaxUint64 << (64 - p.V6)))
	default:
		s.word(hi)
		s.word(lo & (math.MaxUint64 << (128 - p.V6)))
	}
}

// blocked is the prefix that a Block of the rule puts on the block list.
func (r *rule) blocked(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	for _, p := range r.Key {
		if p.From == ByClient {
			bits := p.V6
			if a.Is4() {
				bits = p.V4
			}
			prefix, _ := a.Prefix(bits) // the zero Prefix for an invalid address, which the list ignores
			return prefix
		}
	}
	return netip.Prefix{}
}

// hasPrefix reports whether the path of a request target, percent-decoded once and without its query, starts with prefix.
func hasPrefix(target []byte, prefix string) bool {
	i := 0
	for j := range len(prefix) {
		if i >= len(target) || target[i] == '?' || target[i] == '#' {
			return false
		}
		c := target[i]
		i++
		if c == '%' && i+1 < len(target) {
			if hi, lo := unhex(target[i]), unhex(target[i+1]); hi >= 0 && lo >= 0 {
				c = byte(hi<<4 | lo)
				i += 2
			}
		}
		if c != prefix[j] {
			return false
		}
	}
	return true
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
