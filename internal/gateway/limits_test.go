package gateway

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// many answers with n addresses.
func many(n int) func(string, *dns.Msg) *dns.Msg {
	addrs := make([]string, n)
	for i := range addrs {
		addrs[i] = fmt.Sprintf("10.0.%d.%d", i/250, i%250)
	}
	return addresses(addrs...)
}

func TestResolverFitsAnswersToTheClient(t *testing.T) {
	for _, c := range []struct {
		name      string
		network   string
		edns      uint16 // the client's UDP size; 0 is no EDNS
		records   int
		truncated bool
	}{
		{"a client without EDNS", "udp", 0, 40, true},
		{"a client with little room", "udp", 512, 60, true},
		{"a client that claims less than anybody has", "udp", 10, 20, false},
		{"a client with room", "udp", 1232, 40, false},
		{"a client with more room than a packet", "udp", 4096, 100, true},
		{"a client by TCP", "tcp", 0, 3000, false}, // 48 kB as it comes, over 64 kB with names in full
	} {
		t.Run(c.name, func(t *testing.T) {
			n := start(t, newAuthority(t, func(network string, q *dns.Msg) *dns.Msg {
				resp := many(c.records)(network, q)
				resp.Compress = true
				return resp
			}))
			q := question("www.cdn.test.", dns.TypeA)
			if c.edns != 0 {
				q.SetEdns0(c.edns, false)
			}
			resp := n.ask(c.network, q)
			if resp.Truncated != c.truncated || !c.truncated && len(resp.Answer) != c.records {
				t.Errorf("answer has %d records, truncated %v, want %d, truncated %v", len(resp.Answer), resp.Truncated, c.records, c.truncated)
			}
		})
	}
}

// TestResolverSaysWhatItCannot asks what a resolver has no answer to.
func TestResolverSaysWhatItCannot(t *testing.T) {
	a := newAuthority(t, func(string, *dns.Msg) *dns.Msg { return nil })
	a.stop()
	n := start(t, a)
	signed := question("www.cdn.test.", dns.TypeA).SetTsig("key.", dns.HmacSHA256, 300, time.Now().Unix())
	signed.Extra[0].(*dns.TSIG).MAC, signed.Extra[0].(*dns.TSIG).MACSize = strings.Repeat("00", 32), 32
	for _, c := range []struct {
		name  string
		query *dns.Msg
		rcode int
		edns  bool
	}{
		{"no server answers", question("www.cdn.test.", dns.TypeA), dns.RcodeServerFailure, false},
		{"no server answers a client with EDNS", question("www.cdn.test.", dns.TypeA).SetEdns0(1232, true), dns.RcodeServerFailure, true},
		{"a notification", new(dns.Msg).SetNotify("cdn.test."), dns.RcodeNotImplemented, false},
		{"an update", new(dns.Msg).SetUpdate("cdn.test."), dns.RcodeNotImplemented, false},
		{"no question", new(dns.Msg).SetEdns0(1232, false), dns.RcodeFormatError, false},
		{"a signed query", signed, dns.RcodeServerFailure, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			packed, err := c.query.Pack()
			if err != nil {
				t.Fatal(err)
			}
			conn := n.dial("udp", n.udp)
			if _, err := conn.Write(packed); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 4096)
			size, err := conn.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			resp := new(dns.Msg)
			if err := resp.Unpack(buf[:size]); err != nil {
				t.Fatal(err)
			}
			if resp.Rcode != c.rcode || (resp.IsEdns0() != nil) != c.edns || resp.Id != c.query.Id {
				t.Errorf("answer = %v, want %s, EDNS %v", resp, dns.RcodeToString[c.rcode], c.edns)
			}
		})
	}
}

// dial connects to the gateway until the test ends.
func (n *network) dial(network, addr string) net.Conn {
	n.t.Helper()
	conn, err := net.Dial(network, addr)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		n.t.Fatal(err)
	}
	return conn
}

// TestResolverSurvivesGarbage sends what is no query in front of a query.
func TestResolverSurvivesGarbage(t *testing.T) {
	a := newAuthority(t, addresses("127.3.1.1"))
	n := start(t, a)
	reply, err := addresses("127.3.1.1")("udp", question("www.cdn.test.", dns.TypeA)).Pack()
	if err != nil {
		t.Fatal(err)
	}
	garbage := [][]byte{nil, {0}, make([]byte, 11), make([]byte, 12), reply, []byte(strings.Repeat("\xff", 4096)), []byte("GET / HTTP/1.1\r\n\r\n"),
		append(make([]byte, 12), 0xc0, 0x0c, 0, 1, 0, 1)} // a name that points to itself
	conn := n.dial("udp", n.udp)
	for _, b := range garbage {
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
		tcp := n.dial("tcp", n.tcp)
		if _, err := tcp.Write(append([]byte{byte(len(b) >> 8), byte(len(b))}, b...)); err != nil {
			t.Fatal(err)
		}
	}
	for _, network := range []string{"udp", "tcp"} {
		if resp := n.ask(network, question("www.cdn.test.", dns.TypeA)); len(resp.Answer) != 1 {
			t.Errorf("answer by %s = %v, want one address", network, resp)
		}
	}
	if got := len(a.asked()); got != 2 {
		t.Errorf("the authoritative server was asked %d times, want 2: garbage is not passed on", got)
	}
}

// writer is a client of the resolver.
type writer struct {
	dns.ResponseWriter
	got *dns.Msg
}

func (w *writer) LocalAddr() net.Addr          { return &net.UDPAddr{} }
func (w *writer) RemoteAddr() net.Addr         { return &net.UDPAddr{} }
func (w *writer) WriteMsg(resp *dns.Msg) error { w.got = resp; return nil }

func TestResolverBoundsWhatItAsksAtOnce(t *testing.T) {
	a := newAuthority(t, addresses("127.3.1.1"))
	n := start(t, a)
	r := n.server.resolver(n.server.find("paris"))
	for range maxQueries {
		r.slots <- struct{}{}
	}
	var w writer
	r.ServeDNS(&w, question("www.cdn.test.", dns.TypeA))
	if w.got == nil || w.got.Rcode != dns.RcodeServerFailure || len(a.asked()) != 0 {
		t.Errorf("answer above the limit = %v with %d queries, want SERVFAIL with none", w.got, len(a.asked()))
	}
	<-r.slots
	for range 2 * maxQueries {
		r.ServeDNS(&w, question("www.cdn.test.", dns.TypeA))
		if w.got.Rcode != dns.RcodeSuccess {
			t.Fatalf("answer within the limit = %v, want an address", w.got)
		}
	}
}
