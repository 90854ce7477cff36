package gateway

import (
	"context"
	"log/slog"
	"net"
	"slices"

	"github.com/miekg/dns"
)

// maxQueries is how many queries of a city may wait for the lab's DNS at once: each has a socket of its own.
const maxQueries = 256

// resolver answers the queries of a city's clients by asking the lab's DNS on their behalf.
type resolver struct {
	city  *city
	log   *slog.Logger
	slots chan struct{} // of queries that wait
}

func (s *Server) resolver(c *city) *resolver {
	return &resolver{city: c, log: s.cfg.Log, slots: make(chan struct{}, maxQueries)}
}

// ServeDNS forwards a query with the city's network as client subnet, unless the client names its own (RFC 7871 §7.1.2), and
// passes the answer back as a resolver gives it.
func (r *resolver) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	network := w.LocalAddr().Network()
	resp := r.answer(q, network)
	if network == "udp" {
		size := dns.MinMsgSize
		if opt := q.IsEdns0(); opt != nil {
			size = min(max(int(opt.UDPSize()), dns.MinMsgSize), udpSize)
		}
		resp.Truncate(size)
	}
	if err := w.WriteMsg(resp); err != nil {
		r.log.Debug("answer DNS query", "to", w.RemoteAddr(), "error", err)
	}
}

func (r *resolver) answer(q *dns.Msg, network string) *dns.Msg {
	failure := new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
	failure.RecursionAvailable = true
	if opt := q.IsEdns0(); opt != nil {
		failure.SetEdns0(udpSize, opt.Do()) // RFC 6891 §6.1.1
	}
	if q.Opcode != dns.OpcodeQuery || len(q.Question) != 1 {
		failure.Rcode = dns.RcodeNotImplemented
		return failure
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	default:
		r.log.Warn("too many queries wait for the lab's DNS", "place", r.city.place.Name, "limit", maxQueries)
		return failure
	}
	forwarded := q.Copy()
	named := r.addSubnet(forwarded)
	resp, err := r.city.exchange(context.Background(), forwarded, network)
	if err != nil {
		r.log.Warn("resolve for a client", "place", r.city.place.Name, "name", q.Question[0].Name, "error", err)
		return failure
	}
	resp.Id, resp.Question, resp.Compress = q.Id, q.Question, true // what came compressed could not fit without
	resp.RecursionAvailable, resp.RecursionDesired, resp.Authoritative = true, q.RecursionDesired, false
	clean(resp, q, named)
	return resp
}

// addSubnet names the city's network in a query, unless it names one. It reports whether it did.
func (r *resolver) addSubnet(q *dns.Msg) (named bool) {
	opt := q.IsEdns0()
	if opt == nil {
		q.SetEdns0(udpSize, false)
		opt = q.IsEdns0()
	}
	if slices.ContainsFunc(opt.Option, isSubnet) {
		return true
	}
	opt.Option = append(opt.Option, r.city.subnet())
	return false
}

// clean removes from an answer what its query did not ask for: the client subnet, or all of EDNS.
func clean(resp, q *dns.Msg, named bool) {
	switch opt := resp.IsEdns0(); {
	case opt == nil:
	case q.IsEdns0() == nil:
		resp.Extra = slices.DeleteFunc(resp.Extra, func(rr dns.RR) bool { return rr == dns.RR(opt) })
	case !named:
		opt.Option = slices.DeleteFunc(opt.Option, isSubnet)
	}
}

func isSubnet(o dns.EDNS0) bool { return o.Option() == dns.EDNS0SUBNET }

// servers answer on a city's sockets until they are shut down.
func (r *resolver) servers(udp net.PacketConn, tcp net.Listener) []*dns.Server {
	return []*dns.Server{{PacketConn: udp, Handler: r, UDPSize: 4096}, {Listener: tcp, Handler: r, MaxTCPQueries: -1}}
}
