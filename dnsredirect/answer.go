package dnsredirect

import (
	"encoding/hex"
	"net"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"cdnlab/internal/place"
	"cdnlab/topology"
)

// maxUDP is the largest UDP message this server sends, and what it says it takes: small enough not to be fragmented on any
// path (DNS flag day 2020).
const maxUDP = 1232

// transport is what a query came over.
type transport bool

const (
	overUDP transport = false
	overTCP transport = true
)

// limit is how long a response to q may be.
func (t transport) limit(q *query) int {
	if t == overTCP {
		return dns.MaxMsgSize
	}
	return min(max(int(q.size), dns.MinMsgSize), maxUDP) // a size below 512 counts as 512: RFC 6891 §6.2.3
}

// maxChain is how many CNAME records an answer follows.
const maxChain = 8

// reply is an answer in the making. A worker reuses its own from query to query.
type reply struct {
	msg   dns.Msg
	ips   []net.IP
	buf   []byte
	scope int    // of a site's answer
	pop   string // that a site's answer names
}

// respond answers one request in wire format and returns the response, which is valid until the next call with the same
// reply, or nil when there is to be none. It never panics, whatever raw is.
func (s *Server) respond(r *reply, raw []byte, from netip.Addr, via transport) (out []byte) {
	q, rcode, ok := parse(raw)
	if !ok {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			s.cfg.Log.Error("answer query", "panic", p, "name", q.name, "type", dns.Type(q.qtype).String())
			r.begin(&q, dns.RcodeServerFailure)
			out = s.pack(r, &q, via.limit(&q))
		}
	}()
	if rcode == dns.RcodeSuccess {
		rcode = refuse(&q)
	}
	r.begin(&q, rcode)
	if rcode == dns.RcodeSuccess {
		s.resolve(r, &q, from)
	}
	out = s.pack(r, &q, via.limit(&q))
	s.cfg.Stats.DNS(r.pop, r.msg.Rcode)
	return out
}

// refuse gives the RCODE of well-formed queries that no zone is asked about.
func refuse(q *query) int {
	switch {
	case q.edns && q.version != 0:
		return dns.RcodeBadVers // RFC 6891 §6.1.3
	case q.class != dns.ClassINET, q.qtype == dns.TypeAXFR, q.qtype == dns.TypeIXFR:
		return dns.RcodeRefused
	}
	return dns.RcodeSuccess
}

// begin makes r an empty response to q.
func (r *reply) begin(q *query, rcode int) {
	*r = reply{ips: r.ips[:0], buf: r.buf, msg: dns.Msg{Question: r.msg.Question[:0], Answer: r.msg.Answer[:0]}}
	r.msg.MsgHdr = dns.MsgHdr{Id: q.id, Response: true, Opcode: q.opcode, RecursionDesired: q.rd, CheckingDisabled: q.cd, Rcode: rcode}
	r.msg.Compress = true
	if q.asked {
		r.msg.Question = append(r.msg.Question, dns.Question{Name: q.name, Qtype: q.qtype, Qclass: q.class})
	}
}

// resolve fills r with the answer to q.
func (s *Server) resolve(r *reply, q *query, from netip.Addr) {
	// An owner name is answered in the letters of the question; names that CNAME records lead to, in their own.
	name := q.name
	for range maxChain {
		o, ours := s.zone.find(strings.ToLower(name))
		if !ours {
			if len(r.msg.Answer) == 0 {
				r.msg.Rcode = dns.RcodeRefused
			}
			return
		}
		r.msg.Authoritative = true
		if o == nil {
			r.msg.Rcode = dns.RcodeNameError // of the last name of a chain: RFC 6604 §3
			s.negative(r)
			return
		}
		before := len(r.msg.Answer)
		target := s.answer(r, o, name, q, from)
		if len(r.msg.Answer) == before {
			s.negative(r)
		}
		if target == "" {
			return
		}
		name = target
	}
	r.msg.Answer, r.msg.Rcode = nil, dns.RcodeServerFailure // the chain is a circle
}

// negative makes r say that the last name, or the type that was asked for, does not exist.
func (s *Server) negative(r *reply) {
	r.msg.Ns = append(r.msg.Ns, s.zone.soa) // RFC 2308 §2
	r.scope = 0                             // not tailored to the client: RFC 7871 §7.4
}

// answer adds what one name has of the wanted type, and returns the name that a CNAME record leads on to.
func (s *Server) answer(r *reply, o *owner, name string, q *query, from netip.Addr) (target string) {
	if o.site != nil && (q.qtype == dns.TypeA || q.qtype == dns.TypeAAAA) {
		s.redirect(r, o.site, name, q, from)
		return ""
	}
	cname := o.sets[dns.TypeCNAME]
	if len(cname) > 0 {
		r.append(name, cname)
		if q.qtype == dns.TypeCNAME || q.qtype == dns.TypeANY {
			return ""
		}
		return cname[0].(*dns.CNAME).Target
	}
	if q.qtype == dns.TypeANY {
		if o.site != nil || len(o.sets) > 0 {
			// RFC 8482 §4.2
			r.msg.Answer = append(r.msg.Answer, &dns.HINFO{Hdr: s.zone.header(name, dns.TypeHINFO), Cpu: "RFC8482"})
		}
		return ""
	}
	r.append(name, o.sets[q.qtype])
	if q.qtype == dns.TypeNS {
		s.glue(r)
	}
	return ""
}

// append adds records under the owner name as it was asked for.
func (r *reply) append(name string, set []dns.RR) {
	for _, rr := range set {
		if rr.Header().Name != name {
			rr = dns.Copy(rr)
			rr.Header().Name = name
		}
		r.msg.Answer = append(r.msg.Answer, rr)
	}
}

// glue adds the addresses of the name servers in the answer.
func (s *Server) glue(r *reply) {
	for _, rr := range r.msg.Answer {
		ns, ok := rr.(*dns.NS)
		if !ok {
			continue
		}
		if o, _ := s.zone.find(ns.Ns); o != nil {
			r.msg.Extra = append(append(r.msg.Extra, o.sets[dns.TypeA]...), o.sets[dns.TypeAAAA]...)
		}
	}
}

// redirect adds the addresses to which a site's client is sent: those of the nearest PoP that is alive, or the origin's.
func (s *Server) redirect(r *reply, site *topology.Site, name string, q *query, from netip.Addr) {
	a := s.cfg.Locator.Locate(q.client(from))
	if q.tailored() {
		r.scope = a.Scope
	}
	servers, turn := s.destination(r, &a, site, q.qtype)
	r.ips = rotated(r.ips, servers, turn)
	for _, ip := range r.ips {
		r.msg.Answer = append(r.msg.Answer, s.zone.address(name, ip))
	}
}

func (s *Server) destination(r *reply, a *place.Answer, site *topology.Site, qtype uint16) (servers [][]net.IP, turn uint32) {
	at := s.mapper.pick(a, s.alive)
	if at < 0 {
		o := s.origins[site.Origin]
		if qtype == dns.TypeA {
			return o.v4, 0
		}
		return o.v6, 0
	}
	p := s.fleet[at]
	r.pop = p.edge.Name
	live := p.live.Load()
	if qtype == dns.TypeA {
		return live.v4, p.turn[0].Add(1) - 1
	}
	return live.v6, p.turn[1].Add(1) - 1
}

// client is the address that the answer is for: the client subnet option's, or the sender's when there is none or when it has
// no bits, which asks for an answer that is not tailored to the client (RFC 7871 §7.1.2).
func (q *query) client(from netip.Addr) netip.Addr {
	if q.tailored() {
		return q.subnet.addr
	}
	return from
}

func (q *query) tailored() bool { return q.subnet != nil && q.subnet.source > 0 }

// pack turns the response into at most limit octets. What does not fit is left out: first the additional addresses, which a
// resolver can ask for, then everything, with TC set (RFC 2181 §9).
func (s *Server) pack(r *reply, q *query, limit int) []byte {
	glue := len(r.msg.Extra)
	if opt := r.options(q, s.cfg.Node.Name); opt != nil {
		r.msg.Extra = append(r.msg.Extra, opt)
	}
	out, err := r.msg.PackBuffer(r.buf)
	if err == nil && len(out) > limit && glue > 0 {
		r.msg.Extra = r.msg.Extra[glue:]
		out, err = r.msg.PackBuffer(r.buf)
	}
	if err == nil && len(out) > limit {
		r.msg.Truncated = true
		r.msg.Answer, r.msg.Ns = nil, nil
		out, err = r.msg.PackBuffer(r.buf)
	}
	if err != nil {
		s.cfg.Log.Error("pack answer", "name", q.name, "type", dns.Type(q.qtype).String(), "error", err)
		return nil
	}
	r.buf = out[:cap(out)]
	return out
}

// options makes the OPT record of the response; nil when the request had none (RFC 6891 §6.1.1).
func (r *reply) options(q *query, node topology.NodeName) dns.RR {
	if !q.edns {
		return nil
	}
	opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT, Class: maxUDP}}
	if q.do {
		opt.SetDo() // RFC 3225 §3
	}
	if q.nsid {
		opt.Option = append(opt.Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID, Nsid: hex.EncodeToString([]byte(node))})
	}
	if q.subnet != nil && (r.msg.Rcode == dns.RcodeSuccess || r.msg.Rcode == dns.RcodeNameError) {
		opt.Option = append(opt.Option, &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: q.subnet.family,
			SourceNetmask: q.subnet.source, SourceScope: q.subnet.scope(r.scope), Address: q.subnet.addr.AsSlice()})
	}
	return opt
}
