package distribution

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"cdnlab/internal/journal"
	"cdnlab/topology"
)

// RootConfig is what the root of a tree needs. All but Beat is required.
type RootConfig struct {
	// Get asks the origin itself for the content of one of its sites.
	Get func(ctx context.Context, site, path string) (*http.Response, error)

	Node     topology.Node // an origin
	Topology *topology.Topology
	Plan     *topology.Plan
	Dir      string // of the journal
	Rand     io.Reader
	Now      func() time.Time
	Log      *slog.Logger

	Beat time.Duration // between two beats; 0 is a second, which what the nodes make of silence is made for
}

// Root keeps the journal of an origin and serves those who follow it.
type Root struct {
	cfg      RootConfig
	journal  *journal.Journal
	relay    *relay
	reports  *reports
	memory   *memory
	demand   *demand   // nil where nothing is pushed for it
	planning *planning // the same
	moved    signal
	below    []topology.Node // every hub and edge
	started  time.Time

	published chan object // whose new versions are to be pushed
	renewing  sync.Mutex  // held while an epoch begins

	mu    sync.Mutex // guards the fields below
	last  beat
	known *simplelru.LRU[string, *Manifest]
}

// NewRoot opens the journal.
func NewRoot(cfg RootConfig) (*Root, error) {
	if cfg.Beat <= 0 {
		cfg.Beat = beatEvery
	}
	j, err := journal.Open(journal.Config{Dir: cfg.Dir, Rand: cfg.Rand, Now: cfg.Now, Log: cfg.Log})
	if err != nil {
		return nil, fmt.Errorf("open the journal of %s: %w", cfg.Node.Name, err)
	}
	r := &Root{cfg: cfg, journal: j, relay: newRelay(cfg.Now, new(atomic.Uint64)), reports: newReports(), memory: newMemory(), published: make(chan object, maxPublished), started: cfg.Now()}
	for _, n := range cfg.Plan.Nodes {
		if n.Kind == topology.KindHub || n.Kind == topology.KindEdge {
			r.below = append(r.below, n)
		}
	}
	if cfg.Topology.Push.Budget > 0 {
		r.demand = newDemand()
		if r.planning, err = newPlanning(r); err != nil {
			return nil, errors.Join(fmt.Errorf("open the journal of %s: %w", cfg.Node.Name, err), j.Close())
		}
	}
	if err := r.recall(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the journal of %s: %w", cfg.Node.Name, err), j.Close())
	}
	r.known, _ = simplelru.NewLRU[string, *Manifest](manifests, nil) // fails for sizes below 1 only
	r.tick()
	return r, nil
}

// recall finds in the journal what there is to remember.
func (r *Root) recall() error {
	for after := r.journal.Horizon(); ; {
		events, err := r.journal.Read(after, batchEvents)
		if err != nil || len(events) == 0 {
			return err
		}
		for _, e := range events {
			r.memory.note(e)
			after = e.Seq
		}
	}
}

// Run beats until ctx ends.
func (r *Root) Run(ctx context.Context) error {
	t := time.NewTicker(r.cfg.Beat)
	defer t.Stop()
	var tasks sync.WaitGroup
	defer tasks.Wait()
	tasks.Go(func() { r.republish(ctx) })
	if r.planning != nil {
		tasks.Go(func() { r.planning.run(ctx, r.cfg.Topology.Push.Every) })
	}
	for {
		select {
		case <-t.C:
			r.tick()
		case <-ctx.Done():
			return r.Close()
		}
	}
}

// Close closes a root that does not run.
func (r *Root) Close() error {
	r.relay.end()
	return r.journal.Close()
}

func (r *Root) tick() {
	r.mu.Lock()
	r.last = beat{max(r.cfg.Now().UnixNano(), r.last.Time+1), r.journal.Position().Seq} // a clock may be set back
	r.mu.Unlock()
	r.moved.fire()
}

// Position returns where the journal is: what the origin serves has seen all that.
func (r *Root) Position() journal.Position { return r.journal.Position() }

// Append writes events into the journal. When it returns they are durable and on their way.
func (r *Root) Append(events ...journal.Event) (journal.Position, error) {
	at, err := r.journal.Append(events...)
	if err == nil {
		for i, e := range events {
			e.Seq = at.Seq - journal.Seq(len(events)-1-i)
			r.memory.note(e)
		}
	}
	r.moved.fire()
	return at, err
}

// The root as a source for those who follow it.

func (r *Root) events() eventLog   { return r.journal }
func (r *Root) change() *signal    { return &r.moved }
func (r *Root) table() *reports    { return r.reports }
func (r *Root) ready() bool        { return true }
func (r *Root) remembers() *memory { return r.memory }
func (r *Root) wants() *demand     { return r.demand }
func (r *Root) lastBeat() beat {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// strange implements source. A follower knows events which are not in the journal: a copy of it was restored. What they were is lost,
// so that nothing that was stored under them can be trusted.
func (r *Root) strange(p journal.Position) {
	r.renewing.Lock()
	defer r.renewing.Unlock()
	if p.Epoch != r.journal.Position().Epoch {
		return // another follower has told already
	}
	r.cfg.Log.Warn("a follower knows events that are not in the journal, which has been restored: a new epoch begins", "follower", uint64(p.Seq), "journal", uint64(r.journal.Position().Seq))
	if _, err := r.journal.Renew(); err != nil {
		r.cfg.Log.Error("the journal cannot be renewed", "error", err)
		return
	}
	r.memory.begin(nil)
	r.tick()
}

// Applied is what became of an event at a node.
type Applied struct {
	Node    string  `json:"node"`
	Role    string  `json:"role"`
	Applied bool    `json:"applied"`
	After   float64 `json:"after_ms"`          // from the event's entry in the journal until the origin knew; of a node that has applied it
	Heard   float64 `json:"heard_s,omitempty"` // seconds since the node was last heard of; of one that has not, 0 when it never was
	Pending bool    `json:"pending,omitempty"` // it is alive, and has not applied it yet
}

// Progress is what became of an event everywhere.
type Progress struct {
	Origin string    `json:"origin"`
	Epoch  string    `json:"epoch"`
	Seq    uint64    `json:"seq"`
	Nodes  []Applied `json:"nodes"` // in the order of the topology
	// Staleness is the longest time, in milliseconds, for which some node that is alive may still have served what was purged. It is
	// proven: by then the origin had every such node's word.
	Staleness float64 `json:"max_staleness_ms"`
}

// grace is how long a node that has left its parent may take to come back before it counts as unreachable.
const grace = time.Second

// Wait returns when every node that is alive has applied an event of the journal, or ctx ends. With pushes it also has everything that was
// to be pushed to it.
func (r *Root) Wait(ctx context.Context, at journal.Position, from time.Time, pushes bool) Progress {
	p := r.progress(at)
	for {
		changed := r.reports.changed.wait()
		if done := r.look(&p, at, from, r.cfg.Now(), pushes); done || ctx.Err() != nil {
			return p
		}
		look := time.NewTimer(grace / 4) // silence changes nothing that would wake
		select {
		case <-changed:
		case <-look.C:
		case <-ctx.Done():
		}
		look.Stop()
	}
}

// progress is that of an event of which nothing is known yet.
func (r *Root) progress(at journal.Position) Progress {
	p := Progress{Origin: r.cfg.Node.Group, Epoch: strconv.FormatUint(uint64(at.Epoch), 16), Seq: uint64(at.Seq), Nodes: make([]Applied, len(r.below))}
	for i, n := range r.below {
		p.Nodes[i] = Applied{Node: string(n.Name), Role: n.Kind.String()}
	}
	return p
}

// look brings the progress of an event up to date; done says that no more is to come.
func (r *Root) look(p *Progress, at journal.Position, from, now time.Time, pushes bool) (done bool) {
	open := 0
	for i := range p.Nodes {
		a := &p.Nodes[i]
		if a.Pending = r.judge(a, at, from, now, pushes); a.Pending {
			open++
		}
		p.Staleness = max(p.Staleness, p.Nodes[i].After)
	}
	return open == 0 || r.journal.Position().Epoch != at.Epoch
}

// judge looks whether a node has applied an event; it returns whether that may still come.
func (r *Root) judge(a *Applied, at journal.Position, from, now time.Time, pushes bool) bool {
	if a.Applied {
		return false
	}
	n, known := r.reports.get(a.Node)
	since := r.started
	switch {
	case known && n.At.Epoch == at.Epoch && n.At.Seq >= at.Seq && !(pushes && n.Pending > 0):
		a.Applied, a.Heard = true, 0
		a.After = milliseconds(max(0, now.Sub(from)))
		return false
	case known && !n.Gone:
		a.Heard = now.Sub(n.at).Seconds()
		return now.Sub(n.at) < silence+grace
	case known:
		a.Heard = now.Sub(n.at).Seconds()
		since = n.gone
	}
	return now.Sub(since) < grace
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// State is how far the nodes of a tree are.
type State struct {
	Origin  string      `json:"origin"`
	Epoch   string      `json:"epoch"`
	Seq     uint64      `json:"seq"`
	Horizon uint64      `json:"horizon"` // events up to it cannot be replayed
	Nodes   []NodeState `json:"nodes"`
}

// NodeState is how far a node is.
type NodeState struct {
	Node      string  `json:"node"`
	Role      string  `json:"role"`
	Parent    string  `json:"parent,omitempty"` // that it follows
	Up        bool    `json:"up"`               // it follows one
	Seq       uint64  `json:"seq"`
	Lag       uint64  `json:"lag"`         // events that it has not applied, as far as is known
	Pending   int     `json:"pending"`     // objects that are being pushed to it
	Received  int64   `json:"received"`    // bytes of what was pushed to it
	Staleness float64 `json:"staleness_s"` // it has applied everything of so many seconds ago; -1 when it has never been heard of
}

// State returns how far the nodes are.
func (r *Root) State() State {
	at := r.journal.Position()
	s := State{Origin: r.cfg.Node.Group, Epoch: strconv.FormatUint(uint64(at.Epoch), 16), Seq: uint64(at.Seq), Horizon: uint64(r.journal.Horizon())}
	now := r.cfg.Now()
	for _, n := range r.below {
		st := NodeState{Node: string(n.Name), Role: n.Kind.String(), Staleness: -1}
		if rep, ok := r.reports.get(st.Node); ok {
			st.Parent, st.Up = rep.Via, !rep.Gone
			st.Pending, st.Received = rep.Pending, rep.Received
			if rep.At.Epoch == at.Epoch {
				st.Seq = uint64(rep.At.Seq)
			}
			st.Lag = max(uint64(at.Seq), st.Seq) - st.Seq
			if rep.Beat > 0 {
				st.Staleness = max(0, now.Sub(time.Unix(0, rep.Beat)).Seconds())
			}
		}
		s.Nodes = append(s.Nodes, st)
	}
	return s
}

// Paths of the root beside followPath.
const (
	appendPath = treePath + "append" // ?kind=&site=&scope=&value=&soft=&wait=5s …: answers Progress
	statePath  = treePath + "state"  // answers State
)

// prepareTime is how long the content of an object may take to be read when its manifest is made.
const prepareTime = time.Minute

// maxWait bounds how long a call may wait for an event to be applied.
const maxWait = 30 * time.Second

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
		return func(c net.Conn) { r.relay.serve(c, r, query) }
	case path == appendPath:
		return func(c net.Conn) { r.serveAppend(c, query) }
	case path == comparePath:
		return func(c net.Conn) { r.relay.serveCompare(c, r.memory) }
	case path == manifestPath:
		return func(c net.Conn) { r.serveManifest(c, query) }
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

// prepare makes the manifest of what an object is now.
func (r *Root) prepare(ctx context.Context, site, path string) (*Manifest, error) {
	m, err := makeManifest(ctx, r.cfg.Get, site, path)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known.Add(site+path+"\x00"+m.Version, m)
	return m, nil
}

// serveManifest answers with a manifest. One that is not remembered is made anew, if the object is still of that version.
func (r *Root) serveManifest(c net.Conn, query url.Values) {
	c = bare(c)
	if !r.relay.enter(c) {
		_ = c.Close() // the node is stopping
		return
	}
	defer r.relay.leave(c)
	site, path, version := query.Get("site"), query.Get("path"), query.Get("version")
	r.mu.Lock()
	m, ok := r.known.Get(site + path + "\x00" + version)
	r.mu.Unlock()
	if !ok {
		ctx, cancel := context.WithTimeout(context.Background(), prepareTime)
		defer cancel()
		var err error
		if m, err = r.prepare(ctx, site, path); err != nil || m.Version != version {
			answer(c, http.StatusNotFound, "text/plain", fmt.Appendf(nil, "%s is not of version %s any more\n", path, version))
			return
		}
	}
	answerJSON(c, m)
}

// serveAppend appends one event and, if asked to, waits until it has been applied.
func (r *Root) serveAppend(c net.Conn, query url.Values) {
	c = bare(c)
	if !r.relay.enter(c) {
		_ = c.Close() // the node is stopping
		return
	}
	defer r.relay.leave(c)
	e, wait, err := parseAppend(query)
	if err != nil {
		answer(c, http.StatusBadRequest, "text/plain", []byte(err.Error()+"\n"))
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), prepareTime)
	defer cancel()
	if e.Kind == journal.Push {
		m, err := r.prepare(ctx, e.Site, e.Value)
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
	kindWords  = map[string]journal.Kind{"publish": journal.Publish, "push": journal.Push, "purge": journal.Purge}
	scopeWords = map[string]journal.Scope{"": 0, "url": journal.ScopeURL, "prefix": journal.ScopePrefix, "key": journal.ScopeKey, "all": journal.ScopeAll}
)

func parseAppend(q url.Values) (e journal.Event, wait time.Duration, err error) {
	kind, ok := kindWords[q.Get("kind")]
	if !ok {
		return e, 0, errors.New("kind: want publish, push or purge")
	}
	scope, ok := scopeWords[q.Get("scope")]
	if !ok || (scope != 0) != (kind == journal.Purge) {
		return e, 0, errors.New("scope: a purge has one of url, prefix, key and all, others none")
	}
	e = journal.Event{Kind: kind, Scope: scope, Site: q.Get("site"), Value: q.Get("value"), Soft: q.Get("soft") == "true",
		Version: q.Get("version"), To: q.Get("to"), Who: q.Get("who")}
	if s := q.Get("size"); s != "" {
		if e.Size, err = strconv.ParseInt(s, 10, 64); err != nil || e.Size < 0 {
			return e, 0, fmt.Errorf("size: want bytes, got %.40q", s)
		}
	}
	if s := q.Get("wait"); s != "" {
		if wait, err = time.ParseDuration(s); err != nil || wait < 0 || wait > maxWait {
			return e, 0, fmt.Errorf("wait: want a duration of %s at most, got %.40q", maxWait, s)
		}
	}
	return e, wait, nil
}
