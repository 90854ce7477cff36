package cache

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"
)

func objectOf(key string, ks *kinds) *Object {
	p := parts{key: key}
	return p.build(ks)
}

// check holds a table against what it is to have.
func (t *table) check(tb testing.TB, want map[string]*Object) {
	tb.Helper()
	got := map[string]*Object{}
	for o := range t.all() {
		if got[o.key()] != nil {
			tb.Fatalf("all() yields %q twice", o.key())
		}
		got[o.key()] = o
	}
	if t.len != len(want) || len(got) != len(want) {
		tb.Fatalf("len = %d and all() yields %d, want %d", t.len, len(got), len(want))
	}
	for key, o := range want {
		if got[key] != o || t.get(key) != o {
			tb.Fatalf("get(%q) = %p, all() yields %p, want %p", key, t.get(key), got[key], o)
		}
	}
}

func TestTableIsAMap(t *testing.T) {
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 0))
		table, want, ks := newTable(), map[string]*Object{}, newKinds(0)
		for step := range 20_000 {
			key := fmt.Sprint("key ", rng.IntN(4000))
			o := want[key]
			if got := table.get(key); got != o {
				t.Fatalf("seed %d, step %d: get(%q) = %p, want %p", seed, step, key, got, o)
			}
			switch grows := step/5000%2 == 0; {
			case o == nil && (grows || rng.IntN(10) == 0):
				o = objectOf(key, ks)
				table.add(o)
				want[key] = o
			case o != nil && (!grows || rng.IntN(10) == 0):
				table.remove(o)
				delete(want, key)
			}
			if step%997 == 0 {
				table.check(t, want)
			}
		}
		for _, o := range want {
			table.remove(o)
		}
		table.check(t, nil)
		for i := range table.buckets {
			if b := table.bucket(i); *b != (bucket{}) {
				t.Fatalf("seed %d: bucket %d of an empty table is %+v", seed, i, b)
			}
		}
	}
}

// However many objects there are, a table is to be small for them.
func TestTableHasNoMoreRoomThanItNeeds(t *testing.T) {
	table, ks := newTable(), newKinds(0)
	for n := 1; n <= 50_000; n++ {
		table.add(objectOf(fmt.Sprint(n), ks))
		if n < 2000 || n%1000 != 0 {
			continue
		}
		buckets := len(table.segments) * segmentSize
		for i := range table.buckets {
			for b := table.bucket(i).next; b != nil; b = b.next {
				buckets++
			}
		}
		if each := buckets * int(unsafe.Sizeof(bucket{})) / n; each > 22 {
			t.Fatalf("a table of %d objects takes %d bytes for each, want 22 or less", n, each)
		}
	}
}

func TestBucketIsALineOfTheProcessorsCache(t *testing.T) {
	if got := unsafe.Sizeof(bucket{}); got != 64 {
		t.Errorf("a bucket is %d bytes, want 64", got)
	}
}
