package proxy

import (
	"context"
	"io"
	"net/http"
	"strconv"

	"cdnlab/internal/cache"
	"cdnlab/internal/httpcache"
	"cdnlab/internal/stats"
)

// pass forwards a request that the cache has no part in, and invalidates what its success has changed (RFC 9111 §4.4).
func (s *Server) pass(ctx context.Context, r *request) {
	r.key = httpcache.AppendKey(r.key, r.site.host, r.target, &r.site.Cache)
	if s.sendHome(ctx, r) {
		return
	}
	r.out.status.Fwd = httpcache.FwdBypass
	if !r.ask.Cacheable() {
		r.out.status.Fwd = httpcache.FwdMethod
	}
	s.relay(ctx, r, stats.Pass, nil, nil)
}

// mayEndHere counts a Max-Forwards of OPTIONS down, and answers the request when it may go no further (RFC 9110 §7.6.2).
func (s *Server) mayEndHere(r *request) bool {
	const field = "Max-Forwards"
	if string(r.method) != http.MethodOptions {
		return false
	}
	left, err := strconv.ParseUint(r.ask.Get(field), 10, 32)
	if err != nil {
		return false
	}
	if left > 0 {
		r.ask.Set(field, strconv.FormatUint(left-1, 10))
		r.raw = nil // the next request with these fields starts from what they say
		return false
	}
	r.out.result = stats.Pass
	s.send(r, http.StatusOK, append(appendDate(r.buf, r.now), allowed...))
	s.sendBytes(r, nil)
	return true
}

// fetchHead asks upstream for a HEAD that the store cannot answer. The response is not stored; it may tell that what is stored
// is still good, or that it is not (RFC 9111 §4.3.5).
func (s *Server) fetchHead(ctx context.Context, r *request, old *cache.Object) {
	s.relay(ctx, r, stats.Miss, old, func(resp *httpcache.Response) {
		if old == nil || resp.Status != http.StatusOK {
			return
		}
		stored := old.Stored()
		if adm, matched := httpcache.FreshenByHead(&stored, &r.ask, resp, &r.site.policy); matched {
			s.judge(&adm, r.site)
			s.store.Replace(old, adm)
		} else {
			s.store.Purge(cache.Purge{Value: string(r.key)}, r.now)
		}
	})
}

// relay forwards a request as the client sent it and passes the response on. Should that fail, old answers if it may; it is
// nil when nothing is stored.
func (s *Server) relay(ctx context.Context, r *request, result stats.Result, old *cache.Object, learn func(*httpcache.Response)) {
	ticket := s.store.Ticket()
	sent := s.cfg.Now()
	resp, err := s.forward(ctx, s.outgoing(r, want{}), r.site.Site, hash(r.key))
	r.now = s.cfg.Now().UnixNano()
	if err != nil {
		s.sendAnswer(ctx, r, s.instead(r, old, s.noAnswer(r, err)), old)
		return
	}
	if old != nil && httpcache.Failing(resp.status) && httpcache.StaleAllowed(r.now, old.Stored().Meta, &r.ask) {
		s.sendAnswer(ctx, r, s.instead(r, old, failureOf(resp)), old)
		return
	}
	r.out.result, r.out.below, r.out.status.FwdStatus = result, resp.below(), resp.status
	rr := httpcache.Response{Status: resp.status, Header: resp.header, RequestTime: sent.UnixNano(), ResponseTime: r.now}
	if learn != nil && !resp.behind {
		learn(&rr)
	}
	var fill *cache.Fill
	if httpcache.Invalidates(&r.ask, resp.status) {
		fill = s.keepPosted(r, resp, &rr, cache.FillConfig{Ticket: ticket, Own: s.invalidate(r, resp)})
	}
	s.sendPassed(r, resp, fill)
}

// invalidate removes what the success of an unsafe request has made doubtful. It returns the moment at which the request's own
// target was purged.
func (s *Server) invalidate(r *request, resp *response) (own cache.Ticket) {
	for i, target := range httpcache.Targets(string(r.host), string(r.target), resp.header) {
		key := httpcache.AppendKey(nil, r.site.host, []byte(target), &r.site.Cache)
		at := s.store.Purge(cache.Purge{Value: string(key)}, r.now)
		s.flights.forget(key)
		if i == 0 { // the target of the request comes first
			own = at
		}
	}
	return own
}

// keepPosted starts the storing of what a POST brought, if that is what a GET would bring now; it returns nil otherwise. c has the
// tickets.
func (s *Server) keepPosted(r *request, resp *response, rr *httpcache.Response, c cache.FillConfig) *cache.Fill {
	if string(r.method) != http.MethodPost || r.marked {
		return nil
	}
	adm := httpcache.AdmitPost(&r.ask, string(r.host), string(r.target), rr, &r.site.policy)
	s.judge(&adm, r.site)
	if !adm.Stored || resp.events {
		return nil
	}
	c.Key, c.Ask, c.Admission, c.Length = r.key, &r.ask, adm, resp.body.length
	fill := s.store.Begin(c)
	if !fill.Storing() {
		fill.Abort(cache.ErrClosed)
		return nil
	}
	r.out.status.Stored, resp.body.idle = true, stallLimit
	return fill
}

// sendPassed passes a response on as it comes, and stores it in fill on the way unless that is nil.
func (s *Server) sendPassed(r *request, resp *response, fill *cache.Fill) {
	if resp.behind { // it must not pass for what this node would say
		r.applied, r.behind = resp.at, true
	}
	s.send(r, resp.status, s.appendPassed(r.buf, r, resp))
	switch {
	case resp.body.done && r.rc.IsHead():
		if resp.lengths > 0 { // of a number: framing has seen to it
			r.rc.Response.Header.SetContentLength(int(resp.length))
		}
		resp.close()
		s.finish(r, 0)
	case resp.body.done && fill == nil:
		resp.close()
		s.sendBytes(r, nil)
	default:
		// Small pieces of a body with a length are held back: a node below must not wait with them to learn that the answer has begun.
		s.sendStream(r, &passing{resp, fill}, resp.body.length, !resp.begun() || resp.body.length >= 0 && !resp.body.arrived())
	}
}

// passing is the body of a response that goes through, and into the cache unless fill is nil.
type passing struct {
	*response
	fill *cache.Fill
}

// WriteTo implements io.WriterTo.
func (p *passing) WriteTo(w io.Writer) (int64, error) {
	if p.fill == nil {
		return p.response.WriteTo(w)
	}
	n, err := p.response.WriteTo(io.MultiWriter(w, aside{p.fill}))
	if err == nil {
		_, _ = p.fill.Complete() // what is not stored has reached the client all the same
	}
	return n, err
}

// Close implements io.Closer.
func (p *passing) Close() error {
	if p.fill != nil {
		p.fill.Abort(cache.ErrClosed) // unless it is complete
	}
	p.close()
	return nil
}

// aside fills the cache with what goes to a client, who is not to notice when that fails.
type aside struct{ fill *cache.Fill }

func (a aside) Write(p []byte) (int, error) {
	if _, err := a.fill.Write(p); err != nil {
		a.fill.Abort(err)
	}
	return len(p), nil
}
