package distribution

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"cdnlab/internal/journal"
)

// Paths of the root beside followPath.
const (
	appendPath = treePath + "append" // ?kind=&site=&scope=&value=&soft=&wait=5s …: answers Progress
	statePath  = treePath + "state"  // answers State
)

// Bounds of making manifests.
const (
	prepareTime   = time.Minute // for the content of an object to be read
	prepareAtOnce = 4
)

// maxWait bounds how long a call may wait for an event to be applied.
const maxWait = 10 * time.Minute

// Take returns what is to be done with the connection on which a node of the lab has asked for a target, nil for targets that are not
// the tree's. The connection is closed in the end.
func (r *Root) Take(target string) func(net.Conn) {
	path, raw, _ := strings.Cut(target, "?")
	query, err := url.ParseQuery(raw)
	switch {
	case !strings.HasPrefix(path, treePath):
		return nil
	case err != nil:
		return refusing(http.StatusBadRequest, "malformed query")
	case path == followPath && query.Get("origin") == r.cfg.Node.Group:
		return r.relay.served(func(c net.Conn) { r.relay.serve(c, r, query) })
	case path == appendPath:
		return r.relay.served(func(c net.Conn) { r.serveAppend(c, query) })
	case path == comparePath:
		return r.relay.served(func(c net.Conn) { r.relay.serveCompare(c, r.memory) })
	case path == manifestPath:
		return r.relay.served(func(c net.Conn) { r.serveManifest(c, query) })
	case path == statePath:
		return func(c net.Conn) {
			answerJSON(c, r.State())
			_ = bare(c).Close() // it has been answered
		}
	}
	return refusing(http.StatusNotFound, "the tree has no such thing here")
}

func refusing(status int, sentence string) func(net.Conn) {
	return func(c net.Conn) {
		answer(c, status, "text/plain", []byte(sentence+"\n"))
		_ = bare(c).Close() // it has been answered
	}
}

func answerJSON(c net.Conn, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		answer(c, http.StatusInternalServerError, "text/plain", []byte(err.Error()+"\n"))
		return
	}
	answer(c, http.StatusOK, "application/json", append(body, '\n'))
}

// prepare makes the manifest of what an object is now; with a version it fails for another one.
func (r *Root) prepare(ctx context.Context, site, path, version string) (*Manifest, error) {
	select {
	case r.preparing <- struct{}{}:
		defer func() { <-r.preparing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	at, ok := r.cfg.Topology.Site(site)
	if !ok {
		return nil, fmt.Errorf("no site %q", site)
	}
	m, err := makeManifest(ctx, r.cfg.Get, at, path, version, r.cfg.Now())
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known.Add(manifestKey(site, path, m.Version), m)
	return m, nil
}

// prepareWithin does so for any version, and gives up after prepareTime.
func (r *Root) prepareWithin(ctx context.Context, site, path string) (*Manifest, error) {
	ctx, cancel := context.WithTimeout(ctx, prepareTime)
	defer cancel()
	return r.prepare(ctx, site, path, "")
}

// serveManifest answers with a manifest. One that is not remembered is made anew, if the object is still of that version.
func (r *Root) serveManifest(c net.Conn, query url.Values) {
	site, path, version := query.Get("site"), query.Get("path"), query.Get("version")
	r.mu.Lock()
	m, ok := r.known.Get(manifestKey(site, path, version))
	r.mu.Unlock()
	if !ok {
		ctx, cancel := r.relay.within(prepareTime)
		defer cancel()
		var err error
		if m, err = r.prepare(ctx, site, path, version); err != nil {
			answerNoManifest(c, err)
			return
		}
	}
	answerJSON(c, m)
}

// answerNoManifest says why there is none; 410 that there never will be.
func answerNoManifest(c net.Conn, err error) {
	status := http.StatusNotFound
	if errors.Is(err, errVersion) {
		status = http.StatusGone
	}
	answer(c, status, "text/plain", []byte(err.Error()+"\n"))
}

// serveAppend appends one event and, if asked to, waits until it has been applied.
func (r *Root) serveAppend(c net.Conn, query url.Values) {
	e, wait, err := parseAppend(query)
	if err != nil {
		answer(c, http.StatusBadRequest, "text/plain", []byte(err.Error()+"\n"))
		return
	}
	ctx, cancel := r.relay.within(prepareTime)
	defer cancel()
	if e.Kind == journal.Push {
		m, err := r.prepare(ctx, e.Site, e.Value, "")
		if err != nil {
			answer(c, http.StatusUnprocessableEntity, "text/plain", []byte(err.Error()+"\n"))
			return
		}
		e.Version, e.Size = m.Version, m.Size
	}
	at, err := r.Append(e)
	if err != nil {
		answer(c, http.StatusServiceUnavailable, "text/plain", []byte(err.Error()+"\n"))
		return
	}
	ctx, cancel = context.WithTimeout(context.Background(), wait)
	defer cancel()
	left := make(chan struct{})
	go func() { // whoever asked may leave
		defer close(left)
		_, _ = c.Read(make([]byte, 1))
		cancel()
	}()
	answerJSON(c, r.Wait(ctx, at, r.cfg.Now(), e.Kind == journal.Push))
	_ = c.Close() // ends the reading
	<-left
}

// Words of the kinds and scopes of events.
var (
	kindWords  = map[string]journal.Kind{"push": journal.Push, "purge": journal.Purge}
	scopeWords = map[string]journal.Scope{"": 0, "url": journal.ScopeURL, "prefix": journal.ScopePrefix, "key": journal.ScopeKey, "all": journal.ScopeAll}
)

func parseAppend(q url.Values) (e journal.Event, wait time.Duration, err error) {
	kind, ok := kindWords[q.Get("kind")]
	if !ok {
		return e, 0, errors.New("kind: want push or purge")
	}
	scope, ok := scopeWords[q.Get("scope")]
	if !ok || (scope != 0) != (kind == journal.Purge) {
		return e, 0, errors.New("scope: a purge has one of url, prefix, key and all, a push none")
	}
	e = journal.Event{Kind: kind, Scope: scope, Site: q.Get("site"), Value: q.Get("value"), Soft: q.Get("soft") == "true", To: q.Get("to")}
	if s := q.Get("wait"); s != "" {
		if wait, err = time.ParseDuration(s); err != nil || wait < 0 || wait > maxWait {
			return e, 0, fmt.Errorf("wait: want a duration of %s at most, got %.40q", maxWait, s)
		}
	}
	return e, wait, nil
}
