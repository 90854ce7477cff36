package disk

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"cdnlab/internal/evict"
)

// Defaults of a Config.
const (
	DefaultChunk = 1 << 20
	DefaultScrub = 256 << 10
)

// maxChunks is of how many chunks a body may be.
const maxChunks = 64

// Config configures a Store. Dir, Budget and Log are required.
type Config struct {
	Dir      string
	Budget   int64  // bytes of all files, each rounded up to a block of the file system
	Chunk    int    // bytes under one sum; default DefaultChunk
	Scrub    int64  // bytes that are checked a second in the background; default DefaultScrub, negative for none
	Eviction string // name of the policy, one of evict.Names; default "lru"
	Seed     uint64 // of policies that draw lots
	Seek     func() // called before each access to a file; may be nil
	Log      *slog.Logger
}

// Errors of a Store.
var (
	ErrNotFound = errors.New("disk: not stored")
	ErrCorrupt  = errors.New("disk: the file is damaged") // it is removed
	ErrTooLarge = errors.New("disk: larger than an object may be")
)

// Store keeps objects in files. Its methods may be called concurrently.
type Store struct {
	cfg     Config
	ended   chan struct{} // closed when the store is
	tasks   sync.WaitGroup
	update  sync.RWMutex // held for reading while a trailer is read, for writing while one is appended
	buffers sync.Pool    // *[]byte

	mu        sync.Mutex // guards the fields below
	index     map[id]*Object
	policy    evict.Policy
	bytes     int64
	scanned   [256]bool         // directories whose names are in the index
	gone      map[name]struct{} // files given up until all are scanned: a list made before that may name them still; then nil
	evictions uint64
	damaged   uint64
	era       uint64   // counts calls of Clear
	doomed    []string // files that unlock removes
	kept      kept     // of those in the index
	last      uint64   // version given out
	closed    bool
}

// unlock removes what was given up, which may take its time.
func (s *Store) unlock() {
	doomed := s.doomed
	s.doomed = nil
	s.mu.Unlock()
	for _, path := range doomed {
		_ = os.Remove(path) // what stays is on a file system that takes no writes: nothing is trusted that is opened there
	}
}

// id is a hash of a key.
type id [16]byte

// name tells the files of one key apart.
type name struct {
	id      id
	version uint64
}

func idOf(key []byte) id {
	sum := sha256.Sum256(key)
	return id(sum[:])
}

// Object is a file of the store. It stays usable for those who hold it until it is replaced or given up.
type Object struct {
	node evict.Node // first: see evict.Entry

	Size int64 // of the body

	id      id
	version uint64
	chunk   int64
	sums    []uint32      // of the chunks
	checked atomic.Uint64 // a bit for each chunk that was in order

	length int64 // that the file takes on disk; guarded by the store's mutex
}

// Open makes the directory if need be and returns the store in it. It fails where nothing can be written: whoever cannot note
// what is no longer to be served must not serve it.
func Open(cfg Config) (*Store, error) {
	if cfg.Chunk <= 0 {
		cfg.Chunk = DefaultChunk
	}
	if cfg.Scrub == 0 {
		cfg.Scrub = DefaultScrub
	}
	if cfg.Eviction == "" {
		cfg.Eviction = "lru"
	}
	s := &Store{cfg: cfg, ended: make(chan struct{}), index: map[id]*Object{}, gone: map[name]struct{}{}, kept: newKept()}
	if err := s.newPolicy(); err != nil {
		return nil, fmt.Errorf("open cache on disk: %w", err)
	}
	if err := s.discard("new"); err != nil {
		return nil, fmt.Errorf("open cache on disk: %w", err)
	}
	for _, dir := range []string{"objects", "new"} {
		if err := os.MkdirAll(filepath.Join(cfg.Dir, dir), 0o700); err != nil {
			return nil, fmt.Errorf("open cache on disk: %w", err)
		}
	}
	probe := filepath.Join(cfg.Dir, "new", "probe")
	if err := errors.Join(os.WriteFile(probe, nil, 0o600), os.Remove(probe)); err != nil {
		return nil, fmt.Errorf("open cache on disk: %w", err)
	}
	s.tasks.Go(s.sweep)
	s.tasks.Go(func() {
		s.scan()
		s.scrub()
	})
	return s, nil
}

// Close ends what goes on in the background.
func (s *Store) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.ended)
		s.kept.closeAll()
	}
	s.mu.Unlock()
	s.tasks.Wait()
}

func (s *Store) stopping() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// sleep waits; false says that the store is closed.
func (s *Store) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.ended:
		return false
	case <-t.C:
		return true
	}
}

func (s *Store) newPolicy() (err error) {
	const least = 100 // what policies with parts need to divide
	s.policy, err = evict.New(s.cfg.Eviction, evict.Config{Capacity: max(s.cfg.Budget, least), Rand: rand.New(rand.NewPCG(s.cfg.Seed, 1))})
	return err
}

// Stats is the fill of a store.
type Stats struct {
	Objects   int
	Bytes     int64
	Budget    int64
	Evictions uint64
	Damaged   uint64 // files found so
}

// Stats returns the present figures; those of objects and bytes grow while a store that was just opened is being read.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{len(s.index), s.bytes, s.cfg.Budget, s.evictions, s.damaged}
}

// Fits reports whether a body is no longer than the store takes.
func (s *Store) Fits(size int64) bool {
	return size <= maxChunks*int64(s.cfg.Chunk) && size <= s.cfg.Budget/8
}

func (s *Store) seek() {
	if s.cfg.Seek != nil {
		s.cfg.Seek()
	}
}

func (i id) dir() string { return hex.EncodeToString(i[:1]) }

func (s *Store) path(o *Object) string {
	return filepath.Join(s.cfg.Dir, "objects", o.id.dir(), o.name())
}

func (o *Object) name() string { return fmt.Sprintf("%x-%016x", o.id[:], o.version) }

// parseName is the reverse of name; nil for others.
func parseName(name string) *Object {
	hash, version, ok := strings.Cut(name, "-")
	o := &Object{}
	if !ok || len(hash) != 2*len(o.id) || len(version) != 16 {
		return nil
	}
	_, err := hex.Decode(o.id[:], []byte(hash))
	if err != nil {
		return nil
	}
	o.version, err = strconv.ParseUint(version, 16, 64)
	if err != nil || o.name() != name {
		return nil
	}
	return o
}

// find returns the file of a key. Until all names have been read it looks into the directory itself.
func (s *Store) find(i id) (*Object, bool) {
	s.mu.Lock()
	defer s.unlock()
	if !s.scanned[i[0]] {
		era := s.era
		s.unlock()
		files := s.list(int(i[0]))
		s.mu.Lock()
		s.takeLocked(int(i[0]), files, era)
	}
	o, ok := s.index[i]
	if ok {
		s.policy.Hit(&o.node)
	}
	return o, ok
}

// addLocked puts a file into the index, in place of another of its key, and makes room for it.
func (s *Store) addLocked(o *Object) {
	switch old, ok := s.index[o.id]; {
	case ok && old.version == o.version: // a list has named it before Put was through: the file is the same
		s.policy.Remove(&old.node)
		s.bytes -= old.length
		s.kept.close(old)
		delete(s.index, o.id)
	case ok:
		s.removeLocked(old)
	}
	s.makeRoomLocked(o.length)
	o.node = evict.Node{Hash: uint64(o.id[8])<<56 | uint64(o.version>>8), Size: o.length}
	s.index[o.id] = o
	s.policy.Add(&o.node)
	s.bytes += o.length
}

// blocks rounds a file's length up to what it takes on disk, about.
func blocks(n int64) int64 {
	const block = 4 << 10
	return (n + block - 1) / block * block
}

// removeLocked takes a file out of the index, and off the disk.
func (s *Store) removeLocked(o *Object) {
	s.policy.Remove(&o.node)
	s.goneLocked(o)
}

func (s *Store) goneLocked(o *Object) {
	delete(s.index, o.id)
	s.bytes -= o.length
	s.kept.close(o)
	s.doomLocked(o)
}

// doomLocked takes a file off the disk for good.
func (s *Store) doomLocked(o *Object) {
	s.doomed = append(s.doomed, s.path(o))
	if s.gone != nil {
		s.gone[name{o.id, o.version}] = struct{}{}
	}
}

func (s *Store) makeRoomLocked(n int64) {
	for s.bytes+n > s.cfg.Budget {
		if !s.evictLocked() {
			return
		}
	}
}

func (s *Store) evictLocked() bool {
	n := s.policy.Victim()
	if n == nil {
		return false
	}
	s.evictions++
	s.goneLocked(evict.Entry[Object](n))
	return true
}

// drop gives up a file if it is still the one of its key.
func (s *Store) drop(o *Object) {
	s.mu.Lock()
	defer s.unlock()
	if s.index[o.id] == o {
		s.removeLocked(o)
	}
}

// damage gives up a file that is not what was written.
func (s *Store) damage(o *Object, what string) error {
	s.cfg.Log.Warn("a file of the cache is damaged: it is removed", "file", s.path(o), "what", what)
	s.drop(o)
	s.mu.Lock()
	s.damaged++
	s.mu.Unlock()
	return ErrCorrupt
}

// missing judges an error of a file that should be there. Only one that is gone is given up.
func (s *Store) missing(o *Object, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		s.drop(o)
		return ErrNotFound
	}
	return err
}

// Current reports whether the object is what the store has under its key.
func (s *Store) Current(o *Object) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.index[o.id] == o
}

// Drop removes an object.
func (s *Store) Drop(o *Object) { s.drop(o) }

// Remove removes what is stored under a key.
func (s *Store) Remove(key []byte) {
	if o, ok := s.find(idOf(key)); ok {
		s.drop(o)
	}
}

// Has reports whether something is stored under a key.
func (s *Store) Has(key []byte) bool {
	_, ok := s.find(idOf(key))
	return ok
}

// Clear removes everything. It is done when it returns, but for giving the room back.
func (s *Store) Clear() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doomed = nil
	if err := s.discard("objects"); err != nil {
		return fmt.Errorf("clear cache on disk: %w", err)
	}
	clear(s.index)
	s.kept.closeAll()
	s.bytes = 0
	s.era++
	s.scannedLocked()
	if !s.closed {
		s.tasks.Go(s.sweep)
	}
	return errors.Join(s.newPolicy(), os.MkdirAll(filepath.Join(s.cfg.Dir, "objects"), 0o700))
}

// discard puts a directory out of the way, for sweep.
func (s *Store) discard(dir string) error {
	err := os.Rename(filepath.Join(s.cfg.Dir, dir), filepath.Join(s.cfg.Dir, fmt.Sprintf("old-%016x", rand.Uint64())))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// sweep removes what was discarded.
func (s *Store) sweep() {
	old, _ := filepath.Glob(filepath.Join(s.cfg.Dir, "old-*")) // the pattern is well-formed
	for _, dir := range old {
		if err := os.RemoveAll(dir); err != nil {
			s.cfg.Log.Warn("what the cache has given up cannot be removed", "error", err)
		}
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// isFull reports whether an error says that there is no room.
func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }
