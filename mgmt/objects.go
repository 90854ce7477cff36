package mgmt

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"slices"
	"strconv"
	"strings"
	"time"

	"cdnlab/topology"
)

const (
	objectsPath = "/api/v1/objects" // here
	storePath   = "/-/objects"      // at an origin
	bodyLimit   = 24 * time.Hour    // for one upload or download
)

// serveObjects passes a call on to the origin that stores the site's objects. A call without a site means the first
// one that has a store.
func (s *Server) serveObjects(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	site, ok := s.objectSite(query.Get("site"))
	if !ok {
		writeError(w, http.StatusNotFound, "no site %q; the sites are %s", query.Get("site"), s.view.siteNames())
		return
	}
	origin, kind := s.originOf(site)
	if kind != topology.Builtin {
		writeError(w, http.StatusConflict, "the origin of %s, %q, takes its content from elsewhere: only an origin with store: builtin stores objects",
			site.Host, origin.Name)
		return
	}
	query.Set("site", site.Host)
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.Host = "http", origin.HTTP.String(), origin.HTTP.String()
	out.URL.Path = storePath + strings.TrimPrefix(r.URL.Path, objectsPath)
	out.URL.RawQuery = query.Encode()

	// The server's own timeouts are for short calls.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyLimit)) // only a test's recorder has no deadlines
	_ = control.SetWriteDeadline(time.Now().Add(bodyLimit))
	s.objects.ServeHTTP(w, out)
}

// objectSite finds a site by its host, and for the empty host the first one whose origin has a store, or else the first.
func (s *Server) objectSite(host string) (*topology.Site, bool) {
	if host != "" {
		return s.cfg.Topology.Site(host)
	}
	sites := s.cfg.Topology.Sites
	for i := range sites {
		if _, kind := s.originOf(&sites[i]); kind == topology.Builtin {
			return &sites[i], true
		}
	}
	if len(sites) == 0 {
		return nil, false
	}
	return &sites[0], true
}

// originOf returns a site's origin, which every site of a valid topology has.
func (s *Server) originOf(site *topology.Site) (topology.Node, topology.OriginKind) {
	origins := s.cfg.Topology.Origins
	i := slices.IndexFunc(origins, func(o topology.Origin) bool { return o.Name == site.Origin })
	node, _ := s.cfg.Plan.Node(topology.NodeName(site.Origin))
	return node, origins[i].Kind
}

// newObjectProxy returns the way to the origins: it streams both bodies.
func (s *Server) newObjectProxy(transport http.RoundTripper) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.Host = p.In.Host
			p.Out.Header.Del("Authorization") // was for mgmt
			p.Out.Header.Set("Cdnlab-Secret", s.cfg.Secret)
		},
		ModifyResponse: sayAsJSON,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			s.cfg.Log.Warn("origin does not answer", "address", r.URL.Host, "error", err)
			writeError(w, http.StatusBadGateway, "the origin at %s does not answer: %v", r.URL.Host, err)
		},
	}
}

// sayAsJSON puts an origin's plain sentence about what went wrong into the form that this API has for errors.
func sayAsJSON(resp *http.Response) error {
	if resp.StatusCode < 400 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		return nil
	}
	sentence, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	body, err := json.Marshal(Error{strings.TrimSpace(string(sentence))})
	if err != nil {
		return err
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	resp.Header.Set("Content-Type", "application/json")
	resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return nil
}
