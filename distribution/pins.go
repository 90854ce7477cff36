package distribution

import (
	"slices"
	"strings"
	"sync"

	"cdnlab/internal/journal"
)

// maxPins is how many objects may be pinned in the tree of an origin; of more the oldest are forgotten.
const maxPins = 16384

// pins are the objects that have been pushed and not purged since: what a node that begins anew is to have, although the events lie
// behind it.
type pins struct {
	mu    sync.Mutex // guards the fields below
	byKey map[string]journal.Event
}

func pinKey(e *journal.Event) string { return e.Site + e.Value }

// note takes an event.
func (p *pins) note(e journal.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e.Kind {
	case journal.Push:
		p.addLocked(e)
	case journal.Purge:
		p.purgeLocked(e)
	}
}

func (p *pins) addLocked(e journal.Event) {
	if p.byKey == nil {
		p.byKey = map[string]journal.Event{}
	}
	p.byKey[pinKey(&e)] = e
	if len(p.byKey) <= maxPins {
		return
	}
	oldest := e
	for _, o := range p.byKey {
		if o.Seq < oldest.Seq {
			oldest = o
		}
	}
	delete(p.byKey, pinKey(&oldest))
}

// purgeLocked forgets what a purge names by its path. What it names by a surrogate key is not known here: should it have changed, its
// version cannot be had any more.
func (p *pins) purgeLocked(e journal.Event) {
	for key, pin := range p.byKey {
		if e.Site != "" && e.Site != pin.Site || e.Seq < pin.Seq {
			continue
		}
		switch e.Scope {
		case journal.ScopeAll:
		case journal.ScopeURL:
			if pin.Value != e.Value {
				continue
			}
		case journal.ScopePrefix:
			if !strings.HasPrefix(pin.Value, e.Value) {
				continue
			}
		default:
			continue
		}
		delete(p.byKey, key)
	}
}

// replace takes the pins of another node.
func (p *pins) replace(list []journal.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.byKey = map[string]journal.Event{}
	for _, e := range list {
		p.addLocked(e)
	}
}

// list returns the pins in the order in which they were pushed.
func (p *pins) list() []journal.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]journal.Event, 0, len(p.byKey))
	for _, e := range p.byKey {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b journal.Event) int { return int(int64(a.Seq) - int64(b.Seq)) })
	return list
}
