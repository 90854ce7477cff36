package dnsredirect

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// fasthttp keeps one goroutine that tells the time, and one per server that sleeps up to 10 s after the server's end.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// wrapped hides that a socket is a *net.UDPConn, as emulation does.
type wrapped struct{ net.PacketConn }

// running is a server on sockets of its own.
type running struct {
	*Server
	udp, tcp, http string
	stop           func() error // ends Run and returns what it returned
}

// sockets binds what a server needs to loopback ports that are free.
func sockets(t testing.TB, c *Config) {
	t.Helper()
	var errs [3]error
	c.PacketConn, errs[0] = net.ListenPacket("udp", "127.0.0.1:0")
	c.Listener, errs[1] = net.Listen("tcp", "127.0.0.1:0")
	c.HTTP, errs[2] = net.Listen("tcp", "127.0.0.1:0")
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
}

func run(t testing.TB, change func(*Config)) *running {
	t.Helper()
	r := new(running)
	r.Server = newTestServer(t, func(c *Config) {
		sockets(t, c)
		if change != nil {
			change(c)
		}
	})
	r.udp, r.tcp, r.http = r.cfg.PacketConn.LocalAddr().String(), r.cfg.Listener.Addr().String(), r.cfg.HTTP.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.stop = func() error {
		cancel()
		err := <-done
		done <- err
		return err
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("Run = %v, want nil after its context was cancelled", err)
		}
	})
	return r
}

func exchange(t testing.TB, network, addr string, q *dns.Msg) *dns.Msg {
	t.Helper()
	c := dns.Client{Net: network, Timeout: 30 * time.Second}
	m, _, err := c.Exchange(q, addr)
	if err != nil {
		t.Fatalf("%s: %v", network, err)
	}
	return m
}

func TestOverSockets(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
	}{
		{"plain sockets", nil},
		{"wrapped sockets", func(c *Config) { c.PacketConn = wrapped{c.PacketConn} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := run(t, c.change)
			for _, network := range []string{"udp", "tcp"} {
				addr := map[string]string{"udp": s.udp, "tcp": s.tcp}[network]
				m := exchange(t, network, addr, withSubnet(queryFor("www.cdn.test.", dns.TypeA), "198.18.2.0/24"))
				if brief(m.Answer) != "www.cdn.test. A 127.3.2.1" {
					t.Errorf("%s: %v, want Tokyo's server", network, m)
				}
				if m := exchange(t, network, addr, queryFor("www.cdn.test.", dns.TypeA)); brief(m.Answer) != "www.cdn.test. A 127.3.3.1" {
					t.Errorf("%s from 127.0.0.1: %v, want the fallback place's server", network, m)
				}
			}
			if m := exchange(t, "udp", s.udp, queryFor("big.cdn.test.", dns.TypeTXT)); !m.Truncated {
				t.Errorf("big TXT over UDP: %v, want TC", m)
			}
			if m := exchange(t, "tcp", s.tcp, queryFor("big.cdn.test.", dns.TypeTXT)); len(m.Answer) != 3 {
				t.Errorf("big TXT over TCP: %v, want 3 records", m)
			}
		})
	}
}

// bound dials from a loopback address of a client place.
func bound(from string) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}
}

func TestSourceAddressOverSockets(t *testing.T) {
	s := run(t, nil)
	for from, want := range map[string]string{"127.102.0.7": "127.3.2.1", "127.103.9.9": "127.3.3.1"} {
		c := dns.Client{Net: "udp", Timeout: 30 * time.Second, Dialer: bound(from)}
		m, _, err := c.Exchange(queryFor("www.cdn.test.", dns.TypeA), s.udp)
		if err != nil {
			t.Skipf("this machine does not own %s: %v", from, err)
		}
		if brief(m.Answer) != "www.cdn.test. A "+want {
			t.Errorf("from %s: %v, want %s", from, m, want)
		}
	}
}

func TestGarbageOverUDPIsSurvived(t *testing.T) {
	s := run(t, nil)
	c, err := net.Dial("udp", s.udp)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, m := range malformed {
		if _, err := c.Write(wire(t, m.raw...)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Write(bytes.Repeat([]byte{0}, maxQuery+1000)); err != nil {
		t.Fatal(err)
	}
	if m := exchange(t, "udp", s.udp, queryFor("mail.cdn.test.", dns.TypeA)); len(m.Answer) != 1 {
		t.Errorf("answer after garbage: %v", m)
	}
}

func TestManyQueriesOnOneTCPConnection(t *testing.T) {
	s := run(t, nil)
	c, err := net.Dial("tcp", s.tcp)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const n = 300
	var all []byte
	for id := range n {
		q := queryFor("www.cdn.test.", dns.TypeA)
		q.Id = uint16(id)
		raw, err := q.Pack()
		if err != nil {
			t.Fatal(err)
		}
		all = append(binary.BigEndian.AppendUint16(all, uint16(len(raw))), raw...)
	}
	go func() {
		for ; len(all) > 0; all = all[min(7, len(all)):] { // in pieces that respect no message
			if _, err := c.Write(all[:min(7, len(all))]); err != nil {
				return
			}
		}
	}()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	co := dns.Conn{Conn: c}
	for id := range n {
		m, err := co.ReadMsg()
		if err != nil || int(m.Id) != id || len(m.Answer) != 1 {
			t.Fatalf("answer %d = %v, %v", id, m, err)
		}
	}
}

func TestTCPConnectionsThatAreClosed(t *testing.T) {
	s := run(t, nil)
	for name, raw := range map[string][]byte{"an empty message": {0, 0}, "a response": append([]byte{0, 12}, wire(t, "abcd 8100 0001 0000 0000 0000")...)} {
		c, err := net.Dial("tcp", s.tcp)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(raw); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(idleTCP * 4 / 5))
		if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: Read = %d, %v, want the end of the connection", name, n, err)
		}
		c.Close()
	}
}

func TestOneConnectionTooManyIsClosed(t *testing.T) {
	s := run(t, nil)
	conns := &s.Server.tcp
	conns.mu.Lock()
	for range maxTCP {
		c, d := net.Pipe()
		t.Cleanup(func() { c.Close(); d.Close() })
		conns.open[c] = struct{}{}
	}
	conns.mu.Unlock()
	c, err := net.Dial("tcp", s.tcp)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(idleTCP * 4 / 5))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read = %v, want the server to close the connection", err)
	}
}

func TestStopEndsIdleConnectionsAtOnce(t *testing.T) {
	s := run(t, nil)
	c, err := dns.Dial("tcp", s.tcp)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.WriteMsg(queryFor("mail.cdn.test.", dns.TypeA)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ReadMsg(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := s.stop(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	if took := time.Since(began); took > idleTCP/2 {
		t.Errorf("stopping took %v with an idle connection open", took)
	}
}

func TestASocketThatFailsEndsRun(t *testing.T) {
	for name, fail := range map[string]func(*Config) error{
		"udp":  func(c *Config) error { return c.PacketConn.Close() },
		"tcp":  func(c *Config) error { return c.Listener.Close() },
		"http": func(c *Config) error { return c.HTTP.Close() },
	} {
		s := newTestServer(t, func(c *Config) {
			sockets(t, c)
			if err := fail(c); err != nil {
				t.Fatal(err)
			}
		})
		if err := s.Run(t.Context()); err == nil {
			t.Errorf("%s: Run = nil with its socket closed, want an error", name)
		}
	}
}

func TestHTTPEndpoints(t *testing.T) {
	s := run(t, nil)
	exchange(t, "udp", s.udp, withSubnet(queryFor("www.cdn.test.", dns.TypeA), "198.18.2.0/24"))
	for _, c := range []struct {
		path, host string
		status     int
		contains   string
	}{
		{"/-/health", "127.0.0.1", 200, "ok"},
		{"/-/metrics", "dns-1", 200, `cdnlab_dns_answers_total{node="dns-1",pop="tokyo",tier="dns"} 1`},
		{"/-/explain?name=www.cdn.test&addr=198.18.2.7", "127.0.0.1", 200, `"pop":"tokyo"`},
		{"/-/explain?name=www.cdn.test&addr=198.18.2.7", "www.cdn.test", 404, "DNS server"},
		{"/-/explain?name=www.cdn.test", "127.0.0.1", 400, "addr"},
		{"/-/explain?name=mail.cdn.test&addr=198.18.2.7", "127.0.0.1", 404, "no site"},
		{"/", "127.0.0.1", 404, "DNS server"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.http+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host, req.Close = c.host, true
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || !strings.Contains(string(body), c.contains) {
			t.Errorf("GET %s on %s = %d %s, %v; want %d with %s", c.path, c.host, resp.StatusCode, body, err, c.status, c.contains)
		}
		if strings.Contains(c.contains, "pop") && c.status == 200 && strings.HasPrefix(c.path, "/-/explain") {
			var d Decision
			if err := json.Unmarshal(body, &d); err != nil || d.Client != netip.MustParseAddr("198.18.2.7") || d.Candidates[0].RTT > d.Candidates[1].RTT {
				t.Errorf("decision %+v, %v", d, err)
			}
		}
	}
}

func TestHealthChecksNeedADial(t *testing.T) {
	top, plan := world()
	top.DNS.Health.Off = false
	if _, err := New(Config{Topology: top, Plan: plan}); err == nil {
		t.Error("New = nil without Dial, want an error")
	}
}
