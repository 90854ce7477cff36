package journal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// script appends twelve events over several segments and returns those that were acknowledged.
func script(j *Journal, fails func(error)) (acked []string) {
	for i := range 12 {
		e := purge(i)
		if _, err := j.Append(e); err != nil {
			fails(err)
			continue
		}
		acked = append(acked, e.Value)
	}
	return acked
}

// TestOneFaultAnywhere lets each operation of a script fail once, as on a disk that is full for a moment.
func TestOneFaultAnywhere(t *testing.T) {
	for at, done := 1, false; !done; at++ {
		cfg := smallSegments(t)
		j := mustOpen(t, cfg)
		epoch := j.Position().Epoch
		v := cfg.volume.(*testVolume)
		n, what := 0, "no operation"
		v.fail = func(op string) error {
			if n++; n != at {
				return nil
			}
			what = fmt.Sprintf("operation %d, %s", n, op)
			return syscall.ENOSPC
		}
		failures := 0
		acked := script(j, func(err error) {
			if failures++; !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%s: Append: %v, want ENOSPC", what, err)
			}
			wantValues(t, j, 0, readAll(t, j, 0)...) // in order and without gap
		})
		done = n < at
		v.fail = nil
		if !done && failures != 1 {
			t.Errorf("%s: %d appends failed, want 1", what, failures)
		}
		killed := cfg
		killed.Dir = copyDir(t, cfg.Dir)
		mustClose(t, j)
		for name, cfg := range map[string]Config{"after kill -9": killed, "after Close": cfg} {
			j := mustOpen(t, cfg)
			if got := readAll(t, j, 0); !slices.Equal(got, acked) || j.Position().Epoch != epoch {
				t.Errorf("%s, %s: events = %v, want %v", what, name, got, acked)
			}
			mustClose(t, j)
		}
		if done && at < 30 {
			t.Fatalf("the script had only %d operations that may fail", n)
		}
	}
}

// TestAFailureThatLasts lets nothing work any more from any operation of a script on.
func TestAFailureThatLasts(t *testing.T) {
	for at, done := 1, false; !done; at++ {
		cfg := smallSegments(t)
		j := mustOpen(t, cfg)
		epoch := j.Position().Epoch
		v := cfg.volume.(*testVolume)
		n := 0
		v.fail = func(string) error {
			if n++; n < at {
				return nil
			}
			return syscall.EIO
		}
		acked := script(j, func(error) {})
		done = n < at
		if got := readAll(t, j, 0); !slices.Equal(got, acked) {
			t.Errorf("from operation %d on: events = %v, want %v", at, got, acked)
		}
		_ = j.Close() // fails, too
		v.fail = nil
		j = mustOpen(t, cfg)
		got := readAll(t, j, 0)
		if len(got) > len(acked)+1 || !slices.Equal(got[:len(acked)], acked) || j.Position().Epoch != epoch {
			t.Errorf("from operation %d on: events after reopening = %v, want %v and at most the one that failed first", at, got, acked)
		}
		mustClose(t, j)
	}
}

// TestAFailedWriteIsNoEvent looks at what a commit that failed leaves behind: a record of it must not become one later.
func TestAFailedWriteIsNoEvent(t *testing.T) {
	cfg := testConfig(t)
	j := mustOpen(t, cfg)
	v := cfg.volume.(*testVolume)
	mustAppend(t, j, "one")
	syncs := 0
	v.fail = func(op string) error { // the write succeeds, neither the flush nor the cut does
		if op == "sync" || op == "truncate" {
			syncs++
			return syscall.EIO
		}
		return nil
	}
	if _, err := j.Append(purge("two"), purge("three"), purge("four")); err == nil {
		t.Error("Append without a flush: no error")
	}
	if _, err := j.Append(purge("ten")); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("Append behind a torn tail: %v, want that it cannot be cut off", err)
	}
	v.fail = nil
	mustAppend(t, j, "six") // as long as "two" and "ten", so that "three" would be in order behind it
	wantValues(t, j, 0, "/one", "/six")
	killed := cfg
	killed.Dir = copyDir(t, cfg.Dir)
	wantValues(t, mustOpen(t, killed), 0, "/one", "/six")
	wantValues(t, reopen(t, j, cfg), 0, "/one", "/six")
}

func TestCloseCutsOffWhatAFailureLeft(t *testing.T) {
	cfg := testConfig(t)
	j := mustOpen(t, cfg)
	v := cfg.volume.(*testVolume)
	mustAppend(t, j, "one")
	v.fail = func(op string) error {
		if op == "sync" {
			return syscall.EIO
		}
		return nil
	}
	if _, err := j.Append(purge("two")); err == nil {
		t.Error("Append without a flush: no error")
	}
	v.fail = nil
	appendFile(t, segmentPath(cfg.Dir, 1), []byte("what the file system kept"))
	mustClose(t, j)
	b, err := os.ReadFile(segmentPath(cfg.Dir, 1))
	if err != nil || int64(len(b)) != j.segments[0].size() {
		t.Errorf("segment after Close is of %d bytes, %v, want %d", len(b), err, j.segments[0].size())
	}
}

func TestACutIsDurable(t *testing.T) {
	for seed := range uint64(20) {
		cfg := testConfig(t)
		j := mustOpen(t, cfg)
		v := cfg.volume.(*testVolume)
		mustAppend(t, j, "one")
		syncs := 0
		v.fail = func(op string) error {
			if op == "sync" {
				if syncs++; syncs == 1 {
					return syscall.EIO
				}
			}
			return nil
		}
		if _, err := j.Append(purge("two")); err == nil {
			t.Error("Append without a flush: no error")
		}
		cfg.Dir = copyDir(t, cfg.Dir) // what Close does comes too late
		v.movePaths(j.cfg.Dir, cfg.Dir)
		v.losePower(t, cfg.Dir, rand.New(rand.NewPCG(seed, 3)))
		wantValues(t, mustOpen(t, cfg), 0, "/one")
	}
}

// TestWhatOpenHandsOutIsDurable opens what a killed process had written and not flushed.
func TestWhatOpenHandsOutIsDurable(t *testing.T) {
	for seed := range uint64(20) {
		cfg := testConfig(t)
		j := mustOpen(t, cfg)
		at := mustAppend(t, j, "one")
		two := purge("two")
		two.Seq = 2
		mustClose(t, j)
		appendFile(t, segmentPath(cfg.Dir, 1), two.Append(nil))
		j = mustOpen(t, cfg)
		wantValues(t, j, 0, "/one", "/two")
		v := cfg.volume.(*testVolume)
		dir := cfg.Dir
		cfg.Dir = copyDir(t, dir)
		v.movePaths(dir, cfg.Dir)
		v.losePower(t, cfg.Dir, rand.New(rand.NewPCG(seed, 4)))
		j = mustOpen(t, cfg)
		wantValues(t, j, 0, "/one", "/two")
		if got := j.Position(); got != (Position{at.Epoch, 2}) {
			t.Errorf("seed %d: journal at %v, want event 2 of epoch %d", seed, got, at.Epoch)
		}
		mustClose(t, j)
	}
}

func TestWhatOpenHandsOutIsNotForgotten(t *testing.T) {
	cfg := testConfig(t)
	j := mustOpen(t, cfg)
	mustAppend(t, j, "one")
	one := j.segments[0].size()
	mustClose(t, j)
	two := purge("two")
	two.Seq = 2
	appendFile(t, segmentPath(cfg.Dir, 1), two.Append(nil))
	at := mustOpen(t, cfg).Position()
	wantNewEpoch(t, openCopy(t, cfg, func(dir string) {
		if err := os.Truncate(segmentPath(dir, 1), one); err != nil {
			t.Fatal(err)
		}
	}), at)
}

func TestTheFlushedPositionIsLittleBehind(t *testing.T) {
	cfg := smallSegments(t)
	j := mustOpen(t, cfg)
	flushed := func() Position {
		at, _, _ := parseMark(cfg.volume.(*testVolume).flushed[filepath.Join(cfg.Dir, "position")])
		return at
	}
	for i := range 20 {
		mustAppend(t, j, i)
		if full := j.segments[len(j.segments)-1].first - 1; flushed() != (Position{j.epoch, full}) {
			t.Errorf("flushed position after event %d = %v, want that of the last full segment, %d", i+1, flushed(), full)
		}
	}
	mustAppend(t, j, "last")
	mustClose(t, j)
	if got := flushed(); got != j.Position() {
		t.Errorf("flushed position after Close = %v, want %v", got, j.Position())
	}
}

// TestRenewThatFails interrupts Renew at each of its operations: afterwards the journal is in the old epoch with all its events or in
// another with none, and so it is after kill -9, where the old epoch must not come back once the new one was handed out.
func TestRenewThatFails(t *testing.T) {
	for at, done := 1, false; !done; at++ {
		cfg := smallSegments(t)
		j := mustOpen(t, cfg)
		before := mustAppend(t, j, 1, 2, 3, 4, 5)
		v := cfg.volume.(*testVolume)
		n := 0
		v.fail = func(string) error {
			if n++; n < at {
				return nil
			}
			return syscall.EIO
		}
		_, err := j.Renew()
		v.fail = nil
		if done = n < at; done != (err == nil) {
			t.Errorf("Renew with operation %d failing: %v", at, err)
		}
		killed := cfg
		killed.Dir = copyDir(t, cfg.Dir)
		after := mustOpen(t, killed)
		renewed := j.Position().Epoch != before.Epoch
		if p := after.Position(); p.Epoch == before.Epoch && (renewed || p != before) || p.Epoch != before.Epoch && p.Seq <= before.Seq {
			t.Errorf("operation %d: journal at %v after kill -9, was at %v and %v", at, p, before, j.Position())
		}
		mustClose(t, after)
		if !renewed {
			mustAppend(t, j, 6)
			wantValues(t, reopen(t, j, cfg), 0, "/1", "/2", "/3", "/4", "/5", "/6")
		}
	}
}

// TestLossOfPower stops a journal at a random operation and leaves of what was not flushed a random part: all that was acknowledged
// is there, in its epoch, and nothing that was not appended.
func TestLossOfPower(t *testing.T) {
	rounds := uint64(150)
	if testing.Short() {
		rounds = 40
	}
	for seed := range rounds {
		rng := rand.New(rand.NewPCG(seed, 2))
		cfg := smallSegments(t)
		cfg.SegmentBytes = int64(100 + rng.IntN(1000))
		cfg.Horizon, cfg.HorizonBytes = 10, 1
		j := mustOpen(t, cfg)
		epoch := j.Position().Epoch
		v := cfg.volume.(*testVolume)
		left := 50 + rng.IntN(150)
		v.fail = func(string) error {
			if left--; left < 0 {
				return errors.New("no power")
			}
			return nil
		}
		var all []Event // appended
		acked := 0
		for left >= 0 {
			events := make([]Event, 1+rng.IntN(4))
			for i := range events {
				events[i] = randomEvent(rng)
				events[i].Seq, events[i].Time = Seq(len(all)+i+1), noon.UnixNano()
			}
			_, err := j.Append(events...)
			all = append(all, events...)
			if err == nil {
				acked = len(all)
			}
		}
		_ = j.Close()
		v.losePower(t, cfg.Dir, rng)
		v.fail = nil
		j = mustOpen(t, cfg)
		at, h := j.Position(), j.Horizon()
		if at.Epoch != epoch || int(at.Seq) < acked || int(at.Seq) > len(all) || h > 0 && int(at.Seq-h) < cfg.Horizon {
			t.Fatalf("seed %d: journal at %v with horizon %d, want epoch %d, event %d at least", seed, at, h, epoch, acked)
		}
		for after := h; after < at.Seq; {
			events, err := j.Read(after, 10)
			if err != nil || !slices.Equal(events, all[after:int(after)+len(events)]) {
				t.Fatalf("seed %d: Read after %d = %v, %v, want %v", seed, after, events, err, all[after:])
			}
			after += Seq(len(events))
		}
		mustClose(t, j)
	}
}
