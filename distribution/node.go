package distribution

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cdnlab/internal/journal"
	"cdnlab/topology"
)

// Config is what a hub or an edge needs to take part. All but Dir and LookAround is required.
type Config struct {
	Node     topology.Node
	Topology *topology.Topology
	Plan     *topology.Plan
	Dial     func(ctx context.Context, to topology.Node) (net.Conn, error)
	Secret   string // of the lab's nodes
	Dir      string // where positions are kept beside what the node stores; "" for a node that stores nothing across a restart
	Stored   bool   // the node has stored something before
	Rand     *rand.Rand
	Now      func() time.Time
	Compare  time.Duration // between two comparisons with the parent; 0 is a minute
	Log      *slog.Logger

	LookAround time.Duration // between two looks whether a better parent is back, for which each node adds up to as much again; 0 is 5 s
}

const defaultLookAround = 5 * time.Second

// Node is the part of a hub or an edge in the trees of all origins.
type Node struct {
	cfg       Config
	feeds     map[string]*Feed
	followers []*follower
	relay     *relay
	parents   map[string][]topology.Node // by origin, the best first
}

// New prepares a node; Run has it follow.
func New(cfg Config) *Node {
	if cfg.Compare == 0 {
		cfg.Compare = compareEvery
	}
	if cfg.LookAround <= 0 {
		cfg.LookAround = defaultLookAround
	}
	ids := new(atomic.Uint64)
	n := &Node{cfg: cfg, feeds: map[string]*Feed{}, relay: newRelay(cfg.Now, ids), parents: map[string][]topology.Node{}}
	for i := range cfg.Topology.Origins {
		origin := cfg.Topology.Origins[i].Name
		f := newFeed(origin, string(cfg.Node.Name), cfg.Now)
		if cfg.Dir != "" {
			n.keep(f)
		}
		n.feeds[origin] = f
		if cfg.Topology.Push.Budget > 0 {
			f.demand = newDemand()
		}
		list := candidates(cfg.Topology, cfg.Plan, cfg.Node, origin)
		for _, c := range list {
			n.parents[origin] = append(n.parents[origin], c.node)
		}
		f.pushes = newPusher(f, rand.New(rand.NewPCG(cfg.Rand.Uint64(), uint64(i))), cfg.Log,
			func(ctx context.Context, target string) (*http.Response, error) {
				return n.askParents(ctx, origin, target)
			},
			func(e journal.Event) bool { return concerns(cfg.Topology, cfg.Node, e.To) })
		n.followers = append(n.followers, &follower{feed: f, node: cfg.Node, dial: cfg.Dial, secret: cfg.Secret, log: cfg.Log, ids: ids, lookAround: cfg.LookAround,
			rng: rand.New(rand.NewPCG(cfg.Rand.Uint64(), uint64(i))), list: list})
	}
	return n
}

// keep gives a feed its position from before. Where that cannot be had, or not be kept, what is stored is not trusted.
func (n *Node) keep(f *Feed) {
	err := os.MkdirAll(n.cfg.Dir, 0o700)
	if err == nil {
		f.mark, err = journal.OpenMark(filepath.Join(n.cfg.Dir, f.origin))
	}
	if err != nil {
		n.cfg.Log.Warn("the position in the tree is not kept", "origin", f.origin, "error", err)
	}
	f.resume(n.cfg.Stored)
}

// Feed returns how far the node has followed the journal of an origin; nil for one that the topology does not have.
func (n *Node) Feed(origin string) *Feed { return n.feeds[origin] }

// Observe counts a client's request for an object, so that what is asked for much is pushed where it is wanted.
func (n *Node) Observe(origin, site string, path []byte, bytes int64) {
	if f := n.feeds[origin]; f != nil && f.demand != nil {
		f.demand.observe(site, path, bytes, n.cfg.Now())
	}
}

// Run follows until ctx ends, and has the sink do what the events say. It runs once.
func (n *Node) Run(ctx context.Context, sink Sink) error {
	var all sync.WaitGroup
	for _, f := range n.feeds {
		f.sink = sink
		all.Go(func() { f.pushes.run(ctx, sink) })
		all.Go(func() { n.compareAlways(ctx, f) })
	}
	for _, f := range n.followers {
		all.Go(func() { f.run(ctx) })
	}
	<-ctx.Done()
	n.relay.end()
	all.Wait()
	return n.Close()
}

// Close closes a node that does not run.
func (n *Node) Close() error {
	for _, f := range n.feeds {
		if f.mark != nil {
			if err := f.mark.Close(); err != nil {
				return fmt.Errorf("close position: %w", err)
			}
		}
	}
	return nil
}

// Take returns what is to be done with a connection; see Root.Take. An edge is followed by nobody.
func (n *Node) Take(target string) func(net.Conn) {
	path, raw, _ := strings.Cut(target, "?")
	if !strings.HasPrefix(path, treePath) {
		return nil
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return refusing(http.StatusBadRequest, "malformed query")
	}
	f := n.feeds[query.Get("origin")]
	switch {
	case f == nil || n.cfg.Node.Kind != topology.KindHub:
	case path == followPath:
		return n.relay.served(func(c net.Conn) { n.relay.serve(c, f, query) })
	case path == comparePath:
		return n.relay.served(func(c net.Conn) { n.relay.serveCompare(c, f.memory) })
	case path == manifestPath:
		return func(c net.Conn) { n.serveManifest(c, f, query) }
	}
	return refusing(http.StatusNotFound, "the tree has no such thing here")
}

// serveManifest answers with a manifest, which this node may have to ask for itself.
func (n *Node) serveManifest(c net.Conn, f *Feed, query url.Values) {
	c = bare(c)
	defer c.Close() // it has been answered
	ctx, cancel := context.WithTimeout(context.Background(), headTime)
	defer cancel()
	m, err := f.pushes.manifest(ctx, query.Get("site"), query.Get("path"), query.Get("version"))
	if err != nil {
		answerNoManifest(c, err)
		return
	}
	answerJSON(c, m)
}

// askParents asks the parents in the tree of an origin, the best first, until one has an answer.
func (n *Node) askParents(ctx context.Context, origin, target string) (resp *http.Response, err error) {
	for _, to := range n.parents[origin] {
		if resp != nil {
			_ = resp.Body.Close() // the next may have better
		}
		resp, err = n.askOne(ctx, to, target)
		if err == nil && (resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusGone) || ctx.Err() != nil {
			return resp, err
		}
	}
	return resp, err
}

func (n *Node) askOne(ctx context.Context, to topology.Node, target string) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, headTime)
	defer cancel()
	c, err := n.cfg.Dial(ctx, to)
	if err != nil {
		return nil, err
	}
	resp, err := ask(c, bufio.NewReader(c), to, n.cfg.Secret, target)
	if err != nil {
		_ = c.Close() // its own error says less
		return nil, err
	}
	resp.Body = &lastBody{resp.Body, c}
	return resp, nil
}

// lastBody is the last thing on a connection.
type lastBody struct {
	io.ReadCloser
	conn net.Conn
}

// Close closes the connection.
func (b *lastBody) Close() error { return b.conn.Close() }
