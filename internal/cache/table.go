package cache

import (
	"hash/maphash"
	"iter"
)

// table finds objects by key. It is a linear hash (Litwin, VLDB 1980): buckets are added one at a time, each taking its objects from one
// other, so that no call waits for all to be moved and few places are empty, however many objects there are. A map of as many takes
// twice to three times the memory. Hashes are seeded: nobody can choose keys that meet in one bucket.
type table struct {
	seed     maphash.Seed
	segments []*[segmentSize]bucket
	buckets  int // in use, at least one
	low      int // the largest power of two that is not more
	len      int
}

const (
	segmentSize = 64
	slots       = 6
	meanLoad    = 5 // objects per bucket beyond which one is added
)

// bucket is a line of a processor's cache.
type bucket struct {
	tags    [8]uint8 // of the objects, which are the first ones; 0 for none
	objects [slots]*Object
	next    *bucket // of those that did not fit; nil for none
}

func newTable() *table {
	return &table{seed: maphash.MakeSeed(), segments: []*[segmentSize]bucket{{}}, buckets: 1, low: 1}
}

// tagOf is seven bits of a hash that choose no bucket, so that mostly only the right key is compared.
func tagOf(hash uint64) uint8 { return uint8(hash>>57) | 1<<7 }

func (t *table) bucket(i int) *bucket { return &t.segments[i/segmentSize][i%segmentSize] }

// home is the bucket of a hash. Those from buckets-low on have not been divided in this round.
func (t *table) home(hash uint64) *bucket {
	i := int(hash & uint64(2*t.low-1))
	if i >= t.buckets {
		i -= t.low
	}
	return t.bucket(i)
}

// get returns the object under a key; nil for none.
func (t *table) get(key string) *Object {
	hash := maphash.String(t.seed, key)
	tag := tagOf(hash)
	for b := t.home(hash); b != nil; b = b.next {
		for i, o := range &b.objects {
			if b.tags[i] != tag {
				continue
			}
			prefetch(o.body) // rarely in vain: seven bits are the same
			if o.key() == key {
				return o
			}
		}
	}
	return nil
}

// add takes an object whose key is not there.
func (t *table) add(o *Object) {
	t.len++
	if t.len > meanLoad*t.buckets {
		t.divide()
	}
	hash := maphash.String(t.seed, o.key())
	t.home(hash).add(o, tagOf(hash))
}

func (b *bucket) add(o *Object, tag uint8) {
	for {
		for i := range &b.objects {
			if b.objects[i] == nil {
				b.objects[i], b.tags[i] = o, tag
				return
			}
		}
		if b.next == nil {
			b.next = new(bucket)
		}
		b = b.next
	}
}

// divide adds a bucket and moves to it what belongs there.
func (t *table) divide() {
	if t.buckets%segmentSize == 0 {
		t.segments = append(t.segments, new([segmentSize]bucket))
	}
	if t.buckets == 2*t.low {
		t.low = t.buckets
	}
	from := t.bucket(t.buckets - t.low)
	t.buckets++
	old := *from
	*from = bucket{}
	for b := &old; b != nil; b = b.next {
		for _, o := range &b.objects {
			if o != nil {
				hash := maphash.String(t.seed, o.key())
				t.home(hash).add(o, tagOf(hash))
			}
		}
	}
}

// remove takes out an object that is there.
func (t *table) remove(o *Object) {
	t.len--
	hash := maphash.String(t.seed, o.key())
	first := t.home(hash)
	at, slot := first, 0
	for at.objects[slot] != o {
		if slot++; slot == slots {
			at, slot = at.next, 0
		}
	}
	before, last := first, first // the last object of the chain takes its place
	for last.next != nil {
		before, last = last, last.next
	}
	end := slots - 1
	for last.objects[end] == nil {
		end--
	}
	at.objects[slot], at.tags[slot] = last.objects[end], last.tags[end]
	last.objects[end], last.tags[end] = nil, 0
	if end == 0 {
		before.next = nil // that of the first bucket is nil already
	}
}

// all yields the objects in no order.
func (t *table) all() iter.Seq[*Object] {
	return func(yield func(*Object) bool) {
		for i := range t.buckets {
			for b := t.bucket(i); b != nil; b = b.next {
				for _, o := range &b.objects {
					if o != nil && !yield(o) {
						return
					}
				}
			}
		}
	}
}
