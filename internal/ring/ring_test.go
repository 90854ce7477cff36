package ring

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
)

const keys = 200_000

// keyHash hashes the i-th key as a cache would.
func keyHash(i int) uint64 {
	return xxhash.Sum64String(fmt.Sprintf("https://www.example.com/asset/%d.jpg", i))
}

// hashes are made once: the spread tests look up the same keys on hundreds of rings.
func hashes() []uint64 {
	all := make([]uint64, keys)
	for i := range all {
		all[i] = keyHash(i)
	}
	return all
}

func equal(n int) []Member {
	members := make([]Member, n)
	for i := range members {
		members[i] = Member{fmt.Sprintf("edge-%d", i), 1}
	}
	return members
}

// mixed are members of capacity 1, 2 and 4.
func mixed(n int) []Member {
	members := equal(n)
	for i := range members {
		members[i].Capacity = float64(int(1) << (i % 3))
	}
	return members
}

func mustNew(t testing.TB, members []Member) *Ring {
	t.Helper()
	r, err := New(members)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// worst returns how far the member that is furthest off is from its share of the capacity: 0.1 is 10 %.
func worst(r *Ring, hashes []uint64) float64 {
	got := make([]int, r.Len())
	for _, h := range hashes {
		got[r.Owner(h)]++
	}
	var off float64
	for i, n := range got {
		off = max(off, math.Abs(float64(n)/float64(len(hashes))/r.Share(i)-1))
	}
	return off
}

func TestSharesFollowCapacity(t *testing.T) {
	all := hashes()
	for _, c := range []struct {
		name    string
		members func(int) []Member
	}{{"equal capacities", equal}, {"capacities 1, 2 and 4", mixed}} {
		t.Run(c.name, func(t *testing.T) {
			var most float64
			for n := 2; n <= 50; n++ {
				off := worst(mustNew(t, c.members(n)), all)
				if off > 0.10 {
					t.Errorf("%d members: a member is %.1f %% off its capacity's share, want at most 10 %%", n, 100*off)
				}
				most = max(most, off)
			}
			t.Logf("worst member of 2 to 50: %.1f %% off", 100*most)
		})
	}
}

func TestFewerVirtualNodesAreTooFew(t *testing.T) {
	all := hashes()
	for _, c := range []struct {
		virtual float64
		members int
	}{{160, 10}, {VirtualNodes / 2, 50}} {
		var most float64
		for n := 2; n <= c.members; n++ {
			r, err := build(equal(n), c.virtual)
			if err != nil {
				t.Fatal(err)
			}
			most = max(most, worst(r, all))
		}
		if most <= 0.10 {
			t.Errorf("%v virtual nodes hold 2 to %d members within %.1f %%: VirtualNodes = %d is more than needed", c.virtual, c.members, 100*most, VirtualNodes)
		}
	}
}

func TestPositionsFollowFromNamesOnly(t *testing.T) {
	members := mixed(12)
	a := mustNew(t, members)
	shuffled := slices.Clone(members)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	b := mustNew(t, shuffled)
	for i := range 20_000 {
		h := keyHash(i)
		if x, y := a.Member(a.Owner(h)), b.Member(b.Owner(h)); x != y {
			t.Fatalf("Owner(%#x) = %v in one order of the members, %v in another", h, x, y)
		}
	}
	const stored = "edge-3" // a release that moves keys empties every cache at once.
	if got := a.Owner(0x0123456789abcdef); a.Member(got).Name != stored {
		t.Errorf("Owner(0x0123456789abcdef) = %s, want %s as in earlier versions", a.Member(got).Name, stored)
	}
}

func TestRemovingAMemberMovesOnlyItsKeys(t *testing.T) {
	for _, c := range []struct {
		name    string
		members []Member
	}{{"2 equal", equal(2)}, {"10 equal", equal(10)}, {"11 mixed", mixed(11)}, {"50 equal", equal(50)}} {
		t.Run(c.name, func(t *testing.T) {
			gone := len(c.members) / 2
			with, without := mustNew(t, c.members), mustNew(t, slices.Delete(slices.Clone(c.members), gone, gone+1))
			const n = 50_000
			moved := 0
			for i := range n {
				h := keyHash(i)
				before, after := with.Member(with.Owner(h)), without.Member(without.Owner(h))
				if before == after {
					continue
				}
				moved++
				// Read from right to left, this is adding a member: it takes keys, no other member gains one.
				if before != c.members[gone] {
					t.Fatalf("removing %s moves key %#x from %s to %s", c.members[gone].Name, h, before.Name, after.Name)
				}
				if second := with.Owners(nil, h, 2)[1]; with.Member(second) != after {
					t.Fatalf("removing %s moves key %#x to %s, want its next member %s", before.Name, h, after.Name, with.Member(second).Name)
				}
			}
			if got, want := float64(moved)/n, with.Share(gone); math.Abs(got/want-1) > 0.12 {
				t.Errorf("removing one of %d moves %.3f of the keys, want about %.3f", len(c.members), got, want)
			}
		})
	}
}

func TestOwners(t *testing.T) {
	r := mustNew(t, mixed(7))
	for i := range 40 {
		h := keyHash(i)
		for n := range 10 {
			got := r.Owners([]int{-1}, h, n)
			if got[0] != -1 {
				t.Fatalf("Owners overwrites dst: %v", got)
			}
			if got, want := got[1:], oracle(r, h, n); !slices.Equal(got, want) {
				t.Fatalf("Owners(%#x, %d) = %v, want %v", h, n, got, want)
			}
		}
	}
}

// oracle finds owners by looking at every position.
func oracle(r *Ring, hash uint64, n int) []int {
	nearest := make(map[int]uint64)
	for i, p := range r.positions {
		owner := int(r.owners[i])
		if d, ok := nearest[owner]; !ok || p-hash < d {
			nearest[owner] = p - hash
		}
	}
	var owners []int
	for o := range r.Len() {
		owners = append(owners, o)
	}
	slices.SortFunc(owners, func(a, b int) int {
		if nearest[a] < nearest[b] {
			return -1
		}
		return 1
	})
	return owners[:min(n, len(owners))]
}

func TestOwnerAtTheEdges(t *testing.T) {
	r := mustNew(t, equal(3))
	last := len(r.positions) - 1
	for _, c := range []struct {
		name string
		hash uint64
		want uint16
	}{
		{"zero", 0, r.owners[0]},
		{"at a position", r.positions[100], r.owners[100]},
		{"after a position", r.positions[100] + 1, r.owners[101]},
		{"at the last position", r.positions[last], r.owners[last]},
		{"after the last position", math.MaxUint64, r.owners[0]},
	} {
		if got := r.Owner(c.hash); got != int(c.want) {
			t.Errorf("%s: Owner(%#x) = %d, want %d", c.name, c.hash, got, c.want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		members []Member
		want    []string
	}{
		{"no member", nil, []string{"needs a member"}},
		{"no name", []Member{{"", 1}}, []string{"member 0 has no name"}},
		{"all faults at once", []Member{{"a", 1}, {"a", -1}, {"b", math.NaN()}}, []string{`"a" is given twice`, `"a" has capacity -1`, `"b" has capacity NaN`}},
		{"infinite capacity", []Member{{"a", math.Inf(1)}}, []string{"capacity +Inf"}},
		{"requests per second as capacity", []Member{{"a", 50_000}}, []string{"give the smallest member capacity 1"}},
	} {
		_, err := New(c.members)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: New = %v, want %q", c.name, err, want)
			}
		}
	}
}

func TestLookupsDoNotAllocate(t *testing.T) {
	r := mustNew(t, equal(10))
	room := make([]int, 0, 4)
	if n := testing.AllocsPerRun(100, func() { r.Owner(keys); room = r.Owners(room[:0], keys, 3) }); n != 0 {
		t.Errorf("Owner and Owners allocate %v times, want 0", n)
	}
}

func BenchmarkOwner(b *testing.B) {
	for _, n := range []int{3, 10, 50} {
		r := mustNew(b, equal(n))
		b.Run(fmt.Sprintf("members=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			var h uint64
			for b.Loop() {
				h += golden
				r.Owner(mix(h))
			}
		})
	}
}

func BenchmarkOwners3(b *testing.B) {
	r := mustNew(b, equal(10))
	room := make([]int, 0, 3)
	b.ReportAllocs()
	var h uint64
	for b.Loop() {
		h += golden
		room = r.Owners(room[:0], mix(h), 3)
	}
}
