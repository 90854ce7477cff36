package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"cdnlab/distribution"
	"cdnlab/dnsredirect"
	"cdnlab/edge"
	"cdnlab/mgmt"
	"cdnlab/regional"
	"cdnlab/topology"
)

// dialTimeout bounds a connection between nodes, emulated distance included.
const dialTimeout = 3 * time.Second

// node binds the sockets of a node of the plan and builds its server.
func (w *wiring) node(n topology.Node, s *sockets) (runner, error) {
	ln, err := s.listen(string(n.Name), n.HTTP, "--http-port")
	if err != nil {
		return nil, err
	}
	log := w.opt.Log.With("node", string(n.Name))
	counters := w.counters.add(n)
	switch n.Kind {
	case topology.KindDNS:
		udp, err := s.listenPacket(string(n.Name), n.DNS, "--dns-port")
		if err != nil {
			return nil, err
		}
		tcp, err := s.listen(string(n.Name), n.DNS, "--dns-port")
		if err != nil {
			return nil, err
		}
		return dnsredirect.New(dnsredirect.Config{Node: n, Topology: w.top, Plan: w.plan, Locator: w.locator, HTTP: ln,
			PacketConn: w.links.datagrams(udp, w.locator), Listener: tcp, Dial: w.dialer(n), Stats: counters, Log: log, Now: time.Now})
	case topology.KindOrigin:
		return w.origin(n, ln, counters, log)
	case topology.KindHub:
		return w.member(n, func(t *distribution.Node) (cacheNode, error) {
			return regional.New(regional.Config{Node: n, Topology: w.top, Plan: w.plan, Listener: ln, Dial: w.dialer(n), Secret: w.secret,
				Feed: follows(t), Inner: t.Take, CacheDir: w.cacheDir(n), Seek: w.disks.of(n.Name), Stats: counters, Log: log, Now: time.Now, Drain: w.opt.Drain})
		})
	case topology.KindEdge:
		guard, err := w.scrubbers.guard(n.Name, w.top)
		if err != nil {
			return nil, fmt.Errorf("start edge %s: %w", n.Name, err)
		}
		return w.member(n, func(t *distribution.Node) (cacheNode, error) {
			return edge.New(edge.Config{Node: n, Topology: w.top, Plan: w.plan, Listener: w.links.lastMile(ln, n, w.plan, w.locator), Dial: w.dialer(n),
				Locator: w.locator, Secret: w.secret, Guard: guard, Feed: follows(t), Inner: t.Take, Popular: w.counts(t), CacheDir: w.cacheDir(n), Seek: w.disks.of(n.Name),
				Stats: counters, Log: log, AccessLog: w.opt.AccessLog, Now: time.Now, Drain: w.opt.Drain})
		})
	}
	return nil, fmt.Errorf("start %s: a %s is no node", n.Name, n.Kind)
}

// cacheDir is where a node keeps the part of its cache that is on disk.
func (w *wiring) cacheDir(n topology.Node) string {
	return filepath.Join(w.dir.path, "cache", string(n.Name))
}

// dialer connects from a node, and from its address, to other nodes across the links between them.
func (w *wiring) dialer(from topology.Node) func(context.Context, topology.Node) (net.Conn, error) {
	var local net.Addr
	if source := dialsFrom(from); source.IsValid() {
		local = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	return func(ctx context.Context, to topology.Node) (net.Conn, error) {
		d := net.Dialer{Timeout: dialTimeout, LocalAddr: local}
		return w.links.dial(ctx, from, to, func(ctx context.Context) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", to.HTTP.String())
		})
	}
}

// dialsFrom is the address that a node's connections come from: its own, where the plan gives it one. The first DNS server's is
// also that of clients which bind none, so that health checks come from 127.0.1.N instead; the zero Addr leaves it to the machine.
func dialsFrom(n topology.Node) netip.Addr {
	addr := n.HTTP.Addr()
	switch {
	case !addr.IsLoopback() || !addr.Is4():
		return netip.Addr{}
	case n.Kind == topology.KindDNS && ownsLoopback():
		b := addr.As4()
		return netip.AddrFrom4([4]byte{127, 0, 1, b[3]})
	}
	return addr
}

// admin binds and builds the admin API.
func (w *wiring) admin(lab mgmt.Lab, s *sockets) (runner, error) {
	ln, err := s.listen("admin", w.adminAddr(), "--admin-port")
	if err != nil {
		return nil, err
	}
	var hosts []string
	if w.top.Admin.IsValid() {
		hosts = append(hosts, w.top.Admin.String())
	}
	return mgmt.New(mgmt.Config{Listener: ln, Topology: w.top, Plan: w.plan, Lab: lab, Token: w.token, Secret: w.secret, Hosts: hosts,
		Drain: w.opt.Drain, Log: w.opt.Log.With("node", "admin")})
}
