package cache

import (
	"strings"
	"sync"
	"time"
	"unsafe"

	"cdnlab/internal/disk"
	"cdnlab/internal/evict"
	"cdnlab/internal/httpcache"
)

// Defaults of a Config.
const (
	DefaultChunk       = 1 << 20
	DefaultMaxVariants = 64
	DefaultPatience    = 5 * time.Second
)

// maxChunk is what an Object can count.
const maxChunk = 1 << 30

// Config configures a Store. Only Budget is required.
type Config struct {
	Budget      int64                 // bytes that the store holds at most, objects being filled included
	MaxObject   int64                 // larger bodies are not stored; default and upper bound an eighth of Budget
	Chunk       int                   // bytes of a body per piece of memory; default DefaultChunk
	MaxVariants int                   // stored responses per key; default DefaultMaxVariants
	Patience    time.Duration         // how long one reader of a body that is not stored may hold up its others; default DefaultPatience
	Eviction    string                // name of the policy, one of evict.Names; default "lru"
	Admission   evict.AdmissionConfig // the filter of what is stored; Remember and Rand are the store's
	Seed        uint64                // of policies and filters that draw lots
}

// Store holds complete responses under a byte budget. Its methods may be called concurrently.
type Store struct {
	cfg  Config
	most int64 // how long a body may be
	tier *tier // nil without a disk

	kinds *kinds

	mu        sync.Mutex      // guards the fields below
	filter    evict.Admission // which one it is does not change
	entries   entries
	bytes     int64 // of the entries
	reserved  int64 // by fills
	evictions uint64
	scratch   []byte // builds variant keys
	purges    purgeLog
}

// New returns an empty store.
func New(cfg Config) *Store {
	if cfg.Chunk <= 0 {
		cfg.Chunk = DefaultChunk
	}
	cfg.Chunk = min(cfg.Chunk, maxChunk)
	if cfg.MaxVariants <= 0 {
		cfg.MaxVariants = DefaultMaxVariants
	}
	if cfg.Patience <= 0 {
		cfg.Patience = DefaultPatience
	}
	if cfg.Eviction == "" {
		cfg.Eviction = "lru"
	}
	if cfg.MaxObject <= 0 || cfg.MaxObject > cfg.Budget/8 {
		cfg.MaxObject = cfg.Budget / 8
	}
	s := &Store{cfg: cfg, most: cfg.MaxObject, kinds: newKinds(cfg.Budget), filter: newFilter(&cfg), entries: newEntries(&cfg)}
	if limit, ok := s.filter.(evict.SizeLimit); ok { // a length that is not announced shows as the body comes
		s.most = min(s.most, int64(limit))
	}
	return s
}

// MaxObject returns how long a body may be that is stored in one piece.
func (s *Store) MaxObject() int64 { return s.cfg.MaxObject }

// Find returns the stored response under a key that a request selects by its header fields (RFC 9111 §4.1), fresh or not.
// When there is none, the reason is FwdURIMiss or FwdVaryMiss.
func (s *Store) Find(key []byte, ask *httpcache.Ask) (*Object, httpcache.Fwd) {
	o, fwd := s.findInRAM(key, ask)
	if o != nil || s.tier == nil {
		return o, fwd
	}
	if o = s.reach(key); o == nil {
		return nil, httpcache.FwdURIMiss
	}
	v := o.more().variants
	if v == nil {
		return o, httpcache.FwdNone
	}
	if o = s.reach(v.appendKey(nil, key, ask)); o == nil {
		return nil, httpcache.FwdVaryMiss
	}
	return o, httpcache.FwdNone
}

func (s *Store) findInRAM(key []byte, ask *httpcache.Ask) (*Object, httpcache.Fwd) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.getLocked(key)
	if o == nil {
		return nil, httpcache.FwdURIMiss
	}
	v := o.more().variants
	if v == nil {
		return o, httpcache.FwdNone
	}
	s.scratch = v.appendKey(s.scratch[:0], key, ask)
	if o = s.getLocked(s.scratch); o == nil {
		return nil, httpcache.FwdVaryMiss
	}
	return o, httpcache.FwdNone
}

func (s *Store) getLocked(key []byte) *Object {
	o := s.entries.get(text(key))
	if o == nil {
		return nil
	}
	return s.currentLocked(o)
}

// Replace puts another meaning and header on a stored body: what a validation or a HEAD found. It returns the new object,
// which serves the request at hand in any case, and stores it unless the store holds something newer than old by now.
func (s *Store) Replace(old *Object, adm httpcache.Admission) *Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	checked := old.checked // purges since then are still to be looked at, whatever is held by now
	held := s.entries.peek(old.key())
	ok := s.keepsLocked(old, held)
	if ok && held != nil {
		old = held // its body may have moved to disk
	}
	p := old.parts()
	vary := p.meta.Vary
	p.meta, p.header, p.twins, p.checked = adm.Meta, adm.Header, nil, checked // what encoded bodies say of themselves was of the old header
	tags, storable := tagsOf(adm.Header)
	p.tags = tags
	fresh := p.build(s.kinds)
	if ok {
		if adm.Stored && storable && adm.Meta.Vary == vary {
			s.storeLocked(fresh)
		} else {
			s.removeLocked(old.key())
			s.unsaveLocked(old.key())
		}
	}
	return fresh
}

// keepsLocked reports whether an object is what the store has under its key, where RAM holds another: that has the same file, or is nil
// and the file is all there is.
func (s *Store) keepsLocked(o, held *Object) bool {
	if held == nil {
		return s.onlyOnDisk(o)
	}
	return held == o || held.more().file != nil && held.more().file == o.more().file
}

// clearLocked removes everything at once, and keeps fetches under way from being stored.
func (s *Store) clearLocked() {
	s.purges.all()
	s.entries = newEntries(&s.cfg)
	s.bytes = 0
	if s.tier != nil {
		s.tier.clear()
	}
}

// Ticket marks a moment. A response whose request went upstream after its Ticket was taken is not stored when its key was
// purged since.
type Ticket uint64

// Ticket returns the present moment; take it before the request goes upstream.
func (s *Store) Ticket() Ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.purges.now
}

// Stats is the fill of a store.
type Stats struct {
	Objects   int   // markers of varying keys included
	Bytes     int64 // with what fills have reserved
	Budget    int64
	Evictions uint64
	Disk      disk.Stats // zero without one
}

// Stats returns the present figures.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	st := Stats{Objects: s.entries.table.len, Bytes: s.bytes + s.reserved, Budget: s.cfg.Budget, Evictions: s.evictions}
	s.mu.Unlock()
	if s.tier != nil {
		st.Disk = s.tier.files.Stats()
	}
	return st
}

// storeLocked stores an object in RAM and on disk, as putLocked does. What cannot be kept in RAM is not kept on disk.
func (s *Store) storeLocked(o *Object) bool {
	ok := s.putLocked(o)
	if ok {
		s.saveLocked(o)
	} else {
		s.unsaveLocked(o.key())
	}
	return ok
}

// putLocked stores an object in RAM, replacing what its key held. It fails when there is no room, or when the marker of a variant
// had to make room for it: nothing would find the variant then.
func (s *Store) putLocked(o *Object) bool {
	cost := o.cost()
	if held := s.entries.peek(o.key()); held != nil {
		s.entries.remove(held)
		s.goneLocked(held, o)
	}
	if !s.entries.admits(o) || !s.makeRoomLocked(cost) {
		return false
	}
	if primary, _, variant := strings.Cut(o.key(), "\x00"); variant && s.entries.peek(primary) == nil {
		return false
	}
	s.entries.add(o)
	s.bytes += cost
	return true
}

// amendLocked gives an object something that few have, unless it is held and there is no room.
func (s *Store) amendLocked(o *Object, change func(*rare)) {
	r := *o.more()
	r.size = o.Size()
	change(&r)
	more := r.cost() - o.rare.Load().cost()
	if s.entries.peek(o.key()) == o {
		if !s.makeRoomLocked(more) {
			return
		}
		if s.entries.peek(o.key()) == o { // it may have made the room
			s.bytes += more
		}
	}
	o.rare.Store(&r)
}

// makeRoomLocked evicts until n more bytes fit; nothing when they never would.
func (s *Store) makeRoomLocked(n int64) bool {
	if s.reserved+n > s.cfg.Budget {
		return false
	}
	for s.bytes+s.reserved+n > s.cfg.Budget {
		o, ok := s.entries.evict()
		if !ok {
			return false
		}
		s.evictions++
		s.goneLocked(o, nil)
	}
	return true
}

func (s *Store) removeLocked(key string) {
	if o := s.entries.peek(key); o != nil {
		s.entries.remove(o)
		s.goneLocked(o, nil)
	}
}

// goneLocked accounts for an entry that has left, for another or for none. With the marker of a key go its variants, with a head its
// slices, which nothing finds any more.
func (s *Store) goneLocked(o, by *Object) {
	s.bytes -= o.cost()
	r := o.more()
	if r.variants != nil {
		for _, k := range r.variants.keys {
			s.removeLocked(k)
		}
	}
	if r.slicing != nil && (by == nil || by.more().slicing != r.slicing) {
		s.removeSlicesLocked(o)
	}
}

// reserve takes n bytes of the budget for a fill. Fills may hold half of the budget between them, so that they cannot empty
// the store.
func (s *Store) reserve(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reserved+n > s.cfg.Budget/2 || !s.makeRoomLocked(n) {
		return false
	}
	s.reserved += n
	return true
}

func (s *Store) release(n int64) {
	s.mu.Lock()
	s.reserved -= n
	s.mu.Unlock()
}

// text views bytes as a string for a look-up that does not keep it.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
