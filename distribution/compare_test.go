package distribution

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"cdnlab/internal/journal"
	"cdnlab/topology"
)

func purgeOfKey(key string) journal.Event {
	return journal.Event{Kind: journal.Purge, Site: "www.cdn.test", Scope: journal.ScopeKey, Value: key}
}

func pushOf(path string) journal.Event {
	return journal.Event{Kind: journal.Push, Site: "www.cdn.test", Value: path, Version: `"v1"`, Size: 10}
}

func TestAForgetfulNodeIsMended(t *testing.T) {
	n := newNetwork(t, smallTree)
	root, _ := n.root(RootConfig{}, nil)
	hub := n.run("eu-1", Config{})
	follows(t, hub, "main")
	f, main := hub.Feed("main"), n.plan.Nodes[slices.IndexFunc(n.plan.Nodes, func(n topology.Node) bool { return n.Name == "main" })]
	at, err := root.Append(purgeOfKey("a"), purgeOfKey("b"), pushOf("/x"), pushOf("/y"), purgeOfKey("c"))
	if err != nil {
		t.Fatal(err)
	}
	await(t, "hub that has applied all", func() bool { return f.Applied() == at })
	if mended, _, err := hub.compare(context.Background(), f, main); mended != 0 || err != nil {
		t.Fatalf("a node that has forgotten nothing is mended %d times, %v", mended, err)
	}
	f.memory.note(purgeOfKey("local")) // the parent does not know it
	f.memory.mu.Lock()
	for _, lost := range []journal.Event{purgeOfKey("b"), pushOf("/x")} {
		f.memory.removeLocked(&f.memory.pins, entry(&lost))
		f.memory.removeLocked(&f.memory.purges, entry(&lost))
	}
	f.memory.mu.Unlock()
	before := len(hub.sink.list())
	mended, stats, err := hub.compare(context.Background(), f, main)
	if mended != 2 || err != nil {
		t.Fatalf("%d events are mended, %v, want 2", mended, err)
	}
	if got := hub.sink.list()[before:]; !slices.Equal(got, []string{"/x", "b"}) {
		t.Errorf("done again are %v, want the push of /x and the purge of b", got)
	}
	if stats.Sent+stats.Received > 4<<10 {
		t.Errorf("%d bytes were exchanged for two differences", stats.Sent+stats.Received)
	}
	if mended, _, err := hub.compare(context.Background(), f, main); mended != 0 || err != nil {
		t.Errorf("then %d more are, %v", mended, err)
	}
}

// TestWhatAPurgeHasEndedIsNotPushedAgain has a parent that has not heard of the purge yet.
func TestWhatAPurgeHasEndedIsNotPushedAgain(t *testing.T) {
	f, sink, _ := testFeed()
	_ = f.hello(pos(1, 0), true)
	push, purge := pushOf("/x"), journal.Event{Kind: journal.Purge, Seq: 2, Site: "www.cdn.test", Scope: journal.ScopePrefix, Value: "/"}
	push.Seq = 1
	for _, e := range []journal.Event{push, purge} {
		if err := f.event(e); err != nil {
			t.Fatal(err)
		}
	}
	if before := len(sink.list()); f.again(push) || len(sink.list()) != before {
		t.Error("it is")
	}
}

func TestMemory(t *testing.T) {
	m := newMemory()
	seq := journal.Seq(0)
	note := func(e journal.Event) {
		seq++
		e.Seq = seq
		m.note(e)
	}
	paths := func() (list []string) {
		for _, e := range m.pinned() {
			list = append(list, e.Value)
		}
		return list
	}
	note(pushOf("/a"))
	note(pushOf("/b/1"))
	note(pushOf("/b/2"))
	note(pushOf("/a")) // again: the later one counts
	if got := paths(); !slices.Equal(got, []string{"/b/1", "/b/2", "/a"}) {
		t.Errorf("pinned are %v", got)
	}
	note(purgeOfKey("k"))
	note(journal.Event{Kind: journal.Purge, Site: "other.test", Scope: journal.ScopeAll})
	note(journal.Event{Kind: journal.Purge, Site: "www.cdn.test", Scope: journal.ScopeURL, Value: "/b"})
	if got := paths(); len(got) != 3 {
		t.Errorf("after purges of other things pinned are %v", got)
	}
	note(journal.Event{Kind: journal.Purge, Site: "www.cdn.test", Scope: journal.ScopePrefix, Value: "/b/", Soft: true})
	if got := paths(); !slices.Equal(got, []string{"/a"}) {
		t.Errorf("after a purge of a prefix pinned are %v", got)
	}
	m.note(journal.Event{Kind: journal.Purge, Seq: 1, Scope: journal.ScopeAll})
	if got := paths(); !slices.Equal(got, []string{"/a"}) {
		t.Errorf("an older purge takes a later push: %v", got)
	}
	note(journal.Event{Kind: journal.Purge, Scope: journal.ScopeAll})
	if got := paths(); len(got) != 0 {
		t.Errorf("after a purge of all pinned are %v", got)
	}
	for i := range maxPins + 5 {
		note(pushOf(fmt.Sprint("/", i)))
	}
	for i := range 2 * maxPurges {
		note(purgeOfKey(fmt.Sprint(i % (maxPurges + 5))))
	}
	if n := len(m.pinned()); n != maxPins {
		t.Errorf("%d are pinned, want %d", n, maxPins)
	}
	if n := len(m.purges.byKey); n > maxPurges {
		t.Errorf("%d purges are remembered, want %d at most", n, maxPurges)
	}
	if n := m.tree.Len(); n != len(m.pins.byKey)+len(m.purges.byKey) {
		t.Errorf("the tree has %d entries for %d pins and %d purges", n, len(m.pins.byKey), len(m.purges.byKey))
	}
}

// TestWhatIsRepeatedPushesNothingOut has one object published again and again beside another one.
func TestWhatIsRepeatedPushesNothingOut(t *testing.T) {
	m := newMemory()
	for i := range 3 * maxPins {
		e := pushOf("/often")
		if i == 0 {
			e = pushOf("/once")
		}
		e.Seq = journal.Seq(i + 1)
		m.note(e)
	}
	if n := len(m.pinned()); n != 2 {
		t.Errorf("%d objects are pinned, want both", n)
	}
	if n := len(m.pins.queue); n > 2*maxPins {
		t.Errorf("the queue of two has %d", n)
	}
}

func TestAPushThatIsNotedBehindItsPurgeIsNotRemembered(t *testing.T) {
	m := newMemory()
	push, purge := pushOf("/x"), journal.Event{Kind: journal.Purge, Seq: 2, Site: "www.cdn.test", Scope: journal.ScopeURL, Value: "/x"}
	push.Seq = 1
	m.note(purge)
	if m.note(push); len(m.pinned()) != 0 {
		t.Error("it is")
	}
	push.Seq = 3
	if m.note(push); len(m.pinned()) != 1 {
		t.Error("a later one is not")
	}
}
