package lab

import (
	"context"
	"net"
	"net/netip"

	"cdnlab/internal/gateway"
	"cdnlab/topology"
)

// gateway binds the proxy that takes the city as user name, and the proxy and resolver of each city, and builds their server.
func (w *wiring) gateway(s *sockets) (runner, error) {
	cfg := gateway.Config{Topology: w.top, Plan: w.plan, DNS: w.dnsServers(), Log: w.opt.Log.With("node", "gateway"), Drain: w.opt.Drain}
	if w.top.Gateway.IsValid() {
		cfg.Dial = w.asClient
	}
	var err error
	if cfg.Proxy, err = s.listen("gateway", w.gatewayAddr(), "--gateway-port"); err != nil {
		return nil, err
	}
	for _, p := range w.plan.Places {
		if !p.Resolver.IsValid() {
			continue // beyond the plan: its clients are known by their networks alone
		}
		city := gateway.Sockets{Place: p.Name}
		if city.Proxy, err = s.listen("gateway of "+p.Name, p.Gateway, "--gateway-port"); err != nil {
			return nil, err
		}
		if city.Resolver, err = s.listenPacket("resolver of "+p.Name, p.Resolver, "--dns-port"); err != nil {
			return nil, err
		}
		if city.ResolverTCP, err = s.listen("resolver of "+p.Name, p.Resolver, "--dns-port"); err != nil {
			return nil, err
		}
		cfg.Places = append(cfg.Places, city)
	}
	return gateway.New(cfg)
}

// asClient connects to a node over the last mile of a place, from the gateway's address: an edge puts no distance of its own on
// what comes from there, and believes its X-Forwarded-For.
func (w *wiring) asClient(ctx context.Context, place string, to topology.Node) (net.Conn, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(w.top.Gateway, 0))}
	return w.links.fromClient(ctx, place, to, func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", to.HTTP.String()) })
}
