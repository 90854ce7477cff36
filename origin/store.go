package origin

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// keepVersions is how many versions the store keeps of an object beside the current one; older ones are removed.
const keepVersions = 10

// store keeps objects below a directory. Every version of an object is a body file, which never changes, and a metadata
// file, whose appearance is the moment at which the version exists:
//
//	HASH.7.json   record of version 7        HASH is the SHA-256 of site, NUL and path, so that no name can leave the directory
//	HASH.7.body   its body
//	tmp/          uploads that are under way; removed at open
//
// Both files are written below tmp, fsynced and renamed, the body first, then the directory is fsynced, and only then does
// the upload count as done. A crash at any moment thus leaves a body that no record names, which the next open removes, or
// a whole version. Concurrent fsyncs share the file system's journal commits, so uploads need no grouping of their own.
//
// One process at a time may use the directory: whoever opens the store makes sure of that.
type store struct {
	dir     string
	maxSize int64
	now     func() time.Time
	log     *slog.Logger

	mu    sync.RWMutex // guards sites, what is in it, and the versions and last of each object
	sites map[string]map[string]*object
	// lost holds, by hash, the highest version number of which a damaged record is left: it must not be given again.
	lost map[string]uint64
}

// object is one path of one site.
type object struct {
	writing  sync.Mutex // serialises writers of this object across their I/O; readers never take it
	versions []Version  // oldest first, never empty once the first upload has ended
	last     uint64     // the highest number given
}

// The errors that callers tell apart.
var (
	errNoObject     = errors.New("no such object")
	errNoVersion    = errors.New("no such version")
	errIsCurrent    = errors.New("the current version cannot be removed alone: delete the object, or upload another version first")
	errIsDeletion   = errors.New("that version is a deletion: there is nothing to roll back to")
	errPrecondition = errors.New("the object is not in the state that If-Match or If-None-Match asks for")
)

func hashOf(site, path string) string {
	sum := sha256.Sum256([]byte(site + "\x00" + path))
	return hex.EncodeToString(sum[:])
}

func (s *store) bodyFile(hash string, n uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%s.%d.body", hash, n))
}

func (s *store) recordFile(hash string, n uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%s.%d.json", hash, n))
}

func (s *store) tmpDir() string { return filepath.Join(s.dir, "tmp") }

// current returns the newest version of an object, which may be a deletion.
func (s *store) current(site, path string) (Version, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o := s.sites[site][path]
	if o == nil || len(o.versions) == 0 {
		return Version{}, false
	}
	return o.versions[len(o.versions)-1], true
}

// versions returns every version of an object that is kept, newest first.
func (s *store) versions(site, path string) []Version {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o := s.sites[site][path]
	if o == nil {
		return nil
	}
	versions := slices.Clone(o.versions)
	slices.Reverse(versions)
	return versions
}

// version returns one version of an object; number 0 is the current one. A deletion is no version to read.
func (s *store) version(site, path string, number uint64) (Version, error) {
	versions := s.versions(site, path)
	if len(versions) == 0 {
		return Version{}, errNoObject
	}
	i := 0
	if number != 0 {
		if i = slices.IndexFunc(versions, func(v Version) bool { return v.Number == number }); i < 0 {
			return Version{}, errNoVersion
		}
	}
	if versions[i].Deleted {
		return Version{}, errNoObject
	}
	return versions[i], nil
}

// open returns a version's body.
func (s *store) open(site, path string, v Version) (*os.File, error) {
	f, err := os.Open(s.bodyFile(hashOf(site, path), v.Body))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoVersion // pruned since it was looked up
	}
	return f, err
}

// Entry is one object of a listing: its path and current version.
type Entry struct {
	Path string `json:"path"`
	ETag string `json:"etag"`
	Version
}

// list returns up to limit objects whose path has the prefix and sorts after another path, and whether there are more.
func (s *store) list(site, prefix, after string, limit int) (entries []Entry, more bool) {
	s.mu.RLock()
	for path, o := range s.sites[site] {
		if n := len(o.versions); strings.HasPrefix(path, prefix) && path > after && n > 0 && !o.versions[n-1].Deleted {
			entries = append(entries, Entry{path, o.versions[n-1].ETag(), o.versions[n-1]})
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	if len(entries) > limit {
		return entries[:limit:limit], true
	}
	return entries, false
}
