package mgmt

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"cdnlab/topology"
)

// The dialects in which other CDNs take purges are adapters to the call of this API: docs/purging.md tells how far they go. Each takes the lab's
// token where it carries its own, says what went wrong in its own form, and is audited and limited as POST /api/v1/purge is.

// methodPurge is that of Varnish's and Fastly's purge of a single URL. No standard defines it.
const methodPurge = "PURGE"

// pendingHeader names the nodes that were alive and had not applied a purge when its call had waited for so long.
const pendingHeader = "Cdnlab-Pending"

// addDialects routes the calls whose paths have a shape that the mux knows.
func (s *Server) addDialects(mux *http.ServeMux) {
	mux.HandleFunc("POST /service/{service}/purge/{key}", s.fastly(s.fastlyPurgeKey))
	mux.HandleFunc("POST /service/{service}/purge", s.fastly(s.fastlyPurgeKeys))
	mux.HandleFunc("POST /service/{service}/purge_all", s.fastly(s.fastlyPurgeAll))
	mux.HandleFunc("POST /client/v4/zones/{zone}/purge_cache", s.cloudflare)
	mux.HandleFunc("POST /2020-05-31/distribution/{distribution}/invalidation", s.cloudfront(s.createInvalidation))
	mux.HandleFunc("GET /2020-05-31/distribution/{distribution}/invalidation/{id}", s.cloudfront(s.getInvalidation))
}

// purgeURLs takes the calls that carry a whole URL, before the mux, which would redirect to a tidier path.
func (s *Server) purgeURLs(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/purge/")
		switch {
		case r.Method == methodPurge:
			s.fastly(func(w http.ResponseWriter, r *http.Request) { s.fastlyPurgeURL(w, r, r.Host+r.URL.RequestURI()) })(w, r)
		case ok && r.Method == http.MethodPost:
			s.fastly(func(w http.ResponseWriter, r *http.Request) { s.fastlyPurgeURL(w, r, cachedURL(rest, r.URL.RawQuery)) })(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// cachedURL is the URL that a path ends with: as it is, or in one encoded segment.
func cachedURL(rest, query string) string {
	if whole, err := url.PathUnescape(rest); err == nil && !strings.Contains(rest, "/") {
		rest = whole
	}
	if query != "" {
		rest += "?" + query
	}
	return rest
}

// sitesOf are those that an id of another CDN stands for: the host of a site, a customer, or a domain with all sites below it.
func (s *Server) sitesOf(id string) (hosts []string) {
	if site, ok := s.cfg.Topology.Site(id); ok {
		return []string{site.Host}
	}
	for _, is := range []func(*topology.Site) bool{
		func(site *topology.Site) bool { return site.Customer == id },
		func(site *topology.Site) bool { return strings.HasSuffix(site.Host, "."+strings.ToLower(id)) },
	} {
		for i := range s.cfg.Topology.Sites {
			if site := &s.cfg.Topology.Sites[i]; is(site) {
				hosts = append(hosts, site.Host)
			}
		}
		if hosts != nil {
			return hosts
		}
	}
	return nil
}

// whatIDsAre is the sentence for an id that stands for nothing.
func (s *Server) whatIDsAre(id string) string {
	return fmt.Sprintf("%q is no site, customer or domain of this lab; the sites are %s", id, s.view.siteNames())
}

// id names a purge by where its i-th event stands in a journal.
func (p Purged) id(i int) string {
	j := p.Journals[i]
	return fmt.Sprintf("%s-%s-%d", j.Origin, j.Epoch, j.Seq)
}

// sayPending sets pendingHeader.
func (p Purged) sayPending(w http.ResponseWriter) {
	if len(p.Pending) > 0 {
		w.Header().Set(pendingHeader, strings.Join(p.Pending, ", "))
	}
}
