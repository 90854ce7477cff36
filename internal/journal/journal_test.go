package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// testConfig returns that of a journal of small segments on a volume that does not flush.
func testConfig(t testing.TB) Config {
	return Config{Dir: filepath.Join(t.TempDir(), "journal"), SegmentBytes: 400, Rand: rand.NewChaCha8([32]byte{1}),
		Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler), volume: &testVolume{}}
}

func mustOpen(t testing.TB, cfg Config) *Journal {
	t.Helper()
	j, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() }) // again, in most tests
	return j
}

func mustClose(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// purge returns an event that tells by its value which one it is.
func purge(name any) Event {
	return Event{Kind: Purge, Site: "www.cdn.test", Scope: ScopeURL, Value: fmt.Sprint("/", name), Who: "test"}
}

// mustAppend appends purges of the names and returns the position of the last.
func mustAppend(t testing.TB, j *Journal, names ...any) (at Position) {
	t.Helper()
	var err error
	for _, name := range names {
		if at, err = j.Append(purge(name)); err != nil {
			t.Fatal(err)
		}
	}
	return at
}

// readAll returns the values of all events after the given one; it checks their numbers.
func readAll(t testing.TB, j *Journal, after Seq) (values []string) {
	t.Helper()
	for {
		events, err := j.Read(after, 3)
		if err != nil {
			t.Fatalf("Read after %d: %v", after, err)
		}
		if len(events) == 0 {
			return values
		}
		for _, e := range events {
			if after++; e.Seq != after {
				t.Fatalf("Read returns event %d, want %d", e.Seq, after)
			}
			values = append(values, e.Value)
		}
	}
}

func wantValues(t testing.TB, j *Journal, after Seq, want ...string) {
	t.Helper()
	if got := readAll(t, j, after); !slices.Equal(got, want) {
		t.Errorf("events after %d = %v, want %v", after, got, want)
	}
}

// paths returns the files of a journal's segments.
func paths(t testing.TB, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestEventsAreNumberedAndDated(t *testing.T) {
	cfg := testConfig(t)
	j := mustOpen(t, cfg)
	start := j.Position()
	if start.Epoch == 0 || start.Seq != 0 || j.Horizon() != 0 {
		t.Errorf("a new journal is at %v, horizon %d", start, j.Horizon())
	}
	publish := Event{Seq: 77, Time: 77, Kind: Publish, Site: "www.cdn.test", Value: "/a", Version: `"1"`}
	at, err := j.Append(publish, purge("b"))
	if want := (Position{start.Epoch, 2}); err != nil || at != want || j.Position() != want {
		t.Errorf("Append = %v, %v, Position = %v, want %v", at, err, j.Position(), want)
	}
	b := purge("b")
	publish.Seq, publish.Time, b.Seq, b.Time = 1, noon.UnixNano(), 2, noon.UnixNano()
	for _, when := range []string{"at once", "after reopening"} {
		if got, err := j.Read(0, 10); err != nil || !slices.Equal(got, []Event{publish, b}) {
			t.Errorf("%s: Read = %v, %v, want %v and %v", when, got, err, publish, b)
		}
		j = reopen(t, j, cfg)
	}
}

func reopen(t testing.TB, j *Journal, cfg Config) *Journal {
	t.Helper()
	before := j.Position()
	mustClose(t, j)
	j = mustOpen(t, cfg)
	if got := j.Position(); got != before {
		t.Errorf("Position after reopening = %v, want %v", got, before)
	}
	return j
}

func TestReadReturnsWhatIsAskedFor(t *testing.T) {
	cfg := testConfig(t)
	cfg.SegmentBytes = 1 << 20
	j := mustOpen(t, cfg)
	mustAppend(t, j, 1, 2, 3, 4, 5)
	for _, c := range []struct {
		after    Seq
		max      int
		first, n int
	}{{0, 10, 1, 5}, {0, 2, 1, 2}, {3, 1, 4, 1}, {4, 9, 5, 1}, {5, 9, 0, 0}, {6, 9, 0, 0}, {0, 0, 0, 0}, {0, -1, 0, 0}} {
		events, err := j.Read(c.after, c.max)
		if err != nil || len(events) != c.n || c.n > 0 && events[0].Value != fmt.Sprint("/", c.first) {
			t.Errorf("Read(%d, %d) = %v, %v, want %d from %d on", c.after, c.max, events, err, c.n, c.first)
		}
	}
	long := purge(strings.Repeat("x", MaxText-1000))
	for range 20 {
		if _, err := j.Append(long); err != nil {
			t.Fatal(err)
		}
	}
	if events, err := j.Read(5, 100); err != nil || len(events) != 16 {
		t.Errorf("Read of a megabyte and more = %d events, %v, want 16 of 64 KB", len(events), err)
	}
}

func TestWhatIsNoEventIsRefused(t *testing.T) {
	j := mustOpen(t, testConfig(t))
	for name, e := range map[string]Event{
		"nothing":                     {},
		"unknown kind":                {Kind: 4, Site: "a", Value: "/"},
		"purge of no scope":           {Kind: Purge, Value: "/"},
		"purge of unknown scope":      {Kind: Purge, Scope: 5, Value: "/"},
		"purge of an empty key":       {Kind: Purge, Scope: ScopeKey},
		"publish with a scope":        {Kind: Publish, Site: "a", Value: "/", Scope: ScopeURL},
		"publish that is soft":        {Kind: Publish, Site: "a", Value: "/", Soft: true},
		"publish on all sites":        {Kind: Publish, Value: "/"},
		"push of nothing":             {Kind: Push, Site: "a"},
		"push of a negative size":     {Kind: Push, Site: "a", Value: "/", Size: -1},
		"texts longer than a record":  {Kind: Push, Site: "a", Value: strings.Repeat("x", MaxText-4), Version: "1", To: "2", Who: "34"},
		"a text longer than a record": purge(strings.Repeat("x", MaxText)),
	} {
		if at, err := j.Append(purge("good"), e); err == nil {
			t.Errorf("%s: appended at %v", name, at)
		}
	}
	if at, err := j.Append(); err != nil || at != j.Position() || at.Seq != 0 {
		t.Errorf("Append of nothing = %v, %v, journal at %v", at, err, j.Position())
	}
}

func TestCompactionKeepsWhatIsAskedFor(t *testing.T) {
	size := int64(len((&Event{Seq: 1, Time: noon.UnixNano(), Kind: Purge, Site: "www.cdn.test", Scope: ScopeURL, Value: "/0000", Who: "test"}).Append(nil)))
	for _, c := range []struct {
		name    string
		horizon int
		bytes   int64
		least   Seq // events kept
	}{{"a number of events", 50, 1, 50}, {"a number of bytes", 1, 80 * size, 80}, {"the greater of both", 50, 80 * size, 80}, {"the default", 0, 0, 500}} {
		t.Run(c.name, func(t *testing.T) {
			cfg := testConfig(t)
			cfg.Horizon, cfg.HorizonBytes = c.horizon, c.bytes
			cfg.SegmentBytes = 10 * size
			j := mustOpen(t, cfg)
			for i := range 500 {
				mustAppend(t, j, fmt.Sprintf("%04d", i))
			}
			for _, when := range []string{"at once", "after reopening"} {
				kept := 500 - j.Horizon()
				if kept < c.least || kept > c.least+2*11 {
					t.Errorf("%s: %d events are kept, want %d and at most two segments more", when, kept, c.least)
				}
				if got := readAll(t, j, j.Horizon()); len(got) != int(kept) {
					t.Errorf("%s: %d events can be read, %d are kept", when, len(got), kept)
				}
				j = reopen(t, j, cfg)
			}
			if h := j.Horizon(); h > 0 {
				if events, err := j.Read(h-1, 1); err != ErrHorizon {
					t.Errorf("Read behind the horizon = %v, %v, want ErrHorizon", events, err)
				}
			}
			before := len(paths(t, cfg.Dir))
			mustClose(t, j)
			cfg.Horizon, cfg.HorizonBytes = 1, 1
			mustOpen(t, cfg)
			if now := len(paths(t, cfg.Dir)); now >= before || now > 2 {
				t.Errorf("%d files after opening with a horizon of one event, %d before", now, before)
			}
		})
	}
}

func TestASegmentIsRemovedWhileItIsRead(t *testing.T) {
	cfg := smallSegments(t)
	cfg.Horizon, cfg.HorizonBytes = 2, 1
	j := mustOpen(t, cfg)
	mustAppend(t, j, 1, 2, 3)
	reads := 0
	cfg.volume.(*testVolume).reading = func() {
		if reads++; reads == 1 {
			mustAppend(t, j, 4, 5, 6, 7, 8, 9)
		}
	}
	if events, err := j.Read(0, 1); err != ErrHorizon || reads != 1 {
		t.Errorf("Read = %v, %v after %d reads, want ErrHorizon after one", events, err, reads)
	}
}

func TestOneProcessAtATime(t *testing.T) {
	cfg := testConfig(t)
	j := mustOpen(t, cfg)
	_, err := Open(cfg)
	if want := fmt.Sprintf("in use by process %d", os.Getpid()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Open of an open journal: %v, want %q", err, want)
	}
	reopen(t, j, cfg)
}

func TestAClosedJournal(t *testing.T) {
	j := mustOpen(t, testConfig(t))
	mustAppend(t, j, 1)
	waiting := make(chan error)
	go func() { waiting <- j.Wait(context.Background(), 1) }()
	mustClose(t, j)
	if err := <-waiting; err != ErrClosed {
		t.Errorf("Wait while the journal is closed: %v, want ErrClosed", err)
	}
	_, appended := j.Append(purge(2))
	_, read := j.Read(0, 1)
	_, renewed := j.Renew()
	for name, err := range map[string]error{"Append": appended, "Read": read, "Renew": renewed, "Wait": j.Wait(context.Background(), 0)} {
		if err != ErrClosed {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
	if err := j.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	j := mustOpen(t, testConfig(t))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := j.Wait(ctx, 0); err != context.Canceled {
		t.Errorf("Wait = %v, want canceled", err)
	}
	mustAppend(t, j, 1)
	if err := j.Wait(ctx, 0); err != nil {
		t.Errorf("Wait for what is there = %v", err)
	}
}

func TestRenewLeavesNobodyBehindInTheOldEpoch(t *testing.T) {
	cfg := testConfig(t)
	j := mustOpen(t, cfg)
	before := mustAppend(t, j, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	waiting := make(chan error)
	go func() { waiting <- j.Wait(context.Background(), before.Seq) }()
	at, err := j.Renew()
	if err != nil || at.Epoch == before.Epoch || at.Seq <= before.Seq || j.Position() != at || j.Horizon() != at.Seq {
		t.Errorf("Renew at %v = %v, %v, journal at %v, horizon %d", before, at, err, j.Position(), j.Horizon())
	}
	if err := <-waiting; err != nil {
		t.Errorf("Wait during Renew: %v, want nil", err)
	}
	mustAppend(t, j, "new")
	for after := range before.Seq + 1 {
		if events, err := j.Read(after, 1); err != ErrHorizon {
			t.Errorf("Read after %d of the epoch before = %v, %v, want ErrHorizon", after, events, err)
		}
	}
	wantValues(t, j, at.Seq, "/new")
	j = reopen(t, j, cfg)
	wantValues(t, j, at.Seq, "/new")
	if n := len(paths(t, cfg.Dir)); n != 1 {
		t.Errorf("%d segments are left, want 1", n)
	}
}

// constant is a bad source of epochs.
type constant byte

func (c constant) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(c)
	}
	return len(b), nil
}

func TestAnEpochIsNeitherZeroNorTheOneBefore(t *testing.T) {
	for _, c := range []constant{0, 7, 255} {
		cfg := testConfig(t)
		cfg.Rand = c
		j := mustOpen(t, cfg)
		before := j.Position().Epoch
		at, err := j.Renew()
		if err != nil || before == 0 || at.Epoch == 0 || at.Epoch == before {
			t.Errorf("epochs %d and %d, %v", before, at.Epoch, err)
		}
	}
}

func TestDamageSinceOpenIsSeen(t *testing.T) {
	cfg := testConfig(t)
	j := mustOpen(t, cfg)
	mustAppend(t, j, 1, 2)
	path := segmentPath(cfg.Dir, 1)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first, second := int(j.segments[0].offset(1)), int(j.segments[0].offset(2))
	flip(t, path, segmentHead+recordHead+4, 0)
	if events, err := j.Read(0, 2); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Read of a damaged record = %v, %v, want ErrCorrupt", events, err)
	}
	copy(whole[segmentHead:first], whole[first:second])
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if events, err := j.Read(0, 2); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Read of another record in its place = %v, %v, want ErrCorrupt", events, err)
	}
}

func TestASegmentHoldsAnEventAtLeast(t *testing.T) {
	cfg := testConfig(t)
	cfg.SegmentBytes = 1
	j := mustOpen(t, cfg)
	mustAppend(t, j, 1, 2, 3)
	if files := paths(t, cfg.Dir); len(files) != 3 || len(j.segments) != 3 {
		t.Errorf("%d segments in files %v, want 3", len(j.segments), files)
	}
	wantValues(t, reopen(t, j, cfg), 0, "/1", "/2", "/3")
}

// flip flips a bit of a file.
func flip(t testing.TB, path string, at, bit int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 1 << bit
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
