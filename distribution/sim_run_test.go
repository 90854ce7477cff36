package distribution

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cdnlab/internal/journal"
	"cdnlab/topology"
)

const simTree = `
origins: { main: { at: Ashburn } }
hubs:    { eu: { at: Frankfurt, servers: 2 }, us: { at: Chicago } }
edges:   { paris: { servers: 2 }, london: {}, boston: {} }
sites:   { www.cdn.test: { origin: main } }
`

// simPurge is a purge that is in the journal.
type simPurge struct {
	event    journal.Event
	at       journal.Position
	appended int64
	versions map[string]int // those before these are not to be served
	lost     bool           // with the restoring of a journal from before
}

// simWait is a call that waits for a purge.
type simWait struct {
	purge    *simPurge
	progress Progress
	lives    map[topology.NodeName]int // of the nodes when it began
}

func newWorld(t *testing.T, seed uint64, dir string) *world {
	t.Helper()
	top, err := topology.Parse("net.yaml", []byte(simTree), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := top.Plan(topology.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{rng: rand.New(rand.NewPCG(seed, 3)), now: int64(time.Hour), top: top, plan: plan, dir: dir, nodes: map[topology.NodeName]*simNode{},
		cuts: map[[2]topology.NodeName]bool{}, versions: map[string]int{}, figures: map[string]int{}}
	for _, key := range w.keys() {
		w.versions[key] = 1
	}
	w.openRoot(filepath.Join(dir, "journal"))
	for _, kind := range []topology.Kind{topology.KindHub, topology.KindEdge} {
		for _, n := range plan.Nodes {
			if n.Kind == kind {
				node := &simNode{w: w, node: n, disk: w.rng.IntN(2) == 0, dir: filepath.Join(dir, string(n.Name))}
				if err := os.Mkdir(node.dir, 0o700); err != nil {
					t.Fatal(err)
				}
				w.nodes[n.Name], w.order = node, append(w.order, node)
			}
		}
	}
	for _, n := range w.order {
		w.after(time.Duration(w.rng.IntN(3000))*time.Millisecond, n.start)
	}
	return w
}

func (w *world) keys() (all []string) {
	for i := range 6 {
		all = append(all, fmt.Sprintf("www.cdn.test/%c/%d", 'a'+i%2, i))
	}
	return all
}

func (w *world) key() string {
	all := w.keys()
	return all[w.rng.IntN(len(all))]
}

// names reports whether a purge is about an object.
func (p *simPurge) names(key string) bool {
	switch e := &p.event; e.Scope {
	case journal.ScopeAll:
		return true
	case journal.ScopeKey:
		return "t"+key[len(key)-1:] == e.Value
	case journal.ScopePrefix:
		return strings.HasPrefix(key, e.Site+e.Value)
	default:
		return key == e.Site+e.Value
	}
}

// purge gives objects new versions at the origin and purges the old ones.
func (w *world) purge(e journal.Event) {
	if w.root == nil {
		return
	}
	p := &simPurge{event: e, versions: map[string]int{}}
	for _, key := range w.keys() {
		if p.names(key) {
			w.versions[key]++
			p.versions[key] = w.versions[key]
		}
	}
	at, err := w.root.Append(e)
	if err != nil {
		w.fail("%v", err)
		return
	}
	p.at, p.appended = at, w.now
	w.say("purge %d: %+v", at.Seq, e)
	w.purges = append(w.purges, p)
	wait := &simWait{purge: p, progress: w.root.progress(at), lives: map[topology.NodeName]int{}}
	for _, n := range w.order {
		wait.lives[n.node.Name] = n.life
	}
	w.waits = append(w.waits, wait)
	w.pump()
}

func (w *world) somePurge() journal.Event {
	key := w.key()
	path := strings.TrimPrefix(key, "www.cdn.test")
	e := journal.Event{Kind: journal.Purge, Site: "www.cdn.test", Scope: journal.ScopeURL, Value: path, Soft: w.rng.IntN(3) == 0}
	switch w.rng.IntN(8) {
	case 0:
		e.Scope, e.Value = journal.ScopeAll, ""
	case 1:
		e.Scope, e.Value = journal.ScopePrefix, path[:3]
	case 2, 3:
		e.Scope, e.Value = journal.ScopeKey, "t"+key[len(key)-1:]
	}
	return e
}

// look ends the waits that are over: what they promise holds from then on.
func (w *world) look() {
	if w.root == nil {
		return
	}
	w.waits = slices.DeleteFunc(w.waits, func(x *simWait) bool {
		p := x.purge
		if !w.root.look(&x.progress, p.at, time.Unix(0, p.appended), w.clock(), false) {
			return false
		}
		if w.root.Position().Epoch != p.at.Epoch {
			return true
		}
		w.figures["waits"]++
		for _, a := range x.progress.Nodes {
			n := w.nodes[topology.NodeName(a.Node)]
			if !n.up || n.life != x.lives[n.node.Name] {
				continue // what is promised of it is that it catches up
			}
			switch at := n.feed.Applied(); {
			case a.Applied && (at.Epoch != p.at.Epoch || at.Seq < p.at.Seq):
				w.fail("%s counts as having applied %d, and is at %v", a.Node, p.at.Seq, at)
			case a.Applied && !p.event.Soft:
				for key, v := range p.versions {
					n.acked[key] = max(n.acked[key], v)
				}
			case !a.Applied && n.steady(p.appended-int64(5*time.Second)): // word of it has come to the root by then
				w.fail("the wait for %d is over without %s, which follows all the time", p.at.Seq, a.Node)
			}
		}
		return true
	})
}

// steady reports whether a node has followed the root without a break since an instant.
func (n *simNode) steady(since int64) bool {
	s := n.parent
	return n.up && s != nil && s.open && !s.dead && !n.w.cut(n.node.Name, s.name()) && s.began < since && (s.to == nil || s.to.steady(since))
}

// least returns the versions before which a node may not serve an object to a request that comes now, and not as fresh.
func (w *world) least(n *simNode, key string) (hard, soft int) {
	at, last := n.feed.Applied(), n.feed.lastBeat().Time
	// A node may begin with what a hub says that has heard nothing for as long as it may serve, and serve for as long itself.
	known := w.now - int64(2*simCutOff+silence+3*time.Second)
	hard = n.acked[key]
	for _, p := range w.purges {
		v, ok := p.versions[key]
		holds := at.Epoch == p.at.Epoch && at.Seq >= p.at.Seq
		if p.lost {
			holds = holds || at.Epoch != p.at.Epoch && w.root != nil && at.Epoch == w.root.Position().Epoch
		} else {
			holds = holds || at.Epoch != 0 && last > p.appended || p.appended < known
		}
		switch {
		case !ok || !holds:
		case p.event.Soft:
			soft = max(soft, v)
		default:
			hard = max(hard, v)
		}
	}
	return hard, soft
}

// act does one thing at random.
func (w *world) act() {
	n := w.order[w.rng.IntN(len(w.order))]
	switch k := w.rng.IntN(1000); {
	case k < 800:
		n.client(w.key())
	case k < 900:
		w.purge(w.somePurge())
	case k < 910:
		if w.root != nil {
			_, _ = w.root.Append(journal.Event{Kind: journal.Push, Site: "www.cdn.test", Value: "/a/0", Version: "1"}) // as good as none
			w.pump()
		}
	case k < 940:
		if n.up {
			n.crash()
			w.after(time.Duration(w.rng.IntN(3000))*time.Millisecond, func() {
				if !n.up {
					w.say("%s starts", n.node.Name)
					n.start()
				}
			})
		}
	case k < 990 && n.up:
		link := [2]topology.NodeName{n.node.Name, "main"}
		if i := w.rng.IntN(len(n.list) + 1); i < len(n.list) {
			link[1] = n.list[i].node.Name
		}
		w.say("%s and %s are cut off", link[0], link[1])
		w.cuts[link] = true
		w.after(time.Duration(500+w.rng.IntN(10_000))*time.Millisecond, func() { delete(w.cuts, link) })
	case k < 994 && w.root != nil && w.backup == "":
		w.backup, w.backupAt = w.rootDir+"-backup", w.now
		if err := os.CopyFS(w.backup, os.DirFS(w.rootDir)); err != nil {
			w.fail("%v", err)
		}
	case k >= 996:
		w.restartRoot()
	}
}

// restartRoot has the root down for a while; now and then its journal is restored from a backup.
func (w *world) restartRoot() {
	if w.root == nil {
		return
	}
	dir := w.rootDir
	before := w.root.Position()
	w.crashRoot()
	if w.backup != "" && w.rng.IntN(2) == 0 {
		dir, w.backup = w.backup, ""
		w.say("the journal is restored as it was at %.3f", float64(w.backupAt)/1e9)
		for _, p := range w.purges {
			p.lost = p.lost || p.appended >= w.backupAt
		}
	}
	w.after(time.Duration(w.rng.IntN(2500))*time.Millisecond, func() {
		w.openRoot(dir)
		if w.root != nil && w.root.Position().Epoch == before.Epoch && w.root.Position().Seq < before.Seq {
			w.root.strange(before) // as a follower will, but before another event takes the number of one that is lost
			w.figures["restored"]++
		}
	})
}

// simulate runs the schedule of a seed.
func simulate(t *testing.T, seed uint64, dir string) *world {
	w := newWorld(t, seed, dir)
	end := w.now + int64(40*time.Second)
	for at := w.now; at < end; at += int64(w.rng.IntN(100)) * int64(time.Millisecond) {
		w.at(at, w.act)
	}
	w.run(end + int64(3*time.Second))
	clear(w.cuts)
	for _, n := range w.order {
		if !n.up && w.fault == "" {
			n.start()
		}
	}
	w.run(w.now + int64(40*time.Second)) // the longest pause, and all the looks at better parents
	w.settled()
	w.purge(journal.Event{Kind: journal.Purge, Site: "www.cdn.test", Scope: journal.ScopeAll})
	w.run(w.now + int64(10*time.Second))
	if len(w.waits) > 0 {
		w.fail("with all nodes there a wait does not end: %+v", w.waits[0].progress)
	}
	w.settled()
	for _, n := range w.order {
		for _, key := range w.keys() {
			n.client(key)
		}
	}
	w.run(w.now + int64(10*time.Second))
	for _, n := range w.order {
		if n.up {
			n.up = false
			n.end()
		}
	}
	if w.root != nil {
		_ = w.root.Close() // the directory goes anyway
	}
	w.queue = nil
	heap.Init(&w.queue)
	return w
}

// settled holds that all follow as they should, some time after the last failure.
func (w *world) settled() {
	if w.fault != "" {
		return
	}
	for _, n := range w.order {
		switch {
		case n.feed.Applied() != w.root.Position():
			w.fail("%s is at %v, the root at %v", n.node.Name, n.feed.Applied(), w.root.Position())
		case n.feed.Doubtful(w.clock(), simCutOff):
			w.fail("%s is in doubt with nothing the matter", n.node.Name)
		case n.parent == nil || n.parent.index != 0:
			w.fail("%s has not returned to its first parent", n.node.Name)
		}
	}
	for _, st := range w.root.State().Nodes {
		if !st.Up || st.Lag != 0 {
			w.fail("the root thinks of a node that is there: %+v", st)
		}
	}
}

// TestThePromise plays schedules of purges, requests, crashes, partitions and restored journals: a node that has applied a purge, or
// of which the origin has said so, does not serve what was purged; one that has missed it serves that for a bounded time. A seed that
// fails replays: CDNLAB_SIM_SEED. CDNLAB_SIM_SCHEDULES says how many are played.
func TestThePromise(t *testing.T) {
	schedules, first := 300, uint64(0)
	if testing.Short() {
		schedules = 30
	}
	for name, set := range map[string]func(int){"CDNLAB_SIM_SCHEDULES": func(n int) { schedules = n }, "CDNLAB_SIM_SEED": func(n int) { first, schedules = uint64(n), 1 }} {
		if v := os.Getenv(name); v != "" {
			n, err := strconv.Atoi(v)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			set(n)
		}
	}
	figures := map[string]int{}
	for seed := first; seed < first+uint64(schedules); seed++ {
		dir, err := os.MkdirTemp(ramDir(t), "cdnlab-sim")
		if err != nil {
			t.Fatal(err)
		}
		w := simulate(t, seed, dir)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		for what, n := range w.figures {
			figures[what] += n
		}
		if w.fault != "" {
			t.Fatalf("seed %d: %s\n%s", seed, w.fault, strings.Join(w.trace[max(0, len(w.trace)-40):], "\n"))
		}
	}
	t.Logf("%d schedules: %v", schedules, figures)
	for _, what := range []string{"hit", "stale hit", "joined", "fetched", "validated", "behind", "doubted", "outdated", "waits"} {
		if figures[what] < schedules/10 {
			t.Errorf("%d times %q: the schedules are too tame", figures[what], what)
		}
	}
}

// ramDir is a directory without a disk behind it, where there is one: each schedule flushes some thousand times.
func ramDir(t *testing.T) string {
	const shm = "/dev/shm"
	if s, err := os.Stat(shm); err == nil && s.IsDir() {
		return shm
	}
	return t.TempDir()
}
