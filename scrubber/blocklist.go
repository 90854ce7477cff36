package scrubber

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Manual is the By of an entry that a person made.
const Manual = ""

// Entry is a prefix on the block list.
type Entry struct {
	Prefix netip.Prefix
	Until  int64  // the instant at which it ends; math.MaxInt64 when it does not
	By     string // the rule that made it, or Manual
}

// Left is the time until the entry ends, Never when it does not.
func (e Entry) Left(now int64) time.Duration {
	if e.Until == math.MaxInt64 {
		return Never
	}
	return time.Duration(max(0, e.Until-now))
}

// The list is cut into shards by the hash of the prefix, so that a change copies little.
const (
	numShards   = 512
	shardSize   = 128
	MaxEntries  = numShards * shardSize // on a block list; uneven shards fill up a little earlier
	lengthWords = 3                     // 64 bits each, for prefix lengths up to 128
)

// ErrFull is returned when the part of the block list where a prefix belongs is full of entries made by people.
var ErrFull = errors.New("block list is full")

// blocklist is looked up without a lock: readers load the shards of the lengths in use, and a writer replaces a shard by a
// changed copy. It is bounded: a rule's entry that finds its shard full takes the place of the one that ends first.
type blocklist struct {
	secret  sipKey
	count   atomic.Int64 // entries, those that have ended too until a writer comes by
	lengths [2][lengthWords]atomic.Uint64
	shards  [numShards]atomic.Pointer[shard]

	mu   sync.Mutex  // guards changes and used
	used [2][129]int // entries by prefix length; [0] IPv4, [1] IPv6
}

// shard is a part of the list; sums, which stand for the prefixes, is sorted and goes with entries.
type shard struct {
	sums    []uint64
	entries []Entry
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// sum is the hash of the first n bits of an address, given as those of netip.Addr.As16.
func (l *blocklist) sum(family int, hi, lo uint64, n int) uint64 {
	s := l.secret.start()
	if family == 0 {
		return s.sum(uint64(n)<<32 | uint64(uint32(lo)&^uint32(uint64(math.MaxUint32)>>n)))
	}
	s.word(hi &^ (math.MaxUint64 >> min(n, 64)))
	if n > 64 {
		s.word(lo &^ (math.MaxUint64 >> (n - 64)))
	}
	return s.sum(uint64(n) << 32)
}

// find returns the entry that covers an address, of several the one that ends last.
func (l *blocklist) find(now int64, a netip.Addr) (found Entry, ok bool) {
	if l.count.Load() == 0 || !a.IsValid() {
		return Entry{}, false
	}
	hi, lo := halves(a)
	f := family(a.Unmap())
	for i := range l.lengths[f] {
		for set := l.lengths[f][i].Load(); set != 0; set &= set - 1 {
			sum := l.sum(f, hi, lo, i*64+bits.TrailingZeros64(set))
			s := l.shards[sum%numShards].Load()
			if s == nil {
				continue
			}
			if at, hit := slices.BinarySearch(s.sums, sum); hit {
				if e := &s.entries[at]; e.Until > now && e.Until > found.Until {
					found, ok = *e, true
				}
			}
		}
	}
	return found, ok
}

// add puts an entry on the list and reports whether it did: a person's takes the place of one for the same prefix, a rule's
// leaves that alone.
func (l *blocklist) add(now int64, e Entry) (bool, error) {
	p, err := normal(e.Prefix)
	if err != nil {
		return false, err
	}
	e.Prefix = p
	l.mu.Lock()
	defer l.mu.Unlock()
	sum, s := l.copy(now, p)
	defer l.shards[sum%numShards].Store(s)
	at, had := slices.BinarySearch(s.sums, sum)
	switch {
	case had && e.By != Manual:
		return false, nil
	case had:
		s.entries[at] = e
	default:
		if len(s.sums) == shardSize {
			victim := endsFirst(s.entries)
			if victim < 0 {
				return false, fmt.Errorf("block %s: %w", p, ErrFull)
			}
			l.drop(s, victim)
			at, _ = slices.BinarySearch(s.sums, sum)
		}
		s.sums, s.entries = slices.Insert(s.sums, at, sum), slices.Insert(s.entries, at, e)
		l.counted(p, 1)
	}
	return true, nil
}

// remove takes a prefix off the list and reports whether it was there.
func (l *blocklist) remove(now int64, p netip.Prefix) bool {
	p, err := normal(p)
	if err != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	sum, s := l.copy(now, p)
	at, had := slices.BinarySearch(s.sums, sum)
	if had {
		l.drop(s, at)
	}
	l.shards[sum%numShards].Store(s)
	return had
}

// list returns the entries that have not ended, by address and length.
func (l *blocklist) list(now int64) []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Entry
	for i := range l.shards {
		if l.shards[i].Load() != nil {
			s := l.swept(i, now)
			l.shards[i].Store(s)
			all = append(all, s.entries...)
		}
	}
	slices.SortFunc(all, func(a, b Entry) int {
		return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()))
	})
	return all
}

// copy returns the sum of a prefix and a copy of its shard without what has ended. The books know of that already, so callers,
// who hold mu, store it whatever they do with it.
func (l *blocklist) copy(now int64, p netip.Prefix) (sum uint64, s *shard) {
	hi, lo := halves(p.Addr())
	sum = l.sum(family(p.Addr()), hi, lo, p.Bits())
	return sum, l.swept(int(sum%numShards), now)
}

func (l *blocklist) swept(i int, now int64) *shard {
	old := l.shards[i].Load()
	if old == nil {
		return &shard{}
	}
	s := &shard{slices.Clone(old.sums), slices.Clone(old.entries)}
	for i := len(s.entries) - 1; i >= 0; i-- {
		if s.entries[i].Until <= now {
			l.drop(s, i)
		}
	}
	return s
}

// drop removes an entry of a copy and from the books.
func (l *blocklist) drop(s *shard, i int) {
	l.counted(s.entries[i].Prefix, -1)
	s.sums, s.entries = slices.Delete(s.sums, i, i+1), slices.Delete(s.entries, i, i+1)
}

// counted keeps the books when an entry comes or goes.
func (l *blocklist) counted(p netip.Prefix, by int) {
	f := family(p.Addr())
	l.count.Add(int64(by))
	l.used[f][p.Bits()] += by
	word, bit := &l.lengths[f][p.Bits()/64], uint64(1)<<(p.Bits()%64)
	if l.used[f][p.Bits()] > 0 {
		word.Or(bit)
	} else {
		word.And(^bit)
	}
}

// endsFirst is the index of the entry that ends first of those that rules made, -1 when there is none.
func endsFirst(entries []Entry) int {
	first := -1
	for i, e := range entries {
		if e.By != Manual && (first < 0 || e.Until < entries[first].Until) {
			first = i
		}
	}
	return first
}

// halves is an address as two numbers, IPv4 as ::ffff:0:0/96.
func halves(a netip.Addr) (hi, lo uint64) {
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}

// normal is a prefix in the form in which addresses are looked up: IPv4 as such, nothing behind the prefix's length.
func normal(p netip.Prefix) (netip.Prefix, error) {
	if !p.IsValid() {
		return p, errors.New("block: no valid prefix")
	}
	a, n := p.Addr(), p.Bits()
	if a.Is4In6() {
		if n < 96 {
			return p, fmt.Errorf("block %s: a prefix of IPv4 in IPv6 has 96 bits at least", p)
		}
		a, n = a.Unmap(), n-96
	}
	return netip.PrefixFrom(a, n).Masked(), nil
}
