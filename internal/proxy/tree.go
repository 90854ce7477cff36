package proxy

import (
	"bytes"
	"strings"
	"time"

	"cdnlab/internal/cache"
	"cdnlab/internal/httpcache"
	"cdnlab/internal/journal"
	"cdnlab/topology"
)

// Feed is how far this node has followed the journal of an origin (package distribution). Its methods are called concurrently.
type Feed interface {
	// Claimed is the position that what is stored from now on must have seen; zero before the node has followed any journal.
	Claimed() journal.Position
	// Applied is the position that whatever is served from now on has seen.
	Applied() journal.Position
	// Base is the position that everything has seen which was ever stored.
	Base() journal.Position
	// Admit reports whether a response may be stored that came from a parent with a position to a request before which Claimed was claimed.
	// from is zero where the parent has none; said is false where it is in no tree.
	Admit(claimed, from journal.Position, said bool) bool
	// Doubtful reports whether the node cannot know that nothing stored was purged, as there was no word for so long.
	Doubtful(now time.Time, patience time.Duration) bool
}

// positionHeader is on responses to nodes of the lab: what the one that answers had applied when the request came.
const positionHeader = "Cdnlab-Position"

// behind reports whether a response may be of before a purge that this node has applied, or is about to: it must not be stored.
func (o *outgoing) behind(resp *response) bool {
	if o.feed == nil {
		return false
	}
	text := resp.header.Get(positionHeader)
	resp.at, _ = journal.ParsePosition(text) // zero where there is none
	return !o.feed.Admit(o.claimed, resp.at, text != "")
}

// doubtful reports whether what is stored must be validated before it is served.
func (s *Server) doubtful(r *request) bool {
	return r.site.feed != nil && r.site.feed.Doubtful(r.start, r.site.Cache.CutOff)
}

// innerPath is what begins the paths that nodes of the lab ask of each other, beside those of package probe.
const innerPath = "/-/"

// serveInner hands a connection over on which a node of the lab asks something of this one. It is false for what is no such request.
func (s *Server) serveInner(r *request) bool {
	if !r.trusted || s.cfg.Inner == nil || !bytes.HasPrefix(r.target, []byte(innerPath)) || r.body.Reader != nil || !s.probe.Own(string(r.host)) {
		return false
	}
	run := s.cfg.Inner(string(r.target))
	if run == nil {
		return false
	}
	rc := r.rc
	r.end()
	s.tunnels.take(rc, run, func() {})
	return true
}

// Apply does what an event of an origin's journal says (distribution.Sink). A purge of a site that this node does not know says nothing
// to it.
func (s *Server) Apply(e journal.Event) {
	if e.Kind != journal.Purge {
		return
	}
	<-s.opened // what is on disk must hear of it
	p, ok := s.purgeOf(e)
	if !ok {
		return
	}
	s.store.Purge(p, s.cfg.Now().UnixNano())
	if p.Scope == cache.ScopeKey {
		s.flights.forget([]byte(p.Value))
	} else {
		s.flights.forgetAll()
	}
}

// purgeOf turns an event into the words of the store. What is purged of a URL is what its key has.
func (s *Server) purgeOf(e journal.Event) (p cache.Purge, ok bool) {
	p.Soft = e.Soft
	site, known := s.sites[e.Site]
	switch {
	case e.Scope == journal.ScopeKey && (known || e.Site == ""):
		p.Scope, p.Value, p.Site = cache.ScopeTag, e.Value, e.Site
	case e.Scope == journal.ScopeAll && e.Site == "":
		p.Scope = cache.ScopeAll
	case !known:
		return p, false
	case e.Scope == journal.ScopeAll:
		p.Scope, p.Value = cache.ScopePrefix, site.Host+"/"
	case e.Scope == journal.ScopePrefix:
		prefix := e.Value
		if site.Cache.Query != topology.QueryKeep {
			prefix, _, _ = strings.Cut(prefix, "?") // keys have the parameters in another order, or not at all: rather too much is purged
		}
		p.Scope, p.Value = cache.ScopePrefix, site.Host+prefix
	default:
		p.Scope, p.Value = cache.ScopeKey, string(httpcache.AppendKey(nil, site.host, []byte(e.Value), &site.Cache))
	}
	return p, true
}

// Outdated makes everything stale that is stored of an origin's sites (distribution.Sink).
func (s *Server) Outdated(origin string) {
	<-s.opened // as above
	now := s.cfg.Now().UnixNano()
	for host, site := range s.sites {
		if site.Origin == origin {
			s.store.Outdate(host+"/", now)
		}
	}
	s.flights.forgetAll()
}

// behindDetail is why an answer is passed on without being stored.
const behindDetail = "the parent has not applied all purges that this node has"
