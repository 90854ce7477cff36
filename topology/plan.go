package topology

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Ports of a plan that PlanOptions leaves open.
const (
	DefaultHTTPPort    = 8080
	DefaultDNSPort     = 8053
	DefaultGatewayPort = 3128
)

// PlanOptions are the ports of a plan; a zero port takes the default.
type PlanOptions struct {
	HTTPPort    uint16 // 8080
	DNSPort     uint16 // 8053
	GatewayPort uint16 // 3128
	// OnePort gives every node 127.0.0.1 and a port of its own, for machines that own no other loopback address (macOS).
	OnePort bool
}

// Plan gives every node its address.
type Plan struct {
	Nodes  []Node  // origins, hubs, edges, DNS servers; each group in file order
	Places []Place // as Topology.Clients
	opt    PlanOptions
	byName map[NodeName]int
}

// Node is one server of the topology with its address.
type Node struct {
	Name  NodeName
	Kind  Kind
	Group string // the entry it belongs to: "paris" for paris-1
	Index int    // from 1 within Group
	At    Location
	HTTP  netip.AddrPort // where it serves HTTP
	DNS   netip.AddrPort // KindDNS: where it serves DNS over UDP and TCP
	// Public lists what DNS answers for it, IPv4 first: the file's addresses, or the plan's one.
	Public []netip.Addr
}

// Place is where the clients of one place connect from and to. A place beyond the 155th has the zero value of all but its
// Name: it is recognised by its networks alone. Where the file gives the gateway an address, all places have their resolvers
// and gateways there, told apart by port, and neither Prefix nor Client: the gateway says for whom it speaks.
type Place struct {
	Name     string
	Prefix   netip.Prefix   // 127.(100+K).0.0/16: sources of its clients
	Resolver netip.AddrPort // 127.(100+K).0.53:8053: the city's resolver
	Gateway  netip.AddrPort // 127.(100+K).0.53:3128: the city's gateway
	Client   netip.Addr     // 127.(100+K).0.7: the address that this project's own tools bind
}

const maxPerByte = 254 // entries that one byte of an address can number from 1

// Plan lays out addresses. The addresses that the file gives win; the others follow from the order of the file: origins
// 127.1.0.N, hubs 127.2.H.S, edges 127.3.P.S, DNS servers 127.0.0.N and for the K-th place 127.(100+K).0.0/16. It fails
// when an entry has no room there, and says what to write in the file instead.
func (t *Topology) Plan(opt PlanOptions) (*Plan, error) {
	opt.HTTPPort = orDefault(opt.HTTPPort, DefaultHTTPPort)
	opt.DNSPort = orDefault(opt.DNSPort, DefaultDNSPort)
	opt.GatewayPort = orDefault(opt.GatewayPort, DefaultGatewayPort)
	p := &Plan{opt: opt, byName: make(map[NodeName]int)}
	if err := t.room(); err != nil && !opt.OnePort {
		return nil, err
	}
	for i, o := range t.Origins {
		p.add(Ref{KindOrigin, o.Name}, o.At, 1, [][]netip.Addr{o.Addresses}, func(int) [2]byte { return [2]byte{0, byte(i + 1)} })
	}
	for i, h := range t.Hubs {
		p.add(Ref{KindHub, h.Name}, h.At, h.Servers, h.Addresses, func(s int) [2]byte { return [2]byte{byte(i + 1), byte(s)} })
	}
	for i, e := range t.Edges {
		p.add(Ref{KindEdge, e.Name}, e.At, e.Servers, e.Addresses, func(s int) [2]byte { return [2]byte{byte(i + 1), byte(s)} })
	}
	at, _ := t.At(Ref{Kind: KindDNS})
	own := values(t.DNS.Addresses, func(a netip.Addr) []netip.Addr { return []netip.Addr{a} })
	p.add(Ref{Kind: KindDNS, Name: "dns"}, at, t.DNS.Servers, own, func(s int) [2]byte { return [2]byte{0, byte(s)} })
	for k, c := range t.Clients {
		p.addPlace(k+1, c.Name)
	}
	if t.Gateway.IsValid() {
		if err := p.placesAt(t.Gateway); err != nil {
			return nil, err
		}
	}
	if opt.OnePort {
		if err := p.onOneAddress(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func orDefault(port, byDefault uint16) uint16 {
	if port == 0 {
		return byDefault
	}
	return port
}

// planNet is the second byte of the addresses of a kind.
var planNet = map[Kind]byte{KindOrigin: 1, KindHub: 2, KindEdge: 3, KindDNS: 0}

// add appends the servers of an entry. last gives the two last bytes of the address of server s.
func (p *Plan) add(r Ref, at Location, servers int, own [][]netip.Addr, last func(s int) [2]byte) {
	for s := 1; s <= servers; s++ {
		n := Node{Name: ServerName(r, s), Kind: r.Kind, Group: r.Name, Index: s, At: at}
		if s <= len(own) && len(own[s-1]) > 0 {
			n.Public = slices.Clone(own[s-1])
			slices.SortStableFunc(n.Public, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
		} else {
			low := last(s)
			n.Public = []netip.Addr{netip.AddrFrom4([4]byte{127, planNet[r.Kind], low[0], low[1]})}
		}
		n.HTTP = netip.AddrPortFrom(n.Public[0], p.opt.HTTPPort)
		if r.Kind == KindDNS {
			n.DNS = netip.AddrPortFrom(n.Public[0], p.opt.DNSPort)
		}
		p.byName[n.Name] = len(p.Nodes)
		p.Nodes = append(p.Nodes, n)
	}
}

func (p *Plan) addPlace(k int, name string) {
	if k > maxPlaces {
		p.Places = append(p.Places, Place{Name: name})
		return
	}
	addr := func(last byte) netip.Addr { return netip.AddrFrom4([4]byte{127, byte(100 + k), 0, last}) }
	p.Places = append(p.Places, Place{
		Name: name, Prefix: netip.PrefixFrom(addr(0), 16), Client: addr(7),
		Resolver: netip.AddrPortFrom(addr(53), p.opt.DNSPort), Gateway: netip.AddrPortFrom(addr(53), p.opt.GatewayPort),
	})
}

// placesAt moves the places' resolvers and gateways to one address: resolvers from DNSPort upward, gateways from the port
// above GatewayPort, which is that of the gateway that takes the city as user name.
func (p *Plan) placesAt(at netip.Addr) error {
	for i := range p.Places {
		resolver, gateway := int(p.opt.DNSPort)+i, int(p.opt.GatewayPort)+1+i
		if max(resolver, gateway) > 65535 {
			return errors.New("the ports above those of the options do not suffice for every place to have one; start lower")
		}
		p.Places[i] = Place{Name: p.Places[i].Name, Resolver: netip.AddrPortFrom(at, uint16(resolver)), Gateway: netip.AddrPortFrom(at, uint16(gateway))}
	}
	return nil
}

// room reports entries that the plan has no addresses for.
func (t *Topology) room() error {
	return errors.Join(
		shortage("origin", "addresses", maxPerByte, values(t.Origins, func(o Origin) bool { return len(o.Addresses) > 0 })),
		shortage("hub", "addresses", maxPerByte, values(t.Hubs, func(h Hub) bool { return len(h.Addresses) > 0 })),
		shortage("edge", "addresses", maxPerByte, values(t.Edges, func(e Edge) bool { return len(e.Addresses) > 0 })),
		shortage("client place", "networks", maxPlaces, values(t.Clients, func(c Client) bool { return c.OwnNetworks })),
	)
}

// shortage reports entries beyond the first most that do not bring their own.
func shortage(what, key string, most int, bringOwn []bool) error {
	lacking := 0
	for _, own := range bringOwn[min(most, len(bringOwn)):] {
		if !own {
			lacking++
		}
	}
	its, it := "their", "them"
	switch lacking {
	case 0:
		return nil
	case 1:
		its, it = "its", "it"
	}
	return fmt.Errorf("%s without %s of %s own, but the address plan has room for the first %d; give %s %s in the file, or use fewer",
		plural(lacking, what), key, its, most, it, key)
}

// onOneAddress moves everything to 127.0.0.1: HTTP of the nodes from HTTPPort upward, DNS of the servers and then the
// places' resolvers from DNSPort upward, and the places' gateways from GatewayPort upward, passing over ports in use.
// All clients then have the source address 127.0.0.1, so that places have no Prefix.
func (p *Plan) onOneAddress() error {
	local := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	used := make(map[int]bool)
	from := func(first uint16) func() netip.AddrPort {
		port := int(first)
		return func() netip.AddrPort {
			for used[port] {
				port++
			}
			used[port] = true
			return netip.AddrPortFrom(local, uint16(port))
		}
	}
	http, dns, gateway := from(p.opt.HTTPPort), from(p.opt.DNSPort), from(p.opt.GatewayPort)
	for i := range p.Nodes {
		if n := &p.Nodes[i]; n.Kind == KindDNS {
			n.DNS = dns()
		}
	}
	for i := range p.Places {
		p.Places[i] = Place{Name: p.Places[i].Name, Client: local, Resolver: dns(), Gateway: gateway()}
	}
	for i := range p.Nodes {
		n := &p.Nodes[i]
		n.HTTP, n.Public = http(), []netip.Addr{local}
	}
	if used[1<<16] {
		return errors.New("the ports above those of the options do not suffice for every node to have one; start lower")
	}
	return nil
}

// Node finds a node by name.
func (p *Plan) Node(name NodeName) (Node, bool) {
	i, ok := p.byName[name]
	if !ok {
		return Node{}, false
	}
	return p.Nodes[i], true
}

// Group lists the servers of an entry; those of KindDNS whatever its name.
func (p *Plan) Group(r Ref) []Node {
	var nodes []Node
	for _, n := range p.Nodes {
		if n.Kind == r.Kind && (n.Group == r.Name || n.Kind == KindDNS) {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// Place finds a place by name.
func (p *Plan) Place(name string) (Place, bool) {
	i := slices.IndexFunc(p.Places, func(pl Place) bool { return pl.Name == name })
	if i < 0 {
		return Place{}, false
	}
	return p.Places[i], true
}

// HTTPPort is the port of every node, and of the first one where nodes have ports of their own.
func (p *Plan) HTTPPort() uint16 { return p.opt.HTTPPort }
