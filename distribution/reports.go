package distribution

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// reports are how far the nodes below this one are, and this one itself.
type reports struct {
	changed signal

	mu      sync.Mutex // guards the fields below
	byNode  map[string]*reported
	version uint64
}

// reported is the last report of a node.
type reported struct {
	report
	stream  uint64 // connection that it came on
	at      time.Time
	gone    time.Time // since when it is Gone; zero when it is not
	version uint64
}

func newReports() *reports { return &reports{byNode: map[string]*reported{}} }

// set notes a report that came on a stream.
func (t *reports) set(r report, stream uint64, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.setLocked(r, stream, now)
	t.changed.fire()
}

func (t *reports) setLocked(r report, stream uint64, now time.Time) {
	old, known := t.byNode[r.Node]
	if known && r.Gone && old.stream != stream {
		return // it has come back by another way
	}
	t.version++
	n := &reported{report: r, stream: stream, at: now, version: t.version}
	if r.Gone {
		n.gone = now
	}
	t.byNode[r.Node] = n
}

// end notes that a stream has ended: the nodes that it told of follow nobody, as far as is known here.
func (t *reports) end(stream uint64, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range t.byNode {
		if n.stream == stream && !n.Gone {
			r := n.report
			r.Gone = true
			t.setLocked(r, stream, now)
		}
	}
	t.changed.fire()
}

// since returns the reports that are newer than a version, by name, and the version that they are of.
func (t *reports) since(version uint64) ([]report, uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []report
	for _, n := range t.byNode {
		if n.version > version {
			list = append(list, n.report)
		}
	}
	slices.SortFunc(list, func(a, b report) int { return strings.Compare(a.Node, b.Node) })
	return list, t.version
}

// get returns the last report of a node.
func (t *reports) get(node string) (reported, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, ok := t.byNode[node]
	if !ok {
		return reported{}, false
	}
	return *n, true
}

// forget drops every report: they are of another epoch.
func (t *reports) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.byNode)
	t.changed.fire()
}
