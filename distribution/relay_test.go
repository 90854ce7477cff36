package distribution

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"cdnlab/internal/journal"
	"cdnlab/topology"
)

const smallTree = `
origins: { main: { at: Ashburn } }
hubs:    { eu: { at: Frankfurt }, us: { at: Chicago } }
edges:   { paris: {}, london: {}, boston: {} }
sites:   { www.cdn.test: { origin: main } }
`

// publish appends purges and returns their values.
func publish(t *testing.T, r *Root, from, to int) (values []string) {
	t.Helper()
	for i := from; i < to; i++ {
		e := purgeOf(0)
		e.Value = fmt.Sprint("/", i)
		if _, err := r.Append(e); err != nil {
			t.Fatal(err)
		}
		values = append(values, e.Value)
	}
	return values
}

// has waits until a node has applied values, these and no others.
func has(t *testing.T, m *member, want []string) {
	t.Helper()
	await(t, fmt.Sprintf("%s with %d events", m.cfg.Node.Name, len(want)), func() bool { return len(m.sink.list()) >= len(want) })
	if got := m.sink.list(); !slices.Equal(got, want) {
		t.Errorf("%s has applied %v, want %v", m.cfg.Node.Name, got, want)
	}
}

// follows waits until a node follows a parent.
func follows(t *testing.T, m *member, parent topology.NodeName) {
	t.Helper()
	await(t, fmt.Sprintf("%s that follows %s", m.cfg.Node.Name, parent), func() bool {
		r, ok := m.Feed("main").reports.get(string(m.cfg.Node.Name))
		return ok && !r.Gone && r.Via == string(parent)
	})
}

func TestEventsReachAllInOrder(t *testing.T) {
	n := newNetwork(t, smallTree)
	root, _ := n.root(RootConfig{}, nil)
	var all []*member
	for _, name := range []topology.NodeName{"eu-1", "us-1", "paris-1", "london-1", "boston-1"} {
		all = append(all, n.run(name, Config{}))
		follows(t, all[len(all)-1], map[bool]topology.NodeName{true: "main", false: "eu-1"}[len(all) <= 2])
		if len(all) == 4 {
			break
		}
	}
	all = append(all, n.run("boston-1", Config{}))
	follows(t, all[4], "us-1")
	values := publish(t, root, 0, 300)
	for _, m := range all {
		has(t, m, values)
	}
	if got := n.sent("main"); got != 600 {
		t.Errorf("the origin has sent %d events for 300 to 2 hubs, want 600", got)
	}
}

func TestTheOriginSendsAsManyCopiesAsItHasHubs(t *testing.T) {
	const hubs, events = 10, 20
	perHub := 50
	if testing.Short() {
		perHub = 5
	}
	file := "origins: { main: { at: Ashburn } }\nsites: { www.cdn.test: { origin: main } }\nhubs:\n"
	for i := range hubs {
		file += fmt.Sprintf("  h%d: { at: Paris }\n", i)
	}
	file += "edges:\n"
	for i := range hubs {
		file += fmt.Sprintf("  e%d: { at: Paris, servers: %d, parent: h%d }\n", i, perHub, i)
	}
	n := newNetwork(t, file)
	root, _ := n.root(RootConfig{}, nil)
	for i := range hubs {
		follows(t, n.run(topology.NodeName(fmt.Sprintf("h%d-1", i)), Config{}), "main")
	}
	var edges []*member
	for i := range hubs {
		for s := range perHub {
			name := topology.NodeName(fmt.Sprintf("e%d-%d", i, s+1))
			n.cut(name, "main", true) // where they would go for want of time on a busy machine
			edges = append(edges, n.run(name, Config{}))
		}
	}
	for _, e := range edges {
		await(t, "edge that has caught up", e.Feed("main").ready)
	}
	values := publish(t, root, 0, events)
	p := root.Wait(t.Context(), root.Position(), time.Now(), false)
	for _, a := range p.Nodes {
		if !a.Applied {
			t.Errorf("%s has not applied all when the wait is over", a.Node)
		}
	}
	for _, e := range edges {
		has(t, e, values)
	}
	if got := n.sent("main"); got != hubs*events {
		t.Errorf("the origin has sent %d copies of %d events, want %d", got, events, hubs*events)
	}
}

func TestANodeThatWasAwayReplays(t *testing.T) {
	n := newNetwork(t, smallTree)
	root, _ := n.root(RootConfig{}, nil)
	hub := n.run("eu-1", Config{})
	follows(t, hub, "main")
	dir := t.TempDir()
	edge := n.run("paris-1", Config{Dir: dir})
	follows(t, edge, "eu-1")
	values := publish(t, root, 0, 10)
	has(t, edge, values)
	await(t, "position that is kept", func() bool { return edge.Feed("main").mark.Load().Seq == 10 })
	edge.stop()
	more := publish(t, root, 10, 600)
	again := n.run("paris-1", Config{Dir: dir, Stored: true})
	has(t, again, more)
	await(t, "end of the doubt", func() bool { return !again.Feed("main").Doubtful(time.Now(), 10*time.Second) })
	again.stop()
	if third := n.run("paris-1", Config{Dir: dir, Stored: true}); third.Feed("main").Applied() != root.Position() {
		t.Errorf("the third time it begins at %v, want %v", third.Feed("main").Applied(), root.Position())
	}
}

// TestAReplayCrossesTheSegmentsOfTheJournal reads what is in many small files, without waiting for something new at each.
func TestAReplayCrossesTheSegmentsOfTheJournal(t *testing.T) {
	n := newNetwork(t, smallTree)
	root, _ := n.root(RootConfig{Beat: time.Hour}, smallSegments(t, 1<<20))
	publish(t, root, 0, 1)
	dir := t.TempDir()
	hub := n.run("eu-1", Config{Dir: dir, Stored: true})
	has(t, hub, []string{"outdated"})
	await(t, "position that is kept", func() bool { return hub.Feed("main").mark.Load().Seq == 1 })
	hub.stop()
	values := publish(t, root, 1, 200)
	before := time.Now()
	has(t, n.run("eu-1", Config{Dir: dir, Stored: true}), values)
	if took := time.Since(before); took > beatEvery*20 { // there are more than 40 segments
		t.Errorf("the replay took %v: it waits at each segment", took)
	}
}

// smallSegments gives a root a journal in small files, of which so many bytes are kept.
func smallSegments(t *testing.T, keep int64) func(*Root) {
	return func(r *Root) {
		if err := r.journal.Close(); err != nil {
			t.Fatal(err)
		}
		j, err := journal.Open(journal.Config{Dir: r.cfg.Dir, SegmentBytes: 256, Horizon: 1, HorizonBytes: keep, Now: r.cfg.Now, Log: r.cfg.Log})
		if err != nil {
			t.Fatal(err)
		}
		r.journal = j
		r.tick()
	}
}

func TestPastTheHorizonAllIsStale(t *testing.T) {
	n := newNetwork(t, smallTree)
	root, _ := n.root(RootConfig{}, smallSegments(t, 512))
	dir := t.TempDir()
	hub := n.run("eu-1", Config{Dir: dir})
	follows(t, hub, "main")
	has(t, hub, publish(t, root, 0, 5))
	await(t, "position that is kept", func() bool { return hub.Feed("main").mark.Load().Seq == 5 })
	hub.stop()
	publish(t, root, 5, 100)
	if root.journal.Horizon() < 6 {
		t.Fatalf("the horizon is %d", root.journal.Horizon())
	}
	again := n.run("eu-1", Config{Dir: dir, Stored: true})
	has(t, again, []string{"outdated"})
	last := publish(t, root, 100, 103)
	has(t, again, append([]string{"outdated"}, last...))
}

func TestAChildLeavesAHubThatIsGoneAndReturns(t *testing.T) {
	n := newNetwork(t, smallTree)
	root, _ := n.root(RootConfig{}, nil)
	hub := n.run("eu-1", Config{})
	follows(t, hub, "main")
	follows(t, n.run("us-1", Config{}), "main")
	edge := n.run("paris-1", Config{LookAround: 10 * time.Millisecond})
	follows(t, edge, "eu-1")
	values := publish(t, root, 0, 5)
	has(t, edge, values)
	hub.stop()
	follows(t, edge, "us-1")
	values = append(values, publish(t, root, 5, 10)...)
	has(t, edge, values)
	follows(t, n.run("eu-1", Config{}), "main")
	follows(t, edge, "eu-1")
	values = append(values, publish(t, root, 10, 15)...)
	has(t, edge, values) // and nothing is made stale on the way
}

// TestReturningWhileEventsCome has a child change parents all the time while events come: each is applied once, in order, and no
// change makes everything stale.
func TestReturningWhileEventsCome(t *testing.T) {
	n := newNetwork(t, smallTree)
	root, _ := n.root(RootConfig{}, nil)
	follows(t, n.run("eu-1", Config{}), "main")
	follows(t, n.run("us-1", Config{}), "main")
	edge := n.run("paris-1", Config{LookAround: time.Millisecond})
	follows(t, edge, "eu-1")
	var values []string
	for i := range 2 {
		n.cut("paris-1", "eu-1", true)
		values = append(values, publish(t, root, len(values), len(values)+50)...)
		follows(t, edge, "us-1")
		n.cut("paris-1", "eu-1", false)
		for r, _ := edge.Feed("main").reports.get("paris-1"); r.Via != "eu-1"; r, _ = edge.Feed("main").reports.get("paris-1") {
			values = append(values, publish(t, root, len(values), len(values)+1)...)
			if len(values) > 20_000 {
				t.Fatalf("round %d: it does not return", i)
			}
		}
	}
	has(t, edge, values)
}

// TestAHubThatIsCutOffLosesItsChildren has a hub hear nothing from the origin, while its child would hear it all from another.
func TestAHubThatIsCutOffLosesItsChildren(t *testing.T) {
	n := newNetwork(t, smallTree)
	root, _ := n.root(RootConfig{}, nil)
	c := newClock()
	hub := n.run("eu-1", Config{Now: c.Now})
	follows(t, hub, "main")
	follows(t, n.run("us-1", Config{}), "main")
	edge := n.run("paris-1", Config{Now: c.Now, LookAround: 10 * time.Millisecond})
	follows(t, edge, "eu-1")
	n.cut("eu-1", "main", true)
	values := publish(t, root, 0, 5)
	c.pass(silence + time.Second)
	follows(t, edge, "us-1")
	has(t, edge, values)
	if got := hub.sink.list(); len(got) != 0 {
		t.Errorf("the hub that is cut off has heard of %v", got)
	}
}

// TestAFollowerThatFallsSilentIsGivenUp has one take what comes and say nothing.
func TestAFollowerThatFallsSilentIsGivenUp(t *testing.T) {
	n := newNetwork(t, smallTree)
	root, _ := n.root(RootConfig{}, func(r *Root) { r.relay.quiet = 10 * time.Millisecond })
	node, _ := n.plan.Node("main")
	c, err := n.dialer("test")(t.Context(), node)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	at := root.Position()
	said := report{Node: "eu-1", Via: "main", Turn: 1, At: at}
	if _, err := c.Write(said.append([]byte("GET /-/tree/follow?origin=main&reset=true HTTP/1.1\r\nHost: x\r\n\r\n"))); err != nil { // at once, so that it is in time
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Errorf("the stream ends with %v", err)
	}
	await(t, "word that it has left", func() bool { r, ok := root.reports.get("eu-1"); return ok && r.Gone })
}

// TestAFollowerThatHasNothingToSayIsKept has the beats cease.
func TestAFollowerThatHasNothingToSayIsKept(t *testing.T) {
	n := newNetwork(t, smallTree)
	root, _ := n.root(RootConfig{Beat: time.Hour}, nil)
	hub := n.run("eu-1", Config{})
	follows(t, hub, "main")
	var first reported
	await(t, "word of it", func() (known bool) { first, known = root.reports.get("eu-1"); return known })
	await(t, "word of it, again and again", func() bool { r, _ := root.reports.get("eu-1"); return r.at.Sub(first.at) > 3*beatEvery })
	if r, _ := root.reports.get("eu-1"); r.stream != first.stream || r.Gone {
		t.Errorf("it has been given up: %+v", r)
	}
}

func TestWhatTheTreeAnswers(t *testing.T) {
	n := newNetwork(t, smallTree)
	root, _ := n.root(RootConfig{}, nil)
	hub := n.run("eu-1", Config{})
	follows(t, hub, "main")
	at := root.Position()
	follow := func(origin string, epoch, after uint64) string {
		return fmt.Sprintf("/-/tree/follow?origin=%s&epoch=%x&after=%d&time=0", origin, epoch, after)
	}
	for _, tt := range []struct {
		to     topology.NodeName
		target string
		status int
	}{
		{"main", "/-/tree/state", 200},
		{"main", "/-/tree/other", 404},
		{"main", follow("other", 1, 1), 404},
		{"main", follow("main", uint64(at.Epoch)+1, 0), 409},
		{"eu-1", follow("main", uint64(at.Epoch)+1, 0), 409},
		{"main", "/-/tree/follow?origin=main&epoch=x", 400},
		{"main", "/-/tree/follow?origin=main&epoch=1&after=-1&time=0", 400},
		{"main", "/-/tree/follow?origin=main&epoch=1&after=1&time=x", 400},
		{"main", "/-/tree/follow?origin=main&epoch=0&after=1&time=0", 400},
		{"main", "/-/tree/follow?origin=%zz", 400},
		{"eu-1", "/-/tree/follow?origin=%zz", 400},
		{"eu-1", "/-/tree/state", 404},
		{"main", "/-/tree/append?kind=purge", 400},
		{"main", "/-/tree/append?kind=purge&scope=url&value=/a&wait=1h", 400},
		{"main", "/-/tree/append?kind=dig", 400},
		{"main", "/-/tree/append?kind=push&scope=url&value=/a", 400},
		{"main", "/-/tree/append?kind=purge&scope=all&wait=0s", 200},
	} {
		if got, body := n.ask(tt.to, tt.target); got != tt.status {
			t.Errorf("%s answers %s with %d %s, want %d", tt.to, tt.target, got, body, tt.status)
		}
	}
	if root.Take("/index.html") != nil || hub.Take("/-/health") != nil {
		t.Error("a target that is not the tree's is taken")
	}
	if status, body := n.ask("main", "/-/tree/append?kind=purge&scope=url&site=www.cdn.test&value=/a&wait=10s"); status != 200 || !strings.Contains(body, `"node":"eu-1","role":"hub","applied":true`) {
		t.Errorf("an append that waits is answered %d %s", status, body)
	}
	has(t, hub, []string{"", "/a"})
}
