package journal

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// copyDir copies the files of a directory as they are, which is what a process that is killed leaves.
func copyDir(t testing.TB, from string) (to string) {
	t.Helper()
	to = filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// openCopy opens a copy of a directory after a change to it.
func openCopy(t *testing.T, cfg Config, change func(dir string)) *Journal {
	t.Helper()
	cfg.Dir = copyDir(t, cfg.Dir)
	change(cfg.Dir)
	return mustOpen(t, cfg)
}

// wantNewEpoch checks that nothing of the epoch before is left, neither an event nor a number, and that the journal works.
func wantNewEpoch(t *testing.T, j *Journal, before Position) {
	t.Helper()
	at := j.Position()
	if at.Epoch == before.Epoch || at.Epoch == 0 || at.Seq <= before.Seq || j.Horizon() != at.Seq {
		t.Errorf("journal at %v with horizon %d, want a new epoch after %v", at, j.Horizon(), before)
	}
	if got := mustAppend(t, j, "after"); got != (Position{at.Epoch, at.Seq + 1}) {
		t.Errorf("Append at %v = %v", at, got)
	}
	wantValues(t, j, at.Seq, "/after")
	j = reopen(t, j, j.cfg)
	wantValues(t, j, at.Seq, "/after")
	mustClose(t, j)
}

func appendFile(t testing.TB, path string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = f.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestATornTailIsCutOff(t *testing.T) {
	cfg := testConfig(t)
	j := mustOpen(t, cfg)
	at := mustAppend(t, j, 1, 2)
	three, four := purge(3), purge(4)
	three.Seq, four.Seq = 3, 4
	tail := four.Append(three.Append(nil)) // written by a process that was killed before it acknowledged
	one := len(three.Append(nil))
	again := purge(1)
	again.Seq = 1
	for n := range len(tail) + 1 {
		for i, behind := range []string{"", "\x00\x00\x00\x00\x00\x00\x00\x00\x00", "garbage", string(again.Append(nil))} {
			if whole := n == 0 || n == one || n == len(tail); !whole && i != n%4 {
				continue // one kind will do within a record
			}
			j := openCopy(t, cfg, func(dir string) { appendFile(t, segmentPath(dir, 1), append(tail[:n:n], behind...)) })
			want := []string{"/1", "/2"}
			if n >= one {
				want = append(want, "/3")
			}
			if n == len(tail) {
				want = append(want, "/4")
			}
			if got := j.Position(); got != (Position{at.Epoch, Seq(len(want))}) {
				t.Errorf("%d bytes and %q behind: journal at %v, want %v and %d events", n, behind, got, at.Epoch, len(want))
			}
			mustAppend(t, j, "after")
			wantValues(t, j, 0, append(want, "/after")...)
			wantValues(t, reopen(t, j, j.cfg), 0, append(want, "/after")...)
			mustClose(t, j)
		}
	}
}

func TestAnAcknowledgedEventThatIsCutOffIsNotForgotten(t *testing.T) {
	cfg := testConfig(t)
	j := mustOpen(t, cfg)
	at := mustAppend(t, j, 1, 2, 3)
	s := j.segments[0]
	for size := s.offset(0); size < s.size(); size++ {
		wantNewEpoch(t, openCopy(t, cfg, func(dir string) {
			if err := os.Truncate(segmentPath(dir, 1), size); err != nil {
				t.Fatal(err)
			}
		}), at)
	}
}

func TestAFlippedBitNeverYieldsAWrongEvent(t *testing.T) {
	cfg := smallSegments(t)
	j := mustOpen(t, cfg)
	at := mustAppend(t, j, 1, 2, 3, 4, 5, 6)
	want := readAll(t, j, 0)
	mustClose(t, j)
	files := map[string][]byte{}
	for _, path := range append(paths(t, cfg.Dir), filepath.Join(cfg.Dir, "position")) {
		var err error
		if files[path], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	step := 3 // each bit of a byte has its turn
	if testing.Short() {
		step = 17
	}
	for path, whole := range files {
		for bit := 0; bit < len(whole)*8; bit += step {
			slot := bit/8%slotStep < slotSize
			if filepath.Base(path) == "position" && !slot {
				continue // between the slots
			}
			restore(t, cfg.Dir, files)
			flip(t, path, bit/8, bit%8)
			j := mustOpen(t, cfg)
			if filepath.Base(path) != "position" {
				wantNewEpoch(t, j, at)
			} else if got := readAll(t, j, 0); j.Position() != at || !slices.Equal(got, want) { // the other slot tells enough
				t.Errorf("bit %d of the position flipped: journal at %v with %v, want %v with %v", bit, j.Position(), got, at, want)
			}
			mustClose(t, j)
			if t.Failed() {
				t.Fatalf("bit %d of %s was flipped", bit, path)
			}
		}
	}
}

// smallSegments returns the configuration of a journal of two events a segment.
func smallSegments(t testing.TB) Config {
	cfg := testConfig(t)
	cfg.SegmentBytes = 100
	return cfg
}

// restore makes the segments and the position of a directory what they were.
func restore(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	for _, path := range paths(t, dir) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	for path, b := range files {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatMakesANewEpoch(t *testing.T) {
	cfg := smallSegments(t)
	j := mustOpen(t, cfg)
	at := mustAppend(t, j, 1, 2, 3, 4, 5, 6)
	segments := paths(t, cfg.Dir)
	if len(segments) != 3 {
		t.Fatalf("%d segments, want 3", len(segments))
	}
	otherConfig := smallSegments(t)
	otherConfig.Rand = constant(5)
	other := mustOpen(t, otherConfig)
	mustAppend(t, other, 1, 2, 3, 4, 5, 6)
	remove := func(names ...string) func(string) {
		return func(dir string) {
			for _, name := range names {
				if err := os.Remove(filepath.Join(dir, filepath.Base(name))); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, c := range []struct {
		name   string
		change func(dir string)
		logged string
	}{
		{"position removed", remove("position"), "the position of 0"},
		{"position emptied", func(dir string) {
			if err := os.Truncate(filepath.Join(dir, "position"), 0); err != nil {
				t.Fatal(err)
			}
		}, "the position of 0"},
		{"last segment removed", remove(segments[2]), "events up to 6 were acknowledged"},
		{"middle segment removed", remove(segments[1]), "are missing"},
		{"all segments removed", remove(segments...), "no segment"},
		{"a segment of another journal", func(dir string) {
			b, err := os.ReadFile(paths(t, otherConfig.Dir)[1])
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(segments[1])), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is of epoch"},
		{"last segment without its header", func(dir string) {
			if err := os.Truncate(filepath.Join(dir, filepath.Base(segments[2])), 5); err != nil {
				t.Fatal(err)
			}
		}, "no valid header"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var logged strings.Builder
			cfg := cfg
			cfg.Log = slog.New(slog.NewTextHandler(&logged, nil))
			wantNewEpoch(t, openCopy(t, cfg, c.change), at)
			if !strings.Contains(logged.String(), c.logged) {
				t.Errorf("log = %q, want %q in it", logged.String(), c.logged)
			}
		})
	}
}

func TestASourceThatRepeatsMakesAnotherEpoch(t *testing.T) {
	cfg := testConfig(t)
	cfg.Rand = constant(5)
	j := mustOpen(t, cfg)
	at := mustAppend(t, j, 1)
	mustClose(t, j)
	if err := os.Remove(segmentPath(cfg.Dir, 1)); err != nil {
		t.Fatal(err)
	}
	wantNewEpoch(t, mustOpen(t, cfg), at)
}

func TestWhatMakesNoNewEpoch(t *testing.T) {
	cfg := testConfig(t)
	j := mustOpen(t, cfg)
	at := mustAppend(t, j, 1, 2, 3, 4, 5, 6, 7)
	want := readAll(t, j, 0)
	next := segmentPath(cfg.Dir, at.Seq+1)
	head := appendHeader(nil, at.Epoch, at.Seq+1)
	write := func(name string, b []byte) func(string) {
		return func(dir string) {
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	cases := map[string]func(dir string){
		"nothing":                      func(string) {},
		"a file of another kind":       write("notes.log", []byte("x")),
		"a name that is not quite one": write("7.log", []byte("x")),
	}
	for n := range len(head) + 1 {
		cases[fmt.Sprintf("a segment that was being made, %d bytes", n)] = write(next, head[:n])
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			j := openCopy(t, cfg, change)
			if got := readAll(t, j, 0); j.Position() != at || !slices.Equal(got, want) {
				t.Errorf("journal at %v with %v, want %v with %v", j.Position(), got, at, want)
			}
			// A segment that was given up must not be in the way when the one before it goes on past its number.
			mustClose(t, j)
			j.cfg.SegmentBytes = 1 << 20
			j = mustOpen(t, j.cfg)
			mustAppend(t, j, "a", "b", "c")
			wantValues(t, reopen(t, j, j.cfg), at.Seq, "/a", "/b", "/c")
		})
	}
}
