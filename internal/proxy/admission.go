package proxy

import (
	"cdnlab/internal/cache"
	"cdnlab/internal/httpcache"
	"cdnlab/topology"
)

// filter asks the cache's filter whether a response that may be stored is to be. When it is not, the admission says why. What
// has been refused stays so, however often the request goes upstream: it is one request of a client. What is pushed is to be stored though nobody has asked for it.
func (s *Server) filter(r *request, c *cache.FillConfig, resp *response) *cache.Refusal {
	if !c.Admission.Stored || s.store.AdmitsAll() || r.ofPush() && s.cfg.Admission.Rule != "size" {
		return nil
	}
	if r.refused == nil {
		r.refused = s.store.Admit(c, s.above(resp))
		r.soon = r.refused != nil && r.refused.Soon && !s.apart.again(hash(r.key), r.start)
	}
	if r.refused != nil {
		c.Admission.Stored, c.Admission.Detail = false, r.refused.Why
	}
	return r.refused
}

// above reports whether the server that answered had the response stored. An origin has what it sends.
func (s *Server) above(resp *response) bool {
	n := &resp.from.Node
	return n.Kind == topology.KindOrigin || httpcache.Had(resp.header, string(n.Name))
}
