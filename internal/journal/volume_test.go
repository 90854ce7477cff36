package journal

import (
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// testVolume keeps files in a real directory. It does not flush, which takes most of the time, but knows what would be on the disk
// if it did, and fails where it is told to.
type testVolume struct {
	fail    func(op string) error // asked before each of: open, write, sync, truncate, syncdir
	reading func()                // called before a read; may be nil

	mu      sync.Mutex        // guards the fields below
	flushed map[string][]byte // what the files held when they were flushed last; those whose names were flushed, too
	content map[string][]byte // of all files
}

// failing fails every operation of the kind.
func failing(op string, err error) func(string) error {
	return func(o string) error {
		if o == op {
			return err
		}
		return nil
	}
}

func (v *testVolume) failed(op string) error {
	if v.fail == nil {
		return nil
	}
	return v.fail(op)
}

func (v *testVolume) open(path string, flag int) (file, error) {
	if err := v.failed("open"); err != nil {
		return nil, err
	}
	f, err := osVolume{}.open(path, flag)
	if err != nil {
		return nil, err
	}
	return testFile{f, path, v}, nil
}

func (v *testVolume) syncDir(dir string) error {
	if err := v.failed("syncdir"); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.flushed = map[string][]byte{}
	for path, content := range v.content {
		if _, err := os.Stat(path); err != nil {
			delete(v.content, path)
			continue
		}
		v.flushed[path] = content
	}
	return nil
}

type testFile struct {
	file
	path string
	v    *testVolume
}

// WriteAt writes a part when it fails, as on a disk that becomes full.
func (f testFile) WriteAt(b []byte, at int64) (int, error) {
	if err := f.v.failed("write"); err != nil {
		n, _ := f.file.WriteAt(b[:len(b)*2/3], at)
		return n, err
	}
	return f.file.WriteAt(b, at)
}

func (f testFile) ReadAt(b []byte, at int64) (int, error) {
	if f.v.reading != nil {
		f.v.reading()
	}
	return f.file.ReadAt(b, at)
}

func (f testFile) Truncate(size int64) error {
	if err := f.v.failed("truncate"); err != nil {
		return err
	}
	return f.file.Truncate(size)
}

// Sync flushes even when it fails, which is what the journal must reckon with.
func (f testFile) Sync() error {
	failure := f.v.failed("sync")
	b, err := os.ReadFile(f.path)
	if err != nil {
		return err
	}
	f.v.mu.Lock()
	defer f.v.mu.Unlock()
	if f.v.content == nil {
		f.v.content = map[string][]byte{}
	}
	f.v.content[f.path] = b
	if _, named := f.v.flushed[f.path]; named {
		f.v.flushed[f.path] = b
	}
	return failure
}

// losePower leaves in dir what a disk might hold: of each sector what was flushed or what was written since, of each name that was
// not flushed the file or none. The journal must not be used any more.
func (v *testVolume) losePower(t *testing.T, dir string, rng *rand.Rand) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	now := map[string][]byte{}
	for _, path := range paths {
		if now[path], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	for path, content := range v.flushed {
		if _, there := now[path]; !there && rng.IntN(2) == 0 {
			now[path] = content // it was removed, the directory not flushed
		}
	}
	for _, path := range slices.Sorted(maps.Keys(now)) {
		if filepath.Base(path) == "lock" {
			continue
		}
		if _, named := v.flushed[path]; !named && rng.IntN(2) == 0 {
			_ = os.Remove(path) // or it is not there
			continue
		}
		if err := os.WriteFile(path, mixSectors(v.content[path], now[path], rng), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// movePaths makes the volume know the files of a directory under their names in a copy of it.
func (v *testVolume) movePaths(from, to string) {
	for _, m := range []map[string][]byte{v.flushed, v.content} {
		for path, b := range maps.Clone(m) {
			if filepath.Dir(path) == from {
				m[filepath.Join(to, filepath.Base(path))] = b
				delete(m, path)
			}
		}
	}
}

func mixSectors(flushed, written []byte, rng *rand.Rand) []byte {
	const sector = 512
	size := min(len(flushed), len(written))
	size += rng.IntN(max(len(flushed), len(written)) - size + 1)
	mixed := make([]byte, size)
	for at := 0; at < size; at += sector {
		from := flushed
		if rng.IntN(2) == 0 {
			from = written
		}
		copy(mixed[at:min(at+sector, size)], from[min(at, len(from)):])
	}
	return mixed
}
