package journal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Open makes the directory if need be and opens the journal in it. It cuts off what was being written when the process before
// ended, and begins a new epoch, without any event, where acknowledged events are missing or damaged (see the package).
func Open(cfg Config) (*Journal, error) {
	if cfg.SegmentBytes <= 0 {
		cfg.SegmentBytes = DefaultSegmentBytes
	}
	if cfg.Horizon <= 0 {
		cfg.Horizon = DefaultHorizon
	}
	if cfg.HorizonBytes <= 0 {
		cfg.HorizonBytes = DefaultHorizonBytes
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.volume == nil {
		cfg.volume = osVolume{}
	}
	lock, err := lockDir(cfg.volume, cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open journal %s: %w", cfg.Dir, err)
	}
	j := &Journal{cfg: cfg, lock: lock}
	if err := j.recover(); err != nil {
		return nil, fmt.Errorf("open journal %s: %w", cfg.Dir, errors.Join(err, j.release()))
	}
	return j, nil
}

// Renew begins a new epoch, whose followers treat as stale all that they have; the events so far are gone. It returns where the
// epoch begins. A follower with a position of this epoch beyond Position proves that the journal was restored from an older copy:
// then other events may have had the numbers that come next, and this is what the origin must do. After an error either epoch may go
// on, as Position tells.
func (j *Journal) Renew() (Position, error) {
	j.io.Lock()
	defer j.io.Unlock()
	if j.closed {
		return Position{}, ErrClosed
	}
	if err := j.begin(j.last + 1); err != nil {
		return Position{}, fmt.Errorf("renew journal: %w", err)
	}
	return Position{j.epoch, j.last}, nil
}

// recover brings the journal into the state that the files prove.
func (j *Journal) recover() (err error) {
	if j.mark, err = openMark(j.cfg.volume, filepath.Join(j.cfg.Dir, "position")); err != nil {
		return err
	}
	acked := j.mark.Load()
	j.epoch = acked.Epoch // so that draw draws another
	firsts, err := segmentNames(j.cfg.Dir)
	if err != nil {
		return err
	}
	if len(firsts) == 0 && acked == (Position{}) {
		return j.begin(0)
	}
	found, known, damage, err := load(j.cfg.Dir, firsts, acked)
	if err != nil {
		return err
	}
	if damage != nil {
		if err := j.begin(known + 1); err != nil {
			return err
		}
		j.cfg.Log.Error("journal damaged: a new epoch begins, all followers revalidate", "dir", j.cfg.Dir, "damage", damage,
			"epoch", j.epoch, "before", acked.Epoch)
		return nil
	}
	return j.adopt(found, firsts[len(found):])
}

// load reads the segments of the given names and compares them with the position that was acknowledged. It returns them without
// their files, and the highest number that was in use. Where damage is not nil, something acknowledged may be lost.
func load(dir string, firsts []Seq, acked Position) (found []*segment, known Seq, damage, err error) {
	known = acked.Seq
	report := func(s string, args ...any) {
		if damage == nil {
			damage = fmt.Errorf(s, args...)
		}
	}
	for i, first := range firsts {
		path := segmentPath(dir, first)
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, 0, nil, err
		}
		known = max(known, first-1)
		s, err := parseSegment(path, first, b)
		if s == nil {
			if i > 0 && i == len(firsts)-1 && first > acked.Seq {
				break // it was being made
			}
			report("%s: %w", path, err)
			continue
		}
		known = max(known, s.last())
		switch {
		case s.epoch != acked.Epoch:
			report("%s is of epoch %d, the position of %d", path, s.epoch, acked.Epoch)
		case len(found) > 0 && first != found[len(found)-1].last()+1:
			report("events between %d and %s are missing", found[len(found)-1].last(), path)
		}
		found = append(found, s)
	}
	if len(found) == 0 {
		report("no segment")
	} else if last := found[len(found)-1].last(); last < acked.Seq {
		report("events up to %d were acknowledged, those after %d are missing", acked.Seq, last)
	}
	return found, known, damage, nil
}

// adopt goes on with segments that are in order up to a torn end. The others never held an event.
func (j *Journal) adopt(found []*segment, others []Seq) error {
	if err := j.remove(others...); err != nil {
		return err
	}
	for _, s := range found {
		f, err := j.cfg.volume.open(s.path, 0)
		if err != nil {
			return err
		}
		s.f = f
		j.segments = append(j.segments, s)
		j.last = s.last()
	}
	// What a process that was killed had written and not flushed counts from now on.
	j.torn = true
	if err := j.mend(); err != nil {
		return err
	}
	if err := j.mark.Store(Position{j.epoch, j.last}); err != nil {
		return err
	}
	j.compact()
	return nil
}

// begin starts an epoch at a number that was not in use. For an epoch after another one that is the number after the next, so that
// nobody who reads on from the epoch before finds an event that would follow.
//
// Interrupted, it leaves files of one epoch beside a position of another, from which the next Open makes a third: no epoch is gone
// back to.
func (j *Journal) begin(at Seq) error {
	epoch, err := j.draw()
	if err != nil {
		return err
	}
	old, err := segmentNames(j.cfg.Dir)
	if err != nil {
		return err
	}
	if err := j.mark.Store(Position{epoch, at}); err != nil {
		return err
	}
	s, err := createSegment(j.cfg.volume, j.cfg.Dir, epoch, at+1)
	if err != nil {
		return err
	}
	closing := j.segments
	j.mu.Lock()
	j.epoch, j.last, j.segments = epoch, at, []*segment{s}
	j.wakeLocked()
	j.mu.Unlock()
	j.torn = false
	for _, s := range closing {
		_ = s.f.Close() // nothing in it counts any more
	}
	return j.remove(slices.DeleteFunc(old, func(first Seq) bool { return first == s.first })...)
}

// draw returns an epoch that is neither 0 nor the present one.
func (j *Journal) draw() (Epoch, error) {
	var b [8]byte
	if _, err := io.ReadFull(j.cfg.Rand, b[:]); err != nil {
		return 0, fmt.Errorf("draw an epoch: %w", err)
	}
	epoch := Epoch(binary.LittleEndian.Uint64(b[:]))
	for epoch == 0 || epoch == j.epoch {
		epoch++
	}
	return epoch, nil
}
