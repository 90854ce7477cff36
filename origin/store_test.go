package origin

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"
)

func openTestStore(t testing.TB, dir string, log io.Writer) *store {
	t.Helper()
	s, err := openStore(dir, 1<<20, func() time.Time { return noon }, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustPut(t testing.TB, s *store, path, body string) Version {
	t.Helper()
	v, _, err := s.put(upload{site: testSite, path: path, body: strings.NewReader(body), size: int64(len(body))})
	if err != nil {
		t.Fatalf("put %s = %v", path, err)
	}
	return v
}

// bodyOf returns what a version holds; 0 is the current one.
func bodyOf(t testing.TB, s *store, path string, number uint64) string {
	t.Helper()
	v, err := s.version(testSite, path, number)
	if err != nil {
		return err.Error()
	}
	f, err := s.open(testSite, path, v)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func files(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestOldVersionsAreKeptUpToTheLimit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "objects")
	s := openTestStore(t, dir, io.Discard)
	const puts = keepVersions + 5
	for i := range puts {
		mustPut(t, s, "/a", fmt.Sprint("body ", i+1))
	}
	for range 2 {
		versions := s.versions(testSite, "/a")
		if len(versions) != keepVersions+1 || versions[0].Number != puts || versions[keepVersions].Number != puts-keepVersions {
			t.Errorf("versions = %v", versions)
		}
		if got := len(files(t, dir)); got != 2*(keepVersions+1) {
			t.Errorf("%d files, want %d", got, 2*(keepVersions+1))
		}
		if got := bodyOf(t, s, "/a", puts-keepVersions); got != fmt.Sprint("body ", puts-keepVersions) {
			t.Errorf("oldest version = %q", got)
		}
		s = openTestStore(t, dir, io.Discard)
	}
}

func TestRollbackSharesTheBodyUntilNobodyNeedsIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "objects")
	s := openTestStore(t, dir, io.Discard)
	first := mustPut(t, s, "/a", "one")
	mustPut(t, s, "/a", "two")
	v, err := s.rollback(testSite, "/a", 1)
	if err != nil || v.Number != 3 || v.From != 1 || v.Body != 1 || v.ETag() != first.ETag() {
		t.Fatalf("rollback = %+v, %v", v, err)
	}
	if got := bodyOf(t, s, "/a", 0); got != "one" {
		t.Errorf("after rollback = %q", got)
	}
	if err := s.drop(testSite, "/a", 1); err != nil {
		t.Fatal(err)
	}
	s = openTestStore(t, dir, io.Discard)
	if got := bodyOf(t, s, "/a", 3); got != "one" {
		t.Errorf("after dropping the version rolled back to = %q", got)
	}
	mustPut(t, s, "/a", "four")
	if err := s.drop(testSite, "/a", 3); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.bodyFile(hashOf(testSite, "/a"), 1)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the body that nobody names is still there: %v", err)
	}
}

func TestStoreRefusals(t *testing.T) {
	s := openTestStore(t, filepath.Join(t.TempDir(), "objects"), io.Discard)
	v := mustPut(t, s, "/a", "one")
	mustPut(t, s, "/gone", "x")
	if _, err := s.remove(testSite, "/gone", false, conditions{}); err != nil {
		t.Fatal(err)
	}
	put := func(path string, u upload) error {
		u.site, u.path = testSite, path
		if u.body == nil {
			u.body = strings.NewReader("new")
		}
		_, _, err := s.put(u)
		return err
	}
	big := io.LimitReader(patternOf(1), 1<<20+1)
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"announced too large", put("/b", upload{size: 1<<20 + 1}), "1048576 bytes at most"},
		{"turns out too large", put("/b", upload{size: -1, body: big}), "1048576 bytes at most"},
		{"ends early", put("/b", upload{size: 5}), "cut short: 3 bytes of 5 came"},
		{"breaks off", put("/b", upload{size: -1, body: iotest.ErrReader(io.ErrUnexpectedEOF)}), "cut short: unexpected EOF"},
		{"If-None-Match * on an object", put("/a", upload{size: 3, conditions: conditions{noneMatch: "*"}}), "If-Match"},
		{"If-Match * on nothing", put("/b", upload{size: 3, conditions: conditions{match: "*"}}), "If-Match"},
		{"If-Match on another version", put("/a", upload{size: 3, conditions: conditions{match: `"x"`}}), "If-Match"},
		{"If-Match * on a deleted object", put("/gone", upload{size: 3, conditions: conditions{match: "*"}}), "If-Match"},
		{"remove nothing", second(s.remove(testSite, "/b", false, conditions{})), "no such object"},
		{"remove twice", second(s.remove(testSite, "/gone", false, conditions{})), "no such object"},
		{"roll back nothing", second(s.rollback(testSite, "/b", 1)), "no such object"},
		{"roll back to no version", second(s.rollback(testSite, "/a", 9)), "no such version"},
		{"roll back to a deletion", second(s.rollback(testSite, "/gone", 2)), "that version is a deletion"},
		{"drop the current version", s.drop(testSite, "/a", 1), "current version"},
		{"drop no version", s.drop(testSite, "/a", 7), "no such version"},
		{"drop of nothing", s.drop(testSite, "/nothing", 1), "no such object"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s = %v, want %q", c.name, c.err, c.want)
		}
	}
	if err := put("/a", upload{size: 3, conditions: conditions{match: v.ETag()}}); err != nil {
		t.Errorf("If-Match on the current version = %v", err)
	}
	if _, err := s.rollback(testSite, "/gone", 1); err != nil || bodyOf(t, s, "/gone", 0) != "x" {
		t.Errorf("roll back of a deletion = %v", err)
	}
	if entries, _ := os.ReadDir(s.tmpDir()); len(entries) != 0 {
		t.Errorf("refused uploads left %v", entries)
	}
}

func second[T any](_ T, err error) error { return err }

func patternOf(seed uint64) io.Reader { return &patternReader{key: seed, end: 1 << 40} }

func TestListing(t *testing.T) {
	s := openTestStore(t, filepath.Join(t.TempDir(), "objects"), io.Discard)
	for _, p := range []string{"/b/2", "/a", "/b/1", "/b/3", "/c"} {
		mustPut(t, s, p, p)
	}
	if _, err := s.remove(testSite, "/b/3", false, conditions{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.put(upload{site: "img.cdn.test", path: "/b/9", body: strings.NewReader(""), size: 0}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		prefix, after string
		limit         int
		want          string
		more          bool
	}{
		{"", "", 10, "/a /b/1 /b/2 /c", false},
		{"/b/", "", 10, "/b/1 /b/2", false},
		{"", "", 2, "/a /b/1", true},
		{"", "/b/1", 2, "/b/2 /c", false},
		{"/x", "", 10, "", false},
	} {
		entries, more := s.list(testSite, c.prefix, c.after, c.limit)
		var paths []string
		for _, e := range entries {
			paths = append(paths, e.Path)
		}
		if got := strings.Join(paths, " "); got != c.want || more != c.more {
			t.Errorf("list(%q, after %q, %d) = %q, more %v; want %q, %v", c.prefix, c.after, c.limit, got, more, c.want, c.more)
		}
	}
}

func TestWritersOfOneObjectTakeTurns(t *testing.T) {
	s := openTestStore(t, filepath.Join(t.TempDir(), "objects"), io.Discard)
	const writers = 20
	var wg sync.WaitGroup
	var mu sync.Mutex
	won, numbers := 0, map[uint64]bool{}
	for i := range writers {
		wg.Go(func() {
			_, _, err := s.put(upload{site: testSite, path: "/once", body: strings.NewReader(fmt.Sprint(i)), size: -1, conditions: conditions{noneMatch: "*"}})
			v := mustPut(t, s, "/many", fmt.Sprint(i))
			got := bodyOf(t, s, "/many", 0)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			}
			numbers[v.Number] = true
			if got == "" {
				t.Error("an empty body in between")
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d writers created the object, want 1", won)
	}
	if len(numbers) != writers {
		t.Errorf("%d numbers for %d versions", len(numbers), writers)
	}
}

// A store on a full disk refuses the upload, keeps what it has, and works again once there is room.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("mounting a small tmpfs takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	s := openTestStore(t, filepath.Join(dir, "objects"), io.Discard)
	mustPut(t, s, "/a", "one")
	_, _, err := s.put(upload{site: testSite, path: "/big", body: io.LimitReader(patternOf(1), 512<<10), size: 512 << 10})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("put on a full disk = %v, want ENOSPC", err)
	}
	if _, ok := s.current(testSite, "/big"); ok {
		t.Error("an object that did not fit is there")
	}
	mustPut(t, s, "/b", strings.Repeat("x", 64<<10))
	s = openTestStore(t, s.dir, io.Discard)
	if bodyOf(t, s, "/a", 0) != "one" || len(bodyOf(t, s, "/b", 0)) != 64<<10 || bodyOf(t, s, "/big", 0) != errNoObject.Error() {
		t.Error("the store does not hold what it acknowledged, and that alone")
	}
}
