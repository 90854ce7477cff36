package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Shape of a segment's header.
const (
	segmentMagic   = "cdnj"
	segmentVersion = 1
	segmentHead    = 4 + 4 + 8 + 8 + 4
)

// segment is a file of records that follow each other in number.
type segment struct {
	path  string
	epoch Epoch
	first Seq
	f     file
	ends  []int64 // offset behind each acknowledged record
}

func (s *segment) last() Seq { return s.first + Seq(len(s.ends)) - 1 }

// offset returns where record i begins, i counting from 0; the offset of the one after the last is where the next goes.
func (s *segment) offset(i int) int64 {
	if i == 0 {
		return segmentHead
	}
	return s.ends[i-1]
}

func (s *segment) size() int64 { return s.offset(len(s.ends)) }

func segmentPath(dir string, first Seq) string {
	return filepath.Join(dir, fmt.Sprintf("%020d.log", first))
}

// segmentNames returns the first numbers of the segments in a directory, ascending. Files of other names are none of them.
func segmentNames(dir string) (firsts []Seq, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), ".log")
		n, err := strconv.ParseUint(digits, 10, 64)
		if ok && err == nil && n > 0 && filepath.Base(segmentPath(dir, Seq(n))) == e.Name() {
			firsts = append(firsts, Seq(n))
		}
	}
	slices.Sort(firsts)
	return firsts, nil
}

func appendHeader(b []byte, epoch Epoch, first Seq) []byte {
	start := len(b)
	b = append(b, segmentMagic...)
	b = binary.LittleEndian.AppendUint32(b, segmentVersion)
	b = binary.LittleEndian.AppendUint64(b, uint64(epoch))
	b = binary.LittleEndian.AppendUint64(b, uint64(first))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// createSegment makes an empty segment durable, or leaves none. A file of that name is of a segment that was given up.
func createSegment(v volume, dir string, epoch Epoch, first Seq) (*segment, error) {
	s := &segment{path: segmentPath(dir, first), epoch: epoch, first: first}
	f, err := v.open(s.path, os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return nil, err
	}
	if _, err = f.WriteAt(appendHeader(nil, epoch, first), 0); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = v.syncDir(dir)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(s.path))
	}
	s.f = f
	return s, nil
}

// Results of parseSegment besides nil.
var (
	errHeader = errors.New("no valid header") // the segment is nil
	errTail   = errors.New("more than whole records")
)

// parseSegment returns the segment whose file holds b, without its file. Its records are proven: each matches its sum and has the
// number that follows. With errTail something else is behind them.
func parseSegment(path string, first Seq, b []byte) (*segment, error) {
	if len(b) < segmentHead {
		return nil, errHeader
	}
	epoch := Epoch(binary.LittleEndian.Uint64(b[8:]))
	if string(b[:segmentHead]) != string(appendHeader(nil, epoch, first)) {
		return nil, errHeader
	}
	s := &segment{path: path, epoch: epoch, first: first}
	for at := int64(segmentHead); ; {
		e, n, err := Decode(b[at:])
		if err == io.EOF {
			return s, nil
		}
		if err != nil || e.Seq != s.last()+1 {
			return s, errTail
		}
		at += int64(n)
		s.ends = append(s.ends, at)
	}
}

// span is a run of records of a segment.
type span struct {
	*segment
	index, n int // of the first one, counting from 0, and how many
	from, to int64
}

func (s span) read() ([]Event, error) {
	b := make([]byte, s.to-s.from)
	if _, err := s.f.ReadAt(b, s.from); err != nil {
		return nil, err
	}
	events := make([]Event, 0, s.n)
	for len(b) > 0 {
		e, size, err := Decode(b)
		if want := s.first + Seq(s.index+len(events)); err != nil || e.Seq != want {
			return nil, fmt.Errorf("event %d in %s: %w", want, s.path, ErrCorrupt)
		}
		events, b = append(events, e), b[size:]
	}
	return events, nil
}
