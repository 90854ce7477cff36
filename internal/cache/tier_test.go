package cache

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"cdnlab/internal/httpcache"
)

// onDisk returns a store whose disk is in a directory.
func onDisk(t testing.TB, dir string, cfg Config) *Store {
	t.Helper()
	if cfg.Budget == 0 {
		cfg.Budget = 16 << 20
	}
	s := New(cfg)
	if err := s.UseDisk(DiskConfig{Dir: dir, Budget: 256 << 20, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// crash ends a store as the end of its process would: what waits is lost.
func (s *Store) crash() {
	t := s.tier
	t.mu.Lock()
	t.queue, t.closed = nil, true
	t.changed.Broadcast()
	t.mu.Unlock()
	t.writer.Wait()
	t.files.Close()
}

// served returns the body that a request gets; ok is false for a miss.
func served(t *testing.T, s *Store, key string, a *httpcache.Ask) (body string, ok bool) {
	t.Helper()
	o := find(s, key, a)
	if o == nil {
		return "", false
	}
	src, err := s.Open(o, All)
	if err != nil {
		return "", false
	}
	defer src.Close()
	var b bytes.Buffer
	if _, err := src.WriteTo(&b); err != nil {
		t.Errorf("%s: %v", key, err)
	}
	return b.String(), true
}

func TestDiskKeepsWhatRAMGivesUp(t *testing.T) {
	s := onDisk(t, t.TempDir(), Config{Budget: 8 << 20})
	const n = 300
	size := func(i int) int { return []int{0, 10, 200_000, 300_000, 900_000}[i%5] }
	for i := range n {
		if put(t, s, fmt.Sprint(i), askFor(), admitted("X-Number", fmt.Sprint(i)), pattern(size(i))) == nil {
			t.Fatalf("object %d is not stored", i)
		}
		s.tier.drain()
	}
	if st := s.Stats(); st.Evictions == 0 || st.Bytes > 8<<20 {
		t.Fatalf("%+v", st)
	}
	for round := range 2 {
		for i := range n {
			body, ok := served(t, s, fmt.Sprint(i), askFor())
			if !ok || body != pattern(size(i)) {
				t.Errorf("round %d, object %d: %d bytes, found %v", round, i, len(body), ok)
			}
			if o := find(s, fmt.Sprint(i), askFor()); o == nil || o.Header().Get("X-Number") != fmt.Sprint(i) {
				t.Errorf("object %d: %+v", i, o)
			}
		}
	}
}

// TestWhatIsReplacedDoesNotWait stores a key again while the disk is busy.
func TestWhatIsReplacedDoesNotWait(t *testing.T) {
	gate := make(chan struct{})
	s := New(Config{Budget: 16 << 20})
	seek := func() { <-gate }
	if err := s.UseDisk(DiskConfig{Dir: t.TempDir(), Budget: 256 << 20, Seek: seek, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	put(t, s, "first", askFor(), admitted(), "x")
	for busy := false; !busy; runtime.Gosched() {
		s.tier.mu.Lock()
		busy = s.tier.busy
		s.tier.mu.Unlock()
	}
	old := weak.Make(put(t, s, "k", askFor(), admitted(), pattern(1<<20)))
	put(t, s, "k", askFor(), admitted(), "new")
	runtime.GC()
	if old.Value() != nil {
		t.Error("the old body is still in memory")
	}
	close(gate)
}

func TestPartOfAFile(t *testing.T) {
	dir := t.TempDir()
	s := onDisk(t, dir, Config{Budget: 64 << 20})
	body := pattern(3 << 20)
	put(t, s, "k", askFor(), admitted(), body)
	s.Close()
	s = onDisk(t, dir, Config{Budget: 64 << 20})
	o := find(s, "k", askFor())
	if _, ok := o.Bytes(); ok {
		t.Error("the body is in RAM")
	}
	for _, span := range []httpcache.Span{{First: 0, Length: 1}, {First: 1<<20 - 1, Length: 2}, {First: 5, Length: 3<<20 - 5}, {First: 3 << 20, Length: 0}} {
		src, err := s.Open(o, span)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := src.WriteTo(&b); err != nil || b.String() != body[span.First:span.First+span.Length] {
			t.Errorf("%v: %d bytes, %v", span, b.Len(), err)
		}
		src.Close()
	}
}

func TestARestartComesBackWarm(t *testing.T) {
	dir := t.TempDir()
	s := onDisk(t, dir, Config{})
	adm := admitted("ETag", `"v"`, "Cache-Tag", "a, b")
	adm.Meta = httpcache.Meta{ResponseTime: 1, Date: 2, LastModified: 3, InitialAge: 4, Lifetime: 5, StaleWhileRevalidate: 6, StaleIfError: 7, ETag: `"v"`,
		Status: 404, Source: httpcache.SourceExpires, NoCache: true, MustRevalidate: true, Encodable: true, Limits: true, Immutable: true}
	put(t, s, "plain", askFor(), adm, "plain body")
	en, de := askFor("Accept-Language", "en"), askFor("Accept-Language", "de")
	put(t, s, "varied", en, admitted("Vary", "Accept-Language"), "english")
	put(t, s, "varied", de, admitted("Vary", "Accept-Language"), "deutsch")
	head := s.PutSliced(FillConfig{Key: []byte("sliced"), Ask: askFor(), Admission: admitted("ETag", `"s"`), Ticket: s.Ticket()}, 2<<20+5)
	f := s.BeginSlice(head, 2, s.Ticket())
	write(t, f, "12345")
	complete(t, f)
	s.Close()

	s = onDisk(t, dir, Config{})
	if o := find(s, "plain", askFor()); o == nil || o.Meta() != adm.Meta || o.Header() != adm.Header || len(o.more().tags) != 2 {
		t.Errorf("found %+v", o)
	}
	for _, tt := range []struct {
		key  string
		a    *httpcache.Ask
		want string
	}{{"plain", askFor(), "plain body"}, {"varied", en, "english"}, {"varied", de, "deutsch"}} {
		if got, _ := served(t, s, tt.key, tt.a); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.key, got, tt.want)
		}
	}
	if _, fwd := s.Find([]byte("varied"), askFor("Accept-Language", "fr")); fwd != httpcache.FwdVaryMiss {
		t.Errorf("another language: %v", fwd)
	}
	head = find(s, "sliced", askFor())
	if head == nil || !head.Sliced() || head.Size() != 2<<20+5 {
		t.Fatalf("the head is %+v", head)
	}
	if s.HasSlice(head, 1) || !s.HasSlice(head, 2) {
		t.Error("slices are mixed up")
	}
	if o, ok := s.Slice(head, 2); !ok || bodyOf(o) != "12345" {
		t.Errorf("slice 2: %v", o)
	}
}

func TestAValidationIsKeptOnDisk(t *testing.T) {
	for _, size := range []int{10, 1 << 20} {
		dir := t.TempDir()
		s := onDisk(t, dir, Config{})
		put(t, s, "k", askFor(), admitted("X", "1"), pattern(size))
		s.Close()
		s = onDisk(t, dir, Config{}) // the body is in the file alone, if it is large
		s.Replace(find(s, "k", askFor()), admitted("X", "2"))
		s.Close()
		s = onDisk(t, dir, Config{})
		if o := find(s, "k", askFor()); o == nil || o.Header().Get("X") != "2" {
			t.Errorf("%d bytes: found %+v", size, o)
		}
		if body, _ := served(t, s, "k", askFor()); body != pattern(size) {
			t.Errorf("%d bytes: %d come back", size, len(body))
		}
		s.Replace(find(s, "k", askFor()), httpcache.Admission{})
		s.Close()
		s = onDisk(t, dir, Config{})
		if o := find(s, "k", askFor()); o != nil {
			t.Error("what may no longer be stored is there")
		}
	}
}

// TestPurgesOutliveTheProcess ends it by a crash at once, so that nothing but the note of the purge can have been written.
func TestPurgesOutliveTheProcess(t *testing.T) {
	for _, tt := range []struct {
		name  string
		purge Purge
		want  string // of host/a with the tag x, after ten minutes
	}{
		{"key", Purge{Scope: ScopeKey, Value: "host/a"}, "nothing"},
		{"another key", Purge{Scope: ScopeKey, Value: "host/b"}, "fresh"},
		{"prefix", Purge{Scope: ScopePrefix, Value: "host/"}, "nothing"},
		{"tag", Purge{Scope: ScopeTag, Value: "x"}, "nothing"},
		{"another tag", Purge{Scope: ScopeTag, Value: "y"}, "fresh"},
		{"all", Purge{Scope: ScopeAll}, "nothing"},
		{"soft key", Purge{Scope: ScopeKey, Value: "host/a", Soft: true}, "stale for 9m0s"},
		{"soft tag", Purge{Scope: ScopeTag, Value: "x", Soft: true}, "stale for 9m0s"},
		{"soft all", Purge{Scope: ScopeAll, Soft: true}, "stale for 9m0s"},
	} {
		for _, varied := range []string{"", "Accept"} {
			t.Run(tt.name+" "+varied, func(t *testing.T) {
				dir := t.TempDir()
				s := onDisk(t, dir, Config{})
				adm := tagged("x")
				adm.Meta.Vary = varied
				keep(t, s, "host/a", adm, askFor())
				s.tier.drain()
				s.Purge(tt.purge, minute)
				for range 3 {
					s.crash()
					s = onDisk(t, dir, Config{})
					if got := holds(s, "host/a", askFor()); got != tt.want {
						t.Errorf("%s, want %s", got, tt.want)
					}
				}
				keep(t, s, "host/a", adm, askFor())
				s.tier.drain()
				s.crash()
				s = onDisk(t, dir, Config{})
				if got := holds(s, "host/a", askFor()); got != "fresh" {
					t.Errorf("stored anew it is %s", got)
				}
			})
		}
	}
}

func TestManyPurgesAreNotedInLittleRoom(t *testing.T) {
	dir := t.TempDir()
	s := onDisk(t, dir, Config{})
	keep(t, s, "host/a", tagged("x"), askFor())
	s.tier.drain()
	s.Purge(Purge{Scope: ScopeTag, Value: "x"}, minute)
	long := strings.Repeat("k", 30_000)
	for i := range 1000 {
		s.Purge(Purge{Scope: ScopeKey, Value: fmt.Sprint(i, long)}, minute)
	}
	info, err := os.Stat(filepath.Join(dir, "purges"))
	if err != nil || info.Size() > 5<<20 {
		t.Errorf("%v, %v", info, err)
	}
	now := s.Ticket()
	s.crash()
	s = onDisk(t, dir, Config{})
	if got := holds(s, "host/a", askFor()); got != "nothing" {
		t.Errorf("what was purged is %s", got)
	}
	if s.Ticket() != now {
		t.Errorf("%d purges, want %d", s.Ticket(), now)
	}
}

// TestADamagedFileOfPurges changes each byte, and takes the file away: what was purged stays so.
func TestADamagedFileOfPurges(t *testing.T) {
	dir := t.TempDir()
	s := onDisk(t, dir, Config{})
	keep(t, s, "host/a", tagged("x"), askFor())
	s.tier.drain()
	s.Purge(Purge{Scope: ScopeTag, Value: "y"}, minute)
	s.Purge(Purge{Scope: ScopeTag, Value: "x"}, minute)
	s.crash()
	path := filepath.Join(dir, "purges")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		changed := bytes.Clone(raw)
		changed[i] ^= 0x10
		if epoch, records, err := parsePurges(changed); err == nil {
			t.Errorf("byte %d changed: epoch %d, %d records, no error", i, epoch, len(records))
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s = onDisk(t, dir, Config{})
	if got := holds(s, "host/a", askFor()); got != "nothing" {
		t.Errorf("without the file of purges it is %s", got)
	}
}

func TestWhatWaitsIsFound(t *testing.T) {
	gate := make(chan struct{})
	s := New(Config{Budget: 8 << 20})
	if err := s.UseDisk(DiskConfig{Dir: t.TempDir(), Budget: 64 << 20, Seek: func() { <-gate }, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	defer close(gate)
	evict := func() {
		s.mu.Lock()
		s.removeLocked("k")
		s.mu.Unlock()
	}
	put(t, s, "k", askFor(), admitted(), "old")
	put(t, s, "k", askFor(), admitted(), "new")
	evict()
	if body, ok := served(t, s, "k", askFor()); body != "new" {
		t.Errorf("%q, found %v, want new", body, ok)
	}
	evict()
	s.Purge(Purge{Scope: ScopeKey, Value: "k"}, 0)
	if body, ok := served(t, s, "k", askFor()); ok {
		t.Errorf("what was purged is found: %q", body)
	}
}

func TestADiskThatCannotBeWrittenTo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := New(Config{Budget: 16 << 20})
	if err := s.UseDisk(DiskConfig{Dir: file, Budget: 1 << 20, Log: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("no error")
	}
	defer s.Close()
	put(t, s, "k", askFor(), admitted(), "body")
	if body, _ := served(t, s, "k", askFor()); body != "body" {
		t.Errorf("%q", body)
	}
}

// TestDiskAgainstAModel stores, replaces, validates and purges at random, with crashes and damage in between. Each body names its
// key and a version: nothing is served that was purged, or is of another key.
// A store that does without its disk notes no purges there: what is on it must not come back with the next start.
func TestWhatIsPurgedWithoutTheDiskStaysAway(t *testing.T) {
	dir := t.TempDir()
	s := onDisk(t, dir, Config{})
	for _, key := range []string{"a", "b"} {
		if put(t, s, key, askFor(), admitted("X-Number", key), pattern(1000)) == nil {
			t.Fatal("not stored")
		}
	}
	s.Close()

	obstacle := filepath.Join(dir, "purges.new")
	if err := os.Mkdir(obstacle, 0o700); err != nil {
		t.Fatal(err)
	}
	s = New(Config{Budget: 16 << 20})
	if err := s.UseDisk(DiskConfig{Dir: dir, Budget: 256 << 20, Log: slog.New(slog.DiscardHandler)}); err == nil {
		t.Fatal("a disk that takes no note of purges is used")
	}
	s.Purge(Purge{Value: "a"}, 1)
	s.Close()
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}

	s = onDisk(t, dir, Config{})
	if _, ok := served(t, s, "a", askFor()); ok {
		t.Error("what was purged meanwhile is served")
	}
	if put(t, s, "a", askFor(), admitted("X-Number", "2"), pattern(1000)) == nil {
		t.Fatal("not stored")
	}
	s.Close()
	s = onDisk(t, dir, Config{})
	if _, ok := served(t, s, "a", askFor()); !ok {
		t.Error("what was stored since is not")
	}
}

func TestDiskAgainstAModel(t *testing.T) {
	seeds := uint64(20)
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			dir := t.TempDir()
			cfg := Config{Budget: 3 << 20}
			s := onDisk(t, dir, cfg)
			const keys = 12
			newest, least := [keys]int{}, [keys]int{} // versions stored; those below least are purged
			tag := func(k int) string { return fmt.Sprint("t", k%3) }
			purgeIf := func(f func(k int) bool) {
				for k := range keys {
					if f(k) {
						least[k] = newest[k] + 1
					}
				}
			}
			lang := func(v int) *httpcache.Ask { return askFor("Accept-Language", fmt.Sprint("l", v%2)) }
			for step := range 600 {
				k := r.IntN(keys)
				key := fmt.Sprintf("h/%d/%d", k%4, k)
				switch op := r.IntN(100); {
				case op < 40:
					newest[k]++
					adm := tagged(tag(k))
					if k%5 == 0 {
						adm.Meta.Vary = "Accept-Language"
					}
					body := fmt.Sprintf("%s v%d;", key, newest[k])
					body = strings.Repeat(body, 1+r.IntN(2)*r.IntN(30_000))
					put(t, s, key, lang(newest[k]), adm, body)
				case op < 80:
					a := lang(r.IntN(2))
					body, ok := served(t, s, key, a)
					if !ok {
						break
					}
					first, _, _ := strings.Cut(body, ";")
					var v int
					if _, err := fmt.Sscanf(first, key+" v%d", &v); err != nil || body != strings.Repeat(first+";", len(body)/(len(first)+1)) {
						t.Fatalf("step %d: %s has %.60q", step, key, body)
					}
					if v < least[k] || v > newest[k] {
						t.Fatalf("step %d: %s has version %d, want one from %d to %d", step, key, v, least[k], newest[k])
					}
				case op < 84:
					if o := find(s, key, lang(r.IntN(2))); o != nil {
						adm := tagged(tag(k))
						adm.Meta.Vary = o.Meta().Vary
						s.Replace(o, adm)
					}
				case op < 87:
					s.Purge(Purge{Scope: ScopeKey, Value: key}, 0)
					purgeIf(func(n int) bool { return n == k })
				case op < 89:
					s.Purge(Purge{Scope: ScopeTag, Value: tag(k)}, 0)
					purgeIf(func(n int) bool { return n%3 == k%3 })
				case op < 91:
					s.Purge(Purge{Scope: ScopePrefix, Value: fmt.Sprintf("h/%d/", k%4)}, 0)
					purgeIf(func(n int) bool { return n%4 == k%4 })
				case op < 92:
					s.Purge(Purge{Scope: ScopeAll}, 0)
					purgeIf(func(int) bool { return true })
				case op < 95:
					s.crash()
					s = onDisk(t, dir, cfg)
				case op < 97:
					s.Close()
					s = onDisk(t, dir, cfg)
				default:
					s.crash()
					harm(t, dir, r)
					s = onDisk(t, dir, cfg)
				}
			}
			if st := s.Stats(); st.Bytes > cfg.Budget {
				t.Errorf("%+v", st)
			}
		})
	}
}

// harm damages a file of a cache at random.
func harm(t *testing.T, dir string, r *rand.Rand) {
	files, err := filepath.Glob(filepath.Join(dir, "objects", "*", "*"))
	if err != nil || len(files) == 0 {
		return
	}
	path := files[r.IntN(len(files))]
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, err := f.Seek(0, io.SeekEnd)
	if err != nil || n == 0 {
		return
	}
	at := r.Int64N(n)
	if r.IntN(3) == 0 {
		err = f.Truncate(at)
	} else {
		var b [1]byte
		_, _ = f.ReadAt(b[:], at) // within the file
		b[0] ^= 1 << r.IntN(8)
		_, err = f.WriteAt(b[:], at)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func FuzzRecord(f *testing.F) {
	s := onDisk(f, f.TempDir(), Config{})
	p := parts{key: "k", header: httpcache.MakeHeader("A", "b"), meta: httpcache.Meta{Status: 200, ETag: `"x"`, Lifetime: time.Hour}}
	p.tags = []uint64{1, 2}
	f.Add(appendRecord(nil, p.build(s.kinds), 1))
	p.variants = &variants{vary: "accept", generation: 3, keys: []string{"k\x00a"}}
	f.Add(appendRecord(nil, p.build(s.kinds), 1))
	p.variants, p.slicing = nil, &slicing{generation: 1, size: 1 << 20}
	f.Add(appendRecord(nil, p.build(s.kinds), 1))
	file, err := s.tier.files.Put([]byte("k"), nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, ok := parseRecord([]byte("k"), b, 1, file, nil, s.kinds)
		if !ok {
			return
		}
		again, ok := parseRecord([]byte("k"), appendRecord(nil, o, 1), 1, file, nil, s.kinds)
		if !ok || again.Meta() != o.Meta() || again.Header() != o.Header() || again.Size() != o.Size() || len(again.more().tags) != len(o.more().tags) {
			t.Errorf("%+v comes back as %+v", o, again)
		}
	})
}

func FuzzPurges(f *testing.F) {
	r := purgeRecord{kind: recordKind(ScopeTag), soft: true, ticket: 3, time: 4, value: []byte("12345678")}
	dir := f.TempDir()
	p, err := writePurges(dir, 7, []purgeRecord{r, {kind: recordState, ticket: 9}})
	if err != nil {
		f.Fatal(err)
	}
	if err := p.f.Close(); err != nil {
		f.Fatal(err)
	}
	raw, err := os.ReadFile(p.path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(_ *testing.T, b []byte) {
		if _, records, err := parsePurges(b); err == nil {
			var l purgeLog
			l.replay(records)
			l.records()
		}
	})
}
