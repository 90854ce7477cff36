package dnsredirect

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"cdnlab/topology"
)

// zone is everything below the apex. Keys are names in lower case with the trailing dot. It never changes after newZone.
type zone struct {
	apex  string
	ttl   uint32
	soa   *dns.SOA
	names map[string]*owner
}

// owner is one name of the zone. Names that exist only because something lies below them have neither site nor sets.
type owner struct {
	site *topology.Site
	sets map[uint16][]dns.RR
}

// The timers of the SOA record that nobody but a secondary would use.
const (
	soaSerial  = 1
	soaRefresh = 3600
	soaRetry   = 600
	soaExpire  = 86_400
)

// newZone lists the names of a topology: its records, its sites as far as they lie in the zone, and the nodes' own names where
// neither claims them, together with ns1, ns2 … for the DNS servers.
func newZone(t *topology.Topology, p *topology.Plan) (*zone, error) {
	apex := dns.Fqdn(t.Zone)
	z := &zone{apex: apex, ttl: uint32(t.DNS.TTL / time.Second), names: map[string]*owner{}}
	z.soa = &dns.SOA{Hdr: z.header(apex, dns.TypeSOA), Ns: z.inside("ns1"), Mbox: z.inside("hostmaster"),
		Serial: soaSerial, Refresh: soaRefresh, Retry: soaRetry, Expire: soaExpire, Minttl: z.ttl}
	z.add(z.soa)
	for _, r := range t.Records {
		if err := z.addRecord(r); err != nil {
			return nil, fmt.Errorf("records.%s: %w", r.Name, err)
		}
	}
	for i := range t.Sites {
		if name := dns.Fqdn(t.Sites[i].Host); dns.IsSubDomain(apex, name) {
			z.claim(name).site = &t.Sites[i]
		}
	}
	z.addNodes(p)
	return z, nil
}

func (z *zone) addNodes(p *topology.Plan) {
	servers := 0
	for _, n := range p.Nodes {
		names := []string{string(n.Name)}
		if n.Kind == topology.KindDNS {
			servers++
			ns := fmt.Sprintf("ns%d", servers)
			names = append(names, ns)
			z.add(&dns.NS{Hdr: z.header(z.apex, dns.TypeNS), Ns: z.inside(ns)})
		}
		for _, name := range names {
			name = z.inside(strings.ToLower(name))
			if o := z.names[name]; o != nil && (o.site != nil || len(o.sets) > 0) {
				continue
			}
			z.addAddresses(name, n.Public)
		}
	}
}

// inside gives the full name of a name relative to the zone; "@" is the apex.
func (z *zone) inside(name string) string {
	if name == "@" {
		return z.apex
	}
	return name + "." + z.apex
}

// claim returns the owner of a name, which comes to exist with all names between it and the apex.
func (z *zone) claim(name string) *owner {
	for at := name; z.names[at] == nil; {
		z.names[at] = &owner{sets: map[uint16][]dns.RR{}}
		if at == z.apex {
			break
		}
		next, _ := dns.NextLabel(at, 0)
		at = at[next:]
	}
	return z.names[name]
}

func (z *zone) header(name string, rtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: rtype, Class: dns.ClassINET, Ttl: z.ttl}
}

func (z *zone) add(rr dns.RR) {
	h := rr.Header()
	o := z.claim(h.Name)
	o.sets[h.Rrtype] = append(o.sets[h.Rrtype], rr)
}

func (z *zone) addAddresses(name string, addrs []netip.Addr) {
	for _, a := range addrs {
		z.add(z.address(name, a.AsSlice()))
	}
}

// address makes the A or AAAA record of an address.
func (z *zone) address(name string, ip net.IP) dns.RR {
	if len(ip) == net.IPv4len {
		return &dns.A{Hdr: z.header(name, dns.TypeA), A: ip}
	}
	return &dns.AAAA{Hdr: z.header(name, dns.TypeAAAA), AAAA: ip}
}

func (z *zone) addRecord(r topology.Record) error {
	name := strings.ToLower(z.inside(r.Name))
	z.addAddresses(name, r.A)
	z.addAddresses(name, r.AAAA)
	if r.CNAME != "" {
		z.add(&dns.CNAME{Hdr: z.header(name, dns.TypeCNAME), Target: dns.Fqdn(r.CNAME)})
	}
	for _, text := range r.TXT {
		z.add(&dns.TXT{Hdr: z.header(name, dns.TypeTXT), Txt: chunks(text)})
	}
	for _, mx := range r.MX {
		z.add(&dns.MX{Hdr: z.header(name, dns.TypeMX), Preference: mx.Preference, Mx: dns.Fqdn(mx.Host)})
	}
	for _, set := range z.names[name].sets {
		for _, rr := range set {
			if _, err := dns.PackRR(rr, make([]byte, dns.MaxMsgSize), 0, nil, false); err != nil {
				return fmt.Errorf("%s record: %w", dns.TypeToString[rr.Header().Rrtype], err)
			}
		}
	}
	return nil
}

// chunks cuts a text into the character strings of at most 255 octets that a TXT record is made of (RFC 1035 §3.3.14), each in
// the presentation form that miekg/dns takes them in.
func chunks(text string) []string {
	var out []string
	for len(text) > 255 {
		out = append(out, escape(text[:255]))
		text = text[255:]
	}
	return append(out, escape(text))
}

func escape(text string) string {
	return strings.ReplaceAll(text, `\`, `\\`)
}

// find returns the owner of a name in lower case; nil when the name does not exist. It reports false for a name outside the zone.
func (z *zone) find(name string) (*owner, bool) {
	if o := z.names[name]; o != nil {
		return o, true
	}
	return nil, dns.IsSubDomain(z.apex, name)
}
