package cache

import (
	"errors"
	"io"
	"os"

	"cdnlab/internal/disk"
	"cdnlab/internal/httpcache"
)

// Source is a part of a body. It is read once.
type Source interface {
	io.WriterTo
	io.Closer
}

// Open returns a part of an object's body; All selects the whole. It fails when the body is on disk and cannot be had any more: the
// object is given up then, if it is stored still, unless it is for want of descriptors.
func (s *Store) Open(o *Object, part httpcache.Span) (Source, error) {
	r := o.more()
	if !r.onDisk {
		return o.Body(part), nil
	}
	if part == All {
		part.Length = r.size
	}
	end := min(part.First+part.Length, r.size)
	f, err := s.tier.files.Open(r.file, part.First, end)
	if err != nil {
		if errors.Is(err, disk.ErrNotFound) || errors.Is(err, disk.ErrCorrupt) {
			s.lose(o)
		}
		return nil, err
	}
	return &fileBody{f, end - part.First, s.tier.files, r.file}, nil
}

// lose forgets an object whose file is gone.
func (s *Store) lose(o *Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries.peek(o.key()) == o {
		s.removeLocked(o.key())
	}
}

// fileBody is a part of a file.
type fileBody struct {
	f     *os.File
	left  int64
	files *disk.Store
	file  *disk.Object
}

// WriteTo implements io.WriterTo. A w that is an io.ReaderFrom may have the kernel send the bytes.
func (b *fileBody) WriteTo(w io.Writer) (int64, error) {
	n, err := io.Copy(w, io.LimitReader(b.f, b.left))
	b.left -= n
	if err == nil && b.left > 0 {
		err = io.ErrUnexpectedEOF // the file was cut
	}
	return n, err
}

// Close implements io.Closer.
func (b *fileBody) Close() error {
	if b.f != nil {
		b.files.Release(b.file, b.f)
		b.f = nil
	}
	return nil
}
