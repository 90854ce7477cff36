package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// batch is what callers of Append bring for one commit. The one who began it does the commit for all.
type batch struct {
	events []Event
	done   chan struct{} // closed when the fields below are set
	before Position      // of the event before the first of the batch
	err    error
}

// Append numbers the events, sets their Time, and returns the position of the last one when all are durable.
//
// An error means that none of them is in the journal: what was written of them is cut off before anything else is appended. That
// is safe because a flush that failed is not tried again, which would prove nothing (the kernel drops what it could not write):
// new data is written over it and flushed. So a disk that was full needs no restart. Only if the process ends before the cut
// succeeds, or within Append, events that were not acknowledged may be found by the next Open: all of a call, or its first ones.
func (j *Journal) Append(events ...Event) (Position, error) {
	for i := range events {
		if err := events[i].check(); err != nil {
			return Position{}, fmt.Errorf("append to journal: event %d of %d: %w", i+1, len(events), err)
		}
	}
	if len(events) == 0 {
		return j.Position(), nil
	}
	j.mu.Lock()
	b, leads := j.pending, j.pending == nil
	if leads {
		b = &batch{done: make(chan struct{})}
		j.pending = b
	}
	b.events = append(b.events, events...)
	n := len(b.events)
	j.mu.Unlock()
	if leads {
		j.commit(b)
	}
	<-b.done
	if b.err != nil {
		return Position{}, b.err
	}
	return Position{b.before.Epoch, b.before.Seq + Seq(n)}, nil
}

// commit waits for the commit before it, in which time the batch grows, and writes the batch.
func (j *Journal) commit(b *batch) {
	j.io.Lock()
	defer j.io.Unlock()
	defer close(b.done)
	j.mu.Lock()
	j.pending = nil // who comes now is of the next batch
	closed := j.closed
	j.mu.Unlock()
	if closed {
		b.err = ErrClosed
		return
	}
	b.before = Position{j.epoch, j.last}
	tail, err := j.tail()
	if err != nil {
		b.err = fmt.Errorf("append to journal: %w", err)
		return
	}
	ends, err := j.write(tail, b.events)
	if err != nil {
		j.torn = true
		b.err = fmt.Errorf("append to journal: %w", errors.Join(err, j.mend()))
		return
	}
	j.mu.Lock()
	tail.ends = append(tail.ends, ends...)
	j.last = tail.last()
	j.wakeLocked()
	j.mu.Unlock()
}

// write returns the offsets behind the events when they are durable.
func (j *Journal) write(tail *segment, events []Event) (ends []int64, err error) {
	now := j.cfg.Now().UnixNano()
	last, at := j.last, tail.size()
	var b []byte
	for i := range events {
		last++
		events[i].Seq, events[i].Time = last, now
		b = events[i].Append(b)
		ends = append(ends, at+int64(len(b)))
	}
	if _, err := tail.f.WriteAt(b, at); err != nil {
		return nil, err
	}
	if err := tail.f.Sync(); err != nil {
		return nil, err
	}
	return ends, j.mark.note(Position{j.epoch, last})
}

// mend cuts off what a commit that failed may have left.
func (j *Journal) mend() error {
	if !j.torn {
		return nil
	}
	tail := j.segments[len(j.segments)-1]
	err := tail.f.Truncate(tail.size())
	if err == nil {
		err = tail.f.Sync()
	}
	if err != nil {
		return fmt.Errorf("cut off what was not written: %w", err)
	}
	j.torn = false
	return nil
}

// tail returns the segment to be written to, a new one if the last is full.
func (j *Journal) tail() (*segment, error) {
	if err := j.mend(); err != nil {
		return nil, err
	}
	tail := j.segments[len(j.segments)-1]
	if tail.size() < j.cfg.SegmentBytes || len(tail.ends) == 0 {
		return tail, nil
	}
	// Flushed now and then, the position is little behind even after a loss of power.
	if err := j.mark.Store(Position{j.epoch, j.last}); err != nil {
		return nil, err
	}
	next, err := createSegment(j.cfg.volume, j.cfg.Dir, j.epoch, j.last+1)
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	j.segments = append(j.segments, next)
	j.mu.Unlock()
	j.compact()
	return next, nil
}

// compact removes segments, oldest first, while enough is kept in those behind. What cannot be removed is tried again when the next
// segment is full: it takes space, no more.
func (j *Journal) compact() {
	var kept int64
	for _, s := range j.segments {
		kept += s.size() - segmentHead
	}
	for len(j.segments) > 1 {
		oldest := j.segments[0]
		kept -= oldest.size() - segmentHead
		if j.last-oldest.last() < Seq(j.cfg.Horizon) || kept < j.cfg.HorizonBytes {
			return
		}
		if err := j.remove(oldest.first); err != nil {
			j.cfg.Log.Warn("compact journal", "error", err)
			return
		}
		j.mu.Lock()
		j.segments = j.segments[1:]
		j.mu.Unlock()
		_ = oldest.f.Close() // nothing was written to it since it was full
	}
}

// remove removes segments, each for good before the next, so that no gap is left between those that are still there. What is
// already gone was removed by an attempt that failed afterwards.
func (j *Journal) remove(firsts ...Seq) error {
	for _, first := range firsts {
		if err := os.Remove(segmentPath(j.cfg.Dir, first)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := j.cfg.volume.syncDir(j.cfg.Dir); err != nil {
			return err
		}
	}
	return nil
}
