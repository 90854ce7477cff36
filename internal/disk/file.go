package disk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// footer is the end of each file, 48 bytes:
//
//	0 magic 8 | 8 version 8 | 16 length of the body 8 | 24 offset of the trailer 8 | 32 length of the key 4 | 36 length of the record 4
//	40 size of a chunk 4 | 44 CRC-32C of the trailer and of the footer up to here 4
const (
	footerSize = 48
	magic      = "cdnlab\x00\x01"
)

// maxTrailer bounds what a damaged footer can make the store read.
const maxTrailer = 1 << 20

type footer struct {
	version           uint64
	size              int64 // of the body
	at                int64 // offset of the trailer
	keyLen, recordLen int
	chunk             int64
	sum               uint32
}

// appendTrailer appends trailer and footer of a file whose trailer begins at the offset.
func appendTrailer(b []byte, o *Object, key, record []byte, at int64) []byte {
	from := len(b)
	b = append(append(b, key...), record...)
	for _, sum := range o.sums {
		b = binary.BigEndian.AppendUint32(b, sum)
	}
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint64(b, o.version)
	b = binary.BigEndian.AppendUint64(b, uint64(o.Size))
	b = binary.BigEndian.AppendUint64(b, uint64(at))
	b = binary.BigEndian.AppendUint32(b, uint32(len(key)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(record)))
	b = binary.BigEndian.AppendUint32(b, uint32(o.chunk))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[from:], castagnoli))
}

// parseFooter reads a footer; false when it cannot be one of a file so long.
func parseFooter(b []byte, length int64) (f footer, ok bool) {
	if len(b) != footerSize || string(b[:len(magic)]) != magic {
		return f, false
	}
	f = footer{
		version: binary.BigEndian.Uint64(b[8:]), size: int64(binary.BigEndian.Uint64(b[16:])), at: int64(binary.BigEndian.Uint64(b[24:])),
		keyLen: int(binary.BigEndian.Uint32(b[32:])), recordLen: int(binary.BigEndian.Uint32(b[36:])), chunk: int64(binary.BigEndian.Uint32(b[40:])),
		sum: binary.BigEndian.Uint32(b[44:]),
	}
	switch {
	case f.size < 0, f.at < f.size, f.at > length, f.keyLen > maxTrailer, f.recordLen > maxTrailer, f.chunk < 1, chunksOf(f.size, f.chunk) > maxChunks:
		return f, false
	}
	return f, f.at+f.length()+footerSize == length
}

// length is that of the trailer.
func (f *footer) length() int64 { return int64(f.keyLen+f.recordLen) + 4*chunksOf(f.size, f.chunk) }

func chunksOf(size, chunk int64) int64 { return (size + chunk - 1) / chunk }

// Put stores a body, which may be in pieces, with the caller's record of it, in place of what the key has.
func (s *Store) Put(key, record []byte, body [][]byte) (*Object, error) {
	o := &Object{id: idOf(key), chunk: int64(s.cfg.Chunk)}
	for _, p := range body {
		o.Size += int64(len(p))
	}
	if !s.Fits(o.Size) || len(key)+len(record) > maxTrailer {
		return nil, ErrTooLarge
	}
	o.sums = sumsOf(body, o.chunk)
	s.find(o.id) // what the key has is to go with this one, and not to come back when this is given up before all is scanned
	s.mu.Lock()
	s.last = max(s.last+1, uint64(time.Now().UnixNano())) // orders what a crash leaves of one key; seen by nobody else
	o.version = s.last
	s.mu.Unlock()
	trailer := appendTrailer(nil, o, key, record, o.Size)
	o.length = blocks(o.Size + int64(len(trailer)))
	s.mu.Lock()
	s.makeRoomLocked(o.length)
	era := s.era
	s.unlock()
	s.seek()
	err := s.write(o, append(body[:len(body):len(body)], trailer))
	if isFull(err) && s.shrink(o.length) {
		err = s.write(o, append(body[:len(body):len(body)], trailer))
	}
	if err != nil {
		s.Remove(key) // the old one is not what the key has
		return nil, fmt.Errorf("store on disk: %w", err)
	}
	s.mu.Lock()
	defer s.unlock()
	if s.era != era {
		s.doomLocked(o)
		return nil, ErrNotFound
	}
	s.addLocked(o)
	return o, nil
}

// shrink gives up as much as is to be written when the disk has less room than the budget.
func (s *Store) shrink(n int64) bool {
	s.mu.Lock()
	defer s.unlock()
	for until := s.bytes - n; s.bytes > until && s.bytes > 0; {
		if !s.evictLocked() {
			return false
		}
	}
	return true
}

// write makes the file of an object.
func (s *Store) write(o *Object, pieces [][]byte) (err error) {
	tmp := filepath.Join(s.cfg.Dir, "new", o.name())
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if o.Size < SmallBody {
		pieces = [][]byte{bytes.Join(pieces, nil)}
	}
	for _, p := range pieces {
		if _, err = f.Write(p); err != nil {
			break
		}
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	path := s.path(o)
	if err == nil {
		err = os.Rename(tmp, path)
		if os.IsNotExist(err) { // the first of its directory
			if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
				err = os.Rename(tmp, path)
			}
		}
	}
	if err != nil {
		_ = os.Remove(tmp) // what cannot be removed now is at the next start
	}
	return err
}

func sumsOf(body [][]byte, chunk int64) (sums []uint32) {
	sum, left := uint32(0), chunk
	for _, p := range body {
		for len(p) > 0 {
			n := min(int64(len(p)), left)
			sum = crc32.Update(sum, castagnoli, p[:n])
			p = p[n:]
			if left -= n; left == 0 {
				sums, sum, left = append(sums, sum), 0, chunk
			}
		}
	}
	if left < chunk {
		sums = append(sums, sum)
	}
	return sums
}

// SmallBody is up to which length, in bytes, a body is read and written with its trailer in one piece.
const SmallBody = 256 << 10

// Entry is what the store has under a key.
type Entry struct {
	*Object
	Record []byte
	Body   []byte // checked; nil for one that is longer than SmallBody, or empty
}

// Get returns what is stored under a key. The body of a small object is read with it. The error is ErrNotFound, ErrCorrupt for a
// file that was damaged, or the file system's.
func (s *Store) Get(key []byte) (*Entry, error) {
	o, ok := s.find(idOf(key))
	if !ok {
		return nil, ErrNotFound
	}
	s.seek()
	f, err := os.Open(s.path(o))
	if err != nil {
		return nil, s.missing(o, err)
	}
	defer f.Close()
	t, err := s.readTrailer(f, o)
	if err != nil {
		return nil, err
	}
	if string(t.key()) != string(key) {
		return nil, ErrNotFound // two keys of one hash
	}
	e := &Entry{Object: o, Record: t.record()}
	if body := t.body(); len(body) > 0 && o.Size <= SmallBody {
		e.Body = body
		for i := range o.sums {
			if !o.matches(int64(i), e.Body[int64(i)*o.chunk:min(o.Size, int64(i+1)*o.chunk)]) {
				return nil, s.damage(o, "chunk "+strconv.Itoa(i))
			}
		}
	}
	return e, nil
}

// tail is the end of a file, from the trailer's begin at the latest.
type tail struct {
	footer
	bytes []byte
	whole bool // the bytes are all of the file
}

func (t *tail) trailer() []byte { return t.bytes[int64(len(t.bytes))-footerSize-t.length():] }
func (t *tail) key() []byte     { return t.trailer()[:t.keyLen] }
func (t *tail) record() []byte  { return t.trailer()[t.keyLen : t.keyLen+t.recordLen] }
func (t *tail) sums() []byte    { return t.trailer()[t.keyLen+t.recordLen:] }

// body is nil unless the file was read whole.
func (t *tail) body() []byte {
	if !t.whole {
		return nil
	}
	return t.bytes[:t.size:t.size]
}

// readTrailer reads what a file says of itself, and a small file whole.
func (s *Store) readTrailer(f *os.File, o *Object) (*tail, error) {
	s.update.RLock()
	defer s.update.RUnlock()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	const first = 16 << 10 // nearly always has the whole trailer
	length := info.Size()
	n := min(length, first)
	if length <= SmallBody+first {
		n = length
	}
	t := &tail{bytes: make([]byte, n)}
	if err := readAt(f, t.bytes, length-n); err != nil {
		return nil, s.unreadable(o, err)
	}
	var ok bool
	if t.footer, ok = parseFooter(t.bytes[max(0, n-footerSize):], length); !ok || t.version != o.version {
		return nil, s.damage(o, "footer")
	}
	if need := t.length() + footerSize; need > n {
		n = need
		t.bytes = make([]byte, n)
		if err := readAt(f, t.bytes, length-n); err != nil {
			return nil, s.unreadable(o, err)
		}
	}
	t.whole = n == length
	summed := t.trailer()
	if crc32.Checksum(summed[:len(summed)-4], castagnoli) != t.sum {
		return nil, s.damage(o, "trailer")
	}
	s.know(o, t)
	return t, nil
}

// know notes what a file says of itself, which is the same each time.
func (s *Store) know(o *Object, t *tail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.chunk > 0 {
		return
	}
	o.Size, o.chunk = t.size, t.chunk
	o.sums = make([]uint32, chunksOf(t.size, t.chunk))
	for i := range o.sums {
		o.sums[i] = binary.BigEndian.Uint32(t.sums()[4*i:])
	}
}

func (o *Object) matches(i int64, chunk []byte) bool {
	return crc32.Checksum(chunk, castagnoli) == o.sums[i]
}

func readAt(f *os.File, b []byte, off int64) error {
	_, err := io.ReadFull(io.NewSectionReader(f, off, int64(len(b))), b)
	return err
}

// unreadable judges an error of reading: a file that has become shorter is damaged.
func (s *Store) unreadable(o *Object, err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return s.damage(o, "length")
	}
	return err
}

// Open opens an object that Get or Put has returned, for reading its body from off up to Size; Release takes the file back. The chunks
// that bytes from off up to end are in are checked, unless they have been before.
func (s *Store) Open(o *Object, off, end int64) (*os.File, error) {
	s.seek()
	f, err := s.open(o)
	if err != nil {
		return nil, s.missing(o, err)
	}
	for i := off / o.chunk; i*o.chunk < min(end, o.Size); i++ {
		if o.checked.Load()&(1<<i) != 0 {
			continue
		}
		if err := s.check(f, o, i); err != nil {
			_ = f.Close() // it was read only
			return nil, err
		}
		o.checked.Or(1 << i)
	}
	if _, err := f.Seek(off, io.SeekStart); err != nil {
		_ = f.Close() // it was read only
		return nil, err
	}
	return f, nil
}

// check reads a chunk and holds it against its sum.
func (s *Store) check(f *os.File, o *Object, i int64) error {
	b := s.buffer(o.chunk)
	defer s.buffers.Put(b)
	chunk := (*b)[:min(o.chunk, o.Size-i*o.chunk)]
	if err := readAt(f, chunk, i*o.chunk); err != nil {
		return s.unreadable(o, err)
	}
	if !o.matches(i, chunk) {
		return s.damage(o, "chunk "+strconv.FormatInt(i, 10))
	}
	return nil
}

func (s *Store) buffer(size int64) *[]byte {
	if b, ok := s.buffers.Get().(*[]byte); ok && int64(cap(*b)) >= size {
		*b = (*b)[:cap(*b)]
		return b
	}
	b := make([]byte, size)
	return &b
}

// maxUpdates is how much of a file may be records that were replaced.
const maxUpdates = 256 << 10

// Check reads an object whole. The error is ErrCorrupt for a file that was damaged, which is removed, or the file system's.
func (s *Store) Check(o *Object) error {
	f, err := os.Open(s.path(o))
	if err != nil {
		return s.missing(o, err)
	}
	defer f.Close()
	if _, err := s.readTrailer(f, o); err != nil {
		return err
	}
	for i := range int64(len(o.sums)) {
		if err := s.check(f, o, i); err != nil {
			return err
		}
	}
	return nil
}

// Update gives an object another record: what is said of its body has changed. It fails for one that is no longer the store's, and
// the object is given up where it fails.
func (s *Store) Update(o *Object, key, record []byte) error {
	err := s.append(o, key, record)
	if err != nil {
		s.drop(o)
	}
	return err
}

func (s *Store) append(o *Object, key, record []byte) error {
	if !s.Current(o) {
		return ErrNotFound
	}
	if len(key)+len(record) > maxTrailer {
		return ErrTooLarge
	}
	s.seek()
	f, err := os.OpenFile(s.path(o), os.O_RDWR, 0)
	if err != nil {
		return s.missing(o, err)
	}
	s.update.Lock()
	defer s.update.Unlock()
	info, err := f.Stat()
	if err == nil && info.Size()-o.Size > maxUpdates {
		err = ErrTooLarge
	}
	if err == nil {
		_, err = f.WriteAt(appendTrailer(nil, o, key, record, info.Size()), info.Size())
	}
	if err == nil {
		info, err = f.Stat()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("update on disk: %w", err)
	}
	s.grown(o, blocks(info.Size()))
	return nil
}

// grown accounts for what a file takes by now.
func (s *Store) grown(o *Object, length int64) {
	s.mu.Lock()
	defer s.unlock()
	if s.index[o.id] != o || o.length == length {
		return
	}
	s.policy.Remove(&o.node)
	s.bytes += length - o.length
	o.length, o.node.Size = length, length
	s.makeRoomLocked(0) // by others
	s.policy.Add(&o.node)
}
