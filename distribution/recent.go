package distribution

import (
	"sync"

	"cdnlab/internal/journal"
)

// Bounds of what a node keeps of the events that it has applied, for those who follow it.
const (
	recentEvents = 16384
	recentBytes  = 8 << 20
)

// eventLog is where a node's children are served from: *journal.Journal at the origin, recent elsewhere.
type eventLog interface {
	Position() journal.Position
	// Horizon is the last event that is no longer there.
	Horizon() journal.Seq
	Read(after journal.Seq, max int) ([]journal.Event, error)
}

// recent are the events that a node has applied last.
type recent struct {
	mu      sync.Mutex // guards the fields below
	at      journal.Position
	horizon journal.Seq
	events  []journal.Event
	bytes   int
}

// reset begins anew at a position.
func (l *recent) reset(at journal.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at, l.horizon, l.events, l.bytes = at, at.Seq, nil, 0
}

func sizeOf(e *journal.Event) int {
	return 128 + len(e.Site) + len(e.Value) + len(e.Version) + len(e.To) + len(e.Who)
}

// add appends the next event.
func (l *recent) add(e journal.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at.Seq = e.Seq
	l.events = append(l.events, e)
	l.bytes += sizeOf(&e)
	for len(l.events) > recentEvents || l.bytes > recentBytes && len(l.events) > 1 {
		l.horizon = l.events[0].Seq
		l.bytes -= sizeOf(&l.events[0])
		l.events[0] = journal.Event{}
		l.events = l.events[1:] // append moves the rest once the room behind is used up
	}
}

// Position implements eventLog.
func (l *recent) Position() journal.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at
}

// Horizon implements eventLog.
func (l *recent) Horizon() journal.Seq {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.horizon
}

// Read implements eventLog. What it returns must not be changed.
func (l *recent) Read(after journal.Seq, most int) ([]journal.Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case after < l.horizon:
		return nil, journal.ErrHorizon
	case after >= l.at.Seq:
		return nil, nil
	}
	from := int(after - l.horizon)
	return append([]journal.Event(nil), l.events[from:min(from+most, len(l.events))]...), nil
}
