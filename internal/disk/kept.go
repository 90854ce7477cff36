package disk

import (
	"errors"
	"os"
	"syscall"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxKept is how many files are kept open for whoever reads them next: to open and close one takes eight system calls.
const maxKept = 256

// kept are open files that nobody reads. The store's mutex guards them.
type kept struct {
	files *simplelru.LRU[*Object, []*os.File]
	n     int
}

func newKept() kept {
	files, _ := simplelru.NewLRU[*Object, []*os.File](maxKept, nil) // fails for sizes below 1 only
	return kept{files: files}
}

// take returns an open file of an object; nil when none is kept.
func (k *kept) take(o *Object) *os.File {
	files, ok := k.files.Get(o)
	if !ok {
		return nil
	}
	k.n--
	last := len(files) - 1
	if last == 0 {
		k.files.Remove(o)
	} else {
		k.files.Add(o, files[:last])
	}
	return files[last]
}

// put keeps a file, in place of those of the objects that were read the longest time ago.
func (k *kept) put(o *Object, f *os.File) {
	files, _ := k.files.Peek(o)
	for k.n >= maxKept {
		oldest, _, _ := k.files.GetOldest()
		if oldest == o {
			break
		}
		k.close(oldest)
	}
	if k.n >= maxKept {
		_ = f.Close() // it was read only
		return
	}
	k.files.Add(o, append(files, f))
	k.n++
}

// close closes the files of an object.
func (k *kept) close(o *Object) {
	files, _ := k.files.Peek(o)
	for _, f := range files {
		_ = f.Close() // it was read only
	}
	k.n -= len(files)
	k.files.Remove(o)
}

func (k *kept) closeAll() {
	for _, o := range k.files.Keys() {
		k.close(o)
	}
}

// open returns a file for reading an object, one that was kept if there is.
func (s *Store) open(o *Object) (*os.File, error) {
	s.mu.Lock()
	f := s.kept.take(o)
	s.mu.Unlock()
	if f != nil {
		if !isLinked(f) {
			_ = f.Close() // it was read only
			return nil, os.ErrNotExist
		}
		return f, nil
	}
	f, err := os.Open(s.path(o))
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		s.mu.Lock()
		s.kept.closeAll()
		s.mu.Unlock()
		f, err = os.Open(s.path(o))
	}
	return f, err
}

// isLinked reports whether a file is still in a directory.
func isLinked(f *os.File) bool {
	info, err := f.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink > 0
}

// Release takes back a file that Open has returned for an object.
func (s *Store) Release(o *Object, f *os.File) {
	s.mu.Lock()
	keep := s.index[o.id] == o && !s.closed
	if keep {
		s.kept.put(o, f)
	}
	s.mu.Unlock()
	if !keep {
		_ = f.Close() // it was read only
	}
}
