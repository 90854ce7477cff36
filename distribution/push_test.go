package distribution

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cdnlab/internal/journal"
	"cdnlab/internal/proxy"
	"cdnlab/topology"
)

// shelf is an origin's content: every path has the same object.
type shelf struct {
	size    int
	etag    atomic.Pointer[string]
	fetches atomic.Int64
	broken  atomic.Bool
}

func newShelf(size int) *shelf {
	s := &shelf{size: size}
	s.publish(`"v1"`)
	return s
}

func (s *shelf) publish(etag string) { s.etag.Store(&etag) }

func (s *shelf) get(_ context.Context, _, path string) (*http.Response, error) {
	s.fetches.Add(1)
	resp := &http.Response{StatusCode: 200, Header: http.Header{"Etag": {*s.etag.Load()}, "Cache-Control": {"max-age=60"}}, ContentLength: int64(s.size), Body: io.NopCloser(strings.NewReader(strings.Repeat("x", s.size)))}
	switch {
	case s.broken.Load():
		resp.StatusCode = 503
	case strings.HasPrefix(path, "/weak"):
		resp.Header.Set("ETag", `W/"v1"`)
	case strings.HasPrefix(path, "/private"):
		resp.Header.Set("Cache-Control", "private")
	case strings.HasPrefix(path, "/stale"):
		resp.Header.Del("Cache-Control")
	case strings.HasPrefix(path, "/none"):
		resp.StatusCode = 404
	}
	return resp, nil
}

// pushNow appends what the command does.
func pushNow(t *testing.T, root *Root, path, to string) error {
	t.Helper()
	m, err := root.prepare(t.Context(), "www.cdn.test", path, "")
	if err != nil {
		return err
	}
	_, err = root.Append(journal.Event{Kind: journal.Push, Site: "www.cdn.test", Value: path, Version: m.Version, Size: m.Size, To: to})
	return err
}

func TestWhatIsPushedArrives(t *testing.T) {
	content := newShelf(2*chunkSize + 5)
	n := newNetwork(t, smallTree)
	root, _ := n.root(RootConfig{Get: content.get}, nil)
	nodes := map[string]*member{}
	for _, name := range []topology.NodeName{"eu-1", "us-1", "paris-1", "boston-1"} {
		nodes[string(name)] = n.run(name, Config{})
		await(t, string(name)+" in the tree", nodes[string(name)].Feed("main").ready)
	}
	for _, p := range []struct{ path, to string }{{"/all", ""}, {"/hubs", "hubs"}, {"/edges", "edges"}, {"/paris", "paris"}, {"/eu", "eu"}, {"/boston-1", "boston-1"}} {
		if err := pushNow(t, root, p.path, p.to); err != nil {
			t.Fatal(err)
		}
	}
	if p := root.Wait(t.Context(), root.Position(), time.Now(), true); len(p.Nodes) != 5 {
		t.Fatalf("%+v", p)
	}
	for name, want := range map[string]string{
		"eu-1": "/all /eu /hubs /paris", "us-1": "/all /hubs", "paris-1": "/all /edges /eu /paris", "boston-1": "/all /boston-1 /edges",
	} {
		got := nodes[name].sink.had()
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%s has %v, want %s", name, got, want)
		}
	}
	us := nodes["us-1"].sink
	us.mu.Lock()
	defer us.mu.Unlock()
	if n := len(us.pulled); n != 6 {
		t.Errorf("us-1 has pulled %v, want three pieces of two objects", us.pulled)
	}
	for path, want := range map[string]string{"/weak": "no strong ETag", "/none": "answered 404", "/private": "says private", "/stale": "is not fresh"} {
		if err := pushNow(t, root, path, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a push of %s: %v, want an error that says %q", path, err, want)
		}
	}
}

// TestAPushIsNotWaitedForLongerThanIt has objects come while one between them does not.
func TestAPushIsNotWaitedForLongerThanIt(t *testing.T) {
	content := newShelf(10)
	n := newNetwork(t, smallTree)
	root, _ := n.root(RootConfig{Get: content.get}, nil)
	hub := n.run("eu-1", Config{})
	await(t, "hub in the tree", hub.Feed("main").ready)
	var at [3]journal.Position
	for i, path := range []string{"/first", "/never", "/last"} {
		if err := pushNow(t, root, path, "eu"); err != nil {
			t.Fatal(err)
		}
		at[i] = root.Position()
	}
	of := func(p Progress) Applied {
		return p.Nodes[slices.IndexFunc(p.Nodes, func(a Applied) bool { return a.Node == "eu-1" })]
	}
	for _, i := range []int{0, 2} {
		if got := of(root.Wait(t.Context(), at[i], time.Now(), true)); !got.Applied {
			t.Errorf("push %d: %+v, want it applied", i, got)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got := of(root.Wait(ctx, at[1], time.Now(), true)); got.Applied || !got.Pending {
		t.Errorf("the second: %+v, want it pending", got)
	}
}

// TestANodeThatBeginsAnewIsToldWhatIsPushed has one come when the events lie behind.
func TestANodeThatBeginsAnewIsToldWhatIsPushed(t *testing.T) {
	content := newShelf(10)
	n := newNetwork(t, smallTree)
	root, _ := n.root(RootConfig{Get: content.get}, nil)
	hub := n.run("eu-1", Config{})
	await(t, "hub in the tree", hub.Feed("main").ready)
	for _, path := range []string{"/a", "/b", "/gone"} {
		if err := pushNow(t, root, path, ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := root.Append(journal.Event{Kind: journal.Purge, Site: "www.cdn.test", Scope: journal.ScopeURL, Value: "/gone"}); err != nil {
		t.Fatal(err)
	}
	await(t, "hub that has all", func() bool { return hub.Feed("main").Applied() == root.Position() })
	edge := n.run("paris-1", Config{})
	await(t, "edge that has what is pushed", func() bool { return len(edge.sink.had()) == 2 })
	got := edge.sink.had()
	slices.Sort(got)
	if !slices.Equal(got, []string{"/a", "/b"}) {
		t.Errorf("it has %v", got)
	}
}

func TestANewVersionIsPushedToWhereTheOldOneIs(t *testing.T) {
	content := newShelf(10)
	n := newNetwork(t, smallTree)
	root, _ := n.root(RootConfig{Get: content.get}, nil)
	for _, p := range []struct{ path, to string }{{"/a%20b", "eu"}, {"/a%20b", "us"}, {"/other", ""}} {
		if err := pushNow(t, root, p.path, p.to); err != nil {
			t.Fatal(err)
		}
	}
	versions := func() string {
		all := ""
		for _, e := range root.memory.pinned() {
			all += e.Value + " " + e.To + " " + e.Version + ", "
		}
		return all
	}
	content.publish(`"v2"`)
	root.Published("www.cdn.test", "/a b", `"v2"`)
	root.Published("other.test", "/other", `"v2"`)
	await(t, "new version", func() bool { return versions() == `/other  "v1", /a%20b eu "v2", /a%20b us "v2", ` })
	content.broken.Store(true)
	root.pushAgain(t.Context(), object{"www.cdn.test", "/a b"})
	if got := versions(); got != `/other  "v1", /a%20b eu "v2", /a%20b us "v2", ` {
		t.Errorf("while the origin is broken, pinned are %s", got)
	}
	content.broken.Store(false)
	content.publish("")
	root.Published("www.cdn.test", "/a b", "")
	await(t, "end of what is gone", func() bool { return versions() == `/other  "v1", ` })
}

func TestWhatIsAskedForMuchIsPushedWhereItIsWanted(t *testing.T) {
	content := newShelf(1000)
	c := newClock()
	n := newNetwork(t, smallTree+"clients: { paris: {}, boston: { weight: 3 } }\npush: { budget: 1MiB, every: 1h }\n")
	root, _ := n.root(RootConfig{Get: content.get, Now: c.Now}, nil)
	observe := func(stream uint64, region string, requests int, paths ...string) {
		d := newDemand()
		for range requests {
			for _, path := range paths {
				d.observe("www.cdn.test", []byte(path), 1000, c.Now())
			}
		}
		if err := root.demand.set(stream, d.append(nil, region, c.Now())[frameHead:], c.Now()); err != nil {
			t.Fatal(err)
		}
	}
	c.pass(time.Minute)
	observe(1, "eu", 200, "/hot", "/weak")
	root.planning.step(t.Context())
	pins := root.memory.pinned()
	if len(pins) != 1 || pins[0].Value != "/hot" || pins[0].To != "us" || pins[0].Who != "planner" {
		t.Fatalf("pushed are %+v, want what eu asks for and has a version, in us", pins)
	}
	root.planning.step(t.Context())
	if again := root.memory.pinned(); len(again) != 1 || again[0].Seq != pins[0].Seq {
		t.Errorf("a second plan pushes it again: %+v", again)
	}
	content.publish(`"v2"`)
	c.pass(lookAgain)
	observe(1, "eu", 200, "/hot")
	root.planning.step(t.Context())
	versions := map[string]string{}
	for _, p := range root.memory.pinned() {
		versions[p.To] = p.Version
	}
	if versions["us"] != `"v2"` || versions["eu"] != `"v2"` {
		t.Errorf("a new version is pushed to %v, want both", versions)
	}
	if err := pushNow(t, root, "/launch", "eu"); err != nil {
		t.Fatal(err)
	}
	root.planning.step(t.Context())
	if !slices.ContainsFunc(root.memory.pinned(), func(e journal.Event) bool { return e.Value == "/launch" }) {
		t.Error("a plan takes back what somebody has pushed")
	}
	content.publish(`"v3"`)
	root.pushAgain(t.Context(), object{"www.cdn.test", "/hot"})
	c.pass(time.Hour)
	observe(1, "eu", 200, "/other")
	root.planning.step(t.Context())
	if slices.ContainsFunc(root.memory.pinned(), func(e journal.Event) bool { return e.Value == "/hot" }) {
		t.Error("what a plan has pushed stays when nobody asks for it, as it got a new version")
	}
	root.demand.end(1)
	root.planning.step(t.Context()) // nobody asks for anything
	if set := root.demand.set(3, []byte{200, 'x'}, c.Now()); set == nil {
		t.Error("a malformed report is taken")
	}
}

// unwell is a Puller whose parents are out of reach until it is told that they are not.
type unwell struct {
	notes
	well bool
}

func (u *unwell) Pull(ctx context.Context, p *proxy.Piece) (bool, error) {
	if !u.well {
		return false, errors.New("no parent can be reached")
	}
	return u.notes.Pull(ctx, p)
}

// TestWhatCouldNotBeHadIsPending has the parents of a node come back when all tries are over.
func TestWhatCouldNotBeHadIsPending(t *testing.T) {
	f, _, c := testFeed()
	p := newPusher(f, rand.New(rand.NewPCG(1, 1)), slog.New(slog.NewTextHandler(t.Output(), nil)), nil, func(journal.Event) bool { return true })
	m, err := makeManifest(t.Context(), newShelf(10).get, &topology.Site{Host: "www.cdn.test"}, "/x", "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p.known.Add(manifestKey("www.cdn.test", "/x", m.Version), m)
	e, to := pushOf("/x"), &unwell{}
	e.Seq = 7
	p.add(e)
	n := p.next(t.Context())
	n.late = true // the first tries are over
	p.work(t.Context(), to, n)
	if objects, open, _ := p.pending(); objects != 1 || open != packOpen([]journal.Seq{7}) {
		t.Errorf("pending are %d, of events %q, want the one that could not be had", objects, open)
	}
	to.well = true
	p.requeue()
	p.work(t.Context(), to, p.next(t.Context()))
	if objects, _, _ := p.pending(); objects != 0 || !slices.Equal(to.had(), []string{"/x"}) {
		t.Errorf("it has %v, %d are pending", to.had(), objects)
	}
	to.well = false
	p.add(e)
	c.pass(maxWait)
	n = p.next(t.Context())
	n.late = true
	if p.work(t.Context(), to, n); len(p.byKey) != 0 {
		t.Error("it is tried for ever")
	}
}

// TestAPushBehindAPurgeIsPulledAgain has it come while the same version is being pulled for an earlier one.
func TestAPushBehindAPurgeIsPulledAgain(t *testing.T) {
	f, sink, _ := testFeed()
	p := newPusher(f, rand.New(rand.NewPCG(1, 1)), slog.New(slog.DiscardHandler), nil, func(journal.Event) bool { return true })
	m, err := makeManifest(t.Context(), newShelf(10).get, &topology.Site{Host: "www.cdn.test"}, "/x", "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p.known.Add(manifestKey("www.cdn.test", "/x", m.Version), m)
	e := pushOf("/x")
	e.Seq = 1
	p.add(e)
	e.Seq = 2
	p.add(e) // not begun: once will do
	n := p.next(t.Context())
	n.ended = func() {} // it has begun
	e.Seq = 4
	p.add(e)
	p.work(t.Context(), sink, n)
	if objects, open, _ := p.pending(); objects != 1 || open != packOpen([]journal.Seq{1, 2, 4}) {
		t.Fatalf("pending are %d of events %q, want the same once more", objects, open)
	}
	p.work(t.Context(), sink, p.next(t.Context()))
	if objects, _, _ := p.pending(); objects != 0 || len(sink.had()) != 2 {
		t.Errorf("pending are %d, it came %d times, want none and 2", objects, len(sink.had()))
	}
}

// TestWhatIsTakenBackFromOnePlaceStillComesToAnother has a node be in both.
func TestWhatIsTakenBackFromOnePlaceStillComesToAnother(t *testing.T) {
	f, _, _ := testFeed()
	p := newPusher(f, rand.New(rand.NewPCG(1, 1)), slog.New(slog.DiscardHandler), nil, func(journal.Event) bool { return true })
	all := pushOf("/x")
	eu := all
	eu.To = "eu"
	back := eu
	back.Version = ""
	p.add(all)
	p.add(eu)
	p.add(back)
	if objects, _, _ := p.pending(); objects != 1 {
		t.Error("it does not")
	}
	back.To = ""
	p.add(back)
	if objects, _, _ := p.pending(); objects != 0 {
		t.Error("it is pulled though no place is left")
	}
}

// TestAVersionThatIsGoneIsAskedForOnce has an object change unknown to the tree before a node is told that it is pushed.
func TestAVersionThatIsGoneIsAskedForOnce(t *testing.T) {
	content := newShelf(10)
	n := newNetwork(t, smallTree)
	root, _ := n.root(RootConfig{Get: content.get}, nil)
	if _, err := root.Append(journal.Event{Kind: journal.Push, Site: "www.cdn.test", Value: "/x", Version: `"v0"`, Size: 10, To: "paris"}); err != nil {
		t.Fatal(err)
	}
	hub, edge := n.run("eu-1", Config{}), n.run("paris-1", Config{})
	for _, m := range []*member{hub, edge} {
		f := m.Feed("main")
		await(t, "node that has done with it", func() bool {
			objects, _, _ := f.pushes.pending()
			return f.Applied() == root.Position() && objects == 0
		})
		if had := m.sink.had(); len(had) != 0 {
			t.Errorf("it has %v", had)
		}
	}
	if times := content.fetches.Load(); times > 2 {
		t.Errorf("the origin was asked %d times, want once for each node", times)
	}
}

// TestAnAppThatDoesNotAnswerForOneObjectDoesNotEndThePlanning has clients poll it.
func TestAnAppThatDoesNotAnswerForOneObjectDoesNotEndThePlanning(t *testing.T) {
	content, c := newShelf(1000), newClock()
	n := newNetwork(t, smallTree+"clients: { paris: {}, boston: { weight: 3 } }\npush: { budget: 1MiB, every: 1h }\n")
	root, _ := n.root(RootConfig{Now: c.Now, Get: func(ctx context.Context, site, path string) (*http.Response, error) {
		if path == "/poll" {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return content.get(ctx, site, path)
	}}, nil)
	d := newDemand()
	for range 200 {
		d.observe("www.cdn.test", []byte("/poll"), 1000, c.Now())
		d.observe("www.cdn.test", []byte("/hot"), 1000, c.Now())
	}
	if err := root.demand.set(1, d.append(nil, "eu", c.Now())[frameHead:], c.Now()); err != nil {
		t.Fatal(err)
	}
	c.pass(time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	root.planning.step(ctx)
	if pins := root.memory.pinned(); ctx.Err() != nil || len(pins) != 1 || pins[0].Value != "/hot" {
		t.Errorf("pushed are %+v, want /hot, and soon", pins)
	}
}

// TestWhatIsPurgedIsPushedAgain has it be asked for as before.
func TestWhatIsPurgedIsPushedAgain(t *testing.T) {
	c := newClock()
	n := newNetwork(t, smallTree+"clients: { paris: {}, boston: { weight: 3 } }\npush: { budget: 1MiB, every: 1h }\n")
	root, _ := n.root(RootConfig{Get: newShelf(1000).get, Now: c.Now}, nil)
	for _, purge := range []journal.Event{{Kind: journal.Purge, Scope: journal.ScopeAll}, {}} {
		d := newDemand()
		for range 200 {
			d.observe("www.cdn.test", []byte("/hot"), 1000, c.Now())
		}
		if err := root.demand.set(1, d.append(nil, "eu", c.Now())[frameHead:], c.Now()); err != nil {
			t.Fatal(err)
		}
		c.pass(time.Minute)
		root.planning.step(t.Context())
		if pins := root.memory.pinned(); len(pins) != 1 || pins[0].To != "us" {
			t.Fatalf("pushed are %+v, want /hot in us", pins)
		}
		if purge.Kind == 0 {
			continue
		}
		if _, err := root.Append(purge); err != nil {
			t.Fatal(err)
		}
	}
}
