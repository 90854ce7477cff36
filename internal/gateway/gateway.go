package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"cdnlab/topology"
)

// Config configures a Server. Topology, Plan, DNS and Log are required.
type Config struct {
	Topology *topology.Topology
	Plan     *topology.Plan
	DNS      []netip.AddrPort // the lab's authoritative servers
	Proxy    net.Listener     // takes the city as user name
	Places   []Sockets
	// Dial connects as a client of a place whose Client the plan leaves open; nil connects as it is.
	Dial  func(ctx context.Context, place string, to topology.Node) (net.Conn, error)
	Log   *slog.Logger
	Drain time.Duration // how long Run waits for requests under way when it is cancelled
}

// Sockets are what one city listens on.
type Sockets struct {
	Place       string
	Proxy       net.Listener
	Resolver    net.PacketConn
	ResolverTCP net.Listener
}

// Server is the gateway and the resolvers of all client places.
type Server struct {
	cfg    Config
	cities []*city
}

// New returns a server that Run starts.
func New(cfg Config) (*Server, error) {
	s := &Server{cfg: cfg}
	for i := range cfg.Topology.Clients {
		c := &cfg.Topology.Clients[i]
		p, ok := cfg.Plan.Place(c.Name)
		if !ok {
			return nil, fmt.Errorf("make gateway: the plan has no place %q", c.Name)
		}
		s.cities = append(s.cities, newCity(&s.cfg, c, p))
	}
	for _, p := range cfg.Places {
		if s.find(p.Place) == nil {
			return nil, fmt.Errorf("make gateway: sockets of the unknown place %q", p.Place)
		}
	}
	return s, nil
}

const (
	headTimeout = 15 * time.Second
	idleTimeout = 2 * time.Minute
	maxHead     = 64 << 10
)

// Run serves until ctx is cancelled, and then until requests under way have ended or the drain time is over.
func (s *Server) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if s.cfg.Proxy != nil {
		s.serveProxy(ctx, g, s.cfg.Proxy, nil)
	}
	for _, p := range s.cfg.Places {
		c := s.find(p.Place)
		s.serveProxy(ctx, g, p.Proxy, c)
		r := s.resolver(c)
		for _, server := range r.servers(p.Resolver, p.ResolverTCP) {
			serveDNS(ctx, g, server)
		}
	}
	err := g.Wait()
	for _, c := range s.cities {
		c.transport.CloseIdleConnections()
	}
	return err
}

func (s *Server) serveProxy(ctx context.Context, g *errgroup.Group, ln net.Listener, fixed *city) {
	server := &http.Server{Handler: newProxy(s, fixed), ReadHeaderTimeout: headTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHead,
		ErrorLog: slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(context.WithValue(ctx, pinsKey{}, pins{}), connKey{}, c)
		}}
	g.Go(func() error {
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve gateway on %s: %w", ln.Addr(), err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Drain)
		defer cancel()
		if server.Shutdown(drain) != nil {
			return server.Close() // what is still under way is cut off
		}
		return nil
	})
}

func serveDNS(ctx context.Context, g *errgroup.Group, server *dns.Server) {
	started := make(chan struct{})
	server.NotifyStartedFunc = func() { close(started) }
	ended := make(chan struct{})
	g.Go(func() error {
		defer close(ended)
		if err := server.ActivateAndServe(); err != nil {
			return fmt.Errorf("serve resolver: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		select {
		case <-started:
			return server.Shutdown()
		case <-ended:
			return nil
		}
	})
}
