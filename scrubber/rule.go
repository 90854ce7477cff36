package scrubber

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Response is what becomes of a request over the limit.
type Response uint8

// The responses.
const (
	Reject Response = iota // 429
	Delay                  // held back until the limit has room, at most MaxDelay; then 429
	Block                  // 429, and the client's address is on the block list for BlockFor
	numResponses
)

var responseNames = [numResponses]string{"reject", "delay", "block"}

// String gives the lower-case name.
func (r Response) String() string {
	if r >= numResponses {
		return fmt.Sprintf("Response(%d)", uint8(r))
	}
	return responseNames[r]
}

// Rule limits some requests. The zero value of every field but Name, Rate and Per is a sensible default.
type Rule struct {
	Name  string // letters, digits, "-", "_" and "."; 64 at most
	Match Match
	Limit // for each key
	// Key says what shares a limit; the client's address when empty.
	Key []Part
	// Classes are the paths that do not cost one unit. The longest prefix that fits decides.
	Classes  []Class
	Response Response
	BlockFor time.Duration // with Block alone
}

// Match chooses requests; what is empty fits all.
type Match struct {
	Site string // a site's host as the topology has it
	Path string // a prefix of the path
}

// Class is a set of paths, given by prefixes. A prefix is compared with the path after percent-decoding it once and without
// its query, so that no spelling of a path evades it; dots and double slashes are what they are, as in the cache key.
type Class struct {
	Name     string
	Prefixes []string
	Cost     int64 // units; 0 is free
}

// Source is what a part of a key is taken from.
type Source uint8

// The sources.
const (
	ByClient Source = iota // the client's address, cut to Part.V4 or Part.V6 bits
	BySite                 // the site
	ByClass                // the class of the path; all paths without one are alike
	ByHeader               // the first value of a header field; absent and empty are alike
	numSources
)

// Part is a part of a key. Requests share a limit when all parts of their keys are equal.
type Part struct {
	From   Source
	V4, V6 int    // bits of an address that count: 0 stands for 32 and 64, since whoever has an IPv6 address has its /64
	Header string // the field's name
}

// maxParts bounds the parts of a key.
const maxParts = 4

// faults lists what is wrong with the rule beside its limit.
func (r *Rule) faults() (faults []error) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if !isName(r.Name) {
		fault("name: %q is not 1 to 64 letters, digits, \"-\", \"_\" and \".\"", r.Name)
	}
	if p := r.Match.Path; p != "" && p[0] != '/' {
		fault("match: path %q does not start with /", p)
	}
	if r.Response >= numResponses {
		fault("response: %v does not exist", r.Response)
	}
	if (r.Response == Delay) != (r.MaxDelay > 0) {
		fault("delay: %v does not go with the response %v: one needs the other", r.MaxDelay, r.Response)
	}
	if (r.Response == Block) != (r.BlockFor > 0) {
		fault("block: %v does not go with the response %v: one needs the other", r.BlockFor, r.Response)
	}
	if r.BlockFor < 0 || r.BlockFor > MaxBlock {
		fault("block: %v is not between 0 and %v", r.BlockFor, MaxBlock)
	}
	if len(r.Key) > maxParts {
		fault("key: %d parts are more than %d", len(r.Key), maxParts)
	}
	for _, p := range r.Key {
		faults = append(faults, p.faults()...)
	}
	if r.Response == Block && len(r.Key) > 0 && !slices.ContainsFunc(r.Key, func(p Part) bool { return p.From == ByClient }) {
		fault("key: without the client there is no address to block")
	}
	for _, c := range r.Classes {
		faults = append(faults, c.faults()...)
	}
	return faults
}

func (p Part) faults() (faults []error) {
	if p.From >= numSources {
		faults = append(faults, fmt.Errorf("key: Source(%d) does not exist", p.From))
	}
	if p.V4 < 0 || p.V4 > 32 || p.V6 < 0 || p.V6 > 128 {
		faults = append(faults, fmt.Errorf("key: /%d and /%d are no prefix lengths of IPv4 and IPv6", p.V4, p.V6))
	}
	if p.From != ByClient && (p.V4 != 0 || p.V6 != 0) {
		faults = append(faults, errors.New("key: prefix lengths are for the client alone"))
	}
	if (p.From == ByHeader) != (p.Header != "") {
		faults = append(faults, fmt.Errorf("key: header %q: a part from a header names it, and no other does", p.Header))
	}
	return faults
}

func (c Class) faults() (faults []error) {
	if c.Cost < 0 || c.Cost > MaxCost {
		faults = append(faults, fmt.Errorf("class %s: cost %d is not between 0 and %d", c.Name, c.Cost, MaxCost))
	}
	for _, p := range c.Prefixes {
		if p == "" || p[0] != '/' {
			faults = append(faults, fmt.Errorf("class %s: path %q does not start with /", c.Name, p))
		}
	}
	return faults
}

func isName(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.", r))
	})
}

// rule is a Rule made ready for requests.
type rule struct {
	Rule
	law     law
	classes []prefix // the longest first
	policy  string   // of RateLimit-Policy
}

// prefix is one prefix of a class.
type prefix struct {
	path  string
	class int // counted from 1: 0 is the class of all other paths
	cost  int64
}

// newRule checks a rule. The error names the rule and every fault.
func newRule(r Rule) (rule, error) {
	w, err := newLaw(r.Limit)
	if err := errors.Join(append(r.faults(), err)...); err != nil {
		return rule{}, fmt.Errorf("rule %s: %w", r.Name, err)
	}
	if len(r.Key) == 0 {
		r.Key = []Part{{From: ByClient}}
	}
	r.Key = slices.Clone(r.Key)
	for i := range r.Key {
		if p := &r.Key[i]; p.From == ByClient {
			p.V4, p.V6 = cmp.Or(p.V4, 32), cmp.Or(p.V6, 64)
		}
	}
	ready := rule{Rule: r, law: w, policy: w.policy(r.Name)}
	for i, c := range r.Classes {
		if w.Algorithm != LeakyBucket && c.Cost > w.quota {
			return rule{}, fmt.Errorf("rule %s: class %s: cost %d is more than the limit ever allows, %d", r.Name, c.Name, c.Cost, w.quota)
		}
		for _, p := range c.Prefixes {
			ready.classes = append(ready.classes, prefix{p, i + 1, c.Cost})
		}
	}
	slices.SortStableFunc(ready.classes, func(a, b prefix) int { return len(b.path) - len(a.path) })
	return ready, nil
}
