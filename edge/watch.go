package edge

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"cdnlab/internal/probe"
)

// Parents that have failed are asked for their health in the background, so that no client's request has to find out whether one
// is back.
const (
	probeEvery = time.Second
	probeLimit = 3 * time.Second           // to connect, and then to answer: a request has as long to connect
	grace      = probeEvery + 2*probeLimit // for a probe to tell
)

// watch asks each parent that is down until it is up. It returns when ctx has ended.
func (p *parents) watch(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		select {
		case s := <-p.fallen:
			all.Go(func() { p.revive(ctx, s) })
		case <-ctx.Done():
			return
		}
	}
}

// revive asks one parent.
func (p *parents) revive(ctx context.Context, s *server) {
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	check := probe.NewChecker(s.Node, probeLimit, p.dial)
	for p.isDown(s) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if !p.due(s) {
			continue
		}
		err := check.Check(ctx)
		if ctx.Err() != nil {
			return
		}
		p.probed(s, alive(err))
	}
}

// alive reports whether a server serves, by the result of a check. One that answers something else than its health is up, as it is
// when it answers a request.
func alive(err error) bool {
	var status probe.StatusError
	return err == nil || errors.As(err, &status) && status != http.StatusServiceUnavailable
}

// isDown reports whether a parent is down; the next failure has it watched anew if it is not.
func (p *parents) isDown(s *server) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.watched = !s.health.up()
	return s.watched
}

func (p *parents) due(s *server) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return s.health.due(p.now())
}

func (p *parents) probed(s *server, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.health.probed(ok, p.now())
}
