package distribution

import (
	"os"
	"path/filepath"
	"testing"

	"cdnlab/internal/journal"
)

func TestARestoredJournalHasAnotherEpoch(t *testing.T) {
	n := newNetwork(t, smallTree)
	dir, backup := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	root, stop := n.root(RootConfig{Dir: dir}, nil)
	hub := n.run("eu-1", Config{})
	follows(t, hub, "main")
	edge := n.run("paris-1", Config{})
	follows(t, edge, "eu-1")
	values := publish(t, root, 0, 3)
	stop()
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	root, stop = n.root(RootConfig{Dir: dir}, nil)
	values = append(values, publish(t, root, 3, 8)...)
	has(t, hub, values)
	has(t, edge, values)
	epoch := root.Position().Epoch
	stop()
	root, _ = n.root(RootConfig{Dir: backup}, nil)
	if root.Position() != (journal.Position{Epoch: epoch, Seq: 3}) {
		t.Fatalf("restored at %v", root.Position())
	}
	values = append(values, "outdated")
	has(t, hub, values)
	has(t, edge, values)
	values = append(values, publish(t, root, 8, 10)...)
	has(t, hub, values)
	has(t, edge, values)
	at := root.Position()
	for _, m := range []*member{hub, edge} { // a node is told of an event before it counts as applied
		await(t, "node at the position of the root", func() bool { return m.Feed("main").Applied() == at })
	}
	if at.Epoch == epoch {
		t.Errorf("root at %v, want another epoch than %x", at, epoch)
	}
}

// TestARestoredJournalThatHasGoneOn has other events take the numbers of those that are lost, before a follower that knows them is back.
func TestARestoredJournalThatHasGoneOn(t *testing.T) {
	n := newNetwork(t, smallTree)
	dir, backup := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	root, stop := n.root(RootConfig{Dir: dir}, nil)
	hub := n.run("eu-1", Config{})
	follows(t, hub, "main")
	edge := n.run("paris-1", Config{})
	follows(t, edge, "eu-1")
	values := publish(t, root, 0, 3)
	has(t, hub, values)
	n.cut("eu-1", "main", true)
	stop()
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	root, stop = n.root(RootConfig{Dir: dir}, nil)
	n.cut("eu-1", "main", false)
	values = append(values, publish(t, root, 3, 8)...)
	has(t, hub, values)
	has(t, edge, values)
	n.cut("eu-1", "main", true)
	n.cut("paris-1", "main", true)
	stop()
	root, _ = n.root(RootConfig{Dir: backup}, nil)
	publish(t, root, 100, 120)
	n.cut("eu-1", "main", false)
	values = append(values, "outdated")
	has(t, hub, values)
	has(t, edge, values)
	values = append(values, publish(t, root, 8, 10)...)
	has(t, hub, values)
	has(t, edge, values)
}

// TestFollowersThatAreAheadBeginOneEpoch has all of them tell the root at once.
func TestFollowersThatAreAheadBeginOneEpoch(t *testing.T) {
	n := newNetwork(t, smallTree)
	root, _ := n.root(RootConfig{}, nil)
	at := root.Position()
	at.Seq += 5
	root.strange(at)
	renewed := root.Position()
	root.strange(at) // looked at the journal before
	if root.Position() != renewed || renewed.Epoch == at.Epoch {
		t.Errorf("from %v to %v and %v, want one new epoch", at, renewed, root.Position())
	}
}
