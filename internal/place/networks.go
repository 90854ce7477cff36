package place

import (
	"bytes"
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/oschwald/geoip2-golang/v2"
	"github.com/oschwald/maxminddb-golang/v2"

	"cdnlab/topology"
)

// networks is the in-memory database of the topology's own networks: a trie of prefixes whose records number the entries.
type networks struct {
	db      *maxminddb.Reader
	entries map[uintptr]*network // by the offset of the record in db
}

// network is one prefix that belongs to a client place.
type network struct {
	prefix  netip.Prefix
	outward netip.Prefix // the place's first network
	answer  Answer       // Client and Scope are the caller's to fill in
}

func newNetworks(t *topology.Topology, p *topology.Plan) (*networks, error) {
	list := collect(t, p)
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		DatabaseType:            "GeoLite2-City",
		Description:             map[string]string{"en": "client networks of " + t.Name},
		BuildEpoch:              1, // the same topology gives the same bytes
		IncludeReservedNetworks: true,
		DisableIPv4Aliasing:     true, // ::ffff:0:0/96 is unmapped before the lookup; 2001::/32 and 2002::/16 are networks like others
	})
	if err != nil {
		return nil, err
	}
	for i, n := range list {
		ip := net.IPNet{IP: n.prefix.Addr().AsSlice(), Mask: net.CIDRMask(n.prefix.Bits(), n.prefix.Addr().BitLen())}
		if err := tree.Insert(&ip, record(i, n.answer)); err != nil {
			return nil, fmt.Errorf("insert %s of clients.%s: %w", n.prefix, n.answer.Place, err)
		}
	}
	var buf bytes.Buffer
	if _, err := tree.WriteTo(&buf); err != nil {
		return nil, err
	}
	return index(buf.Bytes(), list)
}

// collect lists every prefix, shorter ones first: a later insertion replaces what it overlaps, so the longest prefix wins.
// IPv4 prefixes lie below ::/96, as in the database.
func collect(t *topology.Topology, p *topology.Plan) []*network {
	var list []*network
	add := func(c topology.Client, prefix netip.Prefix, by By, evidence string) {
		prefix = prefix.Masked()
		answer := Answer{Place: c.Name, Location: c.At, By: by, Evidence: fmt.Sprintf(evidence, prefix, c.Name)}
		list = append(list, &network{prefix: prefix, outward: c.Networks[0], answer: answer})
	}
	if p != nil {
		for _, place := range p.Places {
			// A place beyond the plan's room has no prefix, nor has any on a machine with one loopback address.
			if c, ok := t.Client(place.Name); ok && place.Prefix.IsValid() {
				add(*c, place.Prefix, ByPlan, "the address plan gives %s to the clients of %s")
			}
		}
	}
	for _, c := range t.Clients {
		for _, prefix := range c.Networks {
			add(c, prefix, ByNetwork, "%s is a network of clients.%s")
		}
	}
	slices.SortStableFunc(list, func(a, b *network) int { return cmp.Compare(depth(a.prefix), depth(b.prefix)) })
	return list
}

func depth(p netip.Prefix) int {
	return p.Bits() + 128 - p.Addr().BitLen()
}

// record is a City record; its geoname_id is the number of the network, which also keeps records from being merged.
func record(i int, a Answer) mmdbtype.Map {
	names := func(s string) mmdbtype.Map { return mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String(s)}} }
	city, country := names(cmp.Or(a.Location.City, a.Place)), mmdbtype.Map{"iso_code": mmdbtype.String(a.Location.Country)}
	city["geoname_id"] = mmdbtype.Uint32(i)
	return mmdbtype.Map{
		"city":      city,
		"country":   country,
		"continent": mmdbtype.Map{"code": mmdbtype.String(a.Location.Continent)},
		"location": mmdbtype.Map{
			"latitude":  mmdbtype.Float64(a.Location.Lat),
			"longitude": mmdbtype.Float64(a.Location.Lon),
		},
	}
}

func index(raw []byte, list []*network) (*networks, error) {
	db, err := maxminddb.OpenBytes(raw)
	if err != nil {
		return nil, err
	}
	n := &networks{db: db, entries: make(map[uintptr]*network, len(list))}
	for res := range db.Networks() {
		var city geoip2.City
		if err := res.Decode(&city); err != nil {
			return nil, err
		}
		n.entries[res.Offset()] = list[city.City.GeoNameID]
	}
	return n, nil
}

// lookup returns the network that holds addr, or nil, and the length of the prefix for which that is so.
func (n *networks) lookup(addr netip.Addr) (*network, int) {
	res := n.db.Lookup(addr)
	prefix, ok := within(res, addr)
	if !ok || !res.Found() {
		return nil, prefix
	}
	entry := n.entries[res.Offset()]
	if entry.prefix.Addr().Is4() != addr.Is4() {
		return nil, prefix // IPv4 lies below ::/96 in the database: ::/0 would take it in
	}
	return entry, prefix
}

// within returns the length, in bits of addr's own family, of the prefix for which res holds. It reports false when the database
// has nothing for the family: then res holds for all of it.
func within(res maxminddb.Result, addr netip.Addr) (int, bool) {
	if res.Err() != nil {
		return 0, false
	}
	p := res.Prefix()
	if p.Addr().Is4() != addr.Is4() {
		return 0, false
	}
	return p.Bits(), true
}

// outside gives the address that stands for the loopback source addr outside: the place's first network with the last 16
// bits of addr, as far as its host part takes them.
func (n *network) outside(addr netip.Addr) netip.Addr {
	src := addr.As4()
	low := uint16(src[2])<<8 | uint16(src[3])
	if host := n.outward.Addr().BitLen() - n.outward.Bits(); host < 16 {
		low &= 1<<host - 1
	}
	base := n.outward.Masked().Addr()
	if base.Is4() {
		b := base.As4()
		b[2], b[3] = b[2]|byte(low>>8), b[3]|byte(low)
		return netip.AddrFrom4(b)
	}
	b := base.As16()
	b[14], b[15] = b[14]|byte(low>>8), b[15]|byte(low)
	return netip.AddrFrom16(b)
}
