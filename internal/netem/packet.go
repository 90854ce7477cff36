package netem

import (
	"net"
	"net/netip"
)

// Datagrams returns pc with datagrams lost as the links to their peer say. Those that arrive answer
// at once: a DNS server has no place of its own, so no distance.
func Datagrams(pc net.PacketConn, between func(peer netip.Addr) Path) net.PacketConn {
	return &packets{pc, between}
}

type packets struct {
	net.PacketConn
	between func(netip.Addr) Path
}

func (p *packets) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := p.PacketConn.ReadFrom(b)
		if err != nil || !p.lost(from) {
			return n, from, err
		}
	}
}

func (p *packets) WriteTo(b []byte, to net.Addr) (int, error) {
	if p.lost(to) {
		return len(b), nil
	}
	return p.PacketConn.WriteTo(b, to)
}

func (p *packets) lost(peer net.Addr) bool {
	a, ok := peer.(*net.UDPAddr)
	if !ok {
		return false
	}
	return p.between(a.AddrPort().Addr().Unmap()).drops()
}
