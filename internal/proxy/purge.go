package proxy

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"

	"cdnlab/internal/cache"
	"cdnlab/internal/httpcache"
)

// purgePath is where a node takes purges from the nodes of its lab:
//
//	POST /-/purge?url=U | ?prefix=P | ?key=K | ?all=true   [&soft=true]
//
// A URL or prefix has a host of the lab; its scheme and port mean nothing. A key is a surrogate key.
const purgePath = "/-/purge"

// servePurge answers a purge. It is false for what is none, or comes from outside.
func (s *Server) servePurge(r *request) bool {
	if !r.trusted || !bytes.HasPrefix(r.target, []byte(purgePath)) || !s.probe.Own(string(r.host)) {
		return false
	}
	path, query, _ := strings.Cut(string(r.target), "?")
	if path != purgePath {
		return false
	}
	if why := s.purge(string(r.method), query); why != nil {
		s.fail(r, why)
		return true
	}
	s.send(r, http.StatusNoContent, appendDate(r.buf, r.now))
	r.end()
	return true
}

func (s *Server) purge(method, query string) *refusal {
	if method != http.MethodPost {
		return refuse(http.StatusMethodNotAllowed, "%s takes POST", purgePath)
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return refuse(http.StatusBadRequest, "malformed query %.80q", query)
	}
	p, why := s.parsePurge(values)
	if why != nil {
		return why
	}
	s.store.Purge(p, s.cfg.Now().UnixNano())
	if p.Scope == cache.ScopeKey {
		s.flights.forget([]byte(p.Value))
	} else {
		s.flights.forgetAll()
	}
	return nil
}

// parsePurge turns the words of people into those of the store.
func (s *Server) parsePurge(values url.Values) (p cache.Purge, why *refusal) {
	given := 0
	for name, scope := range map[string]cache.Scope{"url": cache.ScopeKey, "prefix": cache.ScopePrefix, "key": cache.ScopeTag, "all": cache.ScopeAll} {
		if v := values.Get(name); v != "" {
			given++
			p.Scope, p.Value = scope, v
		}
	}
	if given != 1 {
		return p, refuse(http.StatusBadRequest, "want one of url, prefix, key and all")
	}
	p.Soft = values.Get("soft") == "true"
	switch p.Scope {
	case cache.ScopeAll:
		p.Value = ""
		return p, nil
	case cache.ScopeTag:
		return p, nil
	}
	_, rest, ok := strings.Cut(p.Value, "://")
	if !ok {
		rest = p.Value
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	target := rest[end:]
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	host, _ := splitPort([]byte(strings.ToLower(rest[:end])))
	site, ok := s.sites[string(host)]
	switch {
	case !ok:
		return p, refuse(http.StatusNotFound, "unknown host %q: this CDN serves %s", host, s.hosts)
	case p.Scope == cache.ScopePrefix:
		p.Value = site.Host + target
	default:
		p.Value = string(httpcache.AppendKey(nil, site.host, []byte(target), &site.Cache))
	}
	return p, nil
}
