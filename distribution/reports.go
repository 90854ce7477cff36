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
	if old, known := t.byNode[r.Node]; known && !r.supersedes(&old.report) {
		return // it has come back by another way
	}
	t.version++
	n := &reported{report: r, stream: stream, at: now, version: t.version}
	if r.Gone {
		n.gone = now
	}
	t.byNode[r.Node] = n
}

// supersedes reports whether a report is to take the place of another one of the same node: it is no older, or it is a sign of life of
// a node that was gone, whose turns may have begun anew.
func (r *report) supersedes(old *report) bool { return r.Turn >= old.Turn || old.Gone && !r.Gone }

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
