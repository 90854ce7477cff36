package distribution

import (
	"bufio"
	"bytes"
	"container/heap"
	crand "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"cdnlab/internal/cache"
	"cdnlab/internal/journal"
	"cdnlab/topology"
)

// world is a tree in virtual time, in one goroutine: the feeds, logs, reports and choices are those of the package, the stores those of
// package cache, while connections are queues of messages that a seed delays, and requests go the way that package proxy sends them.
type world struct {
	rng   *rand.Rand
	now   int64
	queue timeline
	count int
	top   *topology.Topology
	plan  *topology.Plan
	dir   string
	trace []string
	fault string // the first that was found

	root     *Root // nil while it is down
	rootDir  string
	backup   string // a copy of the journal, and when it was made
	backupAt int64
	streams  []*simStream // to the root

	nodes    map[topology.NodeName]*simNode
	order    []*simNode // hubs first
	cuts     map[[2]topology.NodeName]bool
	versions map[string]int // of each object at the origin
	purges   []*simPurge
	waits    []*simWait
	figures  map[string]int // how often things happened that the test is about
}

// due is something that happens later.
type due struct {
	at    int64
	count int // those of one instant happen in their order
	do    func()
}

type timeline []due

func (q timeline) Len() int { return len(q) }
func (q timeline) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].count < q[j].count
}
func (q timeline) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *timeline) Push(x any)   { *q = append(*q, x.(due)) }
func (q *timeline) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

func (w *world) at(at int64, do func()) {
	w.count++
	heap.Push(&w.queue, due{max(at, w.now), w.count, do})
}

func (w *world) after(d time.Duration, do func()) { w.at(w.now+int64(d), do) }

// run lets time pass until an instant.
func (w *world) run(until int64) {
	for len(w.queue) > 0 && w.queue[0].at <= until && w.fault == "" {
		next := heap.Pop(&w.queue).(due)
		w.now = next.at
		next.do()
	}
	w.now = max(w.now, until)
}

func (w *world) clock() time.Time { return time.Unix(0, w.now) }

func (w *world) say(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%8.3f ", float64(w.now)/1e9)+fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	if w.fault == "" {
		w.fault = fmt.Sprintf(format, args...)
		w.say("FAULT: %s", w.fault)
	}
}

// delay is how long a message of the tree takes; now and then one is late, though not so late that it could be taken for silence.
func (w *world) delay() time.Duration { return w.upTo(500 * time.Millisecond) }

func (w *world) upTo(late time.Duration) time.Duration {
	d := time.Duration(1+w.rng.IntN(40)) * time.Millisecond
	if w.rng.IntN(20) == 0 {
		d += time.Duration(w.rng.Int64N(int64(late)))
	}
	return d
}

func (w *world) cut(a, b topology.NodeName) bool {
	return w.cuts[[2]topology.NodeName{a, b}] || w.cuts[[2]topology.NodeName{b, a}]
}

// simNode is a hub or an edge.
type simNode struct {
	w     *world
	node  topology.Node
	disk  bool
	dir   string
	up    bool
	life  int // counts its starts: what was begun in one does not go on in the next
	feed  *Feed
	store *cache.Store
	list  []candidate
	reset bool
	tries bool // a connection is being made

	parent   *simStream
	children []*simStream
	ids      uint64
	flights  map[string]*simFlight
	acked    map[string]int // versions before which it has promised not to serve, in this life
}

// start starts a node with what its last life has left.
func (n *simNode) start() {
	w := n.w
	n.up, n.life, n.reset, n.tries = true, n.life+1, false, false
	n.feed = newFeed("main", string(n.node.Name), w.clock)
	n.feed.sink = simSink{simNode: n}
	n.store = cache.New(cache.Config{Budget: 64 << 20})
	n.list = candidates(w.top, w.plan, n.node, "main")
	n.flights, n.acked = map[string]*simFlight{}, map[string]int{}
	if n.disk {
		_, err := os.Stat(filepath.Join(n.dir, "objects"))
		if fault := n.store.UseDisk(cache.DiskConfig{Dir: filepath.Join(n.dir, "objects"), Budget: 64 << 20, Log: slog.New(slog.DiscardHandler)}); fault != nil {
			w.fail("%v", fault)
		}
		mark, fault := journal.OpenMark(filepath.Join(n.dir, "main"))
		if fault != nil {
			w.fail("%v", fault)
			return
		}
		n.feed.mark = mark
		n.feed.resume(err == nil)
	}
	life := n.life
	var tick func()
	tick = func() {
		if n.life == life && n.up {
			n.tick()
			w.after(time.Duration(200+w.rng.IntN(100))*time.Millisecond, tick)
		}
	}
	tick()
}

// crash ends a node. What it has stored is on disk by then, or lost.
func (n *simNode) crash() {
	n.w.say("%s crashes", n.node.Name)
	n.up = false
	if n.parent != nil {
		n.parent.close()
	}
	for _, s := range slices.Clone(n.children) {
		s.close()
	}
	n.end()
}

func (n *simNode) end() {
	if n.disk {
		n.store.Close()
		_ = n.feed.mark.Close() // each position was written when it was stored
	}
}

// tick is what a follower does now and then: it connects, gives up what is silent, looks for a better parent.
func (n *simNode) tick() {
	w := n.w
	for _, s := range n.children {
		s.send(true, func() { s.child.receive(s, appendBeat(nil, s.sender.told)) })
	}
	if s := n.parent; s != nil {
		if w.now-s.heard > int64(silence) {
			s.close()
			n.lost(s)
		} else if i := better(n.list, s.index, n.feed.deaf(w.clock()), w.clock()); i >= 0 && w.rng.IntN(8) == 0 {
			n.connect(i)
		}
	}
	if n.parent == nil {
		if i, _ := choose(n.list, w.clock()); i >= 0 {
			n.connect(i)
		}
	}
}

// lost is told that the stream that it follows has ended.
func (n *simNode) lost(s *simStream) {
	if n.parent != s {
		return
	}
	n.parent = nil
	n.feed.left()
	n.list[s.index].failed(n.w.clock(), n.w.rng.Float64())
	n.pump()
}

// connect asks a candidate for its events.
func (n *simNode) connect(i int) {
	w, life := n.w, n.life
	if n.tries {
		return
	}
	n.tries = true
	name := n.list[i].node.Name
	at := n.feed.log.place()
	anew := n.reset
	if anew {
		at = place{}
	}
	answer := func(d time.Duration, then func()) {
		w.after(d, func() {
			if n.life == life && n.up {
				n.tries = false
				then()
			}
		})
	}
	failed := func() { n.list[i].failed(w.clock(), w.rng.Float64()) }
	w.after(w.delay(), func() {
		var src source
		to := w.nodes[name]
		switch {
		case w.cut(n.node.Name, name):
			answer(headTime, failed)
			return
		case to == nil && w.root != nil:
			src = w.root
		case to != nil && to.up:
			src = to.feed
		}
		if src == nil || !src.ready() {
			answer(w.delay(), failed)
			return
		}
		from, ok := begin(src, at)
		if !ok {
			answer(w.delay(), func() {
				n.list[i].refusals++
				if failed(); to == nil || stranded(n.list) && w.rng.IntN(2) == 0 {
					n.reset = true
					for i := range n.list {
						n.list[i].followed()
					}
				}
			})
			return
		}
		s := &simStream{w: w, child: n, to: to, index: i, sender: sender{src: src, at: from}, table: src.table(), open: true, began: w.now, anew: anew}
		w.count++
		s.up = uint64(w.count)
		s.attach()
		answer(w.delay(), func() {
			if !s.open {
				failed()
				return
			}
			if n.parent != nil {
				n.parent.close()
			}
			n.ids++
			n.parent, n.reset, s.down, s.heard = s, false, n.ids, w.now
			n.receive(s, appendHello(nil, from))
			s.pump()
		})
	})
}

// receive takes frames from the parent.
func (n *simNode) receive(s *simStream, b []byte) {
	if n.parent != s {
		return
	}
	s.heard = n.w.now
	br := bufio.NewReader(bytes.NewReader(b))
	for {
		kind, payload, err := readFrame(br, nil)
		if err != nil {
			break
		}
		if err := n.feed.take(kind, payload, s.anew); errors.Is(err, errOtherEpoch) {
			s.close()
			n.lost(s)
			return
		} else if err != nil {
			n.w.fail("%s: %v", n.node.Name, err)
		}
	}
	_ = n.feed.settle(string(s.name()), s.down) // the file can be written
	n.pump()
}

// pump passes on what is new at a node, down and up.
func (n *simNode) pump() {
	for _, s := range slices.Clone(n.children) {
		s.pump()
	}
	s := n.parent
	if s == nil || !s.open {
		return
	}
	list, version := n.feed.reports.since(s.told)
	if s.told = version; len(list) > 0 {
		s.send(false, func() {
			for _, r := range list {
				s.table.set(r, s.up, n.w.clock())
			}
			if s.to != nil {
				s.to.pump()
			} else {
				n.w.look()
			}
		})
	}
}

// openRoot starts the root of the tree in a directory.
func (w *world) openRoot(dir string) {
	node, _ := w.plan.Node("main")
	r, err := NewRoot(RootConfig{Node: node, Topology: w.top, Plan: w.plan, Dir: dir, Rand: crand.Reader, Now: w.clock, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.fail("%v", err)
		return
	}
	w.root, w.rootDir = r, dir
	var tick func()
	tick = func() {
		if w.root == r {
			r.tick()
			w.pump()
			w.look()
			w.after(beatEvery, tick)
		}
	}
	tick()
}

func (w *world) pump() {
	for _, s := range slices.Clone(w.streams) {
		s.pump()
	}
}

func (w *world) crashRoot() {
	w.say("the root crashes")
	r := w.root
	w.root, w.waits = nil, nil
	for _, s := range slices.Clone(w.streams) {
		s.close()
	}
	if err := r.Close(); err != nil {
		w.fail("%v", err)
	}
}
