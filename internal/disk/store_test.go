package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func open(t *testing.T, dir string, change func(*Config)) *Store {
	t.Helper()
	cfg := Config{Dir: dir, Budget: 64 << 20, Scrub: -1, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&cfg)
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(b) // never fails
	return b
}

func put(t *testing.T, s *Store, key, record string, body []byte) *Object {
	t.Helper()
	var pieces [][]byte
	for rest := body; len(rest) > 0; {
		n := min(len(rest), 300_000)
		pieces, rest = append(pieces, rest[:n]), rest[n:]
	}
	o, err := s.Put([]byte(key), []byte(record), pieces)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// read returns what the store has under a key, as its users get it.
func read(s *Store, key string) (record string, body []byte, err error) {
	e, err := s.Get([]byte(key))
	if err != nil {
		return "", nil, err
	}
	if e.Body != nil || e.Size == 0 {
		return string(e.Record), e.Body, nil
	}
	f, err := s.Open(e.Object, 0, e.Size)
	if err != nil {
		return "", nil, err
	}
	defer s.Release(e.Object, f)
	body = make([]byte, e.Size)
	_, err = io.ReadFull(f, body)
	return string(e.Record), body, err
}

func (s *Store) files(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(s.cfg.Dir, "objects", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

var sizes = []int{0, 1, 4096, SmallBody - 1, SmallBody, SmallBody + 1, 1 << 20, 1<<20 + 1, 3<<20 + 17}

func TestWhatIsPutComesBackAfterAStart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	for i, n := range sizes {
		put(t, s, fmt.Sprintf("/../%d/\x00", n), fmt.Sprintf("record %d", n), noise(uint64(i), n))
	}
	for range 2 {
		for i, n := range sizes {
			record, body, err := read(s, fmt.Sprintf("/../%d/\x00", n))
			if err != nil || record != fmt.Sprintf("record %d", n) || !bytes.Equal(body, noise(uint64(i), n)) {
				t.Errorf("%d bytes: %q, %d bytes, %v", n, record, len(body), err)
			}
		}
		if _, _, err := read(s, "other"); !errors.Is(err, ErrNotFound) {
			t.Errorf("another key: %v, want %v", err, ErrNotFound)
		}
		s.Close()
		s = open(t, dir, nil)
	}
}

func TestPutReplaces(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	old := put(t, s, "k", "1", []byte("one"))
	put(t, s, "k", "2", []byte("two"))
	if record, body, err := read(s, "k"); record != "2" || string(body) != "two" || err != nil {
		t.Errorf("%q %q %v", record, body, err)
	}
	if s.Current(old) {
		t.Error("the old object is current")
	}
	if _, err := s.Open(old, 0, 3); !errors.Is(err, ErrNotFound) {
		t.Errorf("the old object opens: %v", err)
	}
	if n := len(s.files(t)); n != 1 {
		t.Errorf("%d files, want 1", n)
	}
}

// TestACrashBetweenTwoFiles has both the old and the new file of a key.
func TestACrashBetweenTwoFiles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	old := put(t, s, "k", "1", []byte("one"))
	raw, err := os.ReadFile(s.path(old))
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "k", "2", []byte("two"))
	if err := os.WriteFile(s.path(old), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, dir, nil)
	if record, body, err := read(s, "k"); record != "2" || string(body) != "two" || err != nil {
		t.Errorf("%q %q %v", record, body, err)
	}
	s.Close()
	if n := len(s.files(t)); n != 1 {
		t.Errorf("%d files, want 1", n)
	}
}

func TestUpdateChangesTheRecord(t *testing.T) {
	for _, n := range sizes {
		dir := t.TempDir()
		s := open(t, dir, nil)
		o := put(t, s, "k", "1", noise(1, n))
		for i := range 3 {
			if err := s.Update(o, []byte("k"), fmt.Appendf(nil, "%d", i+2)); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if record, body, err := read(s, "k"); record != "4" || !bytes.Equal(body, noise(1, n)) || err != nil {
				t.Errorf("%d bytes: %q %d %v", n, record, len(body), err)
			}
			s.Close()
			s = open(t, dir, nil)
		}
	}
}

func TestTheBudgetIsOfRecordsToo(t *testing.T) {
	s := open(t, t.TempDir(), func(c *Config) { c.Budget = 1 << 20 })
	for i := range 100 {
		key := fmt.Appendf(nil, "%d", i)
		o := put(t, s, string(key), "r", []byte("body"))
		for range 5 {
			if err := s.Update(o, key, bytes.Repeat([]byte("r"), 10_000)); err != nil {
				t.Fatal(err)
			}
		}
	}
	held := int64(0)
	for _, f := range s.files(t) {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		held += blocks(info.Size())
	}
	if st := s.Stats(); st.Bytes != held || held > st.Budget {
		t.Errorf("%+v, files have %d", st, held)
	}
}

func TestAFileDoesNotGrowForever(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	o := put(t, s, "k", "1", []byte("body"))
	for n := 0; ; n++ {
		if n > maxUpdates {
			t.Fatal("it does")
		}
		if err := s.Update(o, []byte("k"), bytes.Repeat([]byte("r"), 10_000)); err != nil {
			break
		}
	}
	if s.Has([]byte("k")) {
		t.Error("the object stays although its record could not be changed")
	}
}

// TestNoByteOfAFileCanChange flips each bit of a small file, and cuts it at each length, while the store is closed.
func TestNoByteOfAFileCanChange(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	o := put(t, s, "k", "record", []byte("some body"))
	s.Close()
	path := s.path(o)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	try := func(name string, changed []byte) {
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, nil)
		defer s.Close()
		if record, body, err := read(s, "k"); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %q %q %v, want %v", name, record, body, err, ErrCorrupt)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the file is still there (%v)", name, err)
		}
	}
	for i := range raw {
		changed := bytes.Clone(raw)
		changed[i] ^= 1 << (i % 8)
		try(fmt.Sprintf("a bit of byte %d", i), changed)
		try(fmt.Sprintf("cut at %d", i), raw[:i])
	}
	try("longer", append(bytes.Clone(raw), 0))
}

func TestALargeBodyIsCheckedAtItsFirstUse(t *testing.T) {
	body := noise(1, 3<<20)
	for _, at := range []int64{0, 1 << 20, 3<<20 - 1} {
		s := open(t, t.TempDir(), nil)
		o := put(t, s, "k", "r", body)
		f, err := os.OpenFile(s.path(o), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{^body[at]}, at); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if _, _, err := read(s, "k"); !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d changed: %v, want %v", at, err, ErrCorrupt)
		}
		if st := s.Stats(); st.Objects != 0 || st.Damaged != 1 || st.Bytes != 0 {
			t.Errorf("%+v", st)
		}
	}
}

func TestOnlyWhatIsAskedForIsChecked(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	o := put(t, s, "k", "r", noise(1, 3<<20))
	if _, err := s.Get([]byte("k")); err != nil {
		t.Fatal(err)
	}
	f, err := s.Open(o, 1<<20, 1<<20+10)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if got := o.checked.Load(); got != 0b010 {
		t.Errorf("chunks %b are checked, want 010", got)
	}
}

// openFiles counts what the process has open below a directory.
func openFiles(t *testing.T, dir string) (n int) {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && strings.HasPrefix(target, dir) {
			n++
		}
	}
	return n
}

func TestFilesAreKeptOpen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	held := func(what string, want int) {
		t.Helper()
		if got := openFiles(t, filepath.Join(dir, "objects")); got != want {
			t.Errorf("%s: %d files are open, want %d", what, got, want)
		}
	}
	o := put(t, s, "k", "r", noise(1, 3<<20))
	var files []*os.File
	for _, off := range []int64{0, 1 << 20} { // two readers at a time
		f, err := s.Open(o, off, 3<<20)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	for _, f := range files {
		s.Release(o, f)
	}
	held("after two readers", 2)
	f, err := s.Open(o, 2<<20, 3<<20)
	if err != nil || !slices.Contains(files, f) {
		t.Fatalf("the next reader gets %p, %v, want one of %p", f, err, files)
	}
	rest, err := io.ReadAll(f)
	if err != nil || !bytes.HasPrefix(rest, noise(1, 3<<20)[2<<20:]) {
		t.Errorf("what it reads is not what lies at 2 MiB, %v", err)
	}
	put(t, s, "k", "r", noise(2, 2<<20))
	held("replaced, with a reader", 1)
	s.Release(o, f)
	held("replaced", 0)

	for i := range maxKept + 10 {
		o = put(t, s, fmt.Sprint(i), "r", noise(uint64(i), 10_000))
		f, err := s.Open(o, 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		s.Release(o, f)
	}
	held("many objects", maxKept)
	files = files[:0]
	for range maxKept + 10 {
		f, err := s.Open(o, 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	for _, f := range files {
		s.Release(o, f)
	}
	held("many readers of one", maxKept)
	if err := s.Clear(); err != nil {
		t.Fatal(err)
	}
	held("cleared", 0)

	o = put(t, s, "k", "r", noise(1, 2<<20))
	if f, err = s.Open(o, 0, 1); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.Release(o, f)
	held("closed", 0)
}

func TestTheBudgetHolds(t *testing.T) {
	dir := t.TempDir()
	change := func(c *Config) { c.Budget = 1 << 20 }
	s := open(t, dir, change)
	for i := range 300 {
		put(t, s, fmt.Sprint(i), "r", noise(uint64(i), 10_000))
		if i%10 == 0 {
			if _, _, err := read(s, "0"); err != nil {
				t.Fatalf("what is used often is gone: %v", err)
			}
		}
	}
	held := func() (sum int64) {
		for _, f := range s.files(t) {
			info, err := os.Stat(f)
			if err != nil {
				t.Fatal(err)
			}
			sum += blocks(info.Size())
		}
		return sum
	}
	if st := s.Stats(); st.Bytes > 1<<20 || st.Bytes != held() || st.Evictions == 0 {
		t.Errorf("%+v, files have %d", st, held())
	}
	s.Close()
	s = open(t, dir, func(c *Config) { c.Budget = 512 << 10 })
	for i := range 300 {
		s.Has([]byte(fmt.Sprint(i))) // reads its directory, if the store has not come to it
	}
	s.Close()
	if st := s.Stats(); st.Bytes > 512<<10 || st.Bytes != held() {
		t.Errorf("with a smaller budget: %+v, files have %d", st, held())
	}
}

// TestAnOldListBringsNothingBack lets a file go between the list of a directory and its use.
func TestAnOldListBringsNothingBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	put(t, s, "k", "r", []byte("x"))
	s.Close()
	s = &Store{cfg: s.cfg, index: map[id]*Object{}, gone: map[name]struct{}{}, kept: newKept()} // one that has scanned nothing yet
	if err := s.newPolicy(); err != nil {
		t.Fatal(err)
	}
	d := int(idOf([]byte("k"))[0])
	listed := s.list(d)
	s.Remove([]byte("k"))
	s.scanned[d] = false // as while the scan is under way
	s.mu.Lock()
	s.takeLocked(d, listed, s.era)
	s.unlock()
	if st := s.Stats(); len(listed) != 1 || st.Objects != 0 || st.Bytes != 0 {
		t.Errorf("%d listed, then %+v, want nothing", len(listed), st)
	}
}

// unscanned is a store that has not looked at its directory.
func unscanned(t *testing.T, cfg Config) *Store {
	t.Helper()
	s := &Store{cfg: cfg, index: map[id]*Object{}, gone: map[name]struct{}{}, kept: newKept()}
	if err := s.newPolicy(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAnOlderFileDoesNotComeBack(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	put(t, s, "k", "1", []byte("one"))
	s.Close()
	s = unscanned(t, s.cfg)
	s.Drop(put(t, s, "k", "2", []byte("two")))
	if record, _, err := read(s, "k"); !errors.Is(err, ErrNotFound) {
		t.Errorf("%q is back, %v", record, err)
	}
}

// TestAListWhileAFileIsWritten notes a file that Put has not noted yet.
func TestAListWhileAFileIsWritten(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	o := put(t, s, "k", "r", []byte("x"))
	s.Close()
	s = unscanned(t, s.cfg)
	s.Has([]byte("k"))
	s.mu.Lock()
	s.addLocked(o)
	s.unlock()
	if record, _, err := read(s, "k"); record != "r" || err != nil {
		t.Errorf("%q, %v", record, err)
	}
	if st := s.Stats(); st.Objects != 1 || st.Bytes != o.length {
		t.Errorf("%+v, want the one file", st)
	}
}

func TestClear(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	for i := range 100 {
		put(t, s, fmt.Sprint(i), "r", []byte("x"))
	}
	if err := s.Clear(); err != nil {
		t.Fatal(err)
	}
	put(t, s, "new", "r", []byte("y"))
	s.Close()
	left, err := filepath.Glob(filepath.Join(dir, "old-*"))
	if n := len(s.files(t)); n != 1 || len(left) > 0 || err != nil {
		t.Errorf("%d files, %d old directories, %v", n, len(left), err)
	}
	s = open(t, dir, nil)
	if _, _, err := read(s, "5"); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v, want %v", err, ErrNotFound)
	}
}

func TestScrubFindsDamage(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	good, bad := put(t, s, "good", "r", noise(1, 2<<20)), put(t, s, "bad", "r", noise(2, 2<<20))
	if err := os.Truncate(s.path(bad), 1<<20); err != nil {
		t.Fatal(err)
	}
	s.cfg.Scrub = 1 << 30
	for dir := range 256 {
		for _, o := range s.list(dir) {
			s.scrubFile(o)
		}
	}
	if s.Current(bad) || !s.Current(good) {
		t.Errorf("the bad one is current: %v; the good one: %v", s.Current(bad), s.Current(good))
	}
}

func TestOtherFilesAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	put(t, s, "k", "r", []byte("x"))
	s.Close()
	odd := []string{"objects/00/readme", "objects/zz/x", "objects/00/" + strings.Repeat("0", 32) + "-1", "objects/00/" + strings.Repeat("F", 32) + "-0000000000000001"}
	for _, name := range odd {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("x"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, nil)
	s.Has([]byte("k"))
	s.Close()
	if n := s.Stats().Objects; n != 1 {
		t.Errorf("%d objects, want 1", n)
	}
	for _, name := range odd {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestBudgetOfOneObject(t *testing.T) {
	s := open(t, t.TempDir(), func(c *Config) { c.Budget = 80 << 10 })
	if _, err := s.Put([]byte("k"), nil, [][]byte{make([]byte, 11<<10)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v, want %v", err, ErrTooLarge)
	}
}

func FuzzFooter(f *testing.F) {
	o := &Object{Size: 10, chunk: 4, version: 3, sums: []uint32{1, 2, 3}}
	f.Add(appendTrailer(make([]byte, 10), o, []byte("key"), []byte("record"), 10))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		foot, ok := parseFooter(b[max(0, len(b)-footerSize):], int64(len(b)))
		if !ok {
			return
		}
		x := tail{footer: foot, bytes: b, whole: true}
		if n := int64(len(x.key()) + len(x.record()) + len(x.body())); n > int64(len(b)) || int64(len(x.sums())) < 4*chunksOf(foot.size, foot.chunk) {
			t.Errorf("parts of %d bytes in a file of %d", n, len(b))
		}
	})
}
