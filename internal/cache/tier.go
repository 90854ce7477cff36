package cache

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"cdnlab/internal/disk"
)

// DiskConfig configures the part of a store that is on disk.
type DiskConfig struct {
	Dir    string
	Budget int64  // bytes of files
	Seek   func() // called before each access to a file; may be nil
	Log    *slog.Logger
}

// tier is the part of a store that is on disk. Everything that is stored is written there behind the request, by one goroutine in
// the order in which it happened; until then lookups find it among what is waiting. Bodies up to disk.SmallBody are in RAM as well,
// and return there when they are asked for and the store's filter admits them; larger ones leave it once they are on disk, and are sent
// from their files.
type tier struct {
	cfg    DiskConfig
	files  *disk.Store
	epoch  uint64
	most   int64 // bytes that may wait, beside the store's budget where it has given them up meanwhile
	writer sync.WaitGroup

	logging sync.Mutex // held while a purge is made, so that they are noted in their order; locked before Store.mu
	log     *purgeFile // guarded by logging

	mu       sync.Mutex // guards the fields below; locked after Store.mu
	changed  sync.Cond
	waiting  map[string]*change // the latest of each key
	queue    []*change
	bytes    int64 // of bodies that wait
	busy     bool  // the writer is at something
	off      bool  // nothing is taken from disk, and nothing put there
	closed   bool
	failures uint64
	warned   time.Time
}

// change is what is to happen on disk.
type change struct {
	key    string
	o      *Object // nil: to be removed
	record []byte
	update *disk.Object // has the body already
	begun  bool         // the writer is at it
	dead   bool         // a later one takes its place
}

// UseDisk gives a new store a part on disk, with what is there already; the store is to be closed then. After an error the store
// does without.
func (s *Store) UseDisk(cfg DiskConfig) error {
	files, err := disk.Open(disk.Config{Dir: cfg.Dir, Budget: cfg.Budget, Chunk: s.cfg.Chunk, Seed: s.cfg.Seed, Seek: cfg.Seek, Log: cfg.Log})
	if err != nil {
		return errors.Join(err, distrust(cfg.Dir))
	}
	const most = 64 << 20
	t := &tier{cfg: cfg, files: files, most: min(most, s.cfg.Budget/2), waiting: map[string]*change{}}
	t.changed.L = &t.mu
	var records []purgeRecord
	if t.epoch, records, err = readPurges(cfg.Dir); err != nil {
		cfg.Log.Warn("the cache on disk begins anew", "error", err)
	}
	for key, ticket := range s.purges.replay(records) {
		t.purged([]byte(key), ticket, s.kinds)
	}
	if t.log, err = writePurges(cfg.Dir, t.epoch, s.purges.records()); err != nil {
		files.Close()
		return errors.Join(fmt.Errorf("open cache on disk: %w", err), distrust(cfg.Dir))
	}
	t.writer.Go(func() { t.write(s) })
	s.tier = t
	return nil
}

// purged removes what was stored under a key before it was purged.
func (t *tier) purged(key []byte, at Ticket, ks *kinds) {
	e, err := t.files.Get(key)
	if err != nil {
		return
	}
	if o, ok := parseRecord(key, e.Record, t.epoch, e.Object, e.Body, ks); !ok || o.checked < at {
		t.files.Drop(e.Object)
	}
}

// Close writes what waits, and ends what goes on in the background.
func (s *Store) Close() {
	if s.tier == nil {
		return
	}
	t := s.tier
	t.mu.Lock()
	t.closed = true
	t.changed.Broadcast()
	t.mu.Unlock()
	t.writer.Wait()
	t.files.Close()
	t.logging.Lock()
	defer t.logging.Unlock()
	_ = t.log.f.Close() // each purge was written when it was made
}

// saveLocked has an object written.
func (s *Store) saveLocked(o *Object) {
	if s.tier == nil {
		return
	}
	s.tier.push(&change{key: o.key(), o: o, record: appendRecord(nil, o, s.tier.epoch), update: o.more().file})
}

// unsaveLocked has what is stored under a key removed.
func (s *Store) unsaveLocked(key string) {
	if s.tier != nil {
		s.tier.push(&change{key: key})
	}
}

// weight is the memory that a change holds beside what the store accounts for.
func (c *change) weight() int64 {
	if c.o == nil {
		return 0
	}
	return int64(len(c.record)) + c.o.inRAM()
}

// push queues a change. Where too much waits already an object is not written: what the key had is removed.
func (t *tier) push(c *change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.off || t.closed {
		return
	}
	if held, ok := t.waiting[c.key]; ok {
		held.dead = true
		t.bytes -= held.weight()
		if !held.begun { // it stays in the queue, though not its body
			held.o, held.record, held.update = nil, nil, nil
		}
	}
	if t.bytes+c.weight() > t.most || c.o != nil && !t.files.Fits(c.o.inRAM()) {
		c = &change{key: c.key}
	}
	t.bytes += c.weight()
	t.waiting[c.key] = c
	t.queue = append(t.queue, c)
	t.changed.Broadcast()
}

// maxPace is how long a body that is complete waits for the disk to come after.
const maxPace = 250 * time.Millisecond

// pace waits until there is room for a body among what waits, though not for ever: it would not be written then.
func (t *tier) pace(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bytes+n <= t.most {
		return
	}
	late := false
	timer := time.AfterFunc(maxPace, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		late = true
		t.changed.Broadcast()
	})
	defer timer.Stop()
	for t.bytes+n > t.most && t.bytes > 0 && !late && !t.closed && !t.off {
		t.changed.Wait()
	}
}

// write does what waits until the tier is closed.
func (t *tier) write(s *Store) {
	for {
		c := t.next()
		if c == nil {
			return
		}
		file := t.apply(c)
		if file != nil {
			s.onDisk(c.o, file)
		}
		t.mu.Lock()
		if !c.dead && t.waiting[c.key] == c {
			t.bytes -= c.weight()
			delete(t.waiting, c.key)
		}
		t.busy = false
		t.changed.Broadcast()
		t.mu.Unlock()
	}
}

// onDisk notes the file of an object. A body that is not small leaves RAM for it: there it would stand in the way of many others,
// and from a file it is sent without being copied.
func (s *Store) onDisk(o *Object, file *disk.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.amendLocked(o, func(r *rare) { r.file = file })
	if s.entries.peek(o.key()) != o || o.Size() <= disk.SmallBody || o.Sliced() {
		return
	}
	moved := o.parts()
	moved.first, moved.rest, moved.onDisk = nil, nil, true
	s.putLocked(moved.build(s.kinds))
}

// next waits for a change; nil when there is none to come.
func (t *tier) next() *change {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		for len(t.queue) > 0 {
			c := t.queue[0]
			t.queue[0] = nil
			t.queue = t.queue[1:]
			if !c.dead {
				t.busy, c.begun = true, true
				return c
			}
		}
		if t.closed {
			return nil
		}
		t.changed.Wait()
	}
}

// drain waits until nothing waits.
func (t *tier) drain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for (len(t.queue) > 0 || t.busy) && !t.closed {
		t.changed.Wait()
	}
}

// apply makes a change on disk. It returns the file of an object that has got one.
func (t *tier) apply(c *change) *disk.Object {
	if c.o == nil {
		t.files.Remove([]byte(c.key))
		return nil
	}
	if c.update != nil {
		err := t.files.Update(c.update, []byte(c.key), c.record)
		if err == nil || c.o.more().onDisk {
			return nil // where that failed the object is given up, as whoever opens it finds out
		}
	}
	body := append([][]byte{c.o.first()}, c.o.more().rest...)
	file, err := t.files.Put([]byte(c.key), c.record, body)
	if err != nil {
		t.fail(err)
		return nil
	}
	return file
}

// fail counts what could not be written, and tells of it once in a while.
func (t *tier) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures++
	if now := time.Now(); now.Sub(t.warned) > time.Minute && !errors.Is(err, disk.ErrNotFound) {
		t.warned = now
		t.cfg.Log.Warn("the cache cannot write to disk and goes on in memory", "error", err, "failures", t.failures)
	}
}

// clear removes everything. What is being written at the moment does not stay.
func (t *tier) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.waiting {
		c.dead = true
	}
	clear(t.waiting)
	t.queue, t.bytes = nil, 0
	if err := t.files.Clear(); err != nil {
		t.offLocked(err)
	}
}

// offLocked ends the use of the disk: what is there cannot be kept in step with purges.
func (t *tier) offLocked(err error) {
	t.off = true
	t.cfg.Log.Error("the cache does without its disk until the next start", "error", errors.Join(err, distrust(t.cfg.Dir)))
}

// note writes a purge down before it is acknowledged. Where that fails nothing on disk may be used after the next start: it is
// removed. t.logging is held.
func (t *tier) note(r *purgeRecord, l *purgeLog) {
	const large = 4 << 20
	err := t.log.add(r)
	if err == nil && t.log.size > large {
		t.drain() // removals that the records of single keys stand for
		var next *purgeFile
		if next, err = writePurges(t.cfg.Dir, t.epoch, l.records()); err == nil {
			_ = t.log.f.Close() // it has been replaced
			t.log = next
		}
	}
	if err == nil {
		return
	}
	t.cfg.Log.Error("a purge cannot be noted: the cache on disk is cleared", "error", err)
	t.clear()
}

// find returns what a change that waits for a key puts there; nil for nothing.
func (t *tier) find(key []byte) (o *Object, waits bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.off {
		return nil, true
	}
	c, ok := t.waiting[string(key)]
	if !ok {
		return nil, false
	}
	return c.o, true
}

// reach returns what is stored under a key, in RAM or on disk; nil for nothing.
func (s *Store) reach(key []byte) *Object {
	o, known := s.near(key, nil)
	if known {
		return o
	}
	e, err := s.tier.files.Get(key)
	if err != nil {
		if !errors.Is(err, disk.ErrNotFound) && !errors.Is(err, disk.ErrCorrupt) {
			s.tier.fail(err)
		}
		return nil
	}
	o, ok := parseRecord(key, e.Record, s.tier.epoch, e.Object, e.Body, s.kinds)
	if !ok {
		s.tier.files.Drop(e.Object)
		return nil
	}
	o, _ = s.near(key, o)
	return o
}

// near returns what is known of a key without reading a file. read is what its file has said, nil before it was looked at: it
// counts if nothing has happened to the key since.
func (s *Store) near(key []byte, read *Object) (o *Object, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.getLocked(key); o != nil {
		return o, true
	}
	if to, waits := s.tier.find(key); waits {
		if to == nil {
			return nil, true
		}
		read = to
	} else if read == nil {
		return nil, false
	} else if !s.tier.files.Current(read.more().file) || read.checked > s.purges.now {
		return nil, true
	}
	o, gone := s.purges.judge(read, s.kinds)
	if gone {
		s.unsaveLocked(read.key())
		return nil, true
	}
	s.promoteLocked(o)
	return o, true
}

// has reports whether something is stored under a key, as far as can be told without a look at its file.
func (s *Store) has(key []byte) bool {
	s.mu.Lock()
	held := s.entries.peek(text(key)) != nil
	s.mu.Unlock()
	if held || s.tier == nil {
		return held
	}
	if to, waits := s.tier.find(key); waits {
		return to != nil
	}
	return s.tier.files.Has(key)
}

// onlyOnDisk reports whether the file of an object that RAM does not hold is still what its key has.
func (s *Store) onlyOnDisk(o *Object) bool {
	file := o.more().file
	if s.tier == nil || file == nil {
		return false
	}
	_, waits := s.tier.find([]byte(o.key()))
	return !waits && s.tier.files.Current(file)
}
