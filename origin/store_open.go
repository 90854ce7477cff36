package origin

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"
)

var fileName = regexp.MustCompile(`^([0-9a-f]{64})\.([1-9][0-9]{0,14})\.(json|body)$`)

// openStore opens the store below dir, which it makes if need be, and rebuilds its index. Damaged records are logged and
// skipped; their files are left for whoever wants to look at them.
func openStore(dir string, maxSize int64, now func() time.Time, log *slog.Logger) (*store, error) {
	s := &store{dir: dir, maxSize: maxSize, now: now, log: log, sites: map[string]map[string]*object{}, lost: map[string]uint64{}}
	if err := os.RemoveAll(s.tmpDir()); err != nil {
		return nil, fmt.Errorf("remove unfinished uploads: %w", err)
	}
	if err := os.MkdirAll(s.tmpDir(), 0o700); err != nil {
		return nil, fmt.Errorf("make object store: %w", err)
	}
	// A rename is durable only in directories that are so themselves.
	if err := errors.Join(syncDir(dir), syncDir(filepath.Dir(dir))); err != nil {
		return nil, fmt.Errorf("make object store: %w", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read object store: %w", err)
	}
	bodies := map[string][]uint64{} // by hash
	used := map[string]bool{}       // body files that a record names
	for _, f := range files {
		m := fileName.FindStringSubmatch(f.Name())
		if m == nil {
			continue
		}
		hash := m[1]
		n, err := strconv.ParseUint(m[2], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read object store: %w", err)
		}
		if m[3] == "body" {
			bodies[hash] = append(bodies[hash], n)
			continue
		}
		r, err := s.readRecord(hash, n)
		if err != nil {
			log.Warn("skipped a damaged object version", "file", f.Name(), "error", err)
			s.lost[hash] = max(s.lost[hash], n)
			continue
		}
		used[s.bodyFile(hash, r.Body)] = true
		o := s.objectLocked(r.Site, r.Path)
		o.versions = append(o.versions, r.Version)
	}
	s.removeOrphans(bodies, used)
	s.settle()
	return s, nil
}

// readRecord reads a metadata file and checks that it says what its name says and that its body has the right length.
func (s *store) readRecord(hash string, n uint64) (record, error) {
	data, err := os.ReadFile(s.recordFile(hash, n))
	if err != nil {
		return record{}, err
	}
	r, err := decodeRecord(data)
	if err != nil {
		return record{}, err
	}
	if r.Number != n || hashOf(r.Site, r.Path) != hash {
		return record{}, errors.New("it belongs to another object or version")
	}
	if r.Deleted {
		return r, nil
	}
	info, err := os.Stat(s.bodyFile(hash, r.Body))
	if err != nil {
		return record{}, err
	}
	if info.Size() != r.Size {
		return record{}, fmt.Errorf("its body has %d bytes instead of %d", info.Size(), r.Size)
	}
	return r, nil
}

// removeOrphans removes the bodies of uploads that never got their record. Next to a damaged record they stay: it may name
// them.
func (s *store) removeOrphans(bodies map[string][]uint64, used map[string]bool) {
	for hash, numbers := range bodies {
		if s.lost[hash] != 0 {
			continue
		}
		for _, n := range numbers {
			if file := s.bodyFile(hash, n); !used[file] {
				s.discard(file)
			}
		}
	}
}

// settle puts the versions of each object in order and finishes the pruning that a crash interrupted.
func (s *store) settle() {
	for site, objects := range s.sites {
		for path, o := range objects {
			slices.SortFunc(o.versions, func(a, b Version) int { return cmp.Compare(a.Number, b.Number) })
			hash := hashOf(site, path)
			o.last = max(s.lost[hash], o.versions[len(o.versions)-1].Number)
			s.discard(s.pruneLocked(hash, o)...)
		}
	}
}

// objectLocked finds the entry of an object, or makes it.
func (s *store) objectLocked(site, path string) *object {
	objects := s.sites[site]
	if objects == nil {
		objects = map[string]*object{}
		s.sites[site] = objects
	}
	o := objects[path]
	if o == nil {
		o = &object{last: s.lost[hashOf(site, path)]}
		objects[path] = o
	}
	return o
}

// discard removes files that nothing needs any more. What cannot be removed now goes at the next open.
func (s *store) discard(files ...string) {
	for _, f := range files {
		if err := os.Remove(f); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.log.Warn("could not remove an unused file", "file", f, "error", err)
		}
	}
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
