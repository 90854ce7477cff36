package proxy

import (
	"context"
	"errors"
	"strings"
	"time"

	"cdnlab/internal/httpcache"
	"cdnlab/internal/stats"
)

// The servers of a PoP are one cache: each object has a home among them, and the others have it answer for them, as a load balancer
// would. What is hot is kept by two or three of them: those fetch it from its home, and answer themselves.

// clientLike reports whether the answer to a request is for a client: it came from one, or a peer passes it on.
func (r *request) clientLike() bool { return !r.trusted || r.relayed }

// sendHome has the home of the object answer. It is false when this server is to do that; the home may then be asked first.
func (s *Server) sendHome(ctx context.Context, r *request) bool {
	if s.cfg.Peers == nil || r.trusted || r.tunnel {
		return false
	}
	home, keep := s.cfg.Peers.Home(hash(r.key), s.cfg.Now())
	if home == nil {
		return false
	}
	if keep && r.ask.Cacheable() && r.body.Reader == nil && !r.marked {
		r.home = home
		return false
	}
	return s.relayFrom(ctx, r, home)
}

// homePatience is how much longer than a parent the home of an object may take: it may have to turn to another parent, when it has waited
// for the first one.
const homePatience = time.Second

// relayFrom answers with what another server of the PoP does. It is false when that cannot be reached.
func (s *Server) relayFrom(ctx context.Context, r *request, home *Upstream) bool {
	out := s.outgoing(r, want{relay: true})
	out.patience += homePatience
	resp, err := home.exchange(ctx, out, time.Now())
	if !isClients(err) {
		s.cfg.Parents.Report(home, err, s.cfg.Now())
	}
	r.now = s.cfg.Now().UnixNano()
	if err != nil {
		var dial dialError
		if out.repeatable && !isClients(err) && ctx.Err() == nil || errors.As(err, &dial) {
			return false
		}
		s.fail(r, s.noAnswer(r, err))
		return true
	}
	if httpcache.Failing(resp.status) {
		s.fetched(failureKey(r), refuse(resp.status, "%s has answered %d several times in a row and is not asked for a moment", home.Node.Name, resp.status))
	} else {
		s.fetched(failureKey(r), nil)
	}
	if httpcache.Invalidates(&r.ask, resp.status) {
		s.invalidate(r, resp)
	}
	r.out.relayed = resp.header.Get("X-Cache")
	r.out.result, r.out.below, r.out.status.FwdStatus = resultOf(r.out.relayed), resp.below(), resp.status
	s.sendPassed(r, resp, nil)
	return true
}

// resultOf reads X-Cache.
func resultOf(xCache string) stats.Result {
	word, _, _ := strings.Cut(xCache, ",")
	for result, w := range cacheWords {
		if w == word {
			return stats.Result(result)
		}
	}
	return stats.Pass
}
