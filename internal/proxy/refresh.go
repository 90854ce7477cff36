package proxy

import (
	"bytes"
	"context"
	"net/http"

	"cdnlab/internal/cache"
)

// maxRefreshes is how many stale responses are validated in the background at a time; more wait for the next request.
const maxRefreshes = 64

// refresh validates a stored response beside the request that it has answered (RFC 5861 §3).
func (s *Server) refresh(ctx context.Context, r *request, old *cache.Object) {
	select {
	case s.refreshes <- struct{}{}:
	default:
		return
	}
	f, first := s.flights.join(r.key)
	if !first {
		<-s.refreshes
		return
	}
	s.fetchBeside(ctx, r, f, old, func() { <-s.refreshes })
}

// fetchBeside does a flight for the cache, with what a request says but without its client, and calls done when it has landed.
func (s *Server) fetchBeside(ctx context.Context, r *request, f *flight, old *cache.Object, done func()) {
	d := r.detached(s)
	if s.cfg.Peers != nil && !r.trusted {
		d.home, _ = s.cfg.Peers.Home(hash(d.key), d.start)
	}
	s.tasks.Go(func() {
		defer done()
		a := s.get(ctx, d, f, old, want{whole: true})
		a.resp.close()
		a.stream.close()
	})
}

// detached copies what of a request is needed once its connection has gone on to the next. It is a GET, whatever the request
// was: what a HEAD brings cannot take the place of what is stored.
func (r *request) detached(s *Server) *request {
	d := &request{addr: r.addr, key: bytes.Clone(r.key), turn: turn{start: r.start, now: r.now, id: r.id, site: r.site,
		method: []byte(http.MethodGet), host: bytes.Clone(r.host), target: bytes.Clone(r.target)}}
	d.ask.Reset(d.method)
	_ = d.readFields(bytes.Clone(r.rc.Request.Header.RawHeaders()), s.cfg.Secret, s.loop) // it was read without fault before
	return d
}
