package merkle

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestDigestsFollowFromTheSetAlone(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	tree, set := new(Tree), map[string]string{}
	for step := range 40_000 {
		k, v := key(rng.IntN(3000)), fmt.Sprint("v", rng.IntN(3))
		if step%10_000 > 6000 || rng.IntN(3) == 0 { // now and then it shrinks
			delete(set, k)
			tree.Delete(k)
		} else {
			set[k] = v
			if err := tree.Set(k, v); err != nil {
				t.Fatal(err)
			}
		}
		if step%2500 == 0 || len(set) == 0 {
			other := treeOf(t, set)
			if tree.Root() != other.Root() || tree.Len() != len(set) {
				t.Fatalf("step %d: root %v of %d keys, want %v of %d", step, tree.Root(), tree.Len(), other.Root(), len(set))
			}
			checkNode(t, &tree.root, span{})
		}
	}
	for k := range set {
		tree.Delete(k)
	}
	if tree.Root() != (Digest{}) || tree.Len() != 0 || tree.root.children != nil {
		t.Errorf("a tree that lost all: root %v of %d keys", tree.Root(), tree.Len())
	}
}

// checkNode holds the sums and counts of a node against its entries.
func checkNode(t *testing.T, n *node, s span) {
	t.Helper()
	var total sum
	all := n.appendTo(nil)
	for _, e := range all {
		total = total.plus(e.sum())
		if !s.holds(position(e.key)) {
			t.Fatalf("%q is in the wrong range", e.key)
		}
	}
	if total != n.sum || len(all) != n.count {
		t.Fatalf("node %+v: sum %v of %d, want %v of %d", s, n.sum, n.count, total, len(all))
	}
	if n.children == nil {
		if n.count > few {
			t.Fatalf("a leaf of %d", n.count)
		}
		return
	}
	for i, child := range n.children {
		if child != nil {
			if child.count == 0 {
				t.Fatalf("%+v is kept and empty", s.child(i))
			}
			checkNode(t, child, s.child(i))
		}
	}
}

func TestEntriesDoNotRunTogether(t *testing.T) {
	a, b := entry{"key", "v1"}, entry{"keyv", "1"}
	if a.sum() == b.sum() {
		t.Errorf("%v and %v have the same sum", a, b)
	}
	long := strings.Repeat("k", 2*scratch)
	if position(long+"1") == position(long+"2") || (entry{long, "1"}).sum() == (entry{long, "2"}).sum() {
		t.Error("what lies beyond the scratch room is not hashed")
	}
}

func TestSetRefuses(t *testing.T) {
	for _, c := range []struct{ name, key, version, want string }{
		{"no version", "k", "", "it must have 1 to 256"},
		{"a long version", "k", strings.Repeat("v", MaxVersion+1), "it must have 1 to 256"},
		{"a long key", strings.Repeat("k", MaxKey+1), "v", "over 8192"},
	} {
		var tree Tree
		if err := tree.Set(c.key, c.version); err == nil || !strings.Contains(err.Error(), c.want) || tree.Len() != 0 {
			t.Errorf("%s: Set = %v, want %q", c.name, err, c.want)
		}
	}
}

func TestAKeyTakesLittleRoom(t *testing.T) {
	const n = 65_536 // sixteen to a leaf
	tree := treeOf(t, setOf(0, n, "v1"))
	room := 0
	var walk func(n *node)
	walk = func(n *node) {
		room += cap(n.entries)
		if n.children != nil {
			for _, child := range n.children {
				if child != nil {
					walk(child)
				}
			}
		}
	}
	if walk(&tree.root); room > n*5/4 {
		t.Errorf("%d keys take the room of %d", n, room)
	}
}

func TestAChangedVersionAllocatesNothing(t *testing.T) {
	tree := treeOf(t, setOf(0, 10_000, "v1"))
	versions := [2]string{"v2", "v1"}
	k, i := key(77), 0
	if allocs := testing.AllocsPerRun(100, func() {
		i++
		if err := tree.Set(k, versions[i%2]); err != nil {
			t.Fatal(err)
		}
	}); allocs != 0 {
		t.Errorf("Set of a known key allocates %v times", allocs)
	}
}
