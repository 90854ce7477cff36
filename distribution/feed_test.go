package distribution

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cdnlab/internal/journal"
)

func pos(epoch, seq uint64) journal.Position {
	return journal.Position{Epoch: journal.Epoch(epoch), Seq: journal.Seq(seq)}
}

// testFeed is a feed with a clock and a sink.
func testFeed() (*Feed, *notes, *clock) {
	c, sink := newClock(), &notes{}
	f := newFeed("main", "paris-1", c.Now)
	f.sink = sink
	return f, sink, c
}

func TestEventsAreAppliedInOrderOnce(t *testing.T) {
	f, sink, _ := testFeed()
	_ = f.hello(pos(1, 3), true)
	for _, step := range []struct {
		seq journal.Seq
		gap bool
		at  journal.Seq
	}{{4, false, 4}, {4, false, 4}, {2, false, 4}, {5, false, 5}, {7, true, 5}, {6, false, 6}, {7, false, 7}} {
		if err := f.event(purgeOf(step.seq)); errors.Is(err, errGap) != step.gap {
			t.Errorf("event %d: %v, want a gap: %v", step.seq, err, step.gap)
		}
		if got := f.Applied(); got != pos(1, uint64(step.at)) || f.Claimed() != got {
			t.Errorf("after event %d: applied %v, claimed %v, want 1-%d", step.seq, got, f.Claimed(), step.at)
		}
	}
	if got := strings.Join(sink.list(), " "); got != "/4 /5 /6 /7" {
		t.Errorf("applied: %s, want /4 /5 /6 /7", got)
	}
	events, err := f.events().Read(3, 10)
	if err != nil || len(events) != 4 || events[3].Seq != 7 {
		t.Errorf("for those who follow: %v, %v, want 4 to 7", events, err)
	}
}

func TestAnEventIsClaimedBeforeItIsApplied(t *testing.T) {
	f, sink, _ := testFeed()
	_ = f.hello(pos(1, 0), true)
	var claimed, applied journal.Position
	sink.before = func() { claimed, applied = f.Claimed(), f.Applied() }
	if err := f.event(purgeOf(1)); err != nil {
		t.Fatal(err)
	}
	if claimed != pos(1, 1) || applied != pos(1, 0) {
		t.Errorf("while it is applied: claimed %v, applied %v, want 1-1 and 1-0", claimed, applied)
	}
}

func TestHello(t *testing.T) {
	for _, tt := range []struct {
		name     string
		own      journal.Position // zero for none
		at       journal.Position
		outdated int
		want     journal.Position
	}{
		{"a node with nothing", pos(0, 0), pos(1, 5), 0, pos(1, 5)},
		{"from where it is", pos(1, 5), pos(1, 5), 0, pos(1, 5)},
		{"from before where it is, as it has moved since it asked", pos(1, 7), pos(1, 5), 0, pos(1, 7)},
		{"behind a gap", pos(1, 5), pos(1, 7), 1, pos(1, 7)},
		{"of another epoch", pos(1, 5), pos(2, 5), 1, pos(2, 5)},
		{"of another epoch, from a lower number", pos(1, 5), pos(2, 3), 1, pos(2, 3)},
	} {
		f, sink, c := testFeed()
		if tt.own.Epoch != 0 {
			_ = f.hello(tt.own, true)
		}
		c.pass(time.Second)
		_ = f.hello(tt.at, true)
		if sink.outdated != tt.outdated || f.Applied() != tt.want || f.Claimed() != tt.want || f.events().Position() != tt.want {
			t.Errorf("%s: at %v, claimed %v, log at %v, outdated %d times, want %v and %d", tt.name, f.Applied(), f.Claimed(), f.events().Position(), sink.outdated, tt.want, tt.outdated)
		}
		if err := f.event(purgeOf(tt.want.Seq + 1)); err != nil {
			t.Errorf("%s: the next event: %v", tt.name, err)
		}
	}
}

func TestAnotherEpochHasToBeAskedFor(t *testing.T) {
	f, sink, _ := testFeed()
	f.Admit(pos(0, 0), pos(2, 5), true) // behind the request for a stream
	if err := f.hello(pos(1, 57), false); !errors.Is(err, errOtherEpoch) || f.Applied() != pos(2, 5) || sink.outdated != 0 {
		t.Errorf("hello of an older epoch: %v, at %v, outdated %d times, want it refused", err, f.Applied(), sink.outdated)
	}
	if err := f.hello(pos(2, 7), false); err != nil || f.Applied() != pos(2, 7) || sink.outdated != 1 {
		t.Errorf("hello behind a gap: %v, at %v, outdated %d times", err, f.Applied(), sink.outdated)
	}
}

// TestANewBeginningIsClaimedFirst holds that a response of before is not stored as one of after.
func TestANewBeginningIsClaimedFirst(t *testing.T) {
	f, sink, _ := testFeed()
	_ = f.hello(pos(1, 5), true)
	var claimed, applied journal.Position
	f.sink = outdating{sink, func() { claimed, applied = f.Claimed(), f.Applied() }}
	_ = f.hello(pos(2, 3), true)
	if claimed != pos(2, 3) || applied != pos(1, 5) {
		t.Errorf("while all is made stale: claimed %v, applied %v, want 2-3 and 1-5", claimed, applied)
	}
}

// outdating calls back when all is made stale.
type outdating struct {
	Sink
	during func()
}

func (o outdating) Outdated(origin string) {
	o.during()
	o.Sink.Outdated(origin)
}

func TestAdmit(t *testing.T) {
	at5 := func(f *Feed) { _ = f.hello(pos(1, 5), true) }
	for _, tt := range []struct {
		name          string
		before        func(*Feed)
		claimed, from journal.Position
		want          bool
	}{
		{"a parent as far as the claim", at5, pos(1, 5), pos(1, 5), true},
		{"one that is further", at5, pos(1, 5), pos(1, 9), true},
		{"one that is behind", at5, pos(1, 5), pos(1, 4), false},
		{"one of another epoch", at5, pos(1, 5), pos(2, 9), false},
		{"one that does not say", at5, pos(1, 5), pos(0, 0), false},
		{"no claim, and nothing followed yet", nil, pos(0, 0), pos(1, 2), true},
		{"no claim, and a parent that does not say", nil, pos(0, 0), pos(0, 0), true},
		{"no claim, a position meanwhile, and a parent behind it", at5, pos(0, 0), pos(1, 4), false},
		{"no claim, a position meanwhile, and a parent as far", at5, pos(0, 0), pos(1, 5), true},
		{"no claim, a position meanwhile, and a parent that does not say", at5, pos(0, 0), pos(0, 0), false},
	} {
		f, _, _ := testFeed()
		if tt.before != nil {
			tt.before(f)
		}
		if got := f.Admit(tt.claimed, tt.from, true); got != tt.want {
			t.Errorf("%s: Admit(%v, %v) = %v, want %v", tt.name, tt.claimed, tt.from, got, tt.want)
		}
	}
}

func TestAnEmptyNodeTakesThePositionOfItsFirstResponse(t *testing.T) {
	f, sink, c := testFeed()
	if f.Doubtful(c.Now(), time.Second) {
		t.Error("a node that has nothing is in doubt")
	}
	f.Admit(pos(0, 0), pos(1, 5), true)
	if f.Applied() != pos(1, 5) || f.Claimed() != pos(1, 5) || f.Base() != pos(1, 5) {
		t.Errorf("at %v, claimed %v, base %v, want 1-5", f.Applied(), f.Claimed(), f.Base())
	}
	if c.pass(11 * time.Second); !f.Doubtful(c.Now(), 10*time.Second) {
		t.Error("without any word it trusts what it has stored for ever")
	}
	_ = f.hello(pos(1, 5), true)
	_ = f.event(purgeOf(6))
	if got := sink.list(); len(got) != 1 || f.Base() != pos(1, 5) {
		t.Errorf("following from there: %v, base %v, want /6 and 1-5", got, f.Base())
	}
}

// TestAParentOutsideOfTheTreeIsNoReasonForDoubt has an edge before an origin that is none of this program's.
func TestAParentOutsideOfTheTreeIsNoReasonForDoubt(t *testing.T) {
	f, sink, c := testFeed()
	if !f.Admit(pos(0, 0), pos(0, 0), false) {
		t.Fatal("nothing is stored")
	}
	if c.pass(time.Hour); f.Doubtful(c.Now(), 10*time.Second) {
		t.Error("it doubts what it has stored, though there is no tree to hear from")
	}
	if _ = f.hello(pos(1, 5), true); sink.outdated != 1 {
		t.Error("when it hears of one it trusts what was stored before")
	}
}

func TestWhatIsStoredWithoutAPositionIsMadeStale(t *testing.T) {
	f, sink, c := testFeed()
	if !f.Admit(pos(0, 0), pos(0, 0), true) {
		t.Fatal("nothing is stored")
	}
	if f.Admit(pos(0, 0), pos(1, 5), true); f.Applied() != pos(0, 0) {
		t.Errorf("the second response makes it be at %v, though the first is of nobody knows when", f.Applied())
	}
	if c.pass(11 * time.Second); !f.Doubtful(c.Now(), 10*time.Second) {
		t.Error("without any word it trusts what it has stored for ever")
	}
	_ = f.hello(pos(1, 5), true)
	if sink.outdated != 1 || f.Applied() != pos(1, 5) {
		t.Errorf("outdated %d times, at %v, want once and 1-5", sink.outdated, f.Applied())
	}
	// A request of before that has an answer of before must not say that it has seen everything up to here.
	if got := f.Base(); got.Epoch != 0 {
		t.Errorf("base %v, want none", got)
	}
	if f.Admit(pos(0, 0), pos(1, 4), true) {
		t.Error("a response to a request of before is stored, from a parent that is behind")
	}
}

func TestDoubt(t *testing.T) {
	f, _, c := testFeed()
	const patience = 10 * time.Second
	doubt := func() bool { return f.Doubtful(c.Now(), patience) }
	_ = f.hello(pos(1, 5), true)
	beat5 := beat{c.Now().UnixNano(), 5}
	if c.pass(8 * time.Second); doubt() {
		t.Error("in doubt before its patience has ended")
	}
	f.beat(beat5)
	if c.pass(8 * time.Second); doubt() || f.ready() {
		t.Errorf("8 s after a beat: in doubt %v, ready to be followed %v, want neither", doubt(), f.ready())
	}
	f.beat(beat5)
	if c.pass(3 * time.Second); !doubt() {
		t.Error("a beat that was there before ends the doubt: a parent that is cut off repeats it")
	}
	f.beat(beat{beat5.Time + 1, 6})
	if !doubt() {
		t.Error("a beat ends the doubt though an event before it is missing")
	}
	_ = f.event(purgeOf(6))
	f.beat(beat{beat5.Time + 1, 6})
	if doubt() || !f.ready() {
		t.Errorf("after the event and a beat: in doubt %v, ready %v", doubt(), f.ready())
	}
	if got := f.lastBeat(); got != (beat{beat5.Time + 1, 6}) {
		t.Errorf("it passes on %v", got)
	}
}

func TestAPositionFromBefore(t *testing.T) {
	for _, tt := range []struct {
		name     string
		mark     journal.Position // zero for a new file
		stored   bool
		hello    journal.Position
		doubt    bool // before the parent has said anything
		outdated int
	}{
		{"a first start", pos(0, 0), false, pos(1, 5), false, 0},
		{"a position, and the parent goes on from there", pos(1, 5), true, pos(1, 5), true, 0},
		{"a position that the parent does not have any more", pos(1, 5), true, pos(1, 9), true, 1},
		{"something stored, and no position", pos(0, 0), true, pos(1, 5), true, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, sink, c := testFeed()
			mark, err := journal.OpenMark(filepath.Join(t.TempDir(), "main"))
			if err != nil {
				t.Fatal(err)
			}
			defer mark.Close()
			if tt.mark.Epoch != 0 {
				if err := mark.Store(tt.mark); err != nil {
					t.Fatal(err)
				}
			}
			f.mark = mark
			f.resume(tt.stored)
			doubt := func() bool { return f.Doubtful(c.Now(), time.Hour) }
			if doubt() != tt.doubt || f.Applied() != tt.mark {
				t.Errorf("it begins in doubt %v at %v, want %v at %v", doubt(), f.Applied(), tt.doubt, tt.mark)
			}
			_ = f.hello(tt.hello, true)
			if doubt() != tt.doubt || sink.outdated != tt.outdated || f.Applied() != tt.hello {
				t.Errorf("with a parent: in doubt %v, outdated %d times, at %v, want %v, %d and %v", doubt(), sink.outdated, f.Applied(), tt.doubt, tt.outdated, tt.hello)
			}
			f.beat(beat{c.Now().UnixNano(), tt.hello.Seq})
			if doubt() {
				t.Error("in doubt though it has caught up")
			}
			if err := f.settle("eu-1", 1); err != nil || mark.Load() != tt.hello {
				t.Errorf("settle = %v, kept is %v, want %v", err, mark.Load(), tt.hello)
			}
		})
	}
}

func TestSettleTellsWhatIsNew(t *testing.T) {
	f, _, c := testFeed()
	_ = f.hello(pos(1, 5), true)
	told := func() (r report, n int) {
		t.Helper()
		list, version := f.reports.since(0)
		if len(list) != 1 {
			t.Fatalf("%d reports, want one", len(list))
		}
		return list[0], int(version)
	}
	_ = f.settle("eu-1", 1)
	first, n := told()
	if first.At != pos(1, 5) || first.Via != "eu-1" || first.Gone {
		t.Errorf("told %+v", first)
	}
	_ = f.settle("eu-1", 1)
	if again, m := told(); m != n || again != first {
		t.Errorf("with nothing new: told %+v", again)
	}
	_ = f.event(purgeOf(6))
	f.beat(beat{c.Now().UnixNano(), 6})
	_ = f.settle("eu-1", 1)
	second, _ := told()
	if second.At != pos(1, 6) || second.Beat != c.Now().UnixNano() || second.Turn <= first.Turn {
		t.Errorf("told %+v after %+v", second, first)
	}
	f.left()
	if gone, _ := told(); !gone.Gone || gone.Turn != second.Turn {
		t.Errorf("following nobody: told %+v", gone)
	}
	_ = f.settle("eu-2", 2)
	if back, _ := told(); back.Gone || back.Via != "eu-2" || back.Turn <= second.Turn {
		t.Errorf("following another: told %+v", back)
	}
}

func TestAPositionThatCannotBeKeptIsToldAllTheSame(t *testing.T) {
	f, _, _ := testFeed()
	mark, err := journal.OpenMark(filepath.Join(t.TempDir(), "main"))
	if err != nil {
		t.Fatal(err)
	}
	f.mark = mark
	_ = mark.Close() // no write succeeds from here on
	_ = f.hello(pos(1, 5), true)
	if err := f.settle("eu-1", 1); err == nil {
		t.Error("settle says nothing of it")
	}
	if r, ok := f.reports.get("paris-1"); !ok || r.At != pos(1, 5) {
		t.Errorf("told %+v", r)
	}
}

func TestFramesOfAParent(t *testing.T) {
	e := purgeOf(1)
	for _, tt := range []struct {
		name    string
		kind    byte
		payload []byte
		ok      bool
	}{
		{"a hello", kindHello, appendHello(nil, pos(1, 0))[frameHead:], true},
		{"a hello without an epoch", kindHello, appendHello(nil, pos(0, 3))[frameHead:], false},
		{"a hello that is cut off", kindHello, make([]byte, 15), false},
		{"an event", kindEvent, e.Append(nil), true},
		{"an event with something behind it", kindEvent, append(e.Append(nil), 0), false},
		{"no event", kindEvent, []byte("x"), false},
		{"a beat", kindBeat, appendBeat(nil, beat{1, 0})[frameHead:], true},
		{"no beat", kindBeat, nil, false},
		{"a report", kindReport, nil, false},
	} {
		f, _, _ := testFeed()
		_ = f.hello(pos(1, 0), true)
		if err := f.take(tt.kind, tt.payload, true); (err == nil) != tt.ok {
			t.Errorf("%s: %v, want taken: %v", tt.name, err, tt.ok)
		}
	}
}

func ExampleFeed() {
	f := newFeed("main", "paris-1", time.Now)
	f.sink = &notes{}
	_ = f.hello(pos(1, 41), true)
	claimed := f.Claimed()                          // before a request to the parent
	_ = f.event(purgeOf(42))                        // a purge comes meanwhile
	fmt.Println(f.Admit(claimed, pos(1, 41), true)) // the ticket of the fetch tells whether it was about this one
	fmt.Println(f.Admit(f.Claimed(), pos(1, 41), true))
	// Output:
	// true
	// false
}
