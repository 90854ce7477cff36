package experiment

import (
	"net"
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"cdnlab/topology"
)

// A resolver's first answer is of no use: the clients ask once more.
func TestClientsAskTheirResolverTwice(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	queries := 0
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return // closed
			}
			queries++
			reply := []byte("?")
			if q := new(dns.Msg); queries > 1 && q.Unpack(buf[:n]) == nil {
				rr, _ := dns.NewRR(q.Question[0].Name + " IN A 127.3.1.1") // well-formed
				m := new(dns.Msg).SetReply(q)
				m.Answer = []dns.RR{rr}
				reply, _ = m.Pack() // as above
			}
			_, _ = conn.WriteTo(reply, from) // the test meets the lack
		}
	}()
	c := newCity(topology.Place{Resolver: conn.LocalAddr().(*net.UDPAddr).AddrPort(), Client: netip.MustParseAddr("127.0.0.1")}, 80)
	addrs, err := c.ask(t.Context(), "www.cdn.test")
	conn.Close()
	<-ended
	if err != nil || len(addrs) != 1 || addrs[0] != netip.MustParseAddr("127.3.1.1") || queries != 2 {
		t.Errorf("ask = %v, %v after %d queries, want 127.3.1.1 by the second", addrs, err, queries)
	}
}
