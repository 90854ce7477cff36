package distribution

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"cdnlab/internal/journal"
	"cdnlab/internal/proxy"
	"cdnlab/topology"
)

// doer is a sink that notes what it was told.
type doer struct {
	mu       sync.Mutex
	events   []journal.Event
	outdated int
	pulled   map[string]int
}

func (d *doer) Apply(e journal.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
}

func (d *doer) Outdated(string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.outdated++
}

func (d *doer) Pull(_ context.Context, p *proxy.Piece) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pulled == nil {
		d.pulled = map[string]int{}
	}
	d.pulled[p.Target]++
	return true, nil
}

func (d *doer) Keeps(string, string) bool    { return true }
func (d *doer) Pushed(string, string, int64) {}

func (d *doer) applied() []journal.Seq {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []journal.Seq
	for _, e := range d.events {
		list = append(list, e.Seq)
	}
	return list
}

// tree is the root of a small network, and a hub that follows it.
type tree struct {
	root *Root
	hub  *Node
	sink *doer
	main topology.Node
}

// body is what the origin serves under every path.
var body = bytes.Repeat([]byte("x"), chunkSize+1)

func newTree(t *testing.T) *tree {
	t.Helper()
	top, err := topology.Parse("net.yaml", []byte("origins: { main: { at: Paris } }\nhubs: { eu: { at: Frankfurt } }\nedges: { paris: {} }\n"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := top.Plan(topology.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	tr := &tree{sink: &doer{}}
	tr.main, _ = plan.Node("main")
	log := slog.New(slog.DiscardHandler)
	tr.root, err = NewRoot(RootConfig{Node: tr.main, Topology: top, Plan: plan, Dir: t.TempDir(), Rand: crand.Reader, Now: time.Now, Log: log,
		Get: func(context.Context, string, string) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{"Etag": {`"v1"`}}, Body: io.NopCloser(bytes.NewReader(body))}, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		run := tr.root.Take(r.RequestURI)
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil || run == nil {
			t.Errorf("%s cannot be served: %v", r.RequestURI, err)
			return
		}
		run(c)
	}))
	node, _ := plan.Node("eu-1")
	tr.hub = New(Config{Node: node, Topology: top, Plan: plan, Secret: "s", Rand: rand.New(rand.NewPCG(1, 1)), Now: time.Now, Log: log,
		Dial: func(ctx context.Context, _ topology.Node) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", server.Listener.Addr().String())
		}})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = tr.root.Run(ctx) })
	running.Go(func() { _ = tr.hub.Run(ctx, tr.sink) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		server.Close()
	})
	return tr
}

// follows waits until the hub does.
func (tr *tree) follows(t *testing.T) {
	t.Helper()
	f := tr.hub.Feed("main")
	for late := time.After(10 * time.Second); f.Applied().Epoch == 0; {
		changed := f.moved.wait()
		if f.Applied().Epoch != 0 {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatal("the hub follows nobody")
		}
	}
}

// append writes events and waits until the hub has applied them.
func (tr *tree) append(t *testing.T, events ...journal.Event) {
	t.Helper()
	for _, e := range events {
		at, err := tr.root.Append(e)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		changed := tr.hub.Feed("main").moved.wait()
		for tr.hub.Feed("main").Applied() != at {
			select {
			case <-changed:
				changed = tr.hub.Feed("main").moved.wait()
			case <-ctx.Done():
				t.Fatalf("the hub is at %v, want %v", tr.hub.Feed("main").Applied(), at)
			}
		}
		cancel()
	}
}

func purgeOfKey(key string) journal.Event {
	return journal.Event{Kind: journal.Purge, Site: "www.cdn.test", Scope: journal.ScopeKey, Value: key}
}

func pushOf(path string) journal.Event {
	return journal.Event{Kind: journal.Push, Site: "www.cdn.test", Value: path, Version: `"v1"`, Size: int64(len(body))}
}

func TestAForgetfulNodeIsMended(t *testing.T) {
	tr := newTree(t)
	f := tr.hub.Feed("main")
	tr.follows(t)
	tr.append(t, purgeOfKey("a"), purgeOfKey("b"), pushOf("/x"), pushOf("/y"), purgeOfKey("c"))
	if mended, _, err := tr.hub.compare(context.Background(), f, tr.main); mended != 0 || err != nil {
		t.Fatalf("a node that has forgotten nothing is mended %d times, %v", mended, err)
	}
	f.memory.note(purgeOfKey("local")) // the parent does not know it
	f.memory.mu.Lock()
	for _, lost := range []journal.Event{purgeOfKey("b"), pushOf("/x")} {
		f.memory.removeLocked(&f.memory.pins, entry(&lost))
		f.memory.removeLocked(&f.memory.purges, entry(&lost))
	}
	f.memory.mu.Unlock()
	before := len(tr.sink.applied())
	mended, stats, err := tr.hub.compare(context.Background(), f, tr.main)
	if mended != 2 || err != nil {
		t.Fatalf("%d events are mended, %v, want 2", mended, err)
	}
	if got := tr.sink.applied()[before:]; !slices.Equal(got, []journal.Seq{3, 2}) {
		t.Errorf("done again are %v, want the push 3 and the purge 2", got)
	}
	if stats.Sent+stats.Received > 4<<10 {
		t.Errorf("%d bytes were exchanged for two differences", stats.Sent+stats.Received)
	}
	if mended, _, err := tr.hub.compare(context.Background(), f, tr.main); mended != 0 || err != nil {
		t.Errorf("then %d more are, %v", mended, err)
	}
}

func TestMemory(t *testing.T) {
	m := newMemory()
	seq := journal.Seq(0)
	note := func(e journal.Event) {
		seq++
		e.Seq = seq
		m.note(e)
	}
	paths := func() (list []string) {
		for _, e := range m.pinned() {
			list = append(list, e.Value)
		}
		return list
	}
	note(pushOf("/a"))
	note(pushOf("/b/1"))
	note(pushOf("/b/2"))
	note(pushOf("/a")) // again: the later one counts
	if got := paths(); !slices.Equal(got, []string{"/b/1", "/b/2", "/a"}) {
		t.Errorf("pinned are %v", got)
	}
	note(purgeOfKey("k"))
	note(journal.Event{Kind: journal.Purge, Site: "other.test", Scope: journal.ScopeAll})
	note(journal.Event{Kind: journal.Purge, Site: "www.cdn.test", Scope: journal.ScopeURL, Value: "/b"})
	if got := paths(); len(got) != 3 {
		t.Errorf("after purges of other things pinned are %v", got)
	}
	note(journal.Event{Kind: journal.Purge, Site: "www.cdn.test", Scope: journal.ScopePrefix, Value: "/b/", Soft: true})
	if got := paths(); !slices.Equal(got, []string{"/a"}) {
		t.Errorf("after a purge of a prefix pinned are %v", got)
	}
	m.note(journal.Event{Kind: journal.Purge, Seq: 1, Scope: journal.ScopeAll})
	if got := paths(); !slices.Equal(got, []string{"/a"}) {
		t.Errorf("an older purge takes a later push: %v", got)
	}
	note(journal.Event{Kind: journal.Purge, Scope: journal.ScopeAll})
	if got := paths(); len(got) != 0 {
		t.Errorf("after a purge of all pinned are %v", got)
	}
	for i := range maxPins + 5 {
		note(pushOf(fmt.Sprint("/", i)))
	}
	for i := range 2 * maxPurges {
		note(purgeOfKey(fmt.Sprint(i % (maxPurges + 5))))
	}
	if n := len(m.pinned()); n != maxPins {
		t.Errorf("%d are pinned, want %d", n, maxPins)
	}
	if n := len(m.purges.byKey); n > maxPurges {
		t.Errorf("%d purges are remembered, want %d at most", n, maxPurges)
	}
	if n := m.tree.Len(); n != len(m.pins.byKey)+len(m.purges.byKey) {
		t.Errorf("the tree has %d entries for %d pins and %d purges", n, len(m.pins.byKey), len(m.purges.byKey))
	}
}
