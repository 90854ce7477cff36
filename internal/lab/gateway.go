package lab

import "cdnlab/internal/gateway"

// gateway binds the proxy that takes the city as user name, and the proxy and resolver of each city, and builds their server.
func (w *wiring) gateway(s *sockets) (runner, error) {
	cfg := gateway.Config{Topology: w.top, Plan: w.plan, DNS: w.dnsServers(), Log: w.opt.Log.With("node", "gateway"), Drain: w.opt.Drain}
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
