package dnsredirect

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sync/errgroup"

	"cdnlab/topology"
)

// maxHealthBody is how long the answer to a health check may be.
const maxHealthBody = 4096

// batch is how many servers are checked at the same moment. Twelve checks at once wake an idle machine once; spread out they cost
// three times as much. Thousands at once would be felt.
const batch = 32

// check starts the health checks of every edge server, the batches spread over the interval.
func (s *Server) check(ctx context.Context, g *errgroup.Group) {
	total := 0
	for _, p := range s.fleet {
		total += len(p.servers)
	}
	batches, n := (total+batch-1)/batch, 0
	for _, p := range s.fleet {
		for i := range p.servers {
			first := s.cfg.Topology.DNS.Health.Interval * time.Duration(n/batch) / time.Duration(batches)
			n++
			g.Go(func() error {
				if pause(ctx, first) {
					s.watch(ctx, p, i)
				}
				return nil
			})
		}
	}
}

// watch checks one server once per interval, or at once when a check took longer than that.
func (s *Server) watch(ctx context.Context, p *pop, server int) {
	rule := s.cfg.Topology.DNS.Health
	c := newChecker(p.servers[server], rule.Timeout, s.cfg.Dial)
	log := s.cfg.Log.With("server", string(p.servers[server].Name), "pop", p.edge.Name)
	tick := time.NewTicker(rule.Interval)
	defer tick.Stop()
	for {
		err := c.check(ctx)
		if ctx.Err() != nil {
			return
		}
		switch changed := p.observe(server, s.cfg.Now(), err == nil, rule); {
		case changed && err != nil:
			log.Warn("edge server left the answers", "error", err)
		case changed:
			log.Info("edge server is back in the answers")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// checker asks one server for its health. Each check takes a new connection, as each of the server's clients does: a server
// that still answers on old connections and refuses new ones is of no use to them.
type checker struct {
	node    topology.Node
	timeout time.Duration
	dial    func(context.Context, topology.Node) (net.Conn, error)
	request []byte
	in      *bufio.Reader
	resp    fasthttp.Response
}

func newChecker(n topology.Node, timeout time.Duration, dial func(context.Context, topology.Node) (net.Conn, error)) *checker {
	return &checker{
		node: n, timeout: timeout, dial: dial, in: bufio.NewReaderSize(nil, 2048),
		request: fmt.Appendf(nil, "GET /-/health HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", n.HTTP),
	}
}

// check returns nil when the server answers 200. Connecting and answering may take the timeout each.
func (c *checker) check(ctx context.Context) error {
	dialing, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	conn, err := c.dial(dialing, c.node)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	return c.exchange(conn)
}

func (c *checker) exchange(conn io.ReadWriter) error {
	if _, err := conn.Write(c.request); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	c.in.Reset(conn)
	if err := c.resp.ReadLimitBody(c.in, maxHealthBody); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if code := c.resp.StatusCode(); code != fasthttp.StatusOK {
		return fmt.Errorf("it answered %d", code)
	}
	return nil
}
