package gateway

import (
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

// ask asks the resolver of paris.
func (n *network) ask(network string, q *dns.Msg) *dns.Msg {
	n.t.Helper()
	addr := n.udp
	if network == "tcp" {
		addr = n.tcp
	}
	client := dns.Client{Net: network, Timeout: patience}
	resp, _, err := client.Exchange(q, addr)
	if err != nil {
		n.t.Fatalf("ask by %s: %v", network, err)
	}
	return resp
}

func question(name string, qtype uint16) *dns.Msg { return new(dns.Msg).SetQuestion(name, qtype) }

// withSubnet adds a client subnet to a query.
func withSubnet(q *dns.Msg, subnet string) *dns.Msg {
	q.SetEdns0(4096, true)
	p := netip.MustParsePrefix(subnet)
	family := uint16(1)
	if p.Addr().Is6() {
		family = 2
	}
	q.IsEdns0().Option = append(q.IsEdns0().Option, &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: family, SourceNetmask: uint8(p.Bits()), Address: p.Addr().AsSlice()})
	return q
}

// subnetOf returns the client subnet of a message as text, "" without one.
func subnetOf(m *dns.Msg) string {
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if s, ok := o.(*dns.EDNS0_SUBNET); ok {
				return s.String()
			}
		}
	}
	return ""
}

// scoped answers as addresses does, and says how much of the client's subnet counted.
func scoped(addr string) func(string, *dns.Msg) *dns.Msg {
	plain := addresses(addr)
	return func(network string, q *dns.Msg) *dns.Msg {
		resp := plain(network, q)
		if opt := q.IsEdns0(); opt != nil {
			resp.SetEdns0(udpSize, opt.Do())
			for _, o := range opt.Option {
				if s, ok := o.(*dns.EDNS0_SUBNET); ok {
					s.SourceScope = s.SourceNetmask
					resp.IsEdns0().Option = append(resp.IsEdns0().Option, s)
				}
			}
		}
		return resp
	}
}

func TestResolverForwardsForItsCity(t *testing.T) {
	for _, c := range []struct {
		name    string
		query   *dns.Msg
		asked   string // the subnet that the authoritative server sees
		edns    bool   // the client gets an OPT record
		answers string // the subnet that the client sees
	}{
		{"a client without EDNS", question("www.cdn.test.", dns.TypeA), "198.18.1.0/24/0", false, ""},
		{"a client with EDNS", question("www.cdn.test.", dns.TypeA).SetEdns0(1232, false), "198.18.1.0/24/0", true, ""},
		{"a client that names a network", withSubnet(question("www.cdn.test.", dns.TypeA), "198.18.3.0/24"), "198.18.3.0/24/0", true, "198.18.3.0/24/24"},
		{"a client that names an IPv6 network", withSubnet(question("www.cdn.test.", dns.TypeA), "2001:db8::/48"), "[2001:db8::]/48/0", true, "[2001:db8::]/48/48"},
		{"a client that wants to stay unknown", withSubnet(question("www.cdn.test.", dns.TypeA), "0.0.0.0/0"), "0.0.0.0/0/0", true, "0.0.0.0/0/0"},
	} {
		for _, network := range []string{"udp", "tcp"} {
			t.Run(c.name+" by "+network, func(t *testing.T) {
				a := newAuthority(t, scoped("127.3.1.1"))
				n := start(t, a)
				resp := n.ask(network, c.query.Copy())
				asked := a.asked()
				if len(asked) != 1 || asked[0].network != network || subnetOf(asked[0].msg) != c.asked {
					t.Fatalf("the authoritative server was asked %v, want once by %s for %s", asked, network, c.asked)
				}
				if len(resp.Answer) != 1 || resp.Answer[0].(*dns.A).A.String() != "127.3.1.1" {
					t.Errorf("answer = %v, want 127.3.1.1", resp.Answer)
				}
				if (resp.IsEdns0() != nil) != c.edns || subnetOf(resp) != c.answers {
					t.Errorf("EDNS of the answer = %v with subnet %q, want %v with %q", resp.IsEdns0() != nil, subnetOf(resp), c.edns, c.answers)
				}
				if !resp.RecursionAvailable || resp.Authoritative || !resp.RecursionDesired || !resp.Response {
					t.Errorf("header = %+v, want a resolver's: qr rd ra, not aa", resp.MsgHdr)
				}
			})
		}
	}
}

func TestResolverPassesAnswersOn(t *testing.T) {
	for _, c := range []struct {
		name   string
		qtype  uint16
		answer func(q *dns.Msg) *dns.Msg
		rcode  int
		rr     string
	}{
		{"AAAA", dns.TypeAAAA, func(q *dns.Msg) *dns.Msg {
			resp := new(dns.Msg).SetReply(q)
			resp.Answer = []dns.RR{record("www.cdn.test. 60 IN AAAA 2001:db8::1")}
			return resp
		}, dns.RcodeSuccess, "2001:db8::1"},
		{"text", dns.TypeTXT, func(q *dns.Msg) *dns.Msg {
			resp := new(dns.Msg).SetReply(q)
			resp.Answer = []dns.RR{record(`www.cdn.test. 60 IN TXT "hello"`)}
			return resp
		}, dns.RcodeSuccess, "hello"},
		{"a name that is not there", dns.TypeA, func(q *dns.Msg) *dns.Msg {
			resp := new(dns.Msg).SetRcode(q, dns.RcodeNameError)
			resp.Ns = []dns.RR{record("cdn.test. 60 IN SOA ns1.cdn.test. host.cdn.test. 1 2 3 4 60")}
			return resp
		}, dns.RcodeNameError, "SOA"},
		{"another's zone", dns.TypeA, func(q *dns.Msg) *dns.Msg { return new(dns.Msg).SetRcode(q, dns.RcodeRefused) }, dns.RcodeRefused, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAuthority(t, func(_ string, q *dns.Msg) *dns.Msg { return c.answer(q) })
			resp := start(t, a).ask("udp", question("www.cdn.test.", c.qtype))
			if resp.Rcode != c.rcode || !strings.Contains(resp.String(), c.rr) {
				t.Errorf("answer = %v, want %s with %q", resp, dns.RcodeToString[c.rcode], c.rr)
			}
		})
	}
}

func TestResolverFailsOver(t *testing.T) {
	silent := func(string, *dns.Msg) *dns.Msg { return nil }
	failing := func(_ string, q *dns.Msg) *dns.Msg { return new(dns.Msg).SetRcode(q, dns.RcodeServerFailure) }
	for name, first := range map[string]func(t *testing.T) *authority{
		"of a silent server":  func(t *testing.T) *authority { return newAuthority(t, silent) },
		"of a failing server": func(t *testing.T) *authority { return newAuthority(t, failing) },
		"of a dead server": func(t *testing.T) *authority {
			a := newAuthority(t, silent)
			a.stop()
			return a
		},
	} {
		for _, network := range []string{"udp", "tcp"} {
			t.Run(name+" by "+network, func(t *testing.T) {
				bad, good := first(t), newAuthority(t, addresses("127.3.1.1"))
				n := start(t, bad, good)
				for range 3 {
					if resp := n.ask(network, question("www.cdn.test.", dns.TypeA)); len(resp.Answer) != 1 {
						t.Fatalf("answer = %v, want one address", resp)
					}
				}
				if got := len(bad.asked()); got > 1 {
					t.Errorf("the bad server was asked %d times, want once: the good one is first from then on", got)
				}
				if got := len(good.asked()); got != 3 {
					t.Errorf("the good server was asked %d times, want 3", got)
				}
			})
		}
	}
	t.Run("to nobody", func(t *testing.T) {
		a := newAuthority(t, silent)
		a.stop()
		if resp := start(t, a, a).ask("udp", question("www.cdn.test.", dns.TypeA)); resp.Rcode != dns.RcodeServerFailure {
			t.Errorf("answer = %v, want SERVFAIL", resp)
		}
	})
}

// TestResolverAsksASilentServerAgain has the only server lose the first query.
func TestResolverAsksASilentServerAgain(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		var lost atomic.Bool
		n := start(t, newAuthority(t, func(network string, q *dns.Msg) *dns.Msg {
			if !lost.Swap(true) {
				return nil
			}
			return addresses("127.3.1.1")(network, q)
		}))
		if resp := n.ask(network, question("www.cdn.test.", dns.TypeA)); len(resp.Answer) != 1 {
			t.Errorf("answer by %s = %v, want one address", network, resp)
		}
	}
}

// TestResolverIgnoresForeignReplies sends what an attacker or a late answer would be in front of the right answer.
func TestResolverIgnoresForeignReplies(t *testing.T) {
	forge := func(change func(*dns.Msg)) func(*dns.Msg) []byte {
		return func(q *dns.Msg) []byte {
			m := addresses("127.9.9.9")("udp", q.Copy())
			change(m)
			b, err := m.Pack()
			if err != nil {
				t.Error(err)
			}
			return b
		}
	}
	for name, forged := range map[string]func(*dns.Msg) []byte{
		"another id":         forge(func(m *dns.Msg) { m.Id++ }),
		"another name":       forge(func(m *dns.Msg) { m.Question[0].Name = "img.cdn.test." }),
		"another type":       forge(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeTXT }),
		"another class":      forge(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }),
		"no question":        forge(func(m *dns.Msg) { m.Question = nil }),
		"two questions":      forge(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }),
		"a query":            forge(func(m *dns.Msg) { m.Response = false }),
		"another operation":  forge(func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }),
		"too short":          func(q *dns.Msg) []byte { return []byte{byte(q.Id >> 8), byte(q.Id), 0x80} },
		"nothing at all":     func(*dns.Msg) []byte { return nil },
		"cut off in records": func(q *dns.Msg) []byte { b := forge(func(*dns.Msg) {})(q); return b[:len(b)-3] },
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			n := start(t, &authority{addr: conn.LocalAddr().(*net.UDPAddr).AddrPort()})
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				buf := make([]byte, 4096)
				for {
					size, from, err := conn.ReadFrom(buf)
					if err != nil {
						return // closed
					}
					q := new(dns.Msg)
					if err := q.Unpack(buf[:size]); err != nil {
						t.Error(err)
						return
					}
					right, err := addresses("127.3.1.1")("udp", q).Pack()
					if err != nil {
						t.Error(err)
					}
					for _, b := range [][]byte{forged(q), right} {
						if _, err := conn.WriteTo(b, from); err != nil {
							t.Error(err)
						}
					}
				}
			}()
			client := dns.Client{Timeout: patience}
			resp, _, err := client.Exchange(question("www.cdn.test.", dns.TypeA), n.udp)
			conn.Close()
			<-ended
			if err != nil {
				t.Fatal(err)
			}
			if resp == nil || len(resp.Answer) != 1 || resp.Answer[0].(*dns.A).A.String() != "127.3.1.1" {
				t.Errorf("answer = %v, want 127.3.1.1 of the second reply", resp)
			}
		})
	}
}
