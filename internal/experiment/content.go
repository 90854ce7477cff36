package experiment

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"cdnlab/topology"
)

// put is a version of an object that was put after the start.
type put struct {
	topology.PutStep
	etag string
	at   time.Duration // when it was there
}

// purge is one that was made after the start.
type purge struct {
	topology.PurgeStep
	at   time.Duration // when it was acknowledged
	took time.Duration // until it was applied at every node; negative when it was not at all of them
}

// changes are the steps of a variant that put, purge or push, by time; those at 0 come before the load.
func changes(e *topology.Experiment, v topology.Variant) (before, after []topology.Step) {
	for _, s := range e.Timeline {
		switch {
		case s.Target != "" || !s.When.In(v):
		case s.At == 0:
			before = append(before, s)
		default:
			after = append(after, s)
		}
	}
	slices.SortStableFunc(after, func(a, b topology.Step) int { return int(a.At - b.At) })
	return before, after
}

// keep makes changes at their times, one after another.
func (s *session) keep(ctx context.Context, steps []topology.Step) error {
	for _, step := range steps {
		if !sleep(ctx, s.start.Add(step.At)) {
			return nil
		}
		if err := s.change(ctx, step); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// change puts, purges or pushes. What is done before the load is what there is to begin with, and is not noted.
func (s *session) change(ctx context.Context, step topology.Step) error {
	var noted func(*record)
	switch {
	case step.Put != nil:
		s.made++
		etag, err := s.lab.Put(ctx, *step.Put, s.made)
		if err != nil {
			return fmt.Errorf("put %s: %w", step.Put.Path, err)
		}
		done := put{*step.Put, etag, time.Since(s.start)}
		noted = func(r *record) { r.puts = append(r.puts, done) }
	case step.Purge != nil:
		took, err := s.lab.Purge(ctx, *step.Purge)
		switch {
		case errors.Is(err, ErrPending):
			took = -1
		case err != nil:
			return fmt.Errorf("purge: %w", err)
		}
		done := purge{*step.Purge, time.Since(s.start), took}
		noted = func(r *record) { r.purges = append(r.purges, done) }
	default:
		what, popular := *step.Push, newSequence(s.e.Load[0], s.e.Seed, 0)
		for id := range uint64(what.Top) {
			what.Paths = append(what.Paths, popular.object(id+1))
		}
		if err := s.lab.Push(ctx, what); err != nil {
			return fmt.Errorf("push: %w", err)
		}
	}
	if noted == nil || s.start.IsZero() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	noted(s.r)
	return nil
}

// watched are the URLs of which versions are told apart.
func watched(e *topology.Experiment) map[string]bool {
	urls := map[string]bool{}
	for _, s := range e.Timeline {
		if s.Put != nil {
			urls[s.Put.Site+s.Put.Path] = true
		}
	}
	return urls
}

// staleServed counts requests that were answered with an older version than they had a right to. The n-th purge of an object is taken to be about the
// n-th version that was put since the start, whichever came first: once both are done, nobody is to see an older version.
func (r *record) staleServed(w window) Number {
	if len(r.purges) == 0 {
		return Number(math.NaN())
	}
	stale := 0
	for _, s := range r.samples {
		if s.url == "" || s.status/100 != 2 || !w.covers(s) {
			continue
		}
		there, purged, got := 0, 0, 0
		for i, p := range r.versions(s.url) {
			if p.etag == s.etag {
				got = i + 1
			}
			if p.at <= s.at {
				there++
			}
		}
		for _, p := range r.purges {
			if p.at <= s.at && slices.ContainsFunc(r.puts, func(o put) bool { return o.Site+o.Path == s.url && p.Covers(o.PutStep) }) {
				purged++
			}
		}
		if got < min(there, purged) {
			stale++
		}
	}
	return Number(stale)
}

// versions are those of one URL.
func (r *record) versions(url string) (all []put) {
	for _, p := range r.puts {
		if p.Site+p.Path == url {
			all = append(all, p)
		}
	}
	return all
}

// purgeTime is the longest time that a purge of a window took; infinite when one was not applied at all nodes that were alive.
func (r *record) purgeTime(w window) Number {
	longest := math.NaN()
	for _, p := range r.purges {
		switch {
		case p.at < w.from || w.until != 0 && p.at >= w.until:
		case p.took < 0:
			return Number(math.Inf(1))
		case !(longest > p.took.Seconds()): // also of the first
			longest = p.took.Seconds()
		}
	}
	return Number(longest)
}
