package mgmt

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"cdnlab/topology"
)

// PurgeSpec is the body of POST /api/v1/purge: one of the first four fields, and Soft.
type PurgeSpec struct {
	URL    string `json:"url,omitempty"`
	Prefix string `json:"prefix,omitempty"` // of URLs, such as www.cdn.test/img/
	Key    string `json:"key,omitempty"`    // a surrogate key: Surrogate-Key or Cache-Tag of the response
	All    bool   `json:"all,omitempty"`
	Soft   bool   `json:"soft,omitempty"` // stale from now on, not gone
}

// Purged tells which caches have done it when the call returns.
type Purged struct {
	Nodes  []string      `json:"nodes"`
	Failed []PurgeFailed `json:"failed"` // empty when all of them have
}

// PurgeFailed is a cache that has not purged, as far as is known.
type PurgeFailed struct {
	Node  string `json:"node"`
	Error string `json:"error"`
}

func (p PurgeSpec) query() (url.Values, error) {
	v := url.Values{}
	for name, value := range map[string]string{"url": p.URL, "prefix": p.Prefix, "key": p.Key} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if p.All {
		v.Set("all", "true")
	}
	if len(v) != 1 {
		return nil, fmt.Errorf("want one of url, prefix, key and all, got %d", len(v))
	}
	if p.Soft {
		v.Set("soft", "true")
	}
	return v, nil
}

// addPurge has every cache purge: hubs before edges, which could else fetch from a hub what is about to go.
func (s *Server) addPurge(w http.ResponseWriter, r *http.Request) {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxFaultSpec))
	dec.DisallowUnknownFields()
	var spec PurgeSpec
	err := dec.Decode(&spec)
	if err != nil {
		writeError(w, http.StatusBadRequest, `want a JSON object such as {"key": "product-7", "soft": true}: %v`, err)
		return
	}
	query, err := spec.query()
	if err != nil {
		writeError(w, http.StatusBadRequest, "purge: %v", err)
		return
	}
	out := Purged{Nodes: []string{}, Failed: []PurgeFailed{}}
	for _, nodes := range s.purgeOrder() {
		refused, status := s.purgeNodes(r.Context(), nodes, query, &out)
		if refused != "" {
			writeError(w, status, "purge: %s", refused)
			return
		}
	}
	writeJSON(w, http.StatusOK, out)
}

// purgeOrder lists the nodes in the order in which they purge, those of a list at once: what a node fetches once it has purged must
// not come from one that has not. The servers of a PoP fetch from each other, so that they do it twice.
func (s *Server) purgeOrder() (lists [3][]topology.Node) {
	for _, n := range s.cfg.Plan.Nodes {
		switch n.Kind {
		case topology.KindHub:
			lists[0] = append(lists[0], n)
		case topology.KindEdge:
			lists[1] = append(lists[1], n)
			if len(s.cfg.Plan.Group(topology.Ref{Kind: n.Kind, Name: n.Group})) > 1 {
				lists[2] = append(lists[2], n)
			}
		}
	}
	return lists
}

// purgeNodes has nodes purge at once. refused is the sentence of one for which the purge makes no sense.
func (s *Server) purgeNodes(ctx context.Context, nodes []topology.Node, query url.Values, out *Purged) (refused string, status int) {
	type result struct {
		status int
		err    error
	}
	results := make([]result, len(nodes))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, n := range nodes {
		group.Go(func() error {
			results[i].status, results[i].err = s.purgeNode(ctx, n, query)
			return nil
		})
	}
	_ = group.Wait() // results holds the errors
	for i, n := range nodes {
		switch r := results[i]; {
		case r.err == nil:
			if !slices.Contains(out.Nodes, string(n.Name)) {
				out.Nodes = append(out.Nodes, string(n.Name))
			}
		case r.status == http.StatusBadRequest || r.status == http.StatusNotFound:
			refused, status = r.err.Error(), r.status
		default:
			if !slices.ContainsFunc(out.Failed, func(f PurgeFailed) bool { return f.Node == string(n.Name) }) {
				out.Failed = append(out.Failed, PurgeFailed{string(n.Name), r.err.Error()})
			}
		}
	}
	return refused, status
}

func (s *Server) purgeNode(ctx context.Context, n topology.Node, query url.Values) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, nodeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+n.HTTP.String()+"/-/purge?"+query.Encode(), nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Cdnlab-Secret", s.cfg.Secret)
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, reason(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return resp.StatusCode, nil
	}
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // the status alone will do
	return resp.StatusCode, fmt.Errorf("%s", strings.TrimSpace(string(said)))
}
