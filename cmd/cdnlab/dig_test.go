package main

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"cdnlab/mgmt"
)

// resolver answers A 127.3.1.1 with the query's subnet at scope 24; over UDP it says that the answer did not fit when big is set.
func resolver(t *testing.T, big bool) string {
	t.Helper()
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.RecursionAvailable = true
		_, overUDP := w.RemoteAddr().(*net.UDPAddr)
		if m.Truncated = big && overUDP; !m.Truncated {
			rr, _ := dns.NewRR("www.cdn.test. 60 IN A 127.3.1.1")
			m.Answer = append(m.Answer, rr)
		}
		for _, o := range q.IsEdns0().Option {
			ecs := *o.(*dns.EDNS0_SUBNET)
			ecs.SourceScope = 24
			m.SetEdns0(1232, false)
			m.IsEdns0().Option = append(m.IsEdns0().Option, &ecs)
		}
		_ = w.WriteMsg(m)
	})
	tcp, udp := listenBoth(t)
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: handler}, {Listener: tcp, Handler: handler}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { _ = s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return udp.LocalAddr().String()
}

// listenBoth finds a port that is free for both.
func listenBoth(t *testing.T) (net.Listener, net.PacketConn) {
	t.Helper()
	for range 20 {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if udp, err := net.ListenPacket("udp", tcp.Addr().String()); err == nil {
			return tcp, udp
		}
		tcp.Close()
	}
	t.Fatal("no port is free on UDP and TCP")
	return nil, nil
}

func TestDig(t *testing.T) {
	tests := []struct {
		name     string
		big, tcp bool
		subnet   string
		want     []string
	}{
		{name: "over UDP", want: []string{";; www.cdn.test. A from paris: NOERROR (qr rd ra)\n", "www.cdn.test.\t60\tIN\tA\t127.3.1.1\t; paris-1\n"}},
		{name: "over TCP", tcp: true, want: []string{"127.3.1.1"}},
		{name: "over TCP after a truncated answer", big: true, want: []string{"NOERROR (qr rd ra)\n", "127.3.1.1"}},
		{name: "with a subnet", subnet: "198.18.2.9/26", want: []string{";; client subnet 198.18.2.9/26, answer valid for its /24\n"}},
		{name: "with an IPv6 subnet", subnet: "2001:db8::/56", want: []string{"answer valid for its /24\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			query, err := newQuery([]string{"www.cdn.test"}, tt.subnet)
			if err != nil {
				t.Fatal(err)
			}
			l, err := ask(t.Context(), query, resolver(t, tt.big), tt.tcp)
			if err != nil {
				t.Fatal(err)
			}
			l.From, l.Subnet = "paris", tt.subnet
			l.nameNodes(mgmt.Topology{Nodes: []mgmt.Node{{Name: "paris-1", Public: []netip.Addr{netip.MustParseAddr("127.3.1.1")}}}})
			for _, want := range tt.want {
				if got := l.text(); !strings.Contains(got, want) {
					t.Errorf("dig printed\n%s\nwant in it\n%s", got, want)
				}
			}
		})
	}
}
