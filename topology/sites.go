package topology

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
)

func (b *builder) sites() {
	if len(b.f.Sites.entries) == 0 && len(b.t.Origins) > 0 {
		b.defaultSite()
	}
	first := make(map[string]bool)
	for i := range b.f.Sites.entries {
		host, e := b.f.Sites.entries[i].key.v, &b.f.Sites.entries[i].val
		if first[host] {
			b.fault(e.mark, "duplicate host: %q is given twice; case and a trailing dot make no difference", host)
			continue
		}
		first[host] = true
		s := Site{
			Host: host, Customer: e.Customer.v, HostHeader: e.Host.v, Scheme: e.Scheme.v,
			Cache: b.siteCache(&e.Cache),
		}
		for _, a := range e.Access.entries {
			s.Access = append(s.Access, AccessRule{Prefix: a.key.v, Kind: AccessKind(a.val.i)})
		}
		s.Origin = b.siteOrigin(e)
		b.t.Sites = append(b.t.Sites, s)
	}
}

// defaultSite is what a file without sites serves: www below its zone, from its first origin.
func (b *builder) defaultSite() {
	var e siteEntry
	(&decoder{collector: b.collector, specs: map[reflect.Type][]keySpec{}}).value(&e, nil, mark{path: "sites"}, "")
	b.t.Sites = []Site{{
		Host: "www." + b.t.Zone, Origin: b.t.Origins[0].Name, Customer: e.Customer.v,
		Cache: b.siteCache(&e.Cache),
	}}
}

func (b *builder) siteCache(e *cacheEntry) SiteCache {
	c := SiteCache{
		TTL: e.TTL.v, Query: QueryRule(e.Query.i), Collapse: e.Collapse.v, StaleIfError: e.StaleIfError.v, CutOff: e.CutOff.v, ShareCookies: e.ShareCookies.v, Compress: e.Compress.v,
		Headers: values(e.Headers.v, func(h keyHeader) string { return h.v }), Cookies: values(e.Cookies.v, func(n cookieName) string { return n.v }),
	}
	name := func(p parameter) string { return p.v }
	switch {
	case e.QueryOnly.set && e.QueryExcept.set:
		b.fault(e.QueryExcept.mark, "query_only and query_except exclude each other")
	case (e.QueryOnly.set || e.QueryExcept.set) && e.Query.set:
		b.fault(e.Query.mark, "query says nothing beside query_only or query_except; drop it")
	case e.QueryOnly.set:
		c.Query, c.QueryNames = QueryOnly, values(e.QueryOnly.v, name)
	case e.QueryExcept.set:
		c.Query, c.QueryNames = QueryExcept, values(e.QueryExcept.v, name)
	}
	for _, n := range e.Negative.entries {
		c.Negative = append(c.Negative, NegativeTTL{n.key.from, n.key.to, n.val.v})
	}
	slices.SortStableFunc(c.Negative, func(a, b NegativeTTL) int { return (a.To - a.From) - (b.To - b.From) }) // a status before its class
	return c
}

// siteOrigin is the origin of a site: the one it names, or the only one there is.
func (b *builder) siteOrigin(e *siteEntry) string {
	var name string
	switch {
	case e.Origin.set:
		r, _ := b.resolve(e.Origin, wanted{bare: []Kind{KindOrigin}})
		name = r.Name
	case len(b.t.Origins) == 1:
		name = b.t.Origins[0].Name
	case len(b.t.Origins) > 1:
		b.fault(e.sub("origin"), "is missing, and there are several origins%s", b.originHint())
	}
	for _, o := range b.t.Origins {
		if o.Name == name && o.Kind != Builtin && len(e.Access.entries) > 0 {
			b.fault(e.Access.mark, "access rules are for the builtin store, which origins.%s is not", name)
		}
	}
	return name
}

func (b *builder) records() {
	for i := range b.f.Records.entries {
		key, e := b.f.Records.entries[i].key, &b.f.Records.entries[i].val
		r := Record{
			Name: key.v, A: values(e.A.v, addrOf), AAAA: values(e.AAAA.v, addrOf), CNAME: b.absolute(e.CNAME),
			TXT: values(e.TXT.v, func(w word) string { return w.v }),
			MX:  values(e.MX.v, func(x mx) MX { return MX{Preference: x.preference, Host: b.absolute(x.target)} }),
		}
		b.families(e)
		b.conflicts(e, r)
		b.t.Records = append(b.t.Records, r)
	}
}

// absolute is the full name of a record's target.
func (b *builder) absolute(t target) string {
	if t.v != "" && !strings.Contains(t.v, ".") {
		return t.v + "." + b.t.Zone
	}
	return t.v
}

// families reports addresses in the wrong list.
func (b *builder) families(e *recEntry) {
	check := func(list []address, right func(netip.Addr) bool, other string) {
		for _, a := range list {
			if a.v.IsValid() && !right(a.v) {
				b.fault(a.mark, "%s belongs into %s", a.v, other)
			}
		}
	}
	check(e.A.v, netip.Addr.Is4, "aaaa")
	check(e.AAAA.v, netip.Addr.Is6, "a")
}

// conflicts reports a record that says nothing, and one that DNS does not allow beside what has the same name: an alias
// stands alone (RFC 1034 §3.6.2), and the addresses of a site are the CDN's to give.
func (b *builder) conflicts(e *recEntry, r Record) {
	addresses, others := len(r.A)+len(r.AAAA), len(r.TXT)+len(r.MX)
	full := r.Name + "." + b.t.Zone
	if r.Name == "@" {
		full = b.t.Zone
	}
	_, isSite := b.t.Site(full)
	switch {
	case !e.A.set && !e.AAAA.set && !e.CNAME.set && !e.TXT.set && !e.MX.set:
		b.fault(e.mark, "says nothing; give a, aaaa, cname, txt or mx")
	case e.CNAME.set && addresses+others > 0:
		b.fault(e.CNAME.mark, "an alias stands alone; drop the other records of %q", r.Name)
	case e.CNAME.set && r.Name == "@":
		b.fault(e.CNAME.mark, "the zone itself cannot be an alias, as its SOA and NS records have that name")
	case isSite && (e.CNAME.set || addresses > 0):
		b.fault(e.mark, "%s is a site, whose addresses the CDN gives", full)
	case e.CNAME.set && r.CNAME == full:
		b.fault(e.CNAME.mark, "is an alias of itself")
	}
}
