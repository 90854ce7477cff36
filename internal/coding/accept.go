package coding

import (
	"strings"

	"cdnlab/internal/httpcache"
)

// Accept is what a request's Accept-Encoding says (RFC 9110 §12.5.3). The zero value is that of a request without the field.
// Several field lines are one list: Add each.
type Accept struct {
	weights [codings]weight
	any     weight // of "*"
}

// weight is a qvalue in thousandths, plus one: 0 is none given.
type weight uint16

// lower keeps the lesser of the weights that a name has when it is listed twice. RFC 9110 does not say which counts; the
// lesser one never sends what the client might have forbidden, and is the same in any order.
func (w *weight) lower(to weight) {
	if *w == 0 || to < *w {
		*w = to
	}
}

// Add adds one field line. Members that are malformed (RFC 9110 §12.4.2, §12.5.3) or name a coding that is not ours count as
// absent.
func (a *Accept) Add(line string) {
	for line != "" {
		var member string
		member, line, _ = strings.Cut(line, ",")
		name, w := parseMember(member)
		switch c, known := Parse(name); {
		case w == 0:
		case known:
			a.weights[c].lower(w)
		case name == "*":
			a.any.lower(w)
		}
	}
}

// parseMember parses "name" or "name;q=0.5"; the weight is 0 when the member is malformed.
func parseMember(s string) (name string, w weight) {
	name, q, weighted := strings.Cut(s, ";")
	name = strings.Trim(name, " \t")
	if !weighted {
		return name, 1001
	}
	q = strings.Trim(q, " \t")
	if len(q) < 3 || !httpcache.Fold(q[:2], "q=") {
		return name, 0
	}
	n, ok := httpcache.ParseWeight(q[2:])
	if !ok {
		return name, 0
	}
	return name, weight(n) + 1
}

// Best returns the coding of the set that the client prefers: the one of the greatest weight, among equals the first of br,
// zstd, gzip, identity. "*" stands for the codings that are not listed; weight 0 forbids.
//
// Identity is what remains. A request without the field would take any coding (RFC 9110 §12.5.3), but clients that say
// nothing are mostly those that decode nothing. When even identity is forbidden ("identity;q=0", "*;q=0") and nothing else
// fits, the answer is still Identity: a server may disregard the field rather than send 406 (§12.4.1), and at an edge an
// error in place of a response that the origin gave would serve nobody.
func (a *Accept) Best(of Set) Coding {
	best, most := Identity, max(a.weight(Identity), 1)
	for c := Identity + 1; c < codings; c++ {
		if w := a.weight(c); of.Has(c) && w > 1 && w >= most {
			best, most = c, w
		}
	}
	return best
}

// weight returns what the coding is worth to the client: its own weight, else that of "*".
func (a *Accept) weight(c Coding) weight {
	if w := a.weights[c]; w != 0 {
		return w
	}
	return a.any
}

// Negotiate returns the coding of the set for a request with these Accept-Encoding lines; see [Accept.Best].
func Negotiate(of Set, lines ...string) Coding {
	var a Accept
	for _, line := range lines {
		a.Add(line)
	}
	return a.Best(of)
}

// Class maps Accept-Encoding lines to one of at most four canonical values: "br", "zstd", "gzip" or "identity". A cache that
// keys variants on the class, in place of the field, keeps as many as there are codings and not as many as there are browsers.
// The class must then also be the Accept-Encoding of the request upstream: what the origin selects by a field that the key
// does not tell apart would go to the wrong clients.
func Class(of Set, lines ...string) string { return Negotiate(of, lines...).String() }
