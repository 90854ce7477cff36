package journal

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
)

// killDir tells the test binary to append to the journal in that directory until it is killed, instead of running tests.
const killDir = "CDNLAB_JOURNAL_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		if err := appendUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// killConfig is that of parent and child: segments are small, so that some are killed while they are made.
func killConfig(dir string) Config {
	return Config{Dir: dir, SegmentBytes: 2000, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
}

const killWriters = 8

// appendUntilKilled appends from several goroutines, one to three events a call, and prints a line for each that is acknowledged.
func appendUntilKilled(dir string) error {
	j, err := Open(killConfig(dir))
	if err != nil {
		return err
	}
	start := j.Position().Seq
	var wg sync.WaitGroup
	failed := make(chan error, killWriters)
	for w := range killWriters {
		wg.Go(func() {
			for i := 0; ; i++ {
				events := make([]Event, 1+(w+i)%3)
				for k := range events {
					events[k] = purge(fmt.Sprintf("%d/%d/%d/%d", start, w, i, k))
				}
				at, err := j.Append(events...)
				if err != nil {
					failed <- err
					return
				}
				var lines []byte // in one write, which a pipe takes whole
				for k, e := range events {
					lines = fmt.Appendln(lines, at.Epoch, int(at.Seq)-len(events)+1+k, e.Value)
				}
				if _, err := os.Stdout.Write(lines); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	return <-failed
}

// TestKill9 kills a process that appends, at a random moment, round after round on the same directory. Every event that was
// acknowledged is there under its number, in its epoch; each writer's events are in order and none is there twice.
func TestKill9(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	dir := t.TempDir()
	acked := map[Seq]string{}
	var epoch Epoch
	for round := range rounds {
		after := 1 + rand.IntN(1000)
		for seq, e := range runAndKill(t, dir, after) {
			if before, twice := acked[seq]; twice {
				t.Errorf("round %d: number %d was given to %s and to %s", round, seq, before, e.value)
			}
			if epoch == 0 {
				epoch = e.epoch
			}
			if e.epoch != epoch {
				t.Fatalf("round %d: epoch %d, want %d", round, e.epoch, epoch)
			}
			acked[seq] = e.value
		}
		j := mustOpen(t, killConfig(dir))
		checkAfterKill(t, j, epoch, acked)
		mustClose(t, j)
		if t.Failed() {
			t.Fatalf("killed after %d lines in round %d", after, round)
		}
	}
	t.Logf("%d events acknowledged in %d rounds", len(acked), rounds)
}

type ackedEvent struct {
	epoch Epoch
	value string
}

// runAndKill returns what a child acknowledged that was killed when it had printed so many lines, and maybe more.
func runAndKill(t *testing.T, dir string, lines int) map[Seq]ackedEvent {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), killDir+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	acked := map[Seq]ackedEvent{}
	r := bufio.NewReader(out)
	for n := 1; ; n++ {
		line, err := r.ReadString('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		var seq Seq
		var e ackedEvent
		if _, err := fmt.Sscan(line, &e.epoch, &seq, &e.value); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		acked[seq] = e
		if n == lines {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = child.Wait() // was killed
	if len(acked) < lines {
		t.Fatalf("the child ended after %d lines, want %d", len(acked), lines)
	}
	return acked
}

func checkAfterKill(t *testing.T, j *Journal, epoch Epoch, acked map[Seq]string) {
	t.Helper()
	if got := j.Position().Epoch; got != epoch {
		t.Fatalf("epoch %d after kill -9, want %d", got, epoch)
	}
	values := readAll(t, j, 0) // checks the numbers
	for seq, want := range acked {
		if int(seq) > len(values) || values[seq-1] != want {
			t.Errorf("acknowledged event %d, %s, is not there", seq, want)
		}
	}
	next := map[[2]int][2]int{} // by round and writer: the call and the event in it that may come
	for i, value := range values {
		var round, w, call, k int
		if _, err := fmt.Sscanf(value, "/%d/%d/%d/%d", &round, &w, &call, &k); err != nil {
			t.Fatalf("event %d is %q: %v", i+1, value, err)
		}
		id := [2]int{round, w}
		if next[id] != [2]int{call, k} {
			t.Errorf("event %d is %s, want call %v of that writer", i+1, value, next[id])
		}
		next[id] = [2]int{call, k + 1}
		if k+1 == 1+(w+call)%3 {
			next[id] = [2]int{call + 1, 0}
		}
	}
}
