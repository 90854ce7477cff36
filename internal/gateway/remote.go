package gateway

import (
	"context"
	"net"
	"net/http"
	"slices"

	"cdnlab/topology"
)

// remote is how a city connects that has no address of its own, as all cities of a gateway in a container: by Config.Dial. nil
// is a city that has one.
type remote func(context.Context, topology.Node) (net.Conn, error)

func newRemote(cfg *Config, p topology.Place) remote {
	if cfg.Dial == nil || p.Client.IsValid() {
		return nil
	}
	return func(ctx context.Context, to topology.Node) (net.Conn, error) { return cfg.Dial(ctx, p.Name, to) }
}

// connect opens a connection to a server of an answer.
func (c *city) connect(ctx context.Context, d *net.Dialer, server string) (net.Conn, error) {
	if c.remote == nil {
		return d.DialContext(ctx, "tcp", server)
	}
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	i := slices.IndexFunc(c.plan.Nodes, func(n topology.Node) bool { return n.HTTP.String() == server })
	return c.remote(ctx, c.plan.Nodes[i]) // where node has found it
}

// announce appends an address of the city's network to X-Forwarded-For: edges that trust the gateway take it for the client's.
func (c *city) announce(r *http.Request) {
	if c.remote == nil {
		return
	}
	network := c.client.Networks[0]
	addr := network.Masked().Addr()
	for range clientHost {
		if next := addr.Next(); network.Contains(next) {
			addr = next
		}
	}
	r.Header.Add("X-Forwarded-For", addr.String())
}

const clientHost = 7 // as in the address plan's 127.(100+K).0.7
