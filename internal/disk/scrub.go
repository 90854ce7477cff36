package disk

import (
	"errors"
	"os"
	"time"
)

// scrubPause is between two rounds over all files.
const scrubPause = time.Minute

// scrub reads all files over and over, and removes the damaged ones.
func (s *Store) scrub() {
	for s.cfg.Scrub > 0 && s.sleep(scrubPause) {
		for dir := range 256 {
			for _, found := range s.list(dir) {
				if !s.scrubFile(found) {
					return
				}
			}
		}
	}
}

// scrubFile checks a file and waits as long as that may take; false says that the store is closed.
func (s *Store) scrubFile(found *Object) bool {
	s.mu.Lock()
	o, ok := s.index[found.id]
	ok = ok && o.version == found.version
	s.mu.Unlock()
	if ok {
		if err := s.Check(o); err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, os.ErrNotExist) {
			s.cfg.Log.Debug("a file of the cache cannot be checked", "error", err)
		}
	}
	return s.sleep(time.Duration(float64(found.length) / float64(s.cfg.Scrub) * float64(time.Second)))
}
