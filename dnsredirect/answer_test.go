package dnsredirect

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"cdnlab/internal/place"
	"cdnlab/topology"
)

// ask puts a question to the server from an address and returns its answer.
func (s *Server) ask(t testing.TB, q *dns.Msg, from netip.Addr, via transport) *dns.Msg {
	t.Helper()
	raw, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	var r reply
	out := s.respond(&r, raw, from, via)
	m := new(dns.Msg)
	if err := m.Unpack(out); err != nil {
		t.Fatalf("respond = %x: %v", out, err)
	}
	return m
}

func queryFor(name string, qtype uint16) *dns.Msg {
	return new(dns.Msg).SetQuestion(name, qtype)
}

// brief writes records as "name type rdata", in the order of the message.
func brief(rrs []dns.RR) string {
	var out []string
	for _, rr := range rrs {
		if rr.Header().Rrtype == dns.TypeOPT {
			continue
		}
		out = append(out, fmt.Sprintf("%s %s %s", rr.Header().Name, dns.Type(rr.Header().Rrtype), strings.TrimPrefix(rr.String(), rr.Header().String())))
	}
	return strings.Join(out, ", ")
}

const soa = "cdn.test. SOA ns1.cdn.test. hostmaster.cdn.test. 1 3600 600 86400 60"

func TestAnswers(t *testing.T) {
	const www = "www.cdn.test. A 127.3.1.1, www.cdn.test. A 127.3.1.2"
	for _, c := range []struct {
		about, name, qtype string
		rcode              int
		answer, ns, extra  string
	}{
		{"a site", "www.cdn.test.", "A", 0, www, "", ""},
		{"a site over IPv6, servers that have it", "www.cdn.test.", "AAAA", 0, "www.cdn.test. AAAA 2001:db8::1", "", ""},
		{"a type that a site lacks", "www.cdn.test.", "TXT", 0, "", soa, ""},
		{"a site in the letters of the question", "wWw.CDN.tesT.", "A", 0, "wWw.CDN.tesT. A 127.3.1.1, wWw.CDN.tesT. A 127.3.1.2", "", ""},
		{"a site outside the zone", "shop.example.", "A", dns.RcodeRefused, "", "", ""},
		{"a foreign name", "example.org.", "A", dns.RcodeRefused, "", "", ""},
		{"a name that ends alike", "xcdn.test.", "A", dns.RcodeRefused, "", "", ""},
		{"a label with a dot in it", `x\.cdn.test.`, "A", dns.RcodeRefused, "", "", ""},
		{"the root", ".", "NS", dns.RcodeRefused, "", "", ""},
		{"the parent", "test.", "NS", dns.RcodeRefused, "", "", ""},
		{"SOA", "cdn.test.", "SOA", 0, soa, "", ""},
		{"NS with glue", "cdn.test.", "NS", 0, "cdn.test. NS ns1.cdn.test., cdn.test. NS ns2.cdn.test.", "",
			"ns1.cdn.test. A 127.0.0.1, ns2.cdn.test. A 127.0.0.2, ns2.cdn.test. AAAA 2001:db8::53"},
		{"a name server's address", "ns2.cdn.test.", "A", 0, "ns2.cdn.test. A 127.0.0.2", "", ""},
		{"no address at the apex", "cdn.test.", "A", 0, "", soa, ""},
		{"MX at the apex", "cdn.test.", "MX", 0, "cdn.test. MX 10 mail.cdn.test.", "", ""},
		{"a record's A", "mail.cdn.test.", "A", 0, "mail.cdn.test. A 192.0.2.25", "", ""},
		{"a record's AAAA", "mail.cdn.test.", "AAAA", 0, "mail.cdn.test. AAAA 2001:db8::25", "", ""},
		{"TXT", "info.cdn.test.", "TXT", 0, `info.cdn.test. TXT "hello", info.cdn.test. TXT "back\\slash"`, "", ""},
		{"TXT in the letters of the question", "INFO.cdn.test.", "TXT", 0, `INFO.cdn.test. TXT "hello", INFO.cdn.test. TXT "back\\slash"`, "", ""},
		{"a node", "paris-2.cdn.test.", "A", 0, "paris-2.cdn.test. A 127.3.1.2", "", ""},
		{"a node over IPv6", "paris-1.cdn.test.", "AAAA", 0, "paris-1.cdn.test. AAAA 2001:db8::1", "", ""},
		{"a node without IPv6", "paris-2.cdn.test.", "AAAA", 0, "", soa, ""},
		{"the origin", "main.cdn.test.", "A", 0, "main.cdn.test. A 127.1.0.1", "", ""},
		{"a DNS node", "dns-1.cdn.test.", "A", 0, "dns-1.cdn.test. A 127.0.0.1", "", ""},
		{"a record that takes a node's name", "tokyo-1.cdn.test.", "A", 0, "tokyo-1.cdn.test. A 192.0.2.99", "", ""},
		{"a name that does not exist", "missing.cdn.test.", "A", dns.RcodeNameError, "", soa, ""},
		{"a name below one that exists", "x.www.cdn.test.", "A", dns.RcodeNameError, "", soa, ""},
		{"an empty non-terminal", "b.cdn.test.", "A", 0, "", soa, ""},
		{"ANY at an empty non-terminal", "b.cdn.test.", "ANY", 0, "", soa, ""},
		{"CNAME to a site", "alias.cdn.test.", "A", 0, "alias.cdn.test. CNAME www.cdn.test., " + www, "", ""},
		{"the CNAME itself", "alias.cdn.test.", "CNAME", 0, "alias.cdn.test. CNAME www.cdn.test.", "", ""},
		{"CNAME to a name without the type", "alias.cdn.test.", "MX", 0, "alias.cdn.test. CNAME www.cdn.test.", soa, ""},
		{"CNAME that leads away", "away.cdn.test.", "A", 0, "away.cdn.test. CNAME www.example.org.", "", ""},
		{"CNAME to nothing", "nowhere.cdn.test.", "A", dns.RcodeNameError, "nowhere.cdn.test. CNAME missing.cdn.test.", soa, ""},
		{"CNAME in a circle", "circle.cdn.test.", "A", dns.RcodeServerFailure, "", "", ""},
		{"ANY, minimal", "www.cdn.test.", "ANY", 0, `www.cdn.test. HINFO "RFC8482" ""`, "", ""},
		{"ANY of a CNAME", "alias.cdn.test.", "ANY", 0, "alias.cdn.test. CNAME www.cdn.test.", "", ""},
		{"ANY of nothing", "missing.cdn.test.", "ANY", dns.RcodeNameError, "", soa, ""},
	} {
		t.Run(c.about, func(t *testing.T) {
			m := newTestServer(t, nil).ask(t, queryFor(c.name, dns.StringToType[c.qtype]), client, overUDP)
			if m.Rcode != c.rcode || brief(m.Answer) != c.answer || brief(m.Ns) != c.ns || brief(m.Extra) != c.extra {
				t.Errorf("%s %s = %v", c.name, c.qtype, m)
			}
			if ours := c.rcode != dns.RcodeRefused && c.rcode != dns.RcodeServerFailure; m.Authoritative != ours && c.rcode != dns.RcodeServerFailure {
				t.Errorf("AA = %v, want %v", m.Authoritative, ours)
			}
			if !m.RecursionDesired || m.RecursionAvailable || m.Truncated {
				t.Errorf("flags of %v", m)
			}
			for _, rr := range slices.Concat(m.Answer, m.Ns, m.Extra) {
				if rr.Header().Ttl != 60 {
					t.Errorf("TTL of %v, want 60", rr)
				}
			}
		})
	}
}

func TestLongTextArrivesWholeInPieces(t *testing.T) {
	text := strings.Repeat(`a"b\`, 150)
	s := newTestServer(t, func(c *Config) { c.Topology.Records = []topology.Record{{Name: "long", TXT: []string{text}}} })
	m := s.ask(t, queryFor("long.cdn.test.", dns.TypeTXT), client, overTCP)
	unescape := strings.NewReplacer(`\\`, `\`, `\"`, `"`)
	got := ""
	for _, piece := range m.Answer[0].(*dns.TXT).Txt {
		piece = unescape.Replace(piece)
		if len(piece) > 255 {
			t.Errorf("a character string of %d octets", len(piece))
		}
		got += piece
	}
	if got != text {
		t.Errorf("TXT = %q, want %q", got, text)
	}
}

func TestTTLIsTheTopologys(t *testing.T) {
	s := newTestServer(t, func(c *Config) { c.Topology.DNS.TTL = 5e9 })
	for _, m := range []*dns.Msg{s.ask(t, queryFor("www.cdn.test.", dns.TypeA), client, overUDP), s.ask(t, queryFor("missing.cdn.test.", dns.TypeA), client, overUDP)} {
		for _, rr := range slices.Concat(m.Answer, m.Ns) {
			if rr.Header().Ttl != 5 {
				t.Errorf("TTL of %v, want 5", rr)
			}
		}
	}
}

func TestServersTakeTurns(t *testing.T) {
	s := newTestServer(t, func(c *Config) { c.Plan.Nodes[2].Public = addrs("127.3.1.2", "2001:db8::2") })
	var first []string
	for range 3 { // as stub resolvers ask: A and AAAA in alternation
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
			m := s.ask(t, queryFor("www.cdn.test.", qtype), client, overUDP)
			if len(m.Answer) != 2 {
				t.Fatalf("answer of %v", m)
			}
			first = append(first, strings.TrimPrefix(m.Answer[0].String(), m.Answer[0].Header().String()))
		}
	}
	if want := []string{"127.3.1.1", "2001:db8::1", "127.3.1.2", "2001:db8::2", "127.3.1.1", "2001:db8::1"}; !slices.Equal(first, want) {
		t.Errorf("first addresses %v, want %v", first, want)
	}
}

func TestSourceAddressPlacesTheClient(t *testing.T) {
	for from, want := range map[string]string{"198.18.2.7": "127.3.2.1", "127.102.0.7": "127.3.2.1", "::ffff:198.18.2.7": "127.3.2.1",
		"2001:db8:2::7": "127.3.2.1", "203.0.113.1": "127.3.3.1", "127.0.0.1": "127.3.3.1"} {
		m := newTestServer(t, nil).ask(t, queryFor("www.cdn.test.", dns.TypeA), netip.MustParseAddr(from), overUDP)
		if got := brief(m.Answer); got != "www.cdn.test. A "+want {
			t.Errorf("from %s: %s, want %s", from, got, want)
		}
		if m.IsEdns0() != nil {
			t.Errorf("from %s: EDNS in the answer to a query without", from)
		}
	}
}

func TestDeadPoPs(t *testing.T) {
	for _, c := range []struct {
		about string
		dead  []string
		want  string
	}{
		{"all alive", nil, "paris"},
		{"the nearest dead", []string{"paris"}, "new-york"},
		{"two dead", []string{"paris", "new-york"}, "tokyo"},
		{"all dead: the origin", []string{"paris", "new-york", "tokyo"}, ""},
	} {
		died := time.Date(2026, 1, 2, 13, 14, 15, 0, time.UTC)
		s := newTestServer(t, func(c *Config) { c.Now = func() time.Time { return died } })
		s.kill(t, c.dead...)
		m := s.ask(t, withSubnet(queryFor("www.cdn.test.", dns.TypeA), "198.18.1.0/24"), client, overUDP)
		addr := map[string]string{"paris": "127.3.1.1", "new-york": "127.3.3.1", "tokyo": "127.3.2.1", "": "127.1.0.1"}[c.want]
		if len(m.Answer) == 0 || m.Answer[0].(*dns.A).A.String() != addr || subnetOf(m).SourceScope != 24 {
			t.Errorf("%s: %v, want %s with scope 24", c.about, m, addr)
		}
		if pops := s.cfg.Stats.Snapshot().PoPs; pops[c.want] != map[bool]uint64{true: 1}[c.want != ""] || len(pops) > 1 {
			t.Errorf("%s: counted %v, want one answer of %q", c.about, pops, c.want)
		}
		d, err := s.Explain("alias.cdn.test", client)
		if err != nil || d.PoP != c.want || len(d.Candidates) != 3 || d.Candidates[0].PoP != "paris" || d.Place != "paris" || d.Scope != 24 {
			t.Errorf("%s: Explain = %+v, %v; want %q", c.about, d, err, c.want)
		}
		if (d.Candidates[0].Healthy == 0) != slices.Contains(c.dead, "paris") || d.Candidates[0].Servers != 2 {
			t.Errorf("%s: candidate %+v", c.about, d.Candidates[0])
		}
		if c.want != "" && strings.Contains(d.Reason, "no healthy server since 13:14:15") != (len(c.dead) > 0) {
			t.Errorf("%s: reason %q", c.about, d.Reason)
		}
		if since := d.Candidates[0].Since; slices.Contains(c.dead, "paris") != since.Equal(died) {
			t.Errorf("%s: paris changed at %v", c.about, since)
		}
	}
}

func TestOneServerOfAPoPDead(t *testing.T) {
	s := newTestServer(t, nil)
	s.fleet[0].observe(0, s.cfg.Now(), false, topology.Health{Fall: 1, Rise: 1})
	for range 2 {
		if got := brief(s.ask(t, queryFor("www.cdn.test.", dns.TypeA), client, overUDP).Answer); got != "www.cdn.test. A 127.3.1.2" {
			t.Errorf("answer %s, want the other server of Paris", got)
		}
	}
	if got := brief(s.ask(t, queryFor("paris-1.cdn.test.", dns.TypeA), client, overUDP).Answer); got != "paris-1.cdn.test. A 127.3.1.1" {
		t.Errorf("its own name = %s: names of nodes do not depend on health", got)
	}
}

func TestNodesThatShareAnAddressAreAnsweredOnce(t *testing.T) {
	s := newTestServer(t, func(c *Config) {
		c.Plan.Nodes[1].Public, c.Plan.Nodes[2].Public = addrs("127.0.0.1"), addrs("127.0.0.1")
	})
	if got := brief(s.ask(t, queryFor("www.cdn.test.", dns.TypeA), client, overUDP).Answer); got != "www.cdn.test. A 127.0.0.1" {
		t.Errorf("answer %s, want the address once", got)
	}
}

func TestExplainRefusesWhatIsNoSite(t *testing.T) {
	s := newTestServer(t, nil)
	for _, name := range []string{"mail.cdn.test", "missing.cdn.test", "shop.example", "circle.cdn.test", ""} {
		if d, err := s.Explain(name, client); err == nil {
			t.Errorf("Explain(%q) = %+v, want an error", name, d)
		}
	}
	if _, err := s.Explain("www.cdn.test", netip.Addr{}); err == nil {
		t.Error("Explain without an address: want an error")
	}
}

func TestBadRecordIsAnError(t *testing.T) {
	top, plan := world()
	top.Records = append(top.Records, topology.Record{Name: "bad", CNAME: strings.Repeat("x", 64) + ".cdn.test"})
	if _, err := newZone(top, plan); err == nil || !strings.Contains(err.Error(), "records.bad") {
		t.Errorf("newZone = %v, want an error that names the record", err)
	}
}

// faulty panics where a query is answered.
type faulty struct{ Locator }

func (faulty) Locate(netip.Addr) place.Answer { panic("out of order") }

func TestPanicIsAnsweredWithSERVFAIL(t *testing.T) {
	s := newTestServer(t, func(c *Config) { c.Locator = faulty{} })
	if m := s.ask(t, queryFor("www.cdn.test.", dns.TypeA), client, overUDP); m.Rcode != dns.RcodeServerFailure || len(m.Answer) != 0 {
		t.Errorf("answer %v, want SERVFAIL", m)
	}
	if m := s.ask(t, queryFor("mail.cdn.test.", dns.TypeA), client, overUDP); m.Rcode != dns.RcodeSuccess {
		t.Errorf("answer after a panic %v, want NOERROR", m)
	}
}

func BenchmarkRespond(b *testing.B) {
	s := newTestServer(b, nil)
	for name, q := range map[string]*dns.Msg{
		"ecs":    withSubnet(queryFor("www.cdn.test.", dns.TypeA), "198.18.1.0/24"),
		"source": queryFor("www.cdn.test.", dns.TypeA),
	} {
		raw, err := q.Pack()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var r reply
			for b.Loop() {
				s.respond(&r, raw, client, overUDP)
			}
		})
	}
}
