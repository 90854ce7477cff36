package disk

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// scan reads the names of all files into the index, those written last as the newest.
func (s *Store) scan() {
	s.mu.Lock()
	era := s.era
	s.mu.Unlock()
	var all []*Object
	for dir := range 256 {
		if s.stopping() {
			return
		}
		all = append(all, s.list(dir)...)
	}
	slices.SortFunc(all, older)
	for len(all) > 0 {
		const some = 1000 // under one lock
		n := min(len(all), some)
		s.mu.Lock()
		for _, o := range all[:n] {
			if !s.scanned[o.id[0]] && s.era == era {
				s.meetLocked(o)
			}
		}
		s.unlock()
		all = all[n:]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scannedLocked()
}

// scannedLocked notes that the index has all there is.
func (s *Store) scannedLocked() {
	for i := range s.scanned {
		s.scanned[i] = true
	}
	s.gone = nil
}

// older orders files by when they were written.
func older(a, b *Object) int { return cmp.Compare(a.version, b.version) }

// list reads a directory. What is no file of the cache is left alone.
func (s *Store) list(dir int) []*Object {
	entries, err := os.ReadDir(filepath.Join(s.cfg.Dir, "objects", fmt.Sprintf("%02x", dir)))
	if err != nil && !os.IsNotExist(err) {
		s.cfg.Log.Warn("the cache on disk cannot be read", "error", err)
	}
	var files []*Object
	for _, e := range entries {
		o := parseName(e.Name())
		if o == nil || int(o.id[0]) != dir {
			continue
		}
		if info, err := e.Info(); err == nil { // else it is gone meanwhile
			o.length = blocks(info.Size())
			files = append(files, o)
		}
	}
	slices.SortFunc(files, older)
	return files
}

// takeLocked notes the files of a directory, unless somebody else has, or all was removed meanwhile.
func (s *Store) takeLocked(dir int, files []*Object, era uint64) {
	if s.scanned[dir] || s.era != era {
		return
	}
	for _, o := range files {
		s.meetLocked(o)
	}
	s.scanned[dir] = true
}

// meetLocked notes a file that was found. What is written later under its key is newer: a crash may leave both.
func (s *Store) meetLocked(o *Object) {
	if _, gone := s.gone[name{o.id, o.version}]; gone {
		return
	}
	switch held, ok := s.index[o.id]; {
	case ok && held.version == o.version:
	case ok && held.version > o.version:
		s.doomLocked(o)
	default:
		s.addLocked(o)
	}
}
