package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Defaults of a Config.
const (
	DefaultSegmentBytes = 1 << 20
	DefaultHorizon      = 100_000
	DefaultHorizonBytes = 8 << 20
)

// Config configures a Journal. Dir and Log are required.
type Config struct {
	Dir          string
	SegmentBytes int64            // a segment that has reached this size is full; default DefaultSegmentBytes
	Horizon      int              // events that are kept at least; default DefaultHorizon
	HorizonBytes int64            // bytes of records that are kept at least; default DefaultHorizonBytes
	Rand         io.Reader        // of epochs; default crypto/rand.Reader
	Now          func() time.Time // default time.Now
	Log          *slog.Logger

	volume volume // default osVolume
}

// Errors of a Journal.
var (
	ErrHorizon = errors.New("journal: the events after that are gone") // compacted away, or of an epoch before
	ErrClosed  = errors.New("journal: closed")
)

// Journal is an ordered log of events. Its methods may be called concurrently.
type Journal struct {
	cfg  Config
	lock *os.File

	io   sync.Mutex // held while files are written; guards torn
	mark *Mark
	torn bool // the last segment may hold more than what is acknowledged

	// mu guards the fields below. What describes the files (epoch, last, segments and what they hold) changes with both locks
	// held, so the holder of io may read it without mu.
	mu       sync.Mutex
	epoch    Epoch
	last     Seq           // of the last acknowledged event
	segments []*segment    // oldest first, never empty; the last one is written to
	pending  *batch        // collects the events of the next commit; nil while there are none
	changed  chan struct{} // closed when last or closed changes; nil while nobody waits
	closed   bool
}

// Position returns that of the last acknowledged event, or where the epoch began if there is none in it yet.
func (j *Journal) Position() Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	return Position{j.epoch, j.last}
}

// Horizon returns the number of the last event that is gone: a follower below it cannot replay.
func (j *Journal) Horizon() Seq {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.horizonLocked()
}

func (j *Journal) horizonLocked() Seq { return j.segments[0].first - 1 }

// maxRead limits the bytes of records that one Read takes into memory.
const maxRead = 1 << 20

// Read returns acknowledged events after the given one, in order: at least one if there is one and max is positive, and fewer than
// max and than there are where a segment ends or a megabyte is full. It is ErrHorizon where events after that one are gone.
//
// Numbers of a later epoch begin after a gap, so whoever has compared epochs once can read on until ErrHorizon says that another
// one has begun. ErrCorrupt says that the file was damaged since Open.
func (j *Journal) Read(after Seq, max int) ([]Event, error) {
	for {
		found, err := j.find(after, max)
		if err != nil || found.n == 0 {
			return nil, err
		}
		events, err := found.read()
		if errors.Is(err, os.ErrClosed) {
			continue // compacted meanwhile: it is no longer found
		}
		if err != nil {
			return nil, fmt.Errorf("read journal: %w", err)
		}
		return events, nil
	}
}

// find returns where the events are that Read is to return.
func (j *Journal) find(after Seq, max int) (span, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.closed:
		return span{}, ErrClosed
	case after < j.horizonLocked():
		return span{}, ErrHorizon
	case after >= j.last || max <= 0:
		return span{}, nil
	}
	k := len(j.segments) - 1
	for j.segments[k].first > after+1 { // from the end, where followers mostly are
		k--
	}
	s := j.segments[k]
	found := span{segment: s, index: int(after + 1 - s.first), n: 1}
	found.from = s.offset(found.index)
	for found.n < max && found.index+found.n < len(s.ends) && s.offset(found.index+found.n+1)-found.from <= maxRead {
		found.n++
	}
	found.to = s.offset(found.index + found.n)
	return found, nil
}

// Wait returns nil when there is an acknowledged event after the given one, or another epoch has begun, which Read tells; otherwise
// the error of ctx, or ErrClosed. It costs no goroutine.
func (j *Journal) Wait(ctx context.Context, after Seq) error {
	for {
		j.mu.Lock()
		if j.closed {
			j.mu.Unlock()
			return ErrClosed
		}
		if j.last > after {
			j.mu.Unlock()
			return nil
		}
		if j.changed == nil {
			j.changed = make(chan struct{})
		}
		changed := j.changed
		j.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wakeLocked lets everyone who waits look again.
func (j *Journal) wakeLocked() {
	if j.changed != nil {
		close(j.changed)
		j.changed = nil
	}
}

// Close makes the position exact and gives the directory back. What has not been acknowledged by then gets ErrClosed.
func (j *Journal) Close() error {
	j.io.Lock()
	defer j.io.Unlock()
	if j.closed {
		return nil
	}
	err := errors.Join(j.mend(), j.mark.Store(Position{j.epoch, j.last}))
	j.mu.Lock()
	j.closed = true
	j.wakeLocked()
	j.mu.Unlock()
	if err = errors.Join(err, j.release()); err != nil {
		return fmt.Errorf("close journal: %w", err)
	}
	return nil
}

// release closes what Open has opened so far.
func (j *Journal) release() error {
	var errs []error
	for _, s := range j.segments {
		errs = append(errs, s.f.Close())
	}
	if j.mark != nil {
		errs = append(errs, j.mark.Close())
	}
	return errors.Join(append(errs, j.lock.Close())...)
}
