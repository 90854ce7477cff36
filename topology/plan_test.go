package topology

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func plan(t *testing.T, top *Topology, opt PlanOptions) *Plan {
	t.Helper()
	p, err := top.Plan(opt)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const planned = `
origins: { main: { at: Ashburn }, other: { at: Dallas, addresses: ["2001:db8::1", 192.0.2.1] } }
hubs: { eu: { at: Frankfurt }, ap: { at: Singapore, servers: 2 } }
edges: { paris: { servers: 2 }, tokyo: {}, lab: { at: CDG, addresses: [ [192.0.2.2], ["2001:db8::2"] ] } }
clients: { paris: {}, tokyo: {} }
dns: { servers: 2 }
sites: { www.cdn.test: { origin: main } }
`

func TestPlan(t *testing.T) {
	p := plan(t, parse(t, planned), PlanOptions{})
	var nodes []string
	for _, n := range p.Nodes {
		dns := ""
		if n.DNS.IsValid() {
			dns = " " + n.DNS.String()
		}
		nodes = append(nodes, fmt.Sprintf("%s %s.%s/%d %s %s %v%s", n.Name, n.Kind, n.Group, n.Index, n.At.IATA, n.HTTP, n.Public, dns))
	}
	want := []string{
		"main origin.main/1 IAD 127.1.0.1:8080 [127.1.0.1]",
		"other origin.other/1 DFW 192.0.2.1:8080 [192.0.2.1 2001:db8::1]",
		"eu-1 hub.eu/1 FRA 127.2.1.1:8080 [127.2.1.1]",
		"ap-1 hub.ap/1 SIN 127.2.2.1:8080 [127.2.2.1]",
		"ap-2 hub.ap/2 SIN 127.2.2.2:8080 [127.2.2.2]",
		"paris-1 edge.paris/1 CDG 127.3.1.1:8080 [127.3.1.1]",
		"paris-2 edge.paris/2 CDG 127.3.1.2:8080 [127.3.1.2]",
		"tokyo-1 edge.tokyo/1 NRT 127.3.2.1:8080 [127.3.2.1]",
		"lab-1 edge.lab/1 CDG 192.0.2.2:8080 [192.0.2.2]",
		"lab-2 edge.lab/2 CDG [2001:db8::2]:8080 [2001:db8::2]",
		"dns-1 dns.dns/1 IAD 127.0.0.1:8080 [127.0.0.1] 127.0.0.1:8053",
		"dns-2 dns.dns/2 IAD 127.0.0.2:8080 [127.0.0.2] 127.0.0.2:8053",
	}
	if !reflect.DeepEqual(nodes, want) {
		t.Errorf("nodes\n%s\nwant\n%s", strings.Join(nodes, "\n"), strings.Join(want, "\n"))
	}
	if got := fmt.Sprint(p.Places); got != "[{paris 127.101.0.0/16 127.101.0.53:8053 127.101.0.53:3128 127.101.0.7} "+
		"{tokyo 127.102.0.0/16 127.102.0.53:8053 127.102.0.53:3128 127.102.0.7}]" {
		t.Errorf("places %s", got)
	}
	if p.HTTPPort() != 8080 {
		t.Errorf("HTTPPort = %d", p.HTTPPort())
	}
}

func TestPlanPorts(t *testing.T) {
	p := plan(t, parse(t, planned, "dns.addresses=[192.0.2.53, 192.0.2.54]"), PlanOptions{HTTPPort: 80, DNSPort: 53, GatewayPort: 3129})
	node, _ := p.Node("dns-2")
	place, _ := p.Place("tokyo")
	got := fmt.Sprint(p.HTTPPort(), p.Nodes[0].HTTP, node.HTTP, node.DNS, place.Resolver, place.Gateway)
	if want := "80 127.1.0.1:80 192.0.2.54:80 192.0.2.54:53 127.102.0.53:53 127.102.0.53:3129"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPlanLookup(t *testing.T) {
	p := plan(t, parse(t, planned), PlanOptions{})
	if n, ok := p.Node("ap-2"); !ok || n.Name != "ap-2" {
		t.Errorf("Node(ap-2) = %v, %v", n, ok)
	}
	if n, ok := p.Node("ap"); ok {
		t.Errorf("Node(ap) = %v", n)
	}
	if pl, ok := p.Place("paris"); !ok || pl.Name != "paris" {
		t.Errorf("Place(paris) = %v, %v", pl, ok)
	}
	if pl, ok := p.Place("lab"); ok {
		t.Errorf("Place(lab) = %v", pl)
	}
	for _, c := range []struct {
		ref  Ref
		want int
	}{{hub("ap"), 2}, {edge("ap"), 0}, {edge("paris"), 2}, {client("paris"), 0}, {origin("main"), 1}, {Ref{Kind: KindDNS}, 2}} {
		if got := p.Group(c.ref); len(got) != c.want {
			t.Errorf("Group(%v) has %d nodes, want %d", c.ref, len(got), c.want)
		}
	}
}

func TestPlanOnOneAddress(t *testing.T) {
	top := parse(t, planned)
	for _, opt := range []PlanOptions{
		{OnePort: true},
		{OnePort: true, HTTPPort: 8050, DNSPort: 8053, GatewayPort: 8055},
		{OnePort: true, HTTPPort: 65530},
	} {
		p, err := top.Plan(opt)
		if opt.HTTPPort == 65530 {
			if err == nil {
				t.Error("ports above 65535 were given out")
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		used := make(map[netip.AddrPort]string)
		take := func(what string, at netip.AddrPort) {
			if other, taken := used[at]; taken || at.Addr().String() != "127.0.0.1" || at.Port() < p.opt.HTTPPort && at.Port() < p.opt.GatewayPort {
				t.Errorf("%s at %v, which is also %q", what, at, other)
			}
			used[at] = what
		}
		for _, n := range p.Nodes {
			take(string(n.Name), n.HTTP)
			if n.Kind == KindDNS {
				take(string(n.Name)+" DNS", n.DNS)
			}
		}
		for _, pl := range p.Places {
			take(pl.Name+" resolver", pl.Resolver)
			take(pl.Name+" gateway", pl.Gateway)
			if pl.Prefix.IsValid() {
				t.Errorf("%s has sources %v, but all clients are 127.0.0.1", pl.Name, pl.Prefix)
			}
		}
		if n, _ := p.Node("dns-1"); n.DNS.Port() != p.opt.DNSPort || p.Nodes[0].HTTP.Port() != p.HTTPPort() {
			t.Errorf("the first ports are %d and %d", n.DNS.Port(), p.Nodes[0].HTTP.Port())
		}
	}
}

// many writes n entries of a section.
func many(section string, n int, entry string) string {
	var b strings.Builder
	b.WriteString(section + ":\n")
	for i := range n {
		fmt.Fprintf(&b, "  x%s%d: "+entry+"\n", section[:1], i, i/250, i%250)
	}
	return b.String()
}

func TestPlanOverflow(t *testing.T) {
	const plain, own, nets = "{ at: Paris } # %d %d", "{ at: Paris, addresses: [[10.0.%d.%d]] }", "{ at: Paris, networks: [10.%d.%d.0/24] }"
	const main, paris, here = "origins: { main: { at: Ashburn } }\n", "edges: { paris: {} }\n", "clients: { paris: {} }\n"
	for _, c := range []struct {
		name, file, want string
	}{
		{"254 PoPs fit", main + here + many("edges", 254, plain), ""},
		{"255 do not", main + here + many("edges", 255, plain),
			"1 edge without addresses of its own, but the address plan has room for the first 254; give it addresses in the file, or use fewer"},
		{"300 with addresses fit", main + here + many("edges", 300, own), ""},
		{"300 hubs", main + here + paris + many("hubs", 300, plain),
			"46 hubs without addresses of their own, but the address plan has room for the first 254; give them addresses in the file, or use fewer"},
		{"300 origins", here + paris + many("origins", 300, plain) + "sites: { www.cdn.test: { origin: xo0 } }\n",
			"46 origins without addresses of their own, but the address plan has room for the first 254; give them addresses in the file, or use fewer"},
		{"155 places fit", main + paris + many("clients", 155, plain), ""},
		{"160 do not", main + paris + many("clients", 160, plain),
			"5 client places without networks of their own, but the address plan has room for the first 155; give them networks in the file, or use fewer"},
		{"160 with networks do", main + paris + many("clients", 160, nets), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := parse(t, c.file).Plan(PlanOptions{})
			switch {
			case err == nil && c.want != "":
				t.Errorf("no error, want %q", c.want)
			case err != nil && err.Error() != c.want:
				t.Errorf("got %q, want %q", err, c.want)
			case err == nil && len(p.Places) == 160:
				if last := p.Places[159]; last != (Place{Name: "xc159"}) || p.Places[154].Client.String() != "127.255.0.7" {
					t.Errorf("places beyond the plan: %+v", p.Places[154:])
				}
			}
		})
	}
}
