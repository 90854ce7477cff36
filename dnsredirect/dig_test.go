package dnsredirect

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"cdnlab/topology"
)

// dig runs the real one and returns the lines that it prints.
func dig(t *testing.T, at netip.AddrPort, args ...string) []string {
	t.Helper()
	args = append([]string{"@" + at.Addr().String(), "-p", fmt.Sprint(at.Port()), "+tries=2", "+time=5"}, args...)
	out, err := exec.CommandContext(t.Context(), "dig", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("dig %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func needDig(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("dig"); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("dig is not installed; CI has to install it (bind9-dnsutils)")
	}
	t.Skip("dig is not installed")
}

// rebind gives a server the same free port on UDP and TCP, which dig needs to fall back from one to the other.
func rebind(t *testing.T, c *Config, host string) {
	t.Helper()
	if err := errors.Join(c.PacketConn.Close(), c.Listener.Close()); err != nil {
		t.Fatal(err)
	}
	var err error
	for range 20 {
		if c.Listener, err = net.Listen("tcp", host+":0"); err != nil {
			t.Skipf("this machine does not own %s: %v", host, err)
		}
		if c.PacketConn, err = net.ListenPacket("udp", c.Listener.Addr().String()); err == nil {
			return
		}
		if err := c.Listener.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("no port is free on UDP and TCP: %v", err)
}

func TestDigFindsTheNearestPoPOfEveryPlace(t *testing.T) {
	needDig(t)
	top, err := topology.Preset("three-continents", []string{"dns.health=off"})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := top.Plan(topology.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var servers []netip.AddrPort
	for _, host := range []string{"127.0.0.1", "127.0.0.2"} {
		r := run(t, func(c *Config) {
			c.Topology, c.Plan = top, plan
			rebind(t, c, host)
		})
		servers = append(servers, addrPort(r.cfg.PacketConn.LocalAddr()))
	}
	// The servers run on while the places are asked for in parallel.
	t.Run("places", func(t *testing.T) {
		for _, c := range top.Clients {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				want := nearestServers(top, plan, c.Name)
				p, _ := plan.Place(c.Name)
				for _, at := range servers {
					for _, transport := range []string{"+notcp", "+tcp"} {
						for _, who := range []string{"+subnet=" + c.Networks[0].String(), "-b" + p.Client.String()} {
							got := dig(t, at, "+short", transport, who, "www.cdn.test", "A")
							if slices.Sort(got); !slices.Equal(got, want) {
								t.Errorf("dig @%s %s %s = %v, want %v", at, transport, who, got, want)
							}
						}
					}
				}
			})
		}
	})
	fallback := nearestServers(top, plan, top.Fallback)
	for _, who := range []string{"+subnet=203.0.113.0/24", "+subnet=0", "+noedns"} {
		got := dig(t, servers[1], "+short", who, "www.cdn.test", "A")
		if slices.Sort(got); !slices.Equal(got, fallback) {
			t.Errorf("dig %s = %v, want the fallback place's %v", who, got, fallback)
		}
	}
}

// nearestServers are the addresses of the servers of the PoP with the least RTT to a place, sorted.
func nearestServers(top *topology.Topology, plan *topology.Plan, client string) (want []string) {
	best := time.Duration(-1)
	var at topology.Ref
	for _, e := range top.Edges {
		ref := topology.Ref{Kind: topology.KindEdge, Name: e.Name}
		if rtt := top.Path(topology.Ref{Kind: topology.KindClient, Name: client}, ref).RTT; best < 0 || rtt < best {
			best, at = rtt, ref
		}
	}
	for _, n := range plan.Group(at) {
		want = append(want, n.Public[0].String())
	}
	slices.Sort(want)
	return want
}

func TestDigReadsTheRest(t *testing.T) {
	needDig(t)
	s := run(t, func(c *Config) { rebind(t, c, "127.0.0.1") })
	at := addrPort(s.cfg.PacketConn.LocalAddr())
	for _, c := range []struct {
		args string
		want []string
	}{
		{"www.cdn.test A +subnet=198.18.2.0/24", []string{"status: NOERROR", "flags: qr aa rd;", "; CLIENT-SUBNET: 198.18.2.0/24/24", "udp: 1232", "127.3.2.1"}},
		{"cdn.test SOA +edns=1 +noednsneg", []string{"status: BADVERS", "version: 0"}},
		{"cdn.test NS", []string{"ns1.cdn.test.\t\t60\tIN\tA\t127.0.0.1", "AUTHORITY: 0"}},
		{"nothing.cdn.test A", []string{"status: NXDOMAIN", "cdn.test.\t\t60\tIN\tSOA"}},
		{"www.cdn.test AAAA +subnet=198.18.2.0/24", []string{"status: NOERROR", "ANSWER: 0, AUTHORITY: 1", "198.18.2.0/24/0"}},
		{"example.org A", []string{"status: REFUSED"}},
		{"cdn.test AXFR", []string{"Transfer failed."}},
		{"version.bind TXT CH", []string{"status: REFUSED"}},
		{"big.cdn.test TXT +ignore +bufsize=512", []string{"flags: qr aa tc rd;"}},
		{"big.cdn.test TXT", []string{"ANSWER: 3"}}, // asked again over TCP
		{"www.cdn.test A +nsid +cookie +dnssec", []string{`("dns-1")`, "flags: do;"}},
	} {
		out := strings.Join(dig(t, at, strings.Fields(c.args)...), "\n")
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("dig %s lacks %q:\n%s", c.args, want, out)
			}
		}
		if strings.Contains(out, "WARNING") && !strings.Contains(out, "recursion requested but not available") {
			t.Errorf("dig %s warns:\n%s", c.args, out)
		}
	}
}
