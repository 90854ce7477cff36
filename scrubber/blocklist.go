package scrubber

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
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

// The list is cut into shards by the prefix, so that a change copies little.
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
	shards  [numShards]atomic.Pointer[map[netip.Prefix]Entry]

	mu   sync.Mutex  // guards changes and used
	used [2][129]int // entries by prefix length; [0] IPv4, [1] IPv6
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

func (l *blocklist) shard(p netip.Prefix) *atomic.Pointer[map[netip.Prefix]Entry] {
	b := p.Addr().As16()
	s := l.secret.start()
	for i := 0; i < len(b); i += 8 {
		s.word(binary.LittleEndian.Uint64(b[i:]))
	}
	return &l.shards[s.sum(uint64(p.Bits()))%numShards]
}

// find returns the entry that covers an address, of several the one that ends last.
func (l *blocklist) find(now int64, a netip.Addr) (found Entry, ok bool) {
	if l.count.Load() == 0 || !a.IsValid() {
		return Entry{}, false
	}
	a = a.Unmap().WithZone("")
	lengths := &l.lengths[family(a)]
	for i := range lengths {
		for set := lengths[i].Load(); set != 0; set &= set - 1 {
			p, err := a.Prefix(i*64 + bits.TrailingZeros64(set))
			if err != nil {
				continue
			}
			m := l.shard(p).Load()
			if m == nil {
				continue
			}
			if e, hit := (*m)[p]; hit && e.Until > now && e.Until > found.Until {
				found, ok = e, true
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
	at := l.shard(p)
	m := l.sweep(at, now)
	if _, had := m[p]; had && e.By != Manual {
		return false, nil
	} else if !had {
		if len(m) >= shardSize {
			victim, ok := endsFirst(m)
			if !ok {
				return false, fmt.Errorf("block %s: %w", p, ErrFull)
			}
			delete(m, victim)
			l.counted(victim, -1)
		}
		l.counted(p, 1)
	}
	m[p] = e
	at.Store(&m)
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
	at := l.shard(p)
	m := l.sweep(at, now)
	_, had := m[p]
	if had {
		delete(m, p)
		l.counted(p, -1)
	}
	at.Store(&m)
	return had
}

// list returns the entries that have not ended, by address and length.
func (l *blocklist) list(now int64) []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Entry
	for i := range l.shards {
		if l.shards[i].Load() == nil {
			continue
		}
		m := l.sweep(&l.shards[i], now)
		l.shards[i].Store(&m)
		all = slices.AppendSeq(all, maps.Values(m))
	}
	slices.SortFunc(all, func(a, b Entry) int {
		return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()))
	})
	return all
}

// sweep returns a copy of a shard without what has ended. Callers hold mu and store the copy.
func (l *blocklist) sweep(at *atomic.Pointer[map[netip.Prefix]Entry], now int64) map[netip.Prefix]Entry {
	kept := map[netip.Prefix]Entry{}
	if old := at.Load(); old != nil {
		for p, e := range *old {
			if e.Until > now {
				kept[p] = e
			} else {
				l.counted(p, -1)
			}
		}
	}
	return kept
}

// counted keeps the books when an entry comes or goes. A length's bit is set before its entry can be found and cleared after.
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

// endsFirst is the entry that a rule made and that ends first.
func endsFirst(m map[netip.Prefix]Entry) (victim netip.Prefix, ok bool) {
	for p, e := range m {
		if e.By == Manual {
			continue
		}
		if v := m[victim]; !ok || e.Until < v.Until || e.Until == v.Until && p.Addr().Less(victim.Addr()) {
			victim, ok = p, true
		}
	}
	return victim, ok
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
