package distribution

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cdnlab/internal/journal"
	"cdnlab/topology"
)

// shelf is an origin's content: every path has the same object.
type shelf struct {
	size    int
	etag    atomic.Pointer[string]
	fetches atomic.Int64
}

func newShelf(size int) *shelf {
	s := &shelf{size: size}
	s.publish(`"v1"`)
	return s
}

func (s *shelf) publish(etag string) { s.etag.Store(&etag) }

func (s *shelf) get(_ context.Context, _, path string) (*http.Response, error) {
	s.fetches.Add(1)
	resp := &http.Response{StatusCode: 200, Header: http.Header{"Etag": {*s.etag.Load()}}, ContentLength: int64(s.size), Body: io.NopCloser(strings.NewReader(strings.Repeat("x", s.size)))}
	switch {
	case strings.HasPrefix(path, "/weak"):
		resp.Header.Set("ETag", `W/"v1"`)
	case strings.HasPrefix(path, "/none"):
		resp.StatusCode = 404
	}
	return resp, nil
}

// pushNow appends what the command does.
func pushNow(t *testing.T, root *Root, path, to string) error {
	t.Helper()
	m, err := root.prepare(t.Context(), "www.cdn.test", path)
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
	for path, want := range map[string]string{"/weak": "no strong ETag", "/none": "answered 404"} {
		if err := pushNow(t, root, path, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a push of %s: %v, want an error that says %q", path, err, want)
		}
	}
}

// TestAPushIsNotWaitedForLongerThanIt has an object come while a later one does not.
func TestAPushIsNotWaitedForLongerThanIt(t *testing.T) {
	content := newShelf(10)
	n := newNetwork(t, smallTree)
	root, _ := n.root(RootConfig{Get: content.get}, nil)
	hub := n.run("eu-1", Config{})
	await(t, "hub in the tree", hub.Feed("main").ready)
	var at [2]journal.Position
	for i, path := range []string{"/first", "/never"} {
		if err := pushNow(t, root, path, "eu"); err != nil {
			t.Fatal(err)
		}
		at[i] = root.Position()
	}
	of := func(p Progress) Applied {
		return p.Nodes[slices.IndexFunc(p.Nodes, func(a Applied) bool { return a.Node == "eu-1" })]
	}
	if got := of(root.Wait(t.Context(), at[0], time.Now(), true)); !got.Applied {
		t.Errorf("the first: %+v, want it applied", got)
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
	root.demand.end(1)
	root.planning.step(t.Context()) // nobody asks for anything
	if set := root.demand.set(3, []byte{200, 'x'}, c.Now()); set == nil {
		t.Error("a malformed report is taken")
	}
}
