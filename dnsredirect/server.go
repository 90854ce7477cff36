package dnsredirect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"cdnlab/internal/probe"
	"cdnlab/internal/stats"
	"cdnlab/topology"
)

// Config is what a server is made of. All fields are needed but Dial, which a topology with its health checks off does without.
type Config struct {
	Node       topology.Node
	Topology   *topology.Topology
	Plan       *topology.Plan
	Locator    Locator
	PacketConn net.PacketConn // DNS over UDP
	Listener   net.Listener   // DNS over TCP
	HTTP       net.Listener   // the node's own endpoints
	// Dial connects to an edge server for a health check. Connecting and answering may take DNS.Health.Timeout each, so
	// emulated distance has to stay below it.
	Dial  func(ctx context.Context, to topology.Node) (net.Conn, error)
	Stats *stats.Node
	Log   *slog.Logger
	Now   func() time.Time // stamps what health checks find
}

// Server is one DNS server.
type Server struct {
	cfg     Config
	zone    *zone
	fleet   fleet
	mapper  *mapper
	origins map[string]origin
	alive   func(pop int) bool
	probe   *probe.Handler
	tcp     tcpConns
}

// origin is what is answered when no edge is left.
type origin struct{ v4, v6 [][]net.IP }

// New returns a server that answers from its first packet on once Run is called. It takes every edge for healthy until
// checks prove otherwise.
func New(cfg Config) (*Server, error) {
	if !cfg.Topology.DNS.Health.Off && cfg.Dial == nil {
		return nil, errors.New("make DNS server: health checks are on and there is nothing to dial with")
	}
	z, err := newZone(cfg.Topology, cfg.Plan)
	if err != nil {
		return nil, fmt.Errorf("make zone %s: %w", cfg.Topology.Zone, err)
	}
	m, err := newMapper(cfg.Locator, cfg.Topology.Edges)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, zone: z, fleet: newFleet(cfg.Topology, cfg.Plan), mapper: m, origins: map[string]origin{}}
	s.alive = s.fleet.alive
	for _, n := range cfg.Plan.Nodes {
		if n.Kind == topology.KindOrigin {
			v4, v6 := addresses([]topology.Node{n})
			s.origins[n.Group] = origin{v4, v6}
		}
	}
	s.probe = probe.New(probe.Config{Node: cfg.Node, Zone: cfg.Topology.Zone, Stats: cfg.Stats})
	s.tcp.open = map[net.Conn]struct{}{}
	return s, nil
}

// Run answers until ctx is cancelled, then returns nil when everything that it started has ended. The sockets are closed by then.
func (s *Server) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error { return s.serveUDP(ctx) })
	}
	g.Go(func() error { return s.serveTCP(ctx) })
	g.Go(func() error { return s.serveHTTP(ctx) })
	if !s.cfg.Topology.DNS.Health.Off {
		s.check(ctx, g)
	}
	g.Go(func() error {
		<-ctx.Done()
		s.tcp.stop()
		return errors.Join(ignoreClosed(s.cfg.PacketConn.Close()), ignoreClosed(s.cfg.Listener.Close()))
	})
	return g.Wait()
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// maxQuery is how much of a UDP packet is read. No query that makes sense is longer; one that is loses its end and with it its form.
const maxQuery = 4096

// serveUDP reads and answers packets one by one; several of it share the socket.
func (s *Server) serveUDP(ctx context.Context) error {
	buf := make([]byte, maxQuery)
	var r reply
	for {
		n, from, err := s.read(buf)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("read DNS query: %w", err)
		}
		if out := s.respond(&r, buf[:n], from.Addr(), overUDP); out != nil {
			if err := s.write(out, from); err != nil && ctx.Err() == nil {
				s.cfg.Log.Debug("write DNS answer", "to", from, "error", err)
			}
		}
	}
}

// read and write spare a *net.UDPConn the allocation of an address per packet.
func (s *Server) read(buf []byte) (int, netip.AddrPort, error) {
	if c, ok := s.cfg.PacketConn.(*net.UDPConn); ok {
		return c.ReadFromUDPAddrPort(buf)
	}
	n, from, err := s.cfg.PacketConn.ReadFrom(buf)
	return n, addrPort(from), err
}

func (s *Server) write(out []byte, to netip.AddrPort) error {
	var err error
	if c, ok := s.cfg.PacketConn.(*net.UDPConn); ok {
		_, err = c.WriteToUDPAddrPort(out, to)
	} else {
		_, err = s.cfg.PacketConn.WriteTo(out, net.UDPAddrFromAddrPort(to))
	}
	return err
}

// addrPort is the address of a UDP or TCP peer; the zero value for any other.
func addrPort(a net.Addr) netip.AddrPort {
	if a, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		return a.AddrPort()
	}
	return netip.AddrPort{}
}
