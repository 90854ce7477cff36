package popular

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

const (
	// MaxCapacity is the most keys that a sketch holds.
	MaxCapacity = 1 << 14

	// MaxKey is the longest key in bytes; requests for longer ones are not counted.
	MaxKey = 1 << 10

	// MinHalfLife is the shortest half-life.
	MinHalfLife = time.Millisecond
)

// Weights grow in steps of 0.27 %, so that most requests need no power; after maxSteps all is scaled back.
const (
	stepsPerHalfLife = 256
	maxSteps         = 32 * stepsPerHalfLife
)

// Sketch holds the keys that are asked for most, with their counts. It is not safe for concurrent use.
//
// Inside, a request at begin counts 1 and a later one its weight, which doubles each half-life. What goes out is divided by the
// weight of now.
type Sketch struct {
	half   time.Duration
	begin  time.Time // zero before the first request
	step   int64     // since begin
	weight float64   // of a request at step

	capacity int
	slots    []slot
	counts   []count // a heap, the lowest first
	index    map[string]int32
	total    float64
	absent   float64 // no key that is not held had more, and no key that is held counts less
}

type slot struct {
	key   string
	place int32 // in counts
	error float64
	bytes float64
}

type count struct {
	n    float64
	slot int32
}

// Item is a key that is asked for often. Its numbers have decayed to the moment of the question.
type Item struct {
	Key   string
	Count float64 // requests, at most
	Error float64 // Count is too high by no more than this
	Bytes float64 // sent for the requests since the key was last taken in, Count - Error at least
}

// New returns an empty sketch that holds so many keys, or all that is wrong with the sizes.
func New(capacity int, halfLife time.Duration) (*Sketch, error) {
	var faults []error
	if capacity < 1 || capacity > MaxCapacity {
		faults = append(faults, fmt.Errorf("capacity is %d: it must be 1 to %d", capacity, MaxCapacity))
	}
	if halfLife < MinHalfLife {
		faults = append(faults, fmt.Errorf("half-life is %s: it must be at least %s", halfLife, MinHalfLife))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return &Sketch{half: halfLife, weight: 1, capacity: capacity, index: map[string]int32{}}, nil
}

// Observe counts a request for a key at now, which was answered with so many bytes. A now before an earlier one is taken for it.
func (s *Sketch) Observe(key []byte, bytes int64, now time.Time) {
	if len(key) > MaxKey {
		return
	}
	s.advance(now)
	s.total += s.weight
	i, known := s.index[string(key)]
	if !known {
		i = s.enter(string(key))
	}
	held := &s.slots[i]
	held.bytes += s.weight * float64(max(bytes, 0))
	s.counts[held.place].n += s.weight
	s.down(int(held.place))
}

// enter makes room for a key, in the place of the rarest if there is none, whose count it might have had.
func (s *Sketch) enter(key string) int32 {
	if len(s.slots) < s.capacity {
		return s.add(key, s.absent, s.absent, 0)
	}
	rarest := s.counts[0]
	s.absent = rarest.n
	delete(s.index, s.slots[rarest.slot].key)
	s.slots[rarest.slot] = slot{key: key, error: rarest.n}
	s.index[key] = rarest.slot
	return rarest.slot
}

func (s *Sketch) add(key string, n, error, bytes float64) int32 {
	i := int32(len(s.slots))
	s.slots = append(s.slots, slot{key: key, place: i, error: error, bytes: bytes})
	s.counts = append(s.counts, count{n, i})
	s.index[key] = i
	s.up(int(i))
	return i
}

// advance brings the weight to now.
func (s *Sketch) advance(now time.Time) {
	if s.begin.IsZero() {
		s.begin = now
	}
	tick := s.half / stepsPerHalfLife
	step := int64(now.Sub(s.begin) / tick)
	if step <= s.step {
		return
	}
	if step <= maxSteps {
		s.step, s.weight = step, math.Exp2(float64(step)/stepsPerHalfLife)
		return
	}
	s.scale(math.Exp2(-float64(step) / stepsPerHalfLife))
	s.begin, s.step, s.weight = s.begin.Add(time.Duration(step)*tick), 0, 1
}

func (s *Sketch) scale(by float64) {
	for i := range s.slots {
		s.slots[i].error *= by
		s.slots[i].bytes *= by
		s.counts[i].n *= by
	}
	s.total *= by
	s.absent *= by
}

// Total is how many requests were counted, decayed to now.
func (s *Sketch) Total(now time.Time) float64 {
	s.advance(now)
	return s.total / s.weight
}

// PerSecond is the steady rate of requests at which a count comes to stay at n.
func (s *Sketch) PerSecond(n float64) float64 { return n * math.Ln2 / s.half.Seconds() }

// Top returns the n keys that are asked for most, the most popular first.
func (s *Sketch) Top(n int, now time.Time) []Item {
	s.advance(now)
	all := make([]Item, len(s.slots))
	for i, h := range s.slots {
		all[i] = Item{Key: h.key, Count: s.counts[h.place].n / s.weight, Error: h.error / s.weight, Bytes: h.bytes / s.weight}
	}
	slices.SortFunc(all, byCount)
	return all[:min(max(n, 0), len(all))]
}

func byCount(a, b Item) int {
	return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Key, b.Key))
}

// Merge adds what the other sketch counted, as of now, and leaves the other as it is. Merging the same requests twice counts them
// twice: a hub builds a new sketch of the latest that each edge sent.
func (s *Sketch) Merge(other *Sketch, now time.Time) error {
	if other.half != s.half {
		return fmt.Errorf("merge a half-life of %s into one of %s", other.half, s.half)
	}
	mine, theirs := s.Top(s.capacity, now), other.Top(other.capacity, now)
	lackMine, lackTheirs := s.absent/s.weight, other.absent/other.weight
	total := s.Total(now) + other.Total(now)

	rest := make(map[string]Item, len(theirs))
	for _, it := range theirs {
		rest[it.Key] = it
	}
	for i := range mine {
		it, both := rest[mine[i].Key]
		if !both {
			it = Item{Count: lackTheirs, Error: lackTheirs}
		}
		mine[i].Count += it.Count
		mine[i].Error += it.Error
		mine[i].Bytes += it.Bytes
		delete(rest, mine[i].Key)
	}
	for _, it := range theirs {
		if _, left := rest[it.Key]; left {
			mine = append(mine, Item{it.Key, it.Count + lackMine, it.Error + lackMine, it.Bytes})
		}
	}
	slices.SortFunc(mine, byCount)
	s.fill(mine, total, lackMine+lackTheirs)
	return nil
}

// fill replaces the content by items, the most popular first; those that have no room are let go.
func (s *Sketch) fill(items []Item, total, absent float64) {
	if len(items) > s.capacity {
		absent = max(absent, items[s.capacity].Count)
		items = items[:s.capacity]
	}
	s.slots, s.counts = s.slots[:0], s.counts[:0]
	clear(s.index)
	s.total, s.absent = total*s.weight, absent*s.weight
	for _, it := range slices.Backward(items) {
		s.add(it.Key, it.Count*s.weight, it.Error*s.weight, it.Bytes*s.weight)
	}
}

// down restores the heap below a count that grew.
func (s *Sketch) down(i int) {
	c := s.counts[i]
	for {
		child := 2*i + 1
		if child >= len(s.counts) {
			break
		}
		if child+1 < len(s.counts) && s.counts[child+1].n < s.counts[child].n {
			child++
		}
		if s.counts[child].n >= c.n {
			break
		}
		s.put(i, s.counts[child])
		i = child
	}
	s.put(i, c)
}

// up restores the heap above a count that is new.
func (s *Sketch) up(i int) {
	c := s.counts[i]
	for i > 0 && s.counts[(i-1)/2].n > c.n {
		s.put(i, s.counts[(i-1)/2])
		i = (i - 1) / 2
	}
	s.put(i, c)
}

func (s *Sketch) put(i int, c count) {
	s.counts[i] = c
	s.slots[c.slot].place = int32(i)
}
