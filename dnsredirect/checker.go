package dnsredirect

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"cdnlab/internal/probe"
)

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
	c := probe.NewChecker(p.servers[server], rule.Timeout, s.cfg.Dial)
	log := s.cfg.Log.With("server", string(p.servers[server].Name), "pop", p.edge.Name)
	tick := time.NewTicker(rule.Interval)
	defer tick.Stop()
	for {
		err := c.Check(ctx)
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
