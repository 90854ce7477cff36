package topology

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// choice is a word out of a few.
type choice struct {
	mark
	i int // index in the words
}

func (c *choice) pick(text string, words []string) error {
	if c.i = slices.Index(words, text); c.i >= 0 {
		return nil
	}
	c.i = 0
	return fmt.Errorf("unknown value %q%s", text, choiceHint(text, words))
}

func choiceHint(text string, words []string) string {
	if hint := didYouMean(text, words); hint != "" {
		return hint
	}
	return "; it is " + orList(words)
}

func orList(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

func choiceSchema(words []string) object { return object{"type": "string", "enum": words} }

// version is the version of the format.
type version struct{ choice }

var versions = []string{"1"}

func (v *version) parse(text string) error {
	if v.pick(text, versions) != nil {
		return fmt.Errorf("unknown version %q; this cdnlab reads %s", text, orList(versions))
	}
	return nil
}
func (*version) what() string   { return "the number " + orList(versions) }
func (*version) schema() object { return object{"type": "integer", "enum": []int{1}} }

// queryRule writes a QueryRule.
type queryRule struct{ choice }

var queryRules = []string{QueryKeep: "keep", QuerySort: "sort", QueryDrop: "drop"}

func (q *queryRule) parse(text string) error { return q.pick(text, queryRules) }
func (*queryRule) what() string              { return orList(queryRules) }
func (*queryRule) schema() object            { return choiceSchema(queryRules) }

// accessKind writes an AccessKind.
type accessKind struct{ choice }

var accessKinds = []string{AccessPublic: "public", AccessToken: "token", AccessSigned: "signed"}

func (a *accessKind) parse(text string) error { return a.pick(text, accessKinds) }
func (*accessKind) what() string              { return orList(accessKinds) }
func (*accessKind) schema() object            { return choiceSchema(accessKinds) }

// scheme is what X-Forwarded-Proto says; the zero value leaves it to the client.
type scheme struct {
	choice
	v string
}

var schemes = []string{"http", "https"}

func (s *scheme) parse(text string) error {
	if err := s.pick(text, schemes); err != nil {
		return err
	}
	s.v = text
	return nil
}
func (*scheme) what() string   { return orList(schemes) }
func (*scheme) schema() object { return choiceSchema(schemes) }

// store is where an origin of the project's own keeps its objects.
type store struct{ choice }

var stores = []string{"builtin"}

func (s *store) parse(text string) error {
	if strings.HasPrefix(text, "s3:") {
		return fmt.Errorf("%q is not known yet: stores in S3 come with a later version", text)
	}
	return s.pick(text, stores)
}
func (*store) what() string   { return orList(stores) }
func (*store) schema() object { return choiceSchema(stores) }

// hostRule is "preserve" or a host name.
type hostRule struct {
	mark
	v string // empty preserves
}

func (h *hostRule) parse(text string) error {
	if h.v = ""; text == "preserve" {
		return nil
	}
	name, port, hasPort := strings.Cut(text, ":")
	if err := checkHost(strings.ToLower(name)); err != nil {
		return err
	}
	if hasPort && !isPort(port) {
		return fmt.Errorf("%q has port %q; ports go from 1 to 65535", text, port)
	}
	h.v = text
	return nil
}
func (*hostRule) what() string   { return "preserve, or a host name such as app.internal" }
func (*hostRule) schema() object { return object{"type": "string"} }

// urlPrefix is the beginning of a URL's path.
type urlPrefix struct {
	mark
	v string
}

func (p *urlPrefix) parse(text string) error {
	if p.v = text; !strings.HasPrefix(text, "/") || strings.ContainsAny(text, "?#") {
		return fmt.Errorf("%q is not the beginning of a path; it starts with / and has neither ? nor #", text)
	}
	return nil
}
func (*urlPrefix) what() string   { return "the beginning of a path such as /private/" }
func (*urlPrefix) schema() object { return object{"type": "string", "pattern": "^/[^?#]*$"} }

// parameter is the name of a parameter of a query, or the beginning of names.
type parameter struct{ word }

func (p *parameter) parse(text string) error {
	if p.v = text; text == "" || strings.ContainsAny(strings.TrimSuffix(text, "*"), "*&=#;% ") {
		return fmt.Errorf("%q is not the name of a parameter; write it as in the URL, perhaps with one * at its end", text)
	}
	return nil
}
func (*parameter) what() string { return "the name of a parameter such as page or utm_*" }
func (*parameter) schema() object {
	return object{"type": "string", "pattern": "^[^*&=#;% ]+[*]?$|^[*]$"}
}

// keyHeader is a request header that belongs to the cache key.
type keyHeader struct{ word }

// noKeyHeaders are the headers that must not belong to it, and why.
var noKeyHeaders = map[string]string{
	"host": "the key has the site", "range": "the cache cuts ranges itself", "cookie": "name cookies in cookies", "accept-encoding": "a response that depends on it says so in Vary",
	"cache-control": "it is for the cache", "pragma": "it is for the cache", "connection": "it is about one connection", "transfer-encoding": "it is about one message", "content-length": "it is about one message",
}

func (h *keyHeader) parse(text string) error {
	h.v = strings.ToLower(text)
	why, no := noKeyHeaders[h.v]
	switch {
	case text == "" || strings.Trim(h.v, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "":
		return fmt.Errorf("%q is not the name of a header", text)
	case no:
		return fmt.Errorf("%s cannot belong to the cache key: %s", text, why)
	case strings.HasPrefix(h.v, "if-"):
		return fmt.Errorf("%s cannot belong to the cache key: the cache answers preconditions itself", text)
	}
	return nil
}
func (*keyHeader) what() string   { return "the name of a header such as X-Tenant" }
func (*keyHeader) schema() object { return object{"type": "string", "pattern": "^[A-Za-z0-9_-]+$"} }

// cookieName is the name of a cookie (RFC 6265 §4.1.1).
type cookieName struct{ word }

func (c *cookieName) parse(text string) error {
	if c.v = text; text == "" || strings.ContainsAny(text, " \t,;=\"()<>@:\\/[]?{}") {
		return fmt.Errorf("%q is not the name of a cookie", text)
	}
	return nil
}
func (*cookieName) what() string   { return "the name of a cookie" }
func (*cookieName) schema() object { return object{"type": "string", "minLength": 1} }

// errorStatus is a status of errors, or a class of them.
type errorStatus struct {
	mark
	from, to int
}

func (e *errorStatus) parse(text string) error {
	if class := strings.TrimSuffix(text, "xx"); class == "4" || class == "5" {
		e.from = int(class[0]-'0') * 100
		e.to = e.from + 99
		return nil
	}
	n, err := strconv.Atoi(text)
	if e.from, e.to = n, n; err != nil || n < 400 || n > 599 {
		return fmt.Errorf("%q is not the status of an error; it is 400 to 599, 4xx or 5xx", text)
	}
	return nil
}
func (*errorStatus) what() string { return "a status of 400 to 599, 4xx or 5xx" }
func (*errorStatus) schema() object {
	return object{"type": "string", "pattern": "^([45][0-9][0-9]|[45]xx)$"}
}

// recordName is a name relative to the zone.
type recordName struct {
	mark
	v string
}

func (r *recordName) parse(text string) error {
	r.v = strings.ToLower(text)
	if r.v == "@" {
		return nil
	}
	for l := range strings.SplitSeq(r.v, ".") {
		if !isLabel(l, true) {
			return fmt.Errorf("%q is not a name below the zone, such as info or _dmarc, nor @ for the zone itself", text)
		}
	}
	return nil
}
func (*recordName) what() string { return "a name below the zone" }
func (*recordName) schema() object {
	return object{"type": "string", "pattern": `^(@|[A-Za-z0-9_.-]+)$`}
}

// target is a host name that a record points to. A name without a dot is below the zone.
type target struct{ host }

// mx is a mail exchange, written as in a zone file: "10 mail.cdn.test".
type mx struct {
	target
	preference uint16
}

func (x *mx) parse(text string) error {
	var preference uint16
	var name string
	if n, err := fmt.Sscanf(text, "%d %s", &preference, &name); err != nil || n != 2 || len(strings.Fields(text)) != 2 {
		return fmt.Errorf(`%q is not a preference from 0 to 65535 and a host, such as "10 mail.cdn.test"`, text)
	}
	x.preference = preference
	return x.target.parse(name)
}
func (*mx) what() string   { return `a preference and a host such as "10 mail.cdn.test"` }
func (*mx) schema() object { return object{"type": "string", "pattern": "^[0-9]+ +[^ ]+$"} }

// onOff is a switch.
type onOff struct {
	mark
	v bool
}

func (o *onOff) parse(text string) error {
	switch text {
	case "on", "true":
		o.v = true
	case "off", "false":
		o.v = false
	default:
		return fmt.Errorf("unknown value %q; it is on or off", text)
	}
	return nil
}

func (*onOff) what() string   { return "on or off" }
func (*onOff) schema() object { return object{"type": []string{"string", "boolean"}} }

// admission says what a cache takes in: a word, or one with the amount that it is about.
type admission struct {
	mark
	v Admission
}

// admissions are the rules that are a word; the first is the default.
var admissions = []string{"always", "second-hit", "leave-copy-down"}

const (
	admitSize  = "size"        // up to a length
	admitShare = "probability" // by chance
)

func (a *admission) parse(text string) error {
	a.v = Admission{}
	rule, amount, more := strings.Cut(text, " ")
	switch {
	case !more && slices.Contains(admissions, text):
	case more && rule == admitSize:
		v, err := sizes.parse(amount)
		if err != nil {
			return err
		}
		if a.v.Size = Bytes(v); a.v.Size == 0 {
			return errors.New("a cache that takes in no byte is written ram: 0")
		}
	case more && rule == admitShare:
		if p, err := strconv.ParseFloat(amount, 64); err == nil && p > 0 && p <= 1 {
			return fmt.Errorf("%q has no unit; write probability %g%%", text, 100*p)
		}
		v, err := ParseShare(amount)
		if err != nil {
			return err
		}
		a.v.Probability = v
	default:
		return fmt.Errorf("unknown value %q%s", text, choiceHint(text, []string{"always", "second-hit", "leave-copy-down", "size 1MiB", "probability 10%"}))
	}
	a.v.Rule = rule
	return nil
}

func (*admission) what() string {
	return orList(admissions) + ", a size such as size 1MiB, or a chance such as probability 10%"
}

func (*admission) schema() object {
	amount := func(q quantity) string { return strings.TrimSuffix(strings.TrimPrefix(q.pattern(), "^"), "$") }
	return object{"type": "string", "pattern": "^(" + strings.Join(admissions, "|") + "|" + admitSize + " " + amount(sizes) + "|" + admitShare + " " + amount(shares) + ")$"}
}

// eviction is the name of an eviction policy.
type eviction struct{ choice }

// evictions are the names of the policies; the first is the default.
var evictions = []string{"lru", "lfu", "fifo", "ttl", "random", "s3fifo", "sieve", "wtinylfu", "gdsf"}

func (e *eviction) parse(text string) error { return e.pick(text, evictions) }
func (*eviction) what() string              { return orList(evictions) }
func (*eviction) schema() object            { return choiceSchema(evictions) }
func (e *eviction) name() string            { return evictions[e.i] }
