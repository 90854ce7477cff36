package distribution

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"cdnlab/internal/journal"
)

// Sink is what a node does about the events of a journal. Its methods are called concurrently; events that follow each other are not.
type Sink interface {
	Puller
	// Apply does what an event says. When it returns, nothing that the event purged is served to a request that comes from then on, nor
	// stored by one that came before. Doing it again changes nothing.
	Apply(journal.Event)
	// Outdated makes everything stale that is stored of the sites of an origin: it is validated before it is served.
	Outdated(origin string)
}

// Feed is how far a node has followed the journal of one origin. Its exported methods may be called concurrently.
type Feed struct {
	origin string
	node   string
	sink   Sink          // set before the first event
	demand *demand       // what is asked for here; nil where nothing is pushed for it
	pushes *pusher       // nil for a node that is pushed nothing
	mark   *journal.Mark // nil for a node that keeps nothing
	now    func() time.Time

	claimed, applied atomic.Pointer[journal.Position]
	heard            atomic.Int64 // when a new beat came; trusting or doubting

	log     recent
	reports *reports
	memory  *memory
	moved   signal // the log or the beat has changed

	early []journal.Event // pins that came before the hello; nil where they were not asked for. The follower's alone

	mu        sync.Mutex // guards the fields below, and is held while the first position is set
	last      beat
	base      journal.Position // that everything has seen which is admitted
	born      bool             // base is the first position, before which nothing was stored
	unproven  bool             // something is stored though there is no position: from before, or from a parent that did not say its own
	turn      uint64           // of the last report
	via       string           // parent that is followed
	stream    uint64           // the connection to it
	pinsKnown bool             // what was pushed before is known
}

// What heard is before there was a beat.
const (
	trusting = math.MaxInt64 // nothing is stored that could have been purged meanwhile
	doubting = 0             // what is stored is of before
)

var errGap = errors.New("distribution: an event is missing")

func newFeed(origin, node string, now func() time.Time) *Feed {
	f := &Feed{origin: origin, node: node, now: now, reports: newReports(), memory: newMemory(), turn: uint64(now().UnixNano())} // beyond those before a restart
	f.heard.Store(trusting)
	f.claimed.Store(&journal.Position{})
	f.applied.Store(&journal.Position{})
	return f
}

// resume takes up the position of before. What is stored is doubted until it has caught up, and if there is something without a
// position until a parent gives one.
func (f *Feed) resume(stored bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var at journal.Position
	if f.mark != nil {
		at = f.mark.Load()
	}
	f.unproven = at.Epoch == 0 && stored
	if at.Epoch != 0 {
		f.beginLocked(at)
	}
	if at.Epoch != 0 || stored {
		f.heard.Store(doubting)
	}
}

// Claimed returns the position that what is stored from now on must have seen: how far events have been, or are being applied. The zero
// Position stands for a node that has followed no journal yet.
func (f *Feed) Claimed() journal.Position { return *f.claimed.Load() }

// Applied returns the position that whatever is served from now on has seen.
func (f *Feed) Applied() journal.Position { return *f.applied.Load() }

// Doubtful reports whether no word has come along the tree for longer than patience, or none since the node was started with a
// stored position: what is stored may have been purged.
func (f *Feed) Doubtful(now time.Time, patience time.Duration) bool {
	heard := f.heard.Load()
	return heard != trusting && now.UnixNano()-heard > int64(patience)
}

// Base returns the position that everything which was ever stored has seen, the zero Position when there is none.
func (f *Feed) Base() journal.Position {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.born {
		return journal.Position{}
	}
	return f.base
}

// Admit reports whether a response may be stored that a parent with the position from has sent, and for which this node had claimed the
// other position when it asked; from is zero for a parent that has none, and said is false for one that is in no tree. A node that has no
// position yet, and so nothing stored, takes that of the first response, unless that has none.
func (f *Feed) Admit(claimed, from journal.Position, said bool) bool {
	if claimed.Epoch == 0 {
		f.mu.Lock()
		defer f.mu.Unlock()
		switch {
		case f.base.Epoch != 0:
			claimed = f.base
		case from.Epoch == 0 || f.unproven:
			f.unproven = true
			if said { // there is a tree, of which this node has yet to hear
				f.heard.CompareAndSwap(trusting, f.now().UnixNano())
			}
			return true
		default:
			f.beginLocked(from)
			return true
		}
	}
	return from.Epoch == claimed.Epoch && from.Seq >= claimed.Seq
}

// beginLocked sets the first position of a feed: all that is stored has seen it. From now on silence is a reason to doubt.
func (f *Feed) beginLocked(at journal.Position) {
	f.base, f.born = at, true
	f.log.reset(at)
	f.claimed.Store(&at)
	f.applied.Store(&at)
	f.heard.Store(f.now().UnixNano())
}

// asksPins reports whether the node has yet to be told what was pushed before.
func (f *Feed) asksPins() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.pinsKnown
}

// greet makes ready for a stream; pins says that what was pushed before was asked for.
func (f *Feed) greet(pins bool) {
	f.early = nil
	if pins {
		f.early = []journal.Event{}
	}
}

// pin takes what was pushed before.
func (f *Feed) pin(list []journal.Event) {
	f.memory.begin(list)
	f.mu.Lock()
	f.pinsKnown = true
	f.mu.Unlock()
	if f.pushes != nil {
		for _, e := range list {
			f.pushes.add(e)
		}
	}
}

// hello begins a stream: events from the one behind at on are to come. Where that leaves a gap behind the feed's own position it is a
// new beginning. A parent that begins earlier leaves none: what has been applied is passed over. Another epoch has to be asked for:
// anew says so. A node that had no position when it asked may have got one meanwhile, of a later epoch than a parent that is cut off has.
func (f *Feed) hello(at journal.Position, anew bool) error {
	f.mu.Lock()
	own := *f.applied.Load()
	if own.Epoch != 0 && own.Epoch != at.Epoch && !anew {
		f.mu.Unlock()
		return errOtherEpoch
	}
	if f.early != nil {
		f.mu.Unlock()
		f.pin(f.early)
		f.mu.Lock()
		own = *f.applied.Load()
	}
	empty := own.Epoch == 0 && !f.unproven
	if empty {
		f.beginLocked(at)
	}
	if empty || own.Epoch == at.Epoch && own.Seq >= at.Seq {
		f.mu.Unlock()
		f.moved.fire()
		return nil
	}
	if own.Epoch != at.Epoch {
		f.last = beat{} // the journal's clock may be another one
	}
	f.base, f.born, f.unproven = at, false, false // base before claimed, by which a response without a claim is judged
	f.claimed.Store(&at)
	f.mu.Unlock()
	f.sink.Outdated(f.origin)
	f.log.reset(at)
	f.applied.Store(&at)
	f.heard.CompareAndSwap(trusting, f.now().UnixNano())
	f.moved.fire()
	return nil
}

// event applies the next event. One that was applied before changes nothing.
func (f *Feed) event(e journal.Event) error {
	own := f.Applied()
	switch {
	case e.Seq <= own.Seq:
		return nil
	case e.Seq != own.Seq+1:
		return fmt.Errorf("%w: %d follows %d", errGap, e.Seq, own.Seq)
	}
	next := &journal.Position{Epoch: own.Epoch, Seq: e.Seq}
	f.claimed.Store(next)
	f.sink.Apply(e)
	f.log.add(e)
	f.memory.note(e)
	if e.Kind == journal.Push && f.pushes != nil {
		f.pushes.add(e)
	}
	f.applied.Store(next)
	f.moved.fire()
	return nil
}

// beat takes a sign of life. It counts when it is a new one, and all events before it have been applied.
func (f *Feed) beat(b beat) {
	if b.Seq > f.Applied().Seq {
		return
	}
	f.mu.Lock()
	fresh := b.Time > f.last.Time
	if fresh {
		f.last = b
	}
	f.mu.Unlock()
	if fresh {
		f.heard.Store(f.now().UnixNano())
		f.moved.fire()
	}
}

// take does what a frame of the parent says; anew is for a hello.
func (f *Feed) take(kind byte, payload []byte, anew bool) error {
	switch kind {
	case kindHello:
		epoch, seq, err := parsePair(payload)
		if err != nil || epoch == 0 {
			return errFrame
		}
		return f.hello(journal.Position{Epoch: journal.Epoch(epoch), Seq: journal.Seq(seq)}, anew)
	case kindPin:
		e, err := decodeEvent(payload)
		if err != nil || f.early == nil {
			return errFrame
		}
		f.early = append(f.early, e)
	case kindEvent:
		e, err := decodeEvent(payload)
		if err != nil {
			return err
		}
		return f.event(e)
	case kindBeat:
		at, seq, err := parsePair(payload)
		if err != nil {
			return err
		}
		f.beat(beat{int64(at), journal.Seq(seq)})
	default:
		return errFrame
	}
	return nil
}

// settle makes the position durable and tells it to those above. One that cannot be kept is told all the same: after a restart the
// node goes on from an earlier one, and applying events again changes nothing.
func (f *Feed) settle(via string, stream uint64) (err error) {
	at := f.Applied()
	if f.mark != nil && f.mark.Load() != at {
		err = f.mark.Store(at)
	}
	f.mu.Lock()
	f.via, f.stream = via, stream
	f.mu.Unlock()
	f.report()
	return err
}

// report tells those above how far this node is, unless it follows nobody.
func (f *Feed) report() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.via == "" {
		return
	}
	r := report{Node: f.node, Via: f.via, Turn: f.turn, At: *f.applied.Load(), Beat: f.last.Time}
	if f.pushes != nil { // after the position: what that stands for is queued
		r.Pending, r.Open, r.Received = f.pushes.pending()
	}
	if old, ok := f.reports.get(f.node); ok && old.report == r {
		return
	}
	f.turn++
	r.Turn = f.turn
	f.reports.set(r, f.stream, f.now())
}

// decodeEvent reads a frame that is an event.
func decodeEvent(payload []byte) (journal.Event, error) {
	e, n, err := journal.Decode(payload)
	if err != nil || n != len(payload) {
		return e, errFrame
	}
	return e, nil
}

// left notes that the node follows nobody at the moment.
func (f *Feed) left() {
	f.mu.Lock()
	f.via = ""
	f.mu.Unlock()
	if old, ok := f.reports.get(f.node); ok && !old.Gone {
		f.reports.end(old.stream, f.now())
	}
}

func (f *Feed) lastBeat() beat {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

// The feed as a source for those who follow this node.

func (f *Feed) events() eventLog   { return &f.log }
func (f *Feed) change() *signal    { return &f.moved }
func (f *Feed) table() *reports    { return f.reports }
func (f *Feed) remembers() *memory { return f.memory }
func (f *Feed) wants() *demand     { return f.demand }

// strange implements source. One that is ahead may have followed another parent meanwhile: this one catches up. What else there is to
// it the root finds out.
func (f *Feed) strange(journal.Position) {}

// ready reports whether the node knows enough of the journal to be followed.
func (f *Feed) ready() bool { return !f.deaf(f.now()) }

// deaf reports whether nothing new of the journal has come for a while.
func (f *Feed) deaf(now time.Time) bool {
	return f.Applied().Epoch == 0 || f.Doubtful(now, silence)
}
