package distribution

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/errgroup"

	"cdnlab/internal/httpcache"
	"cdnlab/internal/journal"
	"cdnlab/internal/proxy"
	"cdnlab/topology"
)

// Puller is what a node's store does about what is pushed.
type Puller interface {
	// Pull makes the store have a piece, and holds it against its sum; brought says that it had to be fetched.
	Pull(ctx context.Context, p *proxy.Piece) (brought bool, err error)
	// Keeps reports whether an object is for this node, and not for another server of its PoP or hub.
	Keeps(site, path string) bool
	// Pushed notes that an object has been pushed here, with so many bytes.
	Pushed(site, path string, size int64)
}

// Bounds of pushing.
const (
	pushesAtOnce = 4       // objects that a node pulls at a time
	piecesAtOnce = 4       // of each, so that a long link is full
	maxPushes    = maxPins // that may wait at a node; the oldest are given up
	pushTries    = 8       // for one piece, before the object has to wait
	firstRetry   = 100 * time.Millisecond
	lateRetry    = 5 * time.Second // of what could not be had in so many tries: a link may be cut for longer than those last
	manifests    = 1024            // that a node remembers
)

// errReplaced says that another version of the object is to be pulled instead.
var errReplaced = errors.New("distribution: a later push takes the place of this one")

// push is an object that is to be pulled.
type push struct {
	site, path, version string
	seqs                []journal.Seq // of the events that ask for it
	ended               func()        // ends the pulling of it; nil until it has begun
	dead                bool          // it is not to be pulled any more
	queued              time.Time
	late                bool     // it has been tried in vain, and gets one try at a time
	tos                 []string // places that it was pushed to
	again               bool     // it was pushed anew while it was being pulled: what a purge between took is to come again
}

func (p *push) key() string { return p.site + p.path }

// pusher pulls what an origin's journal says is to be pushed to this node. Bodies come from the parents of its store as its clients'
// would, so that a hub's children share what it fetches, and a piece that is here already is not fetched again.
type pusher struct {
	feed   *Feed
	parent func(ctx context.Context, target string) (*http.Response, error) // asks the parents in the tree, the best first
	mine   func(journal.Event) bool                                         // whether an event concerns this node
	log    interface{ Warn(string, ...any) }
	wake   signal

	mu       sync.Mutex // guards the fields below
	rng      *rand.Rand
	queue    []*push
	failed   []*push          // are queued again after a while
	byKey    map[string]*push // what is queued, being pulled or failed
	open     []journal.Seq    // of all in byKey, ascending
	received int64            // bytes
	known    *simplelru.LRU[string, *Manifest]
}

func newPusher(f *Feed, rng *rand.Rand, log interface{ Warn(string, ...any) },
	parent func(context.Context, string) (*http.Response, error), mine func(journal.Event) bool) *pusher {
	known, _ := simplelru.NewLRU[string, *Manifest](manifests, nil) // fails for sizes below 1 only
	return &pusher{feed: f, rng: rng, log: log, parent: parent, mine: mine, byKey: map[string]*push{}, known: known}
}

// add queues what an event says is to be pushed.
func (p *pusher) add(e journal.Event) {
	if !p.mine(e) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n := &push{site: e.Site, path: e.Value, version: e.Version, tos: []string{e.To}, queued: p.feed.now()}
	if old, ok := p.byKey[n.key()]; ok {
		switch {
		case unpins(e):
			if old.tos = slices.DeleteFunc(old.tos, func(to string) bool { return to == e.To }); len(old.tos) > 0 {
				return // this node is in another place as well that it was pushed to
			}
		case old.version == n.version:
			if !slices.Contains(old.tos, e.To) {
				old.tos = append(old.tos, e.To)
			}
			old.again = old.again || old.ended != nil && e.Seq > slices.Max(old.seqs)
			p.askLocked(old, e.Seq)
			return
		}
		p.dropLocked(old)
	}
	if unpins(e) {
		return
	}
	p.byKey[n.key()] = n
	p.askLocked(n, e.Seq)
	p.queue = append(p.queue, n)
	if len(p.queue) > maxPushes {
		p.dropLocked(p.queue[0])
	}
	p.wake.fire()
}

func (p *pusher) dropLocked(n *push) {
	n.dead = true
	if n.ended != nil {
		n.ended()
	}
	if p.byKey[n.key()] == n {
		p.doneLocked(n)
	}
	for len(p.queue) > 0 && p.queue[0].dead {
		p.queue = p.queue[1:]
	}
}

// askLocked notes an event that asks for an object.
func (p *pusher) askLocked(n *push, seq journal.Seq) {
	if slices.Contains(n.seqs, seq) {
		return
	}
	i, _ := slices.BinarySearch(p.open, seq)
	n.seqs, p.open = append(n.seqs, seq), slices.Insert(p.open, i, seq)
}

// doneLocked notes that an object is not to be pulled any more.
func (p *pusher) doneLocked(n *push) {
	delete(p.byKey, n.key())
	for _, seq := range n.seqs {
		if i, ok := slices.BinarySearch(p.open, seq); ok {
			p.open = slices.Delete(p.open, i, i+1)
		}
	}
}

// pending returns how many objects are still to be pulled, the events that ask for them, and how many bytes have been pulled.
func (p *pusher) pending() (objects int, open openPushes, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.byKey), packOpen(p.open), p.received
}

// run pulls until ctx ends.
func (p *pusher) run(ctx context.Context, to Puller) {
	var workers sync.WaitGroup
	for range pushesAtOnce {
		workers.Go(func() {
			for n := p.next(ctx); n != nil; n = p.next(ctx) {
				p.work(ctx, to, n)
			}
		})
	}
	for pause(ctx, lateRetry); ctx.Err() == nil; pause(ctx, lateRetry) {
		p.requeue()
	}
	workers.Wait()
}

// requeue has what failed tried again.
func (p *pusher) requeue() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.failed {
		if !n.dead {
			p.queue = append(p.queue, n)
		}
	}
	p.failed = nil
	p.wake.fire()
}

func (p *pusher) next(ctx context.Context) *push {
	for {
		woken := p.wake.wait()
		p.mu.Lock()
		for len(p.queue) > 0 {
			n := p.queue[0]
			p.queue = p.queue[1:]
			if !n.dead {
				p.mu.Unlock()
				return n
			}
		}
		p.mu.Unlock()
		select {
		case <-woken:
		case <-ctx.Done():
			return nil
		}
	}
}

// work pulls one object.
func (p *pusher) work(ctx context.Context, to Puller, n *push) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p.mu.Lock()
	n.ended = func() { cancel(errReplaced) }
	dead := n.dead
	p.mu.Unlock()
	var err error
	if !dead {
		if err = p.pull(ctx, to, n); ctx.Err() != nil {
			err = nil // it is not to be pulled any more
		}
	}
	again := err != nil && !errors.Is(err, errVersion) && p.feed.now().Sub(n.queued) < maxWait && !p.feed.memory.ended(journal.Event{Kind: journal.Push, Seq: slices.Max(n.seqs), Site: n.site, Value: n.path})
	if err != nil && (!again || !n.late) {
		p.log.Warn("an object that was pushed could not be had", "site", n.site, "path", n.path, "version", n.version, "again", again, "error", err)
	}
	p.mu.Lock()
	switch {
	case p.byKey[n.key()] != n: // another has its place
	case n.again:
		n.again, n.ended = false, nil
		p.queue = append(p.queue, n)
		p.wake.fire()
	case again && len(p.failed) < maxPushes:
		n.late = true
		p.failed = append(p.failed, n)
	default:
		p.doneLocked(n)
	}
	p.mu.Unlock()
	p.feed.report()
}

func (p *pusher) pull(ctx context.Context, to Puller, n *push) error {
	if !to.Keeps(n.site, n.path) {
		return nil
	}
	tries := pushTries
	if n.late {
		tries = 1
	}
	var m *Manifest
	err := p.again(ctx, tries, func() (err error) {
		m, err = p.manifest(ctx, n.site, n.path, n.version)
		return err
	})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(piecesAtOnce)
	for i := range m.Sums {
		group.Go(func() error { return p.piece(ctx, to, m, i, tries) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	to.Pushed(n.site, n.path, m.Size)
	return nil
}

// piece pulls one piece.
func (p *pusher) piece(ctx context.Context, to Puller, m *Manifest, i, tries int) error {
	first, length := m.chunk(i)
	piece := &proxy.Piece{Site: m.Site, Target: m.Path, ETag: m.Version, Size: m.Size, Span: httpcache.Span{First: first, Length: length}, Sum: m.Sums[i]}
	brought := false
	err := p.again(ctx, tries, func() (err error) {
		brought, err = to.Pull(ctx, piece)
		return err
	})
	if err != nil || !brought {
		return err
	}
	p.mu.Lock()
	p.received += length
	p.mu.Unlock()
	return nil
}

// again tries until it succeeds or cannot, so many times.
func (p *pusher) again(ctx context.Context, tries int, try func() error) error {
	for i := 0; ; i++ {
		err := try()
		if err == nil || errors.Is(err, errVersion) || ctx.Err() != nil || i == tries-1 {
			return err
		}
		p.mu.Lock()
		spread := p.rng.Float64()
		p.mu.Unlock()
		wait := firstRetry << i
		pause(ctx, wait/2+time.Duration(spread*float64(wait)))
	}
}

// manifest returns the manifest of a version, from memory or from a parent.
func (p *pusher) manifest(ctx context.Context, site, path, version string) (*Manifest, error) {
	key := manifestKey(site, path, version)
	p.mu.Lock()
	m, ok := p.known.Get(key)
	p.mu.Unlock()
	if ok {
		return m, nil
	}
	query := url.Values{"origin": {p.feed.origin}, "site": {site}, "path": {path}, "version": {version}}
	resp, err := p.parent(ctx, manifestPath+"?"+query.Encode())
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusGone {
		return nil, errVersion
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("no manifest of %s: the parent answered %s", path, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxManifest))
	if err != nil {
		return nil, err
	}
	if m, err = parseManifest(body, site, path, version); err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.known.Add(key, m)
	p.mu.Unlock()
	return m, nil
}

// concerns reports whether a push is for a node: to is "" for all, "hubs" or "edges" for a tier, or the name of an edge, a hub or one of
// their servers. What is for an edge is for the hub that it fetches from, too.
func concerns(t *topology.Topology, n topology.Node, to string) bool {
	switch to {
	case "", "all":
		return true
	case "hubs":
		return n.Kind == topology.KindHub
	case "edges":
		return n.Kind == topology.KindEdge
	case n.Group, string(n.Name):
		return true
	}
	if e, ok := t.Edge(to); ok {
		return n.Kind == topology.KindHub && e.Parent == topology.Ref{Kind: topology.KindHub, Name: n.Group}
	}
	if e, ok := t.Edge(n.Group); ok && n.Kind == topology.KindEdge {
		return e.Parent == topology.Ref{Kind: topology.KindHub, Name: to}
	}
	return false
}
