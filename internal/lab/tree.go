package lab

import (
	"context"
	crand "crypto/rand"
	"errors"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"cdnlab/distribution"
	"cdnlab/internal/proxy"
	"cdnlab/internal/stats"
	"cdnlab/origin"
	"cdnlab/topology"
)

// cacheNode is a hub or an edge.
type cacheNode interface {
	runner
	distribution.Sink
}

// together runs two parts of one node until both have ended.
type together [2]func(context.Context) error

// Run implements runner.
func (t together) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, run := range t {
		group.Go(func() error { return run(ctx) })
	}
	return group.Wait()
}

// member builds a hub or an edge and its part in the trees. Positions are kept beside what is kept on disk.
func (w *wiring) member(n topology.Node, build func(*distribution.Node) (cacheNode, error)) (runner, error) {
	dir, stored := "", false
	if w.top.Disk(n) > 0 {
		dir = filepath.Join(w.cacheDir(n), "tree")
		_, err := os.Stat(filepath.Join(w.cacheDir(n), "objects"))
		stored = err == nil
	}
	name := fnv.New64a()
	_, _ = name.Write([]byte(n.Name)) // never fails
	tree := distribution.New(distribution.Config{Node: n, Topology: w.top, Plan: w.plan, Dial: w.dialer(n), Secret: w.secret, Dir: dir, Stored: stored,
		Rand: rand.New(rand.NewPCG(w.top.Seed, name.Sum64())), Now: time.Now, Log: w.opt.Log.With("node", string(n.Name))})
	server, err := build(tree)
	if err != nil {
		return nil, errors.Join(err, tree.Close())
	}
	return together{server.Run, func(ctx context.Context) error { return tree.Run(ctx, server) }}, nil
}

// follows hands feeds to a tier, which knows what it needs of them.
func follows(t *distribution.Node) func(string) proxy.Feed {
	return func(origin string) proxy.Feed { return t.Feed(origin) }
}

// counts is how an edge counts what clients ask for, where that leads to pushes.
func (w *wiring) counts(t *distribution.Node) func(origin, site string, path []byte, bytes int64) {
	if w.top.Push.Budget == 0 {
		return nil
	}
	return t.Observe
}

// ownContent asks an origin for what it serves.
func (w *wiring) ownContent(n topology.Node) func(context.Context, string, string) (*http.Response, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return func(ctx context.Context, site, path string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.HTTP.String()+path, nil)
		if err != nil {
			return nil, err
		}
		req.Host = site
		req.Header.Set("Cdnlab-Secret", w.secret)
		return client.Do(req)
	}
}

// origin builds an origin and the root of its tree.
func (w *wiring) origin(n topology.Node, ln net.Listener, counters *stats.Node, log *slog.Logger) (runner, error) {
	root, err := distribution.NewRoot(distribution.RootConfig{Get: w.ownContent(n), Node: n, Topology: w.top, Plan: w.plan, Dir: filepath.Join(w.dir.path, "journal", string(n.Name)),
		Rand: crand.Reader, Now: time.Now, Log: log})
	if err != nil {
		return nil, err
	}
	server, err := origin.New(origin.Config{Node: n, Topology: w.top, Listener: ln, Tree: root, DataDir: filepath.Join(w.dir.path, "origin", string(n.Name)),
		Token: w.token, Secret: w.secret, Locator: w.locator, Stats: counters, Log: log, Seek: w.disks.of(n.Name), Drain: w.opt.Drain})
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return together{server.Run, root.Run}, nil
}
