package distribution

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"cdnlab/internal/journal"
	"cdnlab/internal/merkle"
)

// Bounds of what a node remembers of an origin's journal beside its latest events.
const (
	maxPins   = 16384 // objects that are pushed; of more the oldest are forgotten
	maxPurges = 4096  // rules
)

// memory is what is pushed and has not been purged since, which a node that begins anew is to have although the events lie behind it; and
// what was purged lately. Neighbours hold the same: the tree shows where they do not.
type memory struct {
	mu     sync.Mutex // guards the fields below
	pins   latest
	purges latest
	tos    map[string]bool // what pins are for
	purged journal.Seq     // of the last purge
	tree   *merkle.Tree    // of both, by the numbers of the events
}

// latest are events by their entries, so many at most.
type latest struct {
	most  int
	byKey map[string]journal.Event
	queue []journal.Event // oldest first; those that were repeated or taken out since are in it still
}

func newMemory() *memory {
	m := &memory{}
	m.clearLocked()
	return m
}

func (m *memory) clearLocked() {
	m.pins = latest{most: maxPins, byKey: map[string]journal.Event{}}
	m.purges = latest{most: maxPurges, byKey: map[string]journal.Event{}}
	m.tos, m.tree, m.purged = map[string]bool{}, new(merkle.Tree), 0
}

// entry is the key of an event in the tree. Its parts, which come out of URLs and fields of HTTP, have no NUL.
func entry(e *journal.Event) string {
	if e.Kind == journal.Push {
		return "pin\x00" + e.Site + "\x00" + e.Value + "\x00" + e.To
	}
	return fmt.Sprintf("purge\x00%s\x00%d\x00%t\x00%s", e.Site, e.Scope, e.Soft, e.Value)
}

// note takes an event. One that is older than what is known of the same changes nothing, nor does a push that a later purge has ended:
// calls that append at the same time note their events in any order.
func (m *memory) note(e journal.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch e.Kind {
	case journal.Push:
		if e.Seq < m.purged && m.endedLocked(&e) {
			return
		}
		m.tos[e.To] = true
		m.addLocked(&m.pins, e)
	case journal.Purge:
		m.purged = max(m.purged, e.Seq)
		m.unpinLocked(e)
		m.addLocked(&m.purges, e)
	}
}

func (m *memory) addLocked(l *latest, e journal.Event) {
	key := entry(&e)
	if l.byKey[key].Seq >= e.Seq {
		return
	}
	l.byKey[key] = e
	_ = m.tree.Set(key, strconv.FormatUint(uint64(e.Seq), 10)) // fails for what is too long: that is not compared
	l.queue = append(l.queue, e)
	for len(l.byKey) > l.most {
		if l.holds(&l.queue[0]) {
			m.removeLocked(l, entry(&l.queue[0]))
		}
		l.queue = l.queue[1:] // append moves the rest once the room behind is used up
	}
	if len(l.queue) > 2*l.most {
		l.queue = slices.DeleteFunc(l.queue, func(e journal.Event) bool { return !l.holds(&e) })
	}
}

// holds reports whether an event is what is known of its entry.
func (l *latest) holds(e *journal.Event) bool { return l.byKey[entry(e)].Seq == e.Seq }

func (m *memory) removeLocked(l *latest, key string) {
	delete(l.byKey, key)
	m.tree.Delete(key)
}

// unpinLocked forgets what a purge names by its path. What it names by a surrogate key is not known here: should that have changed, its
// version cannot be had any more.
func (m *memory) unpinLocked(e journal.Event) {
	switch {
	case e.Scope == journal.ScopeKey:
		return
	case e.Scope == journal.ScopeURL:
		for to := range m.tos {
			key := entry(&journal.Event{Kind: journal.Push, Site: e.Site, Value: e.Value, To: to})
			if m.pins.byKey[key].Seq < e.Seq {
				m.removeLocked(&m.pins, key)
			}
		}
		return
	}
	for key, pin := range m.pins.byKey {
		if takes(&e, &pin) {
			m.removeLocked(&m.pins, key)
		}
	}
}

// takes reports whether a purge ends what was pushed before it.
func takes(purge, pin *journal.Event) bool {
	if purge.Seq < pin.Seq || purge.Site != "" && purge.Site != pin.Site {
		return false
	}
	switch purge.Scope {
	case journal.ScopeURL:
		return pin.Value == purge.Value
	case journal.ScopePrefix:
		return strings.HasPrefix(pin.Value, purge.Value)
	}
	return purge.Scope == journal.ScopeAll
}

// ended reports whether a purge that is remembered has ended what was pushed.
func (m *memory) ended(pin journal.Event) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.endedLocked(&pin)
}

func (m *memory) endedLocked(pin *journal.Event) bool {
	for _, p := range m.purges.byKey {
		if takes(&p, pin) {
			return true
		}
	}
	return false
}

// begin forgets everything but pins, which are those of another node.
func (m *memory) begin(pins []journal.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clearLocked()
	for _, e := range pins {
		m.tos[e.To] = true
		m.addLocked(&m.pins, e)
	}
}

// pinned returns what is pushed, in the order of the events.
func (m *memory) pinned() []journal.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := slices.SortedFunc(maps.Values(m.pins.byKey), func(a, b journal.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	return slices.DeleteFunc(list, unpins)
}

// unpins reports whether a push ends one: of no version.
func unpins(e journal.Event) bool { return e.Kind == journal.Push && e.Version == "" }

// find returns the event behind a key of the tree.
func (m *memory) find(key string) (e journal.Event, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok = m.pins.byKey[key]; !ok {
		e, ok = m.purges.byKey[key]
	}
	return e, ok
}

// compared returns the tree; it may be used by any number of goroutines.
func (m *memory) compared() *merkle.Tree {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tree
}
