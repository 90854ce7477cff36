package proxy

import (
	"context"
	"net/http"

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
	r.out.result, r.out.below, r.out.status.FwdStatus = result, resp.header, resp.status
	if learn != nil {
		learn(&httpcache.Response{Status: resp.status, Header: resp.header, RequestTime: sent.UnixNano(), ResponseTime: r.now})
	}
	if httpcache.Invalidates(&r.ask, resp.status) {
		s.invalidate(r, resp)
	}
	s.sendPassed(r, resp)
}

// invalidate removes what the success of an unsafe request has made doubtful.
func (s *Server) invalidate(r *request, resp *response) {
	for _, target := range httpcache.Targets(string(r.host), string(r.target), resp.header) {
		key := httpcache.AppendKey(nil, r.site.host, []byte(target), &r.site.Cache)
		s.store.Purge(cache.Purge{Value: string(key)}, r.now)
		s.flights.forget(key)
	}
}

// sendPassed passes a response on as it comes.
func (s *Server) sendPassed(r *request, resp *response) {
	s.send(r, resp.status, s.appendPassed(r.buf, r, resp))
	switch {
	case resp.body.done && r.rc.IsHead():
		if n, err := contentLength(values(resp.header, "Content-Length")); err == nil && n >= 0 {
			r.rc.Response.Header.SetContentLength(int(n))
		}
		resp.close()
		s.finish(r, 0)
	case resp.body.done:
		resp.close()
		s.sendBytes(r, nil)
	default:
		s.sendStream(r, passing{resp}, resp.body.length, !resp.begun())
	}
}

func values(h httpcache.Header, name string) (all []string) {
	for v := range h.Values(name) {
		all = append(all, v)
	}
	return all
}

// passing is the body of a response that goes through without being stored.
type passing struct{ *response }

// Close implements io.Closer.
func (p passing) Close() error {
	p.close()
	return nil
}
