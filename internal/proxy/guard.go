package proxy

import (
	"net/netip"
	"time"

	"cdnlab/internal/httpcache"
	"cdnlab/internal/stats"
)

// Guard decides whether a client's request may pass, before anything is done for it. Its methods are called concurrently.
type Guard interface {
	// Client returns who sent a request: the peer, or what proxies that are trusted say in X-Forwarded-For, line by line.
	Client(peer netip.Addr, forwarded []string) netip.Addr
	// Check decides, and appends the lines that its decision adds to the response's head to lines, each with its CR LF.
	Check(now time.Time, v *Visit, lines []byte) (Pass, []byte)
}

// Visit is what a Guard is told of a request. It holds during the call.
type Visit struct {
	Client netip.Addr // as outsiders see it
	Site   string
	Path   []byte // the request target
	Header func(name string) []byte
}

// Pass is a Guard's decision.
type Pass struct {
	Status int           // of the answer to a request that may not pass; 0 lets it pass
	Delay  time.Duration // before it does
	Done   func()        // called when the Delay is over, or not waited for any longer; nil for none
	Why    string        // sentence for the one who may not
}

// admit asks the guard. It reports false when the request has been answered.
func (s *Server) admit(r *request) bool {
	if s.cfg.Guard == nil || r.trusted {
		return true
	}
	var p Pass
	r.visit = Visit{Client: s.client(r).Addr, Site: r.site.Host, Path: r.target, Header: r.visit.Header}
	p, r.limits = s.cfg.Guard.Check(r.start, &r.visit, r.limits[:0])
	if p.Status != 0 {
		s.fail(r, &refusal{status: p.Status, sentence: p.Why, result: stats.Limited})
		return false
	}
	if p.Delay > 0 {
		if why := s.holdBack(r, &p); why != nil {
			r.rc.SetConnectionClose()
			s.fail(r, why)
			return false
		}
		r.now = s.cfg.Now().UnixNano()
	}
	return true
}

// holdBack waits until a request may pass. It is not begun: a stop does not wait for it, and neither does it wait for the turn of
// a client that is gone.
func (s *Server) holdBack(r *request, p *Pass) *refusal {
	if p.Done != nil {
		defer p.Done()
	}
	gone, unwatch := watch(r.rc)
	defer unwatch()
	turn := time.NewTimer(p.Delay)
	defer turn.Stop()
	select {
	case <-turn.C:
		return nil
	case <-gone:
		return &refusal{status: statusClientGone, sentence: "the client has gone", result: stats.Limited}
	case <-r.rc.Done(): // begins the stop
		return s.stopping()
	}
}

// statusClientGone is for the log: nobody is there to get it.
const statusClientGone = 499

// replaced reports whether the guard has said what a field from upstream says. What is stored keeps it, for requests of which
// the guard says nothing.
func (r *request) replaced(name string) bool { return len(r.limits) > 0 && httpcache.LimitField(name) }

// peerOf is who sent the request, as a guard with trusted proxies sees it.
func (s *Server) peerOf(r *request) netip.Addr {
	if s.cfg.Guard == nil || r.ask.Get(forwardedFor) == "" {
		return r.addr
	}
	r.forwarded = r.forwarded[:0]
	for v := range r.ask.Values(forwardedFor) {
		r.forwarded = append(r.forwarded, v)
	}
	return s.cfg.Guard.Client(r.addr, r.forwarded)
}

const forwardedFor = "X-Forwarded-For"
