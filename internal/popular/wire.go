package popular

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// MaxEncoded is the longest encoded sketch in bytes: who reads one from the network need not read on.
const MaxEncoded = 1 << 20

const (
	format = 1 // the first byte

	// maxNumber bounds the numbers that are read, so that no sum or weight of them leaves what a float64 holds.
	maxNumber = 1e24
)

var errShort = errors.New("it ends early")

// Append appends the sketch as of now. Of one that would be longer than MaxEncoded it leaves out the keys asked for least.
func (s *Sketch) Append(b []byte, now time.Time) []byte {
	items := s.Top(s.capacity, now)
	absent, size := s.absent/s.weight, 1+3*binary.MaxVarintLen64+2*8
	for i, it := range items {
		if size += len(it.Key) + binary.MaxVarintLen16 + 3*8; size > MaxEncoded {
			absent, items = it.Count, items[:i]
			break
		}
	}
	b = append(b, format)
	b = binary.AppendUvarint(b, uint64(s.capacity))
	b = binary.AppendUvarint(b, uint64(s.half))
	b = appendFloat(b, s.total/s.weight)
	b = appendFloat(b, absent)
	b = binary.AppendUvarint(b, uint64(len(items)))
	for _, it := range items {
		b = binary.AppendUvarint(b, uint64(len(it.Key)))
		b = append(b, it.Key...)
		b = appendFloat(b, it.Count)
		b = appendFloat(b, it.Error)
		b = appendFloat(b, it.Bytes)
	}
	return b
}

func appendFloat(b []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(b, math.Float64bits(f))
}

// Decode reads a sketch that was encoded just now. Time that it spent on the way is not counted, and clocks that differ do no harm.
func Decode(b []byte, now time.Time) (*Sketch, error) {
	s, err := decode(b, now)
	if err != nil {
		return nil, fmt.Errorf("read sketch: %w", err)
	}
	return s, nil
}

func decode(b []byte, now time.Time) (*Sketch, error) {
	if len(b) > MaxEncoded {
		return nil, fmt.Errorf("%d bytes are over %d", len(b), MaxEncoded)
	}
	if len(b) == 0 {
		return nil, errShort
	}
	if b[0] != format {
		return nil, fmt.Errorf("format %d is not %d", b[0], format)
	}
	r := reader{rest: b[1:]}
	capacity, half := r.number(MaxCapacity), r.number(math.MaxInt64)
	total, absent := r.float(), r.float()
	n := r.number(min(uint64(capacity), uint64(len(r.rest))/(1+3*8)))
	if r.err != nil {
		return nil, r.err
	}
	s, err := New(int(capacity), time.Duration(half))
	if err != nil {
		return nil, err
	}
	items := make([]Item, n)
	seen := make(map[string]bool, n)
	for i := range items {
		it := Item{Key: r.string(), Count: r.float(), Error: r.float(), Bytes: r.float()}
		switch {
		case r.err != nil:
			return nil, r.err
		case seen[it.Key]:
			return nil, fmt.Errorf("key %q is there twice", it.Key)
		case it.Count < it.Error || it.Count < absent:
			return nil, fmt.Errorf("key %q has a count of %g, below its error of %g or the %g of others", it.Key, it.Count, it.Error, absent)
		}
		seen[it.Key] = true
		items[i] = it
	}
	if len(r.rest) > 0 {
		return nil, fmt.Errorf("%d bytes follow it", len(r.rest))
	}
	slices.SortFunc(items, byCount)
	s.advance(now)
	s.fill(items, total, absent)
	return s, nil
}

// reader takes a message apart. After the first fault it reads zeros.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.rest, r.err = nil, err
	}
}

func (r *reader) number(limit uint64) uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail(errShort)
		return 0
	}
	r.rest = r.rest[n:]
	if v > limit {
		r.fail(fmt.Errorf("a size of %d is over %d", v, limit))
		return 0
	}
	return v
}

func (r *reader) float() float64 {
	if len(r.rest) < 8 {
		r.fail(errShort)
		return 0
	}
	f := math.Float64frombits(binary.BigEndian.Uint64(r.rest))
	r.rest = r.rest[8:]
	if !(f >= 0 && f <= maxNumber) {
		r.fail(fmt.Errorf("a count of %g", f))
		return 0
	}
	return f
}

func (r *reader) string() string {
	n := int(r.number(MaxKey))
	if n > len(r.rest) {
		r.fail(errShort)
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}
