package mgmt

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	every       = time.Second
	topWindow   = 60 // readings over which popular objects are found
	eventsKept  = 50
	subscribers = 64 // at the same time
)

// Event is something that changed.
type Event struct {
	At   int64  `json:"at"`   // seconds since 1970
	Kind string `json:"kind"` // down, up, fault, mended, blocked, unblocked
	Text string `json:"text"`
}

// live collects every second and tells those who listen.
type live struct {
	rings rings

	mu      sync.Mutex // guards the fields below
	last    []byte     // the latest tick as a message; nil before the first
	events  []Event    // the latest
	listens map[chan []byte]bool
}

func newLive() *live {
	return &live{rings: rings{of: map[string]*ring{}}, listens: map[chan []byte]bool{}}
}

// watch collects until ctx ends.
func (s *Server) watch(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	before := &watched{s.cfg.Lab.Faults(), s.cfg.Lab.Scrub(), s.samples(ctx, nil)} // at once, so that nothing is missed
	past := [][]sample{before.samples}                                             // the last topWindow readings, the latest at the end
	for {
		select {
		case <-ctx.Done():
			return
		case at := <-tick.C:
			now := s.samples(ctx, before)
			state := &watched{s.cfg.Lab.Faults(), s.cfg.Lab.Scrub(), now}
			t := newTick(at, s.cfg.Plan.Nodes, now, before.samples)
			t.Faults = state.faults
			t.Top = topOf(s.cfg.Plan.Nodes, now, past[0], float64(len(past)))
			t.Limits = limitTick(state.scrub, before.scrub)
			s.live.publish(t, s.changes(at, before, state))
			before = state
			if past = append(past, now); len(past) > topWindow {
				past = slices.Delete(past, 0, 1)
			}
		}
	}
}

// watched is what one second of collecting has seen.
type watched struct {
	faults  []Fault
	scrub   Scrub
	samples []sample
}

// changes are the events between two seconds.
func (s *Server) changes(at time.Time, before, now *watched) (all []Event) {
	add := func(kind, format string, args ...any) {
		all = append(all, Event{at.Unix(), kind, fmt.Sprintf(format, args...)})
	}
	for i, n := range s.cfg.Plan.Nodes {
		switch was, is := before.samples[i].problem == nil, now.samples[i].problem == nil; {
		case was && !is:
			add("down", "%s is down", n.Name)
		case is && !was:
			add("up", "%s is back", n.Name)
		}
	}
	has := func(faults []Fault, id string) bool {
		return slices.ContainsFunc(faults, func(f Fault) bool { return f.ID == id })
	}
	for _, f := range now.faults {
		if !has(before.faults, f.ID) {
			add("fault", "%s begins at %s", f.ID, f.Target)
		}
	}
	for _, f := range before.faults {
		if !has(now.faults, f.ID) {
			add("mended", "%s at %s has ended", f.ID, f.Target)
		}
	}
	blocked := func(list []Blocked, b Blocked) bool {
		return slices.ContainsFunc(list, func(o Blocked) bool { return o.Prefix == b.Prefix && o.By == b.By })
	}
	for _, b := range now.scrub.Blocked {
		if !blocked(before.scrub.Blocked, b) {
			add("blocked", "%s is blocked", b.Prefix)
		}
	}
	for _, b := range before.scrub.Blocked {
		if !blocked(now.scrub.Blocked, b) {
			add("unblocked", "%s may come again", b.Prefix)
		}
	}
	return all
}

// limitTick is what all limits together decided between two readings; one of a lab that counts anew gives nothing.
func limitTick(now, before Scrub) LimitTick {
	sum := func(s Scrub) (t LimitTick) {
		for _, c := range s.Limits {
			t.Passed += c.Passed
			t.Delayed += c.Delayed
			t.Refused += c.Refused + c.Listed
		}
		return t
	}
	a, b := sum(now), sum(before)
	if a.Passed < b.Passed || a.Delayed < b.Delayed || a.Refused < b.Refused {
		return LimitTick{}
	}
	return LimitTick{a.Passed - b.Passed, a.Delayed - b.Delayed, a.Refused - b.Refused}
}

// publish keeps a tick and its events and sends them to all who listen. One who is too slow misses ticks.
func (l *live) publish(t Tick, events []Event) {
	l.rings.add(t)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = message("tick", t)
	out := [][]byte{l.last}
	for _, e := range events {
		if l.events = append(l.events, e); len(l.events) > eventsKept {
			l.events = slices.Delete(l.events, 0, 1)
		}
		out = append(out, message("event", e))
	}
	for listener := range l.listens {
		for _, m := range out {
			select {
			case listener <- m:
			default:
			}
		}
	}
}

// message is a server-sent event.
func message(kind string, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // numbers, texts and times can be marshalled
	}
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", kind, data)
}

// listen returns what there is and a channel of what comes; nil when too many listen.
func (l *live) listen() (first [][]byte, next chan []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.listens) >= subscribers {
		return nil, nil
	}
	next = make(chan []byte, 16)
	l.listens[next] = true
	for _, e := range l.events {
		first = append(first, message("event", e))
	}
	if l.last != nil {
		first = append(first, l.last)
	}
	return first, next
}

func (l *live) leave(c chan []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.listens, c)
}

func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) {
	first, next := s.live.listen()
	if next == nil {
		writeError(w, http.StatusServiceUnavailable, "%d listen already", subscribers)
		return
	}
	defer s.live.leave(next)
	control := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	send := func(m []byte) bool {
		_ = control.SetWriteDeadline(time.Now().Add(10 * time.Second)) // a test's recorder has none
		_, err := w.Write(m)
		return err == nil && control.Flush() == nil
	}
	if !send([]byte("retry: 2000\n\n" + strings.Join(texts(first), ""))) {
		return
	}
	for {
		select {
		case m := <-next:
			if !send(m) {
				return
			}
		case <-r.Context().Done():
			return
		case <-s.stopping:
			return
		}
	}
}

func texts(messages [][]byte) (all []string) {
	for _, m := range messages {
		all = append(all, string(m))
	}
	return all
}
