package proxy

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"

	"cdnlab/internal/cache"
	"cdnlab/internal/httpcache"
	"cdnlab/internal/stats"
)

// Piece is a part of a version of an object, as a manifest of the distribution tree has it.
type Piece struct {
	Site, Target string
	ETag         string // strong: the version
	Size         int64  // of the object
	Span         httpcache.Span
	Sum          [sha256.Size]byte // of the bytes in Span
}

// Errors of Pull.
var (
	ErrVersion = errors.New("the parent has another version")
	ErrSum     = errors.New("the bytes do not match the manifest")
)

// Pull makes the store have a piece, which it asks the parents for if need be, and holds it against its sum. brought says that it was not
// there before. What does not match is removed. No client has asked: nothing is counted as a request.
func (s *Server) Pull(ctx context.Context, p *Piece) (brought bool, err error) {
	t, ok := s.sites[p.Site]
	if !ok {
		return false, fmt.Errorf("no site %q", p.Site)
	}
	select {
	case <-s.opened: // what is on disk is not fetched again
	case <-ctx.Done():
		return false, ctx.Err()
	}
	r := s.pulling(t, p)
	for range 3 {
		obj, _ := s.store.Find(r.key, &r.ask)
		if obj != nil {
			obj.ReadMeta(&r.meta)
		}
		if obj == nil || r.meta.ETag != p.ETag || httpcache.Decide(r.now, &r.meta, &r.ask).Outcome == httpcache.Revalidate {
			brought = true
			if err := s.pullHead(ctx, r, obj, p); err != nil {
				return false, err
			}
			continue
		}
		missing, err := s.pullBody(ctx, r, obj, p)
		return brought || missing, err
	}
	return false, errors.New("what was fetched did not stay in the store")
}

// Keeps reports whether an object is for this node to keep, or for another server of its PoP.
func (s *Server) Keeps(site, target string) bool {
	h, ok := s.KeyHash(site, target)
	if !ok || s.cfg.Peers == nil {
		return ok
	}
	home, keep := s.cfg.Peers.Home(h, s.cfg.Now())
	return home == nil || keep
}

// KeyHash is what spreads objects over servers; false for a site that this node does not know.
func (s *Server) KeyHash(site, target string) (uint64, bool) {
	t, ok := s.sites[site]
	if !ok {
		return 0, false
	}
	return hash(httpcache.AppendKey(nil, t.host, []byte(target), &t.Cache)), true
}

// pulling makes the request for a piece.
func (s *Server) pulling(t *site, p *Piece) *request {
	start := s.cfg.Now()
	r := &request{fields: fields{trusted: true, pushed: true}, turn: turn{start: start, now: start.UnixNano(), site: t, method: []byte(http.MethodGet), host: t.host, target: []byte(p.Target)}}
	r.ask.Reset(r.method)
	if p.Size > wholeLimit || p.Size > s.store.MaxObject() {
		r.ask.Add([]byte("Range"), fmt.Appendf(nil, "bytes=%d-%d", p.Span.First, p.Span.First+p.Span.Length-1))
	}
	r.makeID()
	r.key = httpcache.AppendKey(nil, t.host, r.target, &t.Cache)
	return r
}

// pullHead fetches the object, or the slice that the piece begins in, and waits until it is stored.
func (s *Server) pullHead(ctx context.Context, r *request, old *cache.Object, p *Piece) error {
	if old != nil && old.Meta().ETag != p.ETag {
		old = nil // the version that is asked for is another one: a 304 about this one would be of no use
	}
	f, first := s.flights.join(r.key)
	if !first {
		select {
		case <-f.landed:
			if f.fill == nil {
				return nil
			}
			err := s.drain(f.fill)
			s.flights.leave(f) // should it be of another version, the next fetch is this one's
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	a := s.get(ctx, r, f, old, want{whole: true})
	a.stream.close()
	switch {
	case a.fail != nil:
		return errors.New(a.fail.sentence)
	case a.resp != nil:
		a.resp.close()
		return fmt.Errorf("it is not stored: %s", a.detail)
	case a.fill != nil:
		if a.fill.Meta().ETag != p.ETag {
			return ErrVersion
		}
		return s.drain(a.fill)
	case a.object.Meta().ETag != p.ETag:
		return ErrVersion
	case a.result == stats.Stale:
		return errors.New(a.detail)
	}
	return nil
}

// drain waits until a body is stored.
func (s *Server) drain(f *cache.Fill) error {
	b, ok := f.Reader(cache.All)
	if !ok {
		return nil // the store has it, or gave it up
	}
	defer b.Close()
	_, err := b.WriteTo(io.Discard)
	f.Wait()
	return err
}

// drop removes what is stored under a key, and what is about to be: a body may be read before it is stored.
func (s *Server) drop(key []byte, stored func() (*cache.Object, bool)) {
	if f := s.flights.arriving(key); f != nil {
		f.Wait()
	}
	s.flights.forget(key) // it may not have left yet
	if o, ok := stored(); ok {
		s.store.Drop(o)
	}
}

// pullBody holds a piece of a stored object against its sum; slices that are missing are fetched.
func (s *Server) pullBody(ctx context.Context, r *request, obj *cache.Object, p *Piece) (missing bool, err error) {
	if obj.Size() != p.Size {
		return false, ErrVersion
	}
	c := s.contentOf(ctx, r, obj)
	if obj.Sliced() {
		missing = !s.store.HasSlice(obj, obj.SliceAt(p.Span.First))
	}
	src, ok := c.body(p.Span)
	if !ok {
		return missing, errors.New("the body cannot be had")
	}
	sum := sha256.New()
	n, err := src.WriteTo(sum)
	if cerr := src.Close(); err == nil {
		err = cerr
	}
	switch {
	case err != nil:
		return missing, err
	case n == p.Span.Length && [sha256.Size]byte(sum.Sum(nil)) == p.Sum:
		return missing, nil
	}
	if obj.Sliced() {
		for i := obj.SliceAt(p.Span.First); i <= obj.SliceAt(p.Span.First+p.Span.Length-1); i++ {
			s.drop(obj.AppendSliceKey(nil, i), func() (*cache.Object, bool) { return s.store.Slice(obj, i) })
		}
	} else {
		s.drop(r.key, func() (*cache.Object, bool) { return obj, true })
	}
	return missing, ErrSum
}
