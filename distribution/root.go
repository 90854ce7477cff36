package distribution

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
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

	preparing chan struct{} // holds a token for each manifest that is being made
	published chan object   // whose new versions are to be pushed
	renewing  sync.Mutex    // held while an epoch begins

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
	r := &Root{cfg: cfg, journal: j, relay: newRelay(cfg.Now, new(atomic.Uint64)), reports: newReports(), memory: newMemory(), preparing: make(chan struct{}, prepareAtOnce), published: make(chan object, maxPublished), started: cfg.Now()}
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
