package compose

import (
	"fmt"
	"net/netip"
	"strings"

	"cdnlab/topology"
)

// Third bytes of addresses.
const (
	originNet  = 1
	hubNet     = 2
	dnsNet     = 4
	singleNet  = 5
	edgeNet    = 16 // of the first PoP
	dynamicNet = 255

	mostHosts = 254
	mostPoPs  = dynamicNet - edgeNet
)

// subnet is the network of all containers, a /16.
type subnet struct{ netip.Prefix }

func (s subnet) at(third, fourth int) netip.Addr {
	b := s.Addr().As4()
	return netip.AddrFrom4([4]byte{b[0], b[1], byte(third), byte(fourth)})
}

func (s subnet) dynamic() netip.Prefix { return netip.PrefixFrom(s.at(dynamicNet, 0), 24) }
func (s subnet) admin() netip.Addr     { return s.at(singleNet, 1) }
func (s subnet) gateway() netip.Addr   { return s.at(singleNet, 2) }

// addresses are the options that give every server of a topology its container's address.
func (s subnet) addresses(t *topology.Topology) ([]string, error) {
	hubServers := 0
	for _, h := range t.Hubs {
		hubServers += h.Servers
	}
	for _, limit := range []struct {
		what      string
		have, fit int
	}{{"origins", len(t.Origins), mostHosts}, {"servers of hubs", hubServers, mostHosts}, {"PoPs", len(t.Edges), mostPoPs}, {"DNS servers", t.DNS.Servers, mostHosts}} {
		if limit.have > limit.fit {
			return nil, fmt.Errorf("%d %s, but a network of containers has room for %d: use fewer", limit.have, limit.what, limit.fit)
		}
	}
	var sets []string
	set := func(entry, format string, servers int, address func(server int) netip.Addr) {
		each := make([]string, servers)
		for i := range each {
			each[i] = fmt.Sprintf(format, address(i+1))
		}
		sets = append(sets, fmt.Sprintf("%s.addresses=[%s]", entry, strings.Join(each, ", ")))
	}
	for i, o := range t.Origins {
		set("origins."+o.Name, "%s", 1, func(int) netip.Addr { return s.at(originNet, i+1) })
	}
	before := 0
	for _, h := range t.Hubs {
		set("hubs."+h.Name, "[%s]", h.Servers, func(server int) netip.Addr { return s.at(hubNet, before+server) })
		before += h.Servers
	}
	for i, e := range t.Edges {
		set("edges."+e.Name, "[%s]", e.Servers, func(server int) netip.Addr { return s.at(edgeNet+i, server) })
	}
	set("dns", "%s", t.DNS.Servers, func(server int) netip.Addr { return s.at(dnsNet, server) })
	return append(sets, "addresses.admin="+s.admin().String(), "addresses.gateway="+s.gateway().String()), nil
}
