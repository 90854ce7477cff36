package proxy

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"cdnlab/internal/cache"
	"cdnlab/internal/httpcache"
	"cdnlab/internal/journal"
	"cdnlab/internal/stats"
)

// answer is what a fetch brought: one of the first four fields is set.
type answer struct {
	object *cache.Object // in the store: new, freshened, or stale as it is
	stream *response     // the body of an object in slices, which are stored as it goes through; nil for other objects
	fill   *cache.Fill   // being stored
	resp   *response     // passed on: it is not stored
	fail   *refusal      // nothing

	result stats.Result
	status int              // received from upstream; 0 when nothing came
	below  httpcache.Header // fields that came with it, for what the tiers below say in them; "" when they say nothing
	aged   bool             // it came with an Age
	once   httpcache.Header // those that are for the one who fetched it alone
	vary   string
	stored bool
	soon   bool   // it was not stored, but is likely to be the next time
	detail string // why it was not stored, or what went wrong
	again  bool   // others who asked at the same time may fare better

	slice int64 // that the stream begins with
	part  bool  // and ends with
}

// fetch answers a GET or HEAD that the store alone cannot. old is what it holds, if that is only to be validated.
func (s *Server) fetch(ctx context.Context, r *request, old *cache.Object, fwd httpcache.Fwd) {
	r.out.status.Fwd = fwd
	a, hash := &r.ask, hash(r.key)
	why := s.failing(r)
	apart, _ := s.apart.has(hash, r.start)
	switch {
	case why != nil:
		s.sendAnswer(ctx, r, s.instead(r, old, why), old)
	case a.Method == httpcache.MethodHead:
		s.fetchHead(ctx, r, old)
	case a.NoStore:
		s.relay(ctx, r, stats.Miss, nil, nil)
	case !r.site.Cache.Collapse, a.NoCache, a.MaxAge >= 0, a.MinFresh >= 0, apart:
		s.alone(ctx, r, old)
	default:
		s.together(ctx, r, r.key, old)
	}
}

// together fetches once for all who ask for the key at the same time.
func (s *Server) together(ctx context.Context, r *request, key []byte, old *cache.Object) {
	f, first := s.flights.join(key)
	if first {
		if s.sendMeanwhile(ctx, r, f) {
			return
		}
		a := s.get(ctx, r, f, old, want{whole: true})
		s.sendAnswer(ctx, r, a, old)
		return
	}
	r.follows(f)
	if f = s.await(ctx, r, f, old); f == nil {
		s.fail(r, s.stopping())
		return
	}
	r.out.status.Collapsed = true
	switch {
	case f.fail != nil:
		s.sendAnswer(ctx, r, s.instead(r, old, f.fail), old)
	case s.sendShared(ctx, r, f):
	case f.vary != "" && len(key) == len(r.key): // the answer was for another variant: meet those who want the same
		variant := append(append(bytes.Clone(key), 0), httpcache.AppendVariant(nil, f.vary, &r.ask)...)
		s.together(ctx, r, variant, old)
	case f.soon && !r.again:
		r.again = true
		r.out.status.Collapsed = false
		s.together(ctx, r, key, old)
	case (f.bad || f.fill != nil && f.fill.Failed()) && r.waits < failuresInRow: // the next fetch may fare better, or be the last for a moment
		r.waits++
		r.out.status.Collapsed = false
		s.flights.leave(f) // it may not have been told yet
		s.fetch(ctx, r, old, r.out.status.Fwd)
	default:
		r.out.status.Collapsed = false
		s.alone(ctx, r, old)
	}
}

// await waits for a flight to land. It may be by what its request says that it hangs: when it takes long, the request of one of those
// who wait goes upstream too, and the one that lands first is returned. It is nil when this node stops.
func (s *Server) await(ctx context.Context, r *request, f *flight, old *cache.Object) *flight {
	late := time.NewTimer(s.crowdPatience() - time.Since(f.began))
	defer late.Stop()
	select {
	case <-f.landed:
		return f
	case <-ctx.Done():
		return nil
	case <-late.C:
	}
	other, first := s.flights.second(f)
	if first {
		s.fetchBeside(ctx, r, other, old, func() {})
	}
	select {
	case <-f.landed:
		return f
	case <-other.landed:
		return other
	case <-ctx.Done():
		return nil
	}
}

// crowdPatience is how long those who wait for a fetch leave it at that.
func (s *Server) crowdPatience() time.Duration {
	return cmp.Or(s.cfg.Patience, headTimeout) / 3
}

// sendMeanwhile answers with what has been stored since the store was looked at, by a fetch that has ended since.
func (s *Server) sendMeanwhile(ctx context.Context, r *request, f *flight) bool {
	obj, _ := s.store.Find(r.key, &r.ask)
	if obj == nil {
		return false
	}
	c := s.contentOf(ctx, r, obj)
	d := httpcache.Decide(r.now, c.meta, &r.ask)
	if d.Outcome != httpcache.Hit || s.doubtful(r) {
		return false
	}
	s.landed(f, &answer{})
	s.sendHit(ctx, r, &c, d)
	return true
}

// sendShared answers with what a flight has brought, if that may be.
func (s *Server) sendShared(ctx context.Context, r *request, f *flight) bool {
	r.now = s.cfg.Now().UnixNano()
	c := content{fill: f.fill}
	if c.fill != nil {
		c.meta, c.header, c.size = c.fill.Meta(), c.fill.Header(), c.fill.Length()
		if !c.fill.Matches(&r.ask) {
			return false
		}
	} else {
		obj, _ := s.store.Find(r.key, &r.ask)
		if obj == nil {
			return false
		}
		c = s.contentOf(ctx, r, obj)
	}
	if httpcache.Decide(r.now, c.meta, &r.ask).Outcome == httpcache.Revalidate {
		return false
	}
	r.out.result = stats.Miss
	return s.sendContent(r, &c)
}

// alone fetches for this request only. A conditional or range request for what is not stored goes as the client sent it.
func (s *Server) alone(ctx context.Context, r *request, old *cache.Object) {
	apart, useful := s.apart.has(hash(r.key), r.start)
	asked := old == nil && (r.ask.Conditional || r.ask.Range != "") && (r.retried || apart && !useful)
	s.sendAnswer(ctx, r, s.get(ctx, r, nil, old, want{whole: !asked}), old)
}

// get fetches from the parents. f, which may be nil, lands.
func (s *Server) get(ctx context.Context, r *request, f *flight, old *cache.Object, w want) *answer {
	if old != nil {
		stored := old.Stored()
		w.noneMatch, w.modifiedSince = stored.Validators()
	}
	asksSlice := false
	if w.whole && (old == nil || old.Sliced()) {
		w.span, asksSlice = s.sliceAsked(r)
	}
	ticket := s.store.Ticket()
	sent := s.cfg.Now()
	resp, err := s.forward(ctx, s.outgoing(r, w), r.site.Site, hash(r.key))
	came := s.cfg.Now()
	r.now = came.UnixNano()
	if err != nil {
		why := s.noAnswer(r, err)
		if ctx.Err() == nil && !isClients(err) {
			s.fetched(failureKey(r), why)
		}
		return s.landed(f, s.instead(r, old, why))
	}
	resp.flies(f)
	if resp.behind && !resp.ofTier() {
		return s.unstored(ctx, r, f, resp, &w)
	}
	if resp.ofTier() || old != nil && httpcache.Failing(resp.status) && httpcache.StaleAllowed(r.now, old.Stored().Meta, &r.ask) {
		return s.landed(f, s.instead(r, old, failureOf(resp)))
	}
	if httpcache.Failing(resp.status) {
		s.fetched(failureKey(r), refuse(resp.status, "%s has answered %d several times in a row and is not asked for a moment", resp.from.Node.Name, resp.status))
	}
	rr := httpcache.Response{Status: resp.status, Header: resp.header, RequestTime: sent.UnixNano(), ResponseTime: r.now}
	if resp.status == http.StatusNotModified && (w.noneMatch != "" || w.modifiedSince != "") {
		stored := old.Stored()
		adm, matched := httpcache.Freshen(&stored, &r.ask, &rr, &r.site.policy)
		resp.close()
		s.judge(&adm, r.site)
		s.fetched(failureKey(r), nil)
		if !matched { // of something else: the stored response is of no use
			return s.get(ctx, r, f, nil, want{whole: true})
		}
		a := &answer{object: s.store.Replace(old, adm), result: stats.Revalidated, status: resp.status, below: resp.below(), aged: resp.aged,
			once: adm.Once, vary: adm.Meta.Vary, stored: adm.Stored, detail: adm.Detail}
		return s.landed(f, a)
	}
	if asksSlice && resp.status == http.StatusPartialContent {
		if a := s.takeSlice(r, f, resp, &rr, ticket); a != nil {
			return a
		}
		resp.close()
		s.apart.mark(hash(r.key), r.start, false)
		s.landed(f, &answer{}) // others need not wait for what only this client is sent
		return s.get(ctx, r, nil, nil, want{})
	}
	return s.take(r, f, resp, &rr, ticket)
}

// unstored passes the answer of a parent on that is behind. It says nothing about what is stored, and nothing to other requests.
func (s *Server) unstored(ctx context.Context, r *request, f *flight, resp *response, w *want) *answer {
	if w.noneMatch != "" || w.modifiedSince != "" || w.span.Length > 0 { // not what the client asked for
		resp.close()
		return s.get(ctx, r, f, nil, want{})
	}
	return s.landed(f, &answer{resp: resp, result: stats.Miss, status: resp.status, below: resp.below(), aged: resp.aged, detail: behindDetail, again: true})
}

func (s *Server) landed(f *flight, a *answer) *answer {
	s.flights.land(f, a, false)
	return a
}

// take stores a response, or lets it pass.
func (s *Server) take(r *request, f *flight, resp *response, rr *httpcache.Response, ticket cache.Ticket) *answer {
	adm := httpcache.Admit(&r.ask, rr, &r.site.policy)
	s.judge(&adm, r.site)
	if adm.Stored && resp.events {
		adm = httpcache.Admission{Meta: adm.Meta, Detail: "an event stream has no end to wait for"}
	}
	c := cache.FillConfig{Key: r.key, Ask: &r.ask, Admission: adm, Length: resp.body.length, Ticket: ticket}
	s.filter(r, &c, resp)
	adm = c.Admission
	a := &answer{result: stats.Miss, status: resp.status, below: resp.below(), aged: resp.aged, once: adm.Once, vary: adm.Meta.Vary, detail: adm.Detail, soon: r.soon}
	if adm.Stored && s.slices(resp, &adm.Meta) {
		resp.body.idle = bodyStall
		a.object, a.stream, a.stored = s.store.PutSliced(c, resp.body.length), resp, true
		return s.landed(f, a)
	}
	if adm.Stored {
		a.fill = s.store.Begin(c)
		if a.stored = a.fill.Storing(); !a.stored {
			a.fill.Abort(cache.ErrClosed)
			a.fill, a.detail = nil, "the response is too large for the cache"
		}
	}
	var anyone httpcache.Ask // what this client asks for beyond that is its own affair
	anyone.Reset([]byte(http.MethodGet))
	passing := resp.status == http.StatusRequestedRangeNotSatisfiable || httpcache.Failing(resp.status) // says nothing of the next answer
	if a.fill == nil && !passing && !a.soon || a.fill != nil && httpcache.Decide(r.now, &adm.Meta, &anyone).Outcome == httpcache.Revalidate {
		s.apart.mark(hash(r.key), r.start, r.refused != nil && !r.refused.Final)
	}
	if a.fill == nil {
		if !httpcache.Failing(resp.status) {
			s.fetched(failureKey(r), nil)
		}
		a.resp = resp
		return s.landed(f, a)
	}
	resp.body.idle = bodyStall
	key := failureKey(r)
	if resp.body.arrived() && !resp.body.held() {
		if a.object = s.copyFill(resp, a.fill, key); a.object != nil {
			a.fill = nil
		}
		return s.landed(f, a)
	}
	s.flights.land(f, a, true)
	s.tasks.Go(func() {
		defer s.flights.leave(f)
		s.copyFill(resp, a.fill, key)
	})
	return a
}

// copyFill stores a body as it arrives; one that breaks off is not stored, and a failure of the fetch that has the failureKey.
func (s *Server) copyFill(resp *response, fill *cache.Fill, key uint64) *cache.Object {
	defer resp.close()
	_, err := resp.body.WriteTo(fill)
	switch {
	case resp.body.failed:
		s.fetched(key, refuse(http.StatusBadGateway, "the answer of %s broke off several times in a row; it is not asked for a moment: %v", resp.from.Node.Name, rootOf(err)))
	case !httpcache.Failing(resp.status):
		s.fetched(key, nil)
	}
	if err != nil {
		fill.Abort(err)
		return nil
	}
	obj, err := fill.Complete()
	if err != nil {
		return nil // its readers know
	}
	return obj
}

// instead answers when nothing usable came: with what is stored, though stale, if the rules allow it (RFC 9111 §4.2.4).
func (s *Server) instead(r *request, old *cache.Object, why *refusal) *answer {
	if old == nil {
		return &answer{fail: why, status: why.upstream}
	}
	if m := old.Meta(); httpcache.StaleAllowed(r.now, &m, &r.ask) {
		if r.trusted && m.Purged { // it would be fresh where it is not known as purged: it is not to be stored
			r.applied, r.behind = journal.Position{}, true
		}
		return &answer{object: old, result: stats.Stale, status: why.upstream, stored: true, detail: "served stale: " + why.sentence}
	}
	return &answer{fail: why, status: why.upstream}
}

// noAnswer makes the error for a request that no parent answered.
func (s *Server) noAnswer(r *request, err error) *refusal {
	var client clientError
	if errors.As(err, &client) {
		return refuse(http.StatusBadRequest, "the request's body broke off: %v", rootOf(client))
	}
	why := refuse(http.StatusGatewayTimeout, "%s has no answer for http://%s%s: %v", s.name, r.host, r.target, err)
	var dial dialError
	why.slow = TimedOut(err) && !errors.As(err, &dial)
	return why
}

func (s *Server) stopping() *refusal {
	return refuse(http.StatusServiceUnavailable, "%s is stopping", s.name)
}

// failureOf turns a response that is not going to be used into the error that says so; that of a tier keeps its sentence.
func failureOf(resp *response) *refusal {
	defer resp.close()
	why := refuse(resp.status, "%s answered %d", resp.from.Node.Name, resp.status)
	why.upstream, why.slow = resp.status, resp.slow()
	if !resp.ofTier() {
		return why
	}
	const most = 4 << 10
	if text, err := io.ReadAll(io.LimitReader(&resp.body, most)); err == nil && len(text) > 0 {
		why.sentence = strings.TrimRight(string(text), "\n")
	}
	return why
}

// sendAnswer answers with what a fetch brought.
func (s *Server) sendAnswer(ctx context.Context, r *request, a *answer, old *cache.Object) {
	o := &r.out
	o.result, o.below = a.result, a.below
	o.status.FwdStatus, o.status.Stored, o.status.Detail = a.status, a.stored && a.result != stats.Stale, a.detail
	switch {
	case a.fail != nil:
		o.status.Detail = ""
		s.fail(r, a.fail)
	case a.resp != nil:
		s.sendFetched(ctx, r, a)
	default:
		c := content{fill: a.fill, aged: a.aged}
		if a.fill != nil {
			c.meta, c.header, c.size = a.fill.Meta(), a.fill.Header(), a.fill.Length()
		} else {
			aged := c.aged || a.result == stats.Stale
			c = s.contentOf(ctx, r, a.object)
			c.aged = aged
			if a.stream != nil {
				c.pieces.stream, c.pieces.next, c.pieces.part = a.stream, a.slice, a.part
			}
		}
		c.once = a.once
		sent := s.sendContent(r, &c)
		c.pieces.closeUnread()
		if !sent { // the body broke off or outgrew the cache before its first reader came
			s.relay(ctx, r, stats.Miss, old, nil)
		}
	}
}

// sendFetched passes a response on that was fetched whole, for the cache, and is not stored. What the client asked for may
// have been a part: that is asked for anew, so that a large body does not come for the sake of a small range.
func (s *Server) sendFetched(ctx context.Context, r *request, a *answer) {
	if a.status == http.StatusOK && r.ask.Range != "" && !r.retried {
		a.resp.close()
		r.retried = true
		s.alone(ctx, r, nil)
		return
	}
	s.sendPassed(r, a.resp, nil)
}
