package dnsredirect

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"cdnlab/topology"
)

func withSubnet(q *dns.Msg, prefix string) *dns.Msg {
	p := netip.MustParsePrefix(prefix)
	e := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: uint8(p.Bits()), Address: p.Addr().AsSlice()}
	if p.Addr().Is6() {
		e.Family = 2
	}
	q.SetEdns0(4096, false)
	q.IsEdns0().Option = append(q.IsEdns0().Option, e)
	return q
}

func subnetOf(m *dns.Msg) *dns.EDNS0_SUBNET {
	if m.IsEdns0() != nil {
		for _, o := range m.IsEdns0().Option {
			if e, ok := o.(*dns.EDNS0_SUBNET); ok {
				return e
			}
		}
	}
	return nil
}

func TestClientSubnet(t *testing.T) {
	const tokyo, newYork, paris = "127.3.2.1", "127.3.3.1", "127.3.1.1"
	for _, c := range []struct {
		about, name, subnet, answer string
		scope                       uint8
	}{
		{"a network of the topology", "www.cdn.test.", "198.18.2.0/24", tokyo, 24},
		{"one address of it", "www.cdn.test.", "198.18.2.77/32", tokyo, 24},
		{"a shorter prefix: the answer is for a part of it", "www.cdn.test.", "198.18.0.0/16", newYork, 24},
		{"IPv6", "www.cdn.test.", "2001:db8:2::/56", tokyo, 48},
		{"IPv4 written as IPv6", "www.cdn.test.", "::ffff:198.18.2.0/120", tokyo, 120},
		{"the plan's loopback prefix", "www.cdn.test.", "127.102.0.0/24", tokyo, 16},
		{"an unknown network: the fallback place", "www.cdn.test.", "203.0.113.0/24", newYork, 5},
		{"no bits: the sender's own address", "www.cdn.test.", "0.0.0.0/0", paris, 0},
		{"a CNAME to a site", "alias.cdn.test.", "198.18.2.0/24", tokyo, 24},
		{"a name that is the same for all", "mail.cdn.test.", "198.18.2.0/24", "192.0.2.25", 0},
		{"NXDOMAIN is the same for all", "missing.cdn.test.", "198.18.2.0/24", "", 0},
	} {
		t.Run(c.about, func(t *testing.T) {
			m := newTestServer(t, nil).ask(t, withSubnet(queryFor(c.name, dns.TypeA), c.subnet), client, overUDP)
			got := ""
			for _, rr := range m.Answer {
				if a, ok := rr.(*dns.A); ok && got == "" {
					got = a.A.String()
				}
			}
			e, p := subnetOf(m), netip.MustParsePrefix(c.subnet)
			if e == nil {
				t.Fatalf("no client subnet in %v", m)
			}
			if got != c.answer || e.SourceScope != c.scope {
				t.Errorf("answer %s scope %d, want %s scope %d", got, e.SourceScope, c.answer, c.scope)
			}
			if int(e.SourceNetmask) != p.Bits() || (e.Family == 2) != p.Addr().Is6() || !slices.Equal(e.Address.To16(), p.Addr().AsSlice()) && !e.Address.Equal(p.Addr().AsSlice()) {
				t.Errorf("the option came back as %v, want %s", e, c.subnet)
			}
		})
	}
	t.Run("NODATA is the same for all", func(t *testing.T) {
		m := newTestServer(t, nil).ask(t, withSubnet(queryFor("www.cdn.test.", dns.TypeAAAA), "198.18.2.0/24"), client, overUDP)
		if len(m.Answer) != 0 || subnetOf(m) == nil || subnetOf(m).SourceScope != 0 {
			t.Errorf("AAAA from Tokyo = %v, want NODATA with scope 0", m)
		}
	})
	t.Run("REFUSED carries no option", func(t *testing.T) {
		m := newTestServer(t, nil).ask(t, withSubnet(queryFor("example.org.", dns.TypeA), "198.18.2.0/24"), client, overUDP)
		if m.IsEdns0() == nil || subnetOf(m) != nil {
			t.Errorf("refusal %v, want EDNS without client subnet", m)
		}
	})
}

func TestEDNS(t *testing.T) {
	s := newTestServer(t, nil)
	q := queryFor("www.cdn.test.", dns.TypeA).SetEdns0(4096, true)
	q.IsEdns0().Option = append(q.IsEdns0().Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID})
	m := s.ask(t, q, client, overUDP)
	opt := m.IsEdns0()
	if opt == nil || opt.UDPSize() != maxUDP || !opt.Do() || opt.Version() != 0 || subnetOf(m) != nil {
		t.Fatalf("OPT %v, want 1232 octets, DO, version 0, no subnet", opt)
	}
	if len(opt.Option) != 1 || opt.Option[0].(*dns.EDNS0_NSID).Nsid != "646e732d31" {
		t.Errorf("options %v, want NSID dns-1", opt.Option)
	}
	q = queryFor("www.cdn.test.", dns.TypeA).SetEdns0(4096, false)
	if opt := s.ask(t, q, client, overUDP).IsEdns0(); opt.Do() || len(opt.Option) != 0 {
		t.Errorf("OPT %v, want neither DO nor options", opt)
	}
}

func TestTruncation(t *testing.T) {
	for _, c := range []struct {
		about, name, qtype string
		size               uint16 // 0: no EDNS
		via                transport
		truncated          bool
		answers, extra     int
	}{
		{"larger than 512 without EDNS", "big.cdn.test.", "TXT", 0, overUDP, true, 0, 0},
		{"larger than this server sends", "big.cdn.test.", "TXT", 65535, overUDP, true, 0, 0},
		{"whole over TCP", "big.cdn.test.", "TXT", 0, overTCP, false, 3, 0},
		{"fits", "many.cdn.test.", "A", 1232, overUDP, false, 60, 0},
		{"larger than the client takes", "many.cdn.test.", "A", 900, overUDP, true, 0, 0},
		{"a size below 512 counts as 512", "info.cdn.test.", "TXT", 20, overUDP, false, 2, 0},
		{"glue goes first, and that is no truncation", "cdn.test.", "NS", 512, overUDP, false, 20, 0},
		{"glue stays where there is room", "cdn.test.", "NS", 1232, overUDP, false, 20, 21},
	} {
		t.Run(c.about, func(t *testing.T) {
			s := newTestServer(t, func(cfg *Config) {
				var many []netip.Addr
				for i := range 60 {
					many = append(many, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
				}
				cfg.Topology.Records = append(cfg.Topology.Records, topology.Record{Name: "many", A: many})
				for i := range 18 {
					name := topology.NodeName(fmt.Sprintf("dns-%d", i+3))
					cfg.Plan.Nodes = append(cfg.Plan.Nodes, topology.Node{Name: name, Kind: topology.KindDNS, Public: addrs("127.0.0.9")})
				}
			})
			q := queryFor(c.name, dns.StringToType[c.qtype])
			if c.size > 0 {
				q.SetEdns0(c.size, false)
			}
			m := s.ask(t, q, client, c.via)
			extra := 0
			for _, rr := range m.Extra {
				if rr.Header().Rrtype != dns.TypeOPT {
					extra++
				}
			}
			if m.Truncated != c.truncated || len(m.Answer) != c.answers || extra != c.extra || (m.IsEdns0() != nil) != (c.size > 0) {
				t.Errorf("TC %v, %d answers, %d additional, OPT %v; want TC %v, %d, %d, OPT %v",
					m.Truncated, len(m.Answer), extra, m.IsEdns0() != nil, c.truncated, c.answers, c.extra, c.size > 0)
			}
		})
	}
}
