package mgmt

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"cdnlab/topology"
)

// PushSpec is the body of POST /api/v1/push.
type PushSpec struct {
	URLs []string `json:"urls"`
	To   string   `json:"to,omitempty"`   // "hubs", "edges", the name of a hub, an edge or one of their servers, or a city; "" is everywhere
	Wait string   `json:"wait,omitempty"` // how long the call waits until everything is there: "5s", which is the default; "0" does not wait
}

// prepareTime is how long an origin may take to sum an object up.
const prepareTime = time.Minute

// Pushed tells how far a push is when the call returns. A node that has everything has applied it.
type Pushed struct {
	Objects []PushedObject `json:"objects"`
}

// PushedObject is what became of one object.
type PushedObject struct {
	URL   string        `json:"url"`
	Error string        `json:"error,omitempty"` // why it cannot be pushed
	Nodes []AppliedNode `json:"nodes"`           // every hub and edge; those that it is not for have applied it at once
}

func (s *Server) addPush(w http.ResponseWriter, r *http.Request) {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	dec.DisallowUnknownFields()
	var spec PushSpec
	if err := dec.Decode(&spec); err != nil {
		writeError(w, http.StatusBadRequest, `want a JSON object such as {"urls": ["http://www.cdn.test/film.mp4"], "to": "edges"}: %v`, err)
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(maxWait + prepareTime + readTimeout)) // only a test's recorder has no deadlines
	note(w, "push %d URLs, to %q", len(spec.URLs), spec.To)
	out, status, err := s.push(r.Context(), spec)
	if err != nil {
		writeError(w, status, "push: %v", err)
		return
	}
	writeJSON(w, http.StatusOK, out)
}

// push makes a push. status is that of an answer which tells the error.
func (s *Server) push(ctx context.Context, spec PushSpec) (out Pushed, status int, err error) {
	wait, err := parseWait(spec.Wait)
	if err != nil {
		return out, http.StatusBadRequest, err
	}
	to, err := s.cfg.Topology.PushTarget(spec.To)
	switch {
	case err != nil:
		return out, http.StatusBadRequest, fmt.Errorf("to: %w", err)
	case len(spec.URLs) == 0 || len(spec.URLs) > topology.MaxPush:
		return out, http.StatusBadRequest, fmt.Errorf("urls: want 1 to %d, got %d", topology.MaxPush, len(spec.URLs))
	}
	events := make([]url.Values, len(spec.URLs))
	origins := make([]string, len(spec.URLs))
	for i, u := range spec.URLs {
		host, target := splitURL(u)
		site, ok := s.cfg.Topology.Site(host)
		if !ok {
			return out, http.StatusNotFound, fmt.Errorf("no site %q; the sites are %s", host, s.view.siteNames())
		}
		events[i], origins[i] = url.Values{"kind": {"push"}, "site": {site.Host}, "value": {target}, "to": {to}}, site.Origin
	}
	out.Objects = make([]PushedObject, len(events))
	var group errgroup.Group
	for i := range events {
		group.Go(func() error {
			o := &out.Objects[i]
			p, err := s.appendEvent(ctx, origins[i], events[i], wait, prepareTime)
			if *o = (PushedObject{URL: spec.URLs[i], Nodes: p.Nodes}); err != nil {
				o.Error, o.Nodes = err.Error(), []AppliedNode{}
			}
			return nil
		})
	}
	_ = group.Wait() // the objects hold the errors
	if !slices.ContainsFunc(out.Objects, func(o PushedObject) bool { return o.Error == "" }) {
		return out, http.StatusUnprocessableEntity, fmt.Errorf("%s", out.Objects[0].Error)
	}
	return out, http.StatusOK, nil
}
