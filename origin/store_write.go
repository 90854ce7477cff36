package origin

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// upload is what a PUT brings.
type upload struct {
	site, path string
	header     []Field
	body       io.Reader
	size       int64 // as announced; -1 when it was not
	conditions conditions
}

// tooLarge is a body past the limit of the store.
type tooLarge struct{ limit int64 }

func (e tooLarge) Error() string {
	return fmt.Sprintf("an object has %d bytes at most", e.limit)
}

// incomplete is a body that ended before its framing said so.
type incomplete struct{ cause error }

func (e incomplete) Error() string { return fmt.Sprintf("the upload was cut short: %v", e.cause) }
func (e incomplete) Unwrap() error { return e.cause }

// put stores a new version and reports whether the object did not exist before. When it returns without an error the version
// is durable; otherwise it does not exist.
func (s *store) put(u upload) (v Version, created bool, err error) {
	if u.size > s.maxSize {
		return Version{}, false, tooLarge{s.maxSize}
	}
	tmp, v, err := s.receive(u)
	if err != nil {
		return Version{}, false, err
	}
	v.Header = u.header
	v, err = s.commit(u.site, u.path, tmp, func(before []Version) (Version, error) {
		created = !exists(before)
		return v, u.conditions.checkWrite(before)
	})
	return v, created, err
}

// receive writes a body to a temporary file, durably, and returns the file's name with size and hash.
func (s *store) receive(u upload) (name string, v Version, err error) {
	f, err := os.CreateTemp(s.tmpDir(), "body-*")
	if err != nil {
		return "", Version{}, fmt.Errorf("store upload: %w", err)
	}
	defer func() {
		if err != nil {
			s.discard(f.Name())
		}
	}()
	defer f.Close() // a second time after a success, which does nothing
	sum := sha256.New()
	n, err := copyBody(io.MultiWriter(f, sum), io.LimitReader(u.body, s.maxSize+1))
	switch {
	case err != nil:
		return "", Version{}, err
	case n > s.maxSize:
		return "", Version{}, tooLarge{s.maxSize}
	case u.size >= 0 && n != u.size:
		return "", Version{}, incomplete{fmt.Errorf("%d bytes of %d came", n, u.size)}
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return "", Version{}, fmt.Errorf("store upload: %w", err)
	}
	return f.Name(), Version{Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

// copyBody tells a sender that failed from a disk that failed.
func copyBody(w io.Writer, r io.Reader) (n int64, err error) {
	buf := make([]byte, 64<<10)
	for {
		got, rerr := r.Read(buf)
		if _, err := w.Write(buf[:got]); err != nil {
			return n, fmt.Errorf("store upload: %w", err)
		}
		n += int64(got)
		if rerr == io.EOF {
			return n, nil
		}
		if rerr != nil {
			return n, incomplete{rerr}
		}
	}
}

// commit makes what next returns the newest version of an object: it numbers it and puts its body (the file tmp, unless that is
// empty) and its record in place. next sees the versions before it, and nobody changes them until commit is done.
func (s *store) commit(site, path, tmp string, next func(before []Version) (Version, error)) (Version, error) {
	hash := hashOf(site, path)
	s.mu.Lock()
	o := s.objectLocked(site, path)
	s.mu.Unlock()
	o.writing.Lock()
	defer o.writing.Unlock()

	v, err := next(s.versions(site, path))
	if err != nil {
		s.discardUpload(tmp)
		return Version{}, err
	}
	v.Modified = s.now().UTC().Truncate(time.Millisecond)
	s.mu.Lock()
	o.last++
	v.Number = o.last
	s.mu.Unlock()
	if tmp != "" {
		v.Body = v.Number
	}
	if err := s.place(hash, tmp, record{Site: site, Path: path, Version: v}); err != nil {
		return Version{}, fmt.Errorf("store version %d: %w", v.Number, err)
	}
	s.mu.Lock()
	o.versions = append(o.versions, v)
	unused := s.pruneLocked(hash, o)
	s.mu.Unlock()
	s.discard(unused...)
	return v, nil
}

func (s *store) discardUpload(tmp string) {
	if tmp != "" {
		s.discard(tmp)
	}
}

// place moves body and record to their final names. After an error neither is there.
func (s *store) place(hash, tmp string, r record) (err error) {
	body, meta := s.bodyFile(hash, r.Number), s.recordFile(hash, r.Number)
	defer func() {
		if err != nil {
			s.discard(meta, body)
		}
	}()
	if tmp != "" {
		if err := os.Rename(tmp, body); err != nil {
			s.discard(tmp)
			return err
		}
	}
	data, err := r.encode()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(s.tmpDir(), "record-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		s.discard(f.Name())
		return err
	}
	if err := os.Rename(f.Name(), meta); err != nil {
		s.discard(f.Name())
		return err
	}
	return syncDir(s.dir)
}

// exists reports whether an object with these versions, newest first, is there to be read.
func exists(versions []Version) bool { return len(versions) > 0 && !versions[0].Deleted }

// checkWrite applies If-Match and If-None-Match to a write (RFC 9110 §13.1); "*" asks whether the object exists.
func (c conditions) checkWrite(before []Version) error {
	matches := func(list string) bool { return exists(before) && etagListed(list, before[0].ETag(), strongly) }
	if c.match != "" && !matches(c.match) || c.noneMatch != "" && matches(c.noneMatch) {
		return errPrecondition
	}
	return nil
}

// remove deletes an object: its newest version says that it is gone, and the older ones can still be rolled back to.
// Of a path that has a sample instead, the deletion hides the sample.
func (s *store) remove(site, path string, sample bool, c conditions) (Version, error) {
	return s.commit(site, path, "", func(before []Version) (Version, error) {
		if !exists(before) && (!sample || len(before) > 0) {
			return Version{}, errNoObject
		}
		return Version{Deleted: true}, c.checkWrite(before)
	})
}

// rollback makes a new version out of an old one, whose body the two share.
func (s *store) rollback(site, path string, number uint64) (Version, error) {
	return s.commit(site, path, "", func(before []Version) (Version, error) {
		i := slices.IndexFunc(before, func(v Version) bool { return v.Number == number })
		switch {
		case len(before) == 0:
			return Version{}, errNoObject
		case i < 0:
			return Version{}, errNoVersion
		case before[i].Deleted:
			return Version{}, errIsDeletion
		}
		v := before[i]
		v.From = number
		return v, nil
	})
}

// drop removes an old version for good.
func (s *store) drop(site, path string, number uint64) error {
	s.mu.Lock()
	o := s.sites[site][path]
	s.mu.Unlock()
	if o == nil {
		return errNoObject
	}
	o.writing.Lock()
	defer o.writing.Unlock()
	s.mu.Lock()
	unused, err := s.dropLocked(hashOf(site, path), o, number)
	s.mu.Unlock()
	s.discard(unused...)
	return err
}

func (s *store) dropLocked(hash string, o *object, number uint64) (unused []string, err error) {
	i := slices.IndexFunc(o.versions, func(v Version) bool { return v.Number == number })
	switch {
	case len(o.versions) == 0:
		return nil, errNoObject
	case i < 0:
		return nil, errNoVersion
	case i == len(o.versions)-1:
		return nil, errIsCurrent
	}
	return s.cutLocked(hash, o, i, i+1), nil
}

// pruneLocked forgets the versions beyond keepVersions and returns the files to remove.
func (s *store) pruneLocked(hash string, o *object) []string {
	return s.cutLocked(hash, o, 0, max(len(o.versions)-1-keepVersions, 0))
}

// cutLocked forgets versions[from:to] and returns their files, records first, without bodies that other versions share.
func (s *store) cutLocked(hash string, o *object, from, to int) (unused []string) {
	cut := slices.Clone(o.versions[from:to])
	o.versions = slices.Delete(o.versions, from, to)
	for _, v := range cut {
		unused = append(unused, s.recordFile(hash, v.Number))
	}
	for _, v := range cut {
		shared := func(other Version) bool { return other.Body == v.Body }
		if v.Body != 0 && !slices.ContainsFunc(o.versions, shared) {
			unused = append(unused, s.bodyFile(hash, v.Body))
		}
	}
	return unused
}
