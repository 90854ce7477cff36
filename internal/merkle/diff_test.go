package merkle

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
)

func key(i int) string { return fmt.Sprintf("www.cdn.test /assets/%08d.js", i) }

func treeOf(t testing.TB, set map[string]string) *Tree {
	t.Helper()
	tree := new(Tree)
	for _, k := range slices.Sorted(maps.Keys(set)) {
		if err := tree.Set(k, set[k]); err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

func setOf(from, to int, version string) map[string]string {
	set := map[string]string{}
	for i := from; i < to; i++ {
		set[key(i)] = version
	}
	return set
}

// asker answers from a tree as another node would.
func asker(t testing.TB, remote *Tree) func([]byte) ([]byte, error) {
	return func(request []byte) ([]byte, error) {
		answer, err := remote.Answer(nil, request)
		if len(request) > MaxRequest || len(answer) > MaxAnswer {
			t.Errorf("a request of %d bytes and an answer of %d, want at most %d and %d", len(request), len(answer), MaxRequest, MaxAnswer)
		}
		return answer, err
	}
}

// differences compares two sets the plain way.
func differences(local, remote map[string]string) (all []Difference) {
	keys := maps.Clone(local)
	maps.Copy(keys, remote)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if local[k] != remote[k] {
			all = append(all, Difference{k, local[k], remote[k]})
		}
	}
	return all
}

func TestDiffNamesWhatDiffers(t *testing.T) {
	for _, c := range []struct {
		name          string
		local, remote func(n int) map[string]string
	}{
		{"equal", func(n int) map[string]string { return setOf(0, n, "v1") }, func(n int) map[string]string { return setOf(0, n, "v1") }},
		{"local empty", func(n int) map[string]string { return setOf(0, 0, "") }, func(n int) map[string]string { return setOf(0, n, "v1") }},
		{"remote empty", func(n int) map[string]string { return setOf(0, n, "v1") }, func(n int) map[string]string { return setOf(0, 0, "") }},
		{"local superset", func(n int) map[string]string { return setOf(0, n, "v1") }, func(n int) map[string]string { return setOf(n/9, n, "v1") }},
		{"remote superset", func(n int) map[string]string { return setOf(n/2, n, "v1") }, func(n int) map[string]string { return setOf(0, n, "v1") }},
		{"other versions", func(n int) map[string]string { return setOf(0, n, "v1") }, func(n int) map[string]string { return setOf(0, n, "v2") }},
		{"other keys", func(n int) map[string]string { return setOf(0, n, "v1") }, func(n int) map[string]string { return setOf(n, 2*n, "v1") }},
		{"one key against many", func(n int) map[string]string { return setOf(0, 1, "v1") }, func(n int) map[string]string { return setOf(0, n, "v1") }},
		{"many keys against one", func(n int) map[string]string { return setOf(0, n, "v1") }, func(n int) map[string]string { return setOf(0, 1, "v1") }},
	} {
		for _, n := range []int{0, 1, few, few + 1, 500, 20_000} {
			t.Run(fmt.Sprintf("%s/%d", c.name, n), func(t *testing.T) {
				local, remote := c.local(n), c.remote(n)
				found, stats, err := Diff(treeOf(t, local), asker(t, treeOf(t, remote)), 1<<20)
				if want := differences(local, remote); err != nil || !slices.Equal(found, want) || stats.More {
					t.Fatalf("Diff = %d differences, more %v, %v, want %d", len(found), stats.More, err, len(want))
				}
				// What must travel is what the remote holds in ranges that differ. A range of more than few has two keys to
				// each part at least, and each part costs a question and a digest.
				bound := 1000
				for k, v := range remote {
					bound += len(k) + len(v) + 2 + (20+16+2)/2
				}
				if total := stats.Sent + stats.Received; total > bound {
					t.Errorf("%d bytes travelled, want at most %d", total, bound)
				}
			})
		}
	}
}

func TestEqualTreesExchangeOneDigest(t *testing.T) {
	for _, n := range []int{0, 1, 10_000} {
		set := setOf(0, n, "v1")
		_, stats, err := Diff(treeOf(t, set), asker(t, treeOf(t, set)), 10)
		if want := (Stats{RoundTrips: 1, Sent: 2 + 16, Received: 2}); err != nil || stats != want {
			t.Errorf("%d keys: %+v, %v, want %+v", n, stats, err, want)
		}
	}
}

// change makes n differences of the three kinds and returns them.
func change(t testing.TB, tree *Tree, rng *rand.Rand, keys, n int) map[string]Difference {
	t.Helper()
	changed := map[string]Difference{}
	for len(changed) < n {
		k := key(rng.IntN(keys))
		if _, twice := changed[k]; twice {
			continue
		}
		switch len(changed) % 3 {
		case 0:
			changed[k] = Difference{k, "v2", "v1"}
		case 1:
			changed[k] = Difference{k, "", "v1"}
			tree.Delete(k)
			continue
		case 2:
			k += ".map"
			changed[k] = Difference{k, "v2", ""}
		}
		if err := tree.Set(k, "v2"); err != nil {
			t.Fatal(err)
		}
	}
	return changed
}

// TestTenDifferencesInAMillion is an acceptance criterion of the distribution tree.
func TestTenDifferencesInAMillion(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 50_000
	}
	var local, remote Tree
	for i := range n {
		if err := errors.Join(local.Set(key(i), "v1"), remote.Set(key(i), "v1")); err != nil {
			t.Fatal(err)
		}
	}
	changed := change(t, &local, rand.New(rand.NewPCG(1, 1)), n, 10)
	found, stats, err := Diff(&local, asker(t, &remote), 10_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range found {
		if d != changed[d.Key] {
			t.Errorf("found %+v, want %+v", d, changed[d.Key])
		}
	}
	if total := stats.Sent + stats.Received; len(found) != len(changed) || total > 20_000 || stats.RoundTrips > 6 {
		t.Errorf("%d differences with %d bytes in %d round trips, want %d with at most 20,000 (200,000 is the bar) in 6", len(found), total, stats.RoundTrips, len(changed))
	}
	t.Logf("%+v", stats)
}

func TestLargeEntriesStayWithinTheBounds(t *testing.T) {
	local, remote := new(Tree), new(Tree)
	for i := range 100 {
		k := strings.Repeat(fmt.Sprint(i%10), MaxKey-3) + fmt.Sprintf("%03d", i)
		if err := remote.Set(k, strings.Repeat("v", MaxVersion)); err != nil {
			t.Fatal(err)
		}
	}
	found, stats, err := Diff(local, asker(t, remote), 1000)
	if err != nil || len(found) != 100 {
		t.Fatalf("Diff = %d differences, %v, want 100", len(found), err)
	}
	if stats.RoundTrips < 5 {
		t.Errorf("%d bytes in %d round trips: answers are not cut", stats.Received, stats.RoundTrips)
	}
}

func TestDiffStopsAtItsLimit(t *testing.T) {
	remote := treeOf(t, setOf(0, 20_000, "v1"))
	local := new(Tree)
	rounds := 0
	for more := true; more; rounds++ {
		found, stats, err := Diff(local, asker(t, remote), 3000)
		if err != nil || len(found) > 3000 || stats.More && len(found) < 3000 {
			t.Fatalf("Diff = %d differences, more %v, %v", len(found), stats.More, err)
		}
		if total := stats.Sent + stats.Received; total > 2_000_000/5 {
			t.Fatalf("%d bytes travelled for %d differences", total, len(found))
		}
		for _, d := range found {
			if err := local.Set(d.Key, d.Remote); err != nil {
				t.Fatal(err)
			}
		}
		more = stats.More
	}
	if local.Root() != remote.Root() || rounds != 7 {
		t.Errorf("after %d rounds the local tree has %d keys, want 20,000 after 7", rounds, local.Len())
	}
	found, stats, err := Diff(remote, asker(t, new(Tree)), 5)
	if err != nil || len(found) != 5 || !stats.More {
		t.Errorf("Diff of what only the local side has = %d differences, more %v, %v, want 5 and more", len(found), stats.More, err)
	}
	found, stats, err = Diff(new(Tree), asker(t, remote), 5)
	if total := stats.Sent + stats.Received; err != nil || len(found) != 5 || total > 5000 {
		t.Errorf("Diff = %d differences with %d bytes, %v, want 5 with at most 5000", len(found), total, err)
	}
}

// keysAt makes n keys whose positions begin with the nibble.
func keysAt(n, first int) (all []string) {
	for i := 0; len(all) < n; i++ {
		if k := key(i); nibble(position(k), 0) == first {
			all = append(all, k)
		}
	}
	return all
}

func TestOneRoundTripIsEnough(t *testing.T) {
	with := func(keys ...[]string) *Tree {
		tree := new(Tree)
		for _, k := range slices.Concat(keys...) {
			if err := tree.Set(k, "v1"); err != nil {
				t.Fatal(err)
			}
		}
		return tree
	}
	shrunk := with(keysAt(few+1, 3))
	shrunk.Delete(keysAt(few+1, 3)[0])
	for _, c := range []struct {
		name          string
		local, remote *Tree
		want          int
	}{
		{"for a part that is empty at the other side", with(keysAt(40, 1), keysAt(100, 2)), with(keysAt(40, 1)), 100},
		{"for a few, whatever was there before", with(), shrunk, few},
	} {
		found, stats, err := Diff(c.local, asker(t, c.remote), 1000)
		if err != nil || len(found) != c.want || stats.RoundTrips != 1 {
			t.Errorf("%s: %d differences in %d round trips, %v, want %d in 1", c.name, len(found), stats.RoundTrips, err, c.want)
		}
	}
}

func TestTreesMayChangeMeanwhile(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	set := setOf(0, 5000, "v1")
	local, remote := treeOf(t, set), treeOf(t, set)
	change(t, local, rng, 5000, 200)
	ask := asker(t, remote)
	_, _, err := Diff(local, func(request []byte) ([]byte, error) {
		answer, err := ask(request)
		change(t, local, rng, 5000, 300)
		change(t, remote, rng, 5000, 300)
		return answer, err
	}, 1<<20)
	if err != nil {
		t.Errorf("Diff while both change: %v", err)
	}
	found, _, err := Diff(local, ask, 1<<20)
	want := differences(content(local), content(remote))
	if err != nil || !slices.Equal(found, want) {
		t.Errorf("Diff afterwards = %d differences, %v, want %d", len(found), err, len(want))
	}
}

func content(t *Tree) map[string]string {
	set := map[string]string{}
	for _, e := range t.root.appendTo(nil) {
		set[e.key] = e.version
	}
	return set
}

func TestTreeIsSafeForConcurrentUse(t *testing.T) {
	var local, remote Tree
	var wg sync.WaitGroup
	for _, tree := range []*Tree{&local, &remote} {
		wg.Go(func() {
			for i := range 2000 {
				if err := tree.Set(key(i), "v1"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for range 20 {
				if _, _, err := Diff(&local, asker(t, &remote), 1000); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if local.Root() != remote.Root() {
		t.Error("the roots differ")
	}
}
