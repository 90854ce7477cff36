package mgmt

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"cdnlab/topology"
)

// PurgeSpec is the body of POST /api/v1/purge: one of URL, Prefix, Key and All, and what there is to say about it.
type PurgeSpec struct {
	URL    string `json:"url,omitempty"`
	Prefix string `json:"prefix,omitempty"` // of URLs, such as www.cdn.test/img/
	Key    string `json:"key,omitempty"`    // a surrogate key: Surrogate-Key or Cache-Tag of the response
	All    bool   `json:"all,omitempty"`
	Site   string `json:"site,omitempty"` // of Key and All: the site that is meant; "" is every one
	Soft   bool   `json:"soft,omitempty"` // stale from now on, not gone
	Wait   string `json:"wait,omitempty"` // how long the call waits until it is done everywhere: "5s", which is the default; "0" does not wait
}

// Purged tells how far a purge is when the call returns: it stands in the journals of the origins, and reaches every cache that is alive.
type Purged struct {
	Nodes []AppliedNode `json:"nodes"` // every hub and edge
	// Unreachable are nodes of which nobody has heard for a while. They purge before they serve anything unvalidated when they come back.
	Unreachable []string   `json:"unreachable"`
	Pending     []string   `json:"pending"`          // nodes that were alive and had not applied it when the call had waited for so long
	Staleness   float64    `json:"max_staleness_ms"` // the longest that a live node may have served what was purged after it was in the journal
	Journals    []Position `json:"journals"`
}

// Position is where a purge stands in the journal of an origin.
type Position struct {
	Origin string `json:"origin"`
	Epoch  string `json:"epoch"`
	Seq    uint64 `json:"seq"`
}

const (
	defaultWait = 5 * time.Second
	maxWait     = 10 * time.Minute
)

// Purges that may be made per second, and at once.
const (
	purgeRate  = 500
	purgeBurst = 1000
)

// event turns a spec into an event of the journals of origins.
func (p PurgeSpec) event(t *topology.Topology) (event url.Values, origins []string, err error) {
	event = url.Values{"kind": {"purge"}}
	given := 0
	for scope, value := range map[string]string{"url": p.URL, "prefix": p.Prefix, "key": p.Key} {
		if value != "" {
			given++
			event.Set("scope", scope)
			event.Set("value", value)
		}
	}
	if p.All {
		given++
		event.Set("scope", "all")
	}
	if given != 1 {
		return nil, nil, fmt.Errorf("want one of url, prefix, key and all, got %d", given)
	}
	if p.Soft {
		event.Set("soft", "true")
	}
	host := p.Site
	if p.URL != "" || p.Prefix != "" {
		if p.Site != "" {
			return nil, nil, fmt.Errorf("site goes with key and all: a %s names its own", event.Get("scope"))
		}
		var target string
		host, target = splitURL(p.URL + p.Prefix)
		event.Set("value", target)
	}
	if host == "" && p.Site == "" && p.URL == "" && p.Prefix == "" {
		for i := range t.Origins {
			origins = append(origins, t.Origins[i].Name)
		}
		return event, origins, nil
	}
	site, ok := t.Site(host)
	if !ok {
		return nil, nil, &unknownSite{host}
	}
	event.Set("site", site.Host)
	return event, []string{site.Origin}, nil
}

// unknownSite says that what is to be purged is of no site of this lab.
type unknownSite struct{ host string }

func (e *unknownSite) Error() string { return fmt.Sprintf("no site %q", e.host) }

// splitURL takes a URL apart, the scheme of which is of no account and may be missing.
func splitURL(s string) (host, target string) {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		s = rest
	}
	end := strings.IndexAny(s, "/?")
	if end < 0 {
		end = len(s)
	}
	host, target = s[:end], s[end:]
	target, _, _ = strings.Cut(target, "#")
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	return host, escaped(target)
}

// escaped is a request target as clients send it, and caches know it: what no request line holds is percent-encoded, the rest is as it was.
func escaped(target string) string {
	b := make([]byte, 0, len(target))
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c >= 0x7f {
			b = fmt.Appendf(b, "%%%02X", c)
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

// parseWait reads how long a call waits for what it asks for.
func parseWait(s string) (time.Duration, error) {
	switch s {
	case "":
		return defaultWait, nil
	case "0":
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > maxWait {
		return 0, fmt.Errorf("wait: want a duration up to %s such as 5s, got %.40q", maxWait, s)
	}
	return d, nil
}

// addPurge serves POST /api/v1/purge.
func (s *Server) addPurge(w http.ResponseWriter, r *http.Request) {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxFaultSpec))
	dec.DisallowUnknownFields()
	var spec PurgeSpec
	if err := dec.Decode(&spec); err != nil {
		writeError(w, http.StatusBadRequest, `want a JSON object such as {"key": "product-7", "soft": true}: %v`, err)
		return
	}
	note(w, "purge %s", spec)
	out, status, err := s.purge(r.Context(), spec)
	if err != nil {
		if status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "1")
		}
		writeError(w, status, "purge: %v", err)
		return
	}
	writeJSON(w, http.StatusOK, out)
}

// String is for the audit.
func (p PurgeSpec) String() string {
	b, err := json.Marshal(p)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// purgeEntry is an event that is to be in a journal.
type purgeEntry struct {
	origin string
	event  url.Values
	wait   time.Duration
}

// brief is for the audit: the first of the specs, and how many there are.
func brief(specs []PurgeSpec) string {
	if len(specs) == 1 {
		return specs[0].String()
	}
	return fmt.Sprintf("%s and %d more", specs[0], len(specs)-1)
}

// purge makes purges: either all of them are well-formed and allowed, or none is made. status is that of an answer which tells the error. The
// journals of the answer are those of the first spec's origins, then those of the next one's.
func (s *Server) purge(ctx context.Context, specs ...PurgeSpec) (out Purged, status int, err error) {
	var entries []purgeEntry
	for _, spec := range specs {
		event, origins, err := spec.event(s.cfg.Topology)
		if err != nil {
			if u, ok := err.(*unknownSite); ok {
				return out, http.StatusNotFound, fmt.Errorf("%w; the sites are %s", u, s.view.siteNames())
			}
			return out, http.StatusBadRequest, err
		}
		wait, err := parseWait(spec.Wait)
		if err != nil {
			return out, http.StatusBadRequest, err
		}
		for _, origin := range origins {
			entries = append(entries, purgeEntry{origin, event, wait})
		}
	}
	if !s.purges.AllowN(time.Now(), min(len(specs), purgeBurst)) { // more at once than the bucket holds would never be let through
		return out, http.StatusTooManyRequests, fmt.Errorf("more than %d in a second", purgeRate)
	}
	if out, err = s.appendAll(ctx, entries); err != nil {
		return out, http.StatusBadGateway, err
	}
	return out, http.StatusOK, nil
}

// appendAll writes events into the journals of their origins and waits for the last one of each: who has applied that has applied all before.
func (s *Server) appendAll(ctx context.Context, entries []purgeEntry) (out Purged, err error) {
	last := map[string]int{}
	for i, e := range entries {
		last[e.origin] = i
	}
	all := make([]Progress, len(entries))
	pass := func(waits bool) error {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(atOnce)
		for i, e := range entries {
			if (last[e.origin] == i) != waits {
				continue
			}
			group.Go(func() (err error) {
				wait := e.wait
				if !waits {
					wait = 0
				}
				all[i], err = s.appendEvent(ctx, e.origin, e.event, wait, 0)
				return err
			})
		}
		return group.Wait()
	}
	start := time.Now()
	if len(entries) > len(last) {
		if err := pass(false); err != nil {
			return out, err
		}
	}
	before := time.Since(start)
	if err := pass(true); err != nil {
		return out, err
	}
	var waited []Progress
	for i, e := range entries {
		out.Journals = append(out.Journals, Position{e.origin, all[i].Epoch, all[i].Seq})
		if last[e.origin] == i {
			waited = append(waited, all[i])
		}
	}
	out.together(waited)
	out.Staleness += float64(before.Microseconds()) / 1000
	return out, nil
}

// together puts together what became of a purge in several journals: a node has done it when it has done it in each.
func (out *Purged) together(all []Progress) {
	out.Nodes, out.Unreachable, out.Pending = []AppliedNode{}, []string{}, []string{}
	for _, p := range all {
		out.Staleness = max(out.Staleness, p.Staleness)
		for i, n := range p.Nodes {
			if i == len(out.Nodes) {
				out.Nodes = append(out.Nodes, n)
				continue
			}
			o := &out.Nodes[i]
			o.Applied = o.Applied && n.Applied
			o.After, o.Heard, o.Pending = max(o.After, n.After), max(o.Heard, n.Heard), o.Pending || n.Pending
		}
	}
	for _, n := range out.Nodes {
		switch {
		case n.Applied:
		case n.Pending:
			out.Pending = append(out.Pending, n.Node)
		default:
			out.Unreachable = append(out.Unreachable, n.Node)
		}
	}
}
