package topology

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limit is a rate limit that every edge applies; Limiter, Response and Key are spelled as in a file.
type Limit struct {
	Name     string
	Limiter  string
	Rate     int64 // units
	Per      time.Duration
	Burst    int64 // 0 is Rate
	Key      []KeyPart
	Site     string // "" is all
	Path     string // prefix; "" is all
	Classes  []PathClass
	Response string
	MaxDelay time.Duration // of the response delay
	BlockFor time.Duration // of the response block
}

// KeyPart is one of the things that requests of the same key have in common.
type KeyPart struct {
	From   string // "client", "site", "class" or "header"
	V4, V6 int    // bits of a client's address that count; 0 is 32 and 64
	Header string // of From "header"
}

// PathClass is paths, by prefixes, that cost the same.
type PathClass struct {
	Name  string
	Paths []string
	Cost  int64 // units; 0 is free
}

type limitEntry struct {
	mark
	Rate     perTime                  `key:"rate" need:"yes" doc:"What is allowed for each key, such as 100/s, 600/m or 1000/h."`
	Burst    count                    `key:"burst" min:"1" max:"1000000000" doc:"Size of the bucket, or of the queue, for the limiters that have one. Default: the number of the rate."`
	Limiter  limiter                  `key:"limiter" default:"sliding-counter" doc:"How the rate is held."`
	Key      list[keyPart]            `key:"key" doc:"What shares a limit: client, client/24, client/24/48 (IPv4 and IPv6), site, class, header:NAME; several make a combination. Default: client."`
	Site     host                     `key:"site" doc:"Site that it is about. Default: all."`
	Path     urlPrefix                `key:"path" doc:"Beginning of the paths that it is about. Default: all."`
	Classes  table[label, classEntry] `key:"classes" doc:"Paths that do not cost one unit each."`
	Response limitResponse            `key:"response" default:"reject" doc:"What becomes of a request over the limit: refused, held back, or refused and its client blocked for a time."`
	MaxDelay duration                 `key:"max_delay" min:"1ms" max:"1m" doc:"With delay: how long a request may be held back before it is refused. Default: 1s."`
	BlockFor duration                 `key:"block_for" min:"1s" max:"366d" doc:"With block: for how long. Default: 1m."`
}

type classEntry struct {
	mark
	Paths list[urlPrefix] `key:"paths" need:"yes" doc:"Beginnings of the paths."`
	Cost  count           `key:"cost" need:"yes" max:"1000" doc:"Units that a request costs; 0 is free."`
}

// limiter is the name of a limiter.
type limiter struct{ choice }

var limiters = []string{"sliding-counter", "sliding-log", "fixed-window", "token-bucket", "leaky-bucket"}

func (l *limiter) parse(text string) error { return l.pick(text, limiters) }
func (*limiter) what() string              { return orList(limiters) }
func (*limiter) schema() object            { return choiceSchema(limiters) }

// limitResponse is what becomes of a request over a limit.
type limitResponse struct{ choice }

var limitResponses = []string{"reject", "delay", "block"}

func (r *limitResponse) parse(text string) error { return r.pick(text, limitResponses) }
func (*limitResponse) what() string              { return orList(limitResponses) }
func (*limitResponse) schema() object            { return choiceSchema(limitResponses) }

// perTime is a number per second, minute or hour.
type perTime struct {
	mark
	n   int64
	per time.Duration
}

func (p *perTime) parse(text string) error {
	number, unit, ok := strings.Cut(text, "/")
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	switch {
	case strings.HasPrefix(text, "-"):
		return fmt.Errorf("%q is negative; it wants %s", text, p.what())
	case err != nil:
		return fmt.Errorf("%q is not %s", text, p.what())
	case !ok:
		return fmt.Errorf("%q has no unit; write %s/s, %s/m or %s/h", text, text, text, text)
	case n < 1 || n > 1_000_000_000:
		return fmt.Errorf("%q is out of range; it is from 1 to 1000000000", text)
	}
	p.n = n
	switch strings.TrimSpace(unit) {
	case "s":
		p.per = time.Second
	case "m":
		p.per = time.Minute
	case "h":
		p.per = time.Hour
	default:
		return fmt.Errorf("unknown unit %q in %q; the units are /s, /m and /h", unit, text)
	}
	return nil
}

func (*perTime) what() string   { return "a rate such as 100/s" }
func (*perTime) schema() object { return object{"type": "string", "pattern": `^[0-9]+ ?/ ?[smh]$`} }

// keyPart is a part of a limit's key.
type keyPart struct {
	mark
	v KeyPart
}

func (k *keyPart) parse(text string) error {
	kind, rest, _ := strings.Cut(text, "/")
	name, header, isHeader := strings.Cut(text, ":")
	switch {
	case isHeader && name == "header" && isToken(header):
		k.v = KeyPart{From: name, Header: header}
		return nil
	case kind == "client":
		return k.parseClient(text, rest)
	case text == "site" || text == "class":
		k.v = KeyPart{From: text}
		return nil
	}
	return fmt.Errorf("%q is no part of a key%s", text, choiceHint(text, []string{"client", "client/24", "site", "class", "header:NAME"}))
}

func (k *keyPart) parseClient(text, rest string) (err error) {
	k.v = KeyPart{From: "client"}
	if text == "client" {
		return nil
	}
	v4, v6, both := strings.Cut(rest, "/")
	if k.v.V4, err = strconv.Atoi(v4); err == nil && both {
		k.v.V6, err = strconv.Atoi(v6)
	}
	if err != nil || k.v.V4 < 1 || k.v.V4 > 32 || both && k.v.V6 < 1 || k.v.V6 > 128 {
		return fmt.Errorf("%q has no prefix lengths; write client/24 for IPv4's, or client/24/48 for IPv4's and IPv6's", text)
	}
	return nil
}

func (*keyPart) what() string {
	return "a part of a key: client, client/24, site, class or header:NAME"
}
func (*keyPart) schema() object { return object{"type": "string"} }

// isToken reports whether s is the name of a header field (RFC 9110 §5.6.2).
func isToken(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// limits reads the rate limits.
func (b *builder) limits() {
	for i := range b.f.Limits.entries {
		name, e := b.f.Limits.entries[i].key.v, &b.f.Limits.entries[i].val
		l := Limit{Name: name, Limiter: limiters[e.Limiter.i], Rate: e.Rate.n, Per: e.Rate.per, Burst: int64(e.Burst.v), Site: e.Site.v, Path: e.Path.v,
			Response: limitResponses[e.Response.i], Key: values(e.Key.v, func(k keyPart) KeyPart { return k.v })}
		if len(l.Key) == 0 {
			l.Key = []KeyPart{{From: "client"}}
		}
		if _, ok := b.t.Site(l.Site); l.Site != "" && !ok {
			b.fault(e.Site.mark, "unknown site %q%s", l.Site, didYouMean(l.Site, values(b.t.Sites, func(s Site) string { return s.Host })))
		}
		b.limitClasses(&l, e)
		b.limitResponse(&l, e)
		if buckets := l.Limiter == "token-bucket" || l.Limiter == "leaky-bucket"; e.Burst.set && !buckets {
			b.fault(e.Burst.mark, "a %s has no burst; token-bucket and leaky-bucket have", l.Limiter)
		}
		b.t.Limits = append(b.t.Limits, l)
	}
	b.t.Push = Push{Budget: Bytes(b.f.Push.Budget.v), Every: b.f.Push.Every.v}
	b.t.TrustedProxies = values(b.f.TrustedProxies.v, func(n trustedProxy) netip.Prefix { return n.v })
}

func (b *builder) limitClasses(l *Limit, e *limitEntry) {
	most := l.Rate
	if l.Burst > 0 {
		most = l.Burst
	}
	for j := range e.Classes.entries {
		c := &e.Classes.entries[j]
		class := PathClass{Name: c.key.v, Paths: values(c.val.Paths.v, func(p urlPrefix) string { return p.v }), Cost: int64(c.val.Cost.v)}
		if l.Limiter != "leaky-bucket" && class.Cost > most && l.Rate > 0 {
			b.fault(c.val.Cost.mark, "%d units are more than the limit ever allows, %d", class.Cost, most)
		}
		l.Classes = append(l.Classes, class)
	}
}

func (b *builder) limitResponse(l *Limit, e *limitEntry) {
	switch {
	case e.MaxDelay.set && l.Response != "delay":
		b.fault(e.MaxDelay.mark, "is for response: delay, not %s", l.Response)
	case e.BlockFor.set && l.Response != "block":
		b.fault(e.BlockFor.mark, "is for response: block, not %s", l.Response)
	}
	switch l.Response {
	case "delay":
		if l.MaxDelay = e.MaxDelay.v; !e.MaxDelay.set {
			l.MaxDelay = time.Second
		}
	case "block":
		if l.BlockFor = e.BlockFor.v; !e.BlockFor.set {
			l.BlockFor = time.Minute
		}
		if !slices.ContainsFunc(l.Key, func(k KeyPart) bool { return k.From == "client" }) {
			b.fault(e.Response.mark, "nobody can be blocked by a key without the client")
		}
	}
}

// trustedProxy is a network of proxies whose X-Forwarded-For is believed. Unlike a client's it may be this machine's.
type trustedProxy struct {
	mark
	v netip.Prefix
}

func (p *trustedProxy) parse(text string) error {
	v, err := netip.ParsePrefix(text)
	if a, aerr := netip.ParseAddr(text); err != nil && aerr == nil {
		v, err = netip.PrefixFrom(a, a.BitLen()), nil
	}
	switch {
	case err != nil:
		return fmt.Errorf("%q is not a network such as 10.0.0.0/8, nor an address", text)
	case v != v.Masked():
		return fmt.Errorf("%s has bits behind its prefix length; the network is %s", text, v.Masked())
	case v.Bits() == 0:
		return fmt.Errorf("%s is everybody, who could then claim to be anybody", text)
	}
	p.v = v
	return nil
}

func (*trustedProxy) what() string   { return "a network such as 10.0.0.0/8" }
func (*trustedProxy) schema() object { return object{"type": "string"} }
