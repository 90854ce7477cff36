package journal

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

func mustOpenMark(t *testing.T, path string) *Mark {
	t.Helper()
	m, err := OpenMark(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() }) // again, in most tests
	return m
}

func mustStore(t *testing.T, m *Mark, p Position) {
	t.Helper()
	if err := m.Store(p); err != nil {
		t.Fatal(err)
	}
	if got := m.Load(); got != p {
		t.Errorf("Load after Store(%v) = %v", p, got)
	}
}

func TestMarkKeepsTheLastPosition(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mark")
	if got := mustOpenMark(t, path).Load(); got != (Position{}) {
		t.Errorf("Load of a new file = %v", got)
	}
	for i := range Seq(5) {
		want := Position{Epoch(7 - i), i * 1000} // either may go down
		mustStore(t, mustOpenMark(t, path), want)
		if got := mustOpenMark(t, path).Load(); got != want {
			t.Errorf("Load after reopening = %v, want %v", got, want)
		}
	}
}

func TestATornMarkIsTheOneBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mark")
	for i := Seq(1); i <= 4; i++ { // so that each slot is the newer one
		m := mustOpenMark(t, path)
		before := m.Load()
		old, _ := os.ReadFile(path) // none in the first round
		mustStore(t, m, Position{9, i})
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var changed []int
		for at := range whole {
			if at >= len(old) || whole[at] != old[at] {
				changed = append(changed, at)
			}
		}
		for _, until := range changed {
			torn := append(bytes.Clone(whole[:until]), make([]byte, len(whole)-until)...)
			copy(torn[until:], old[min(until, len(old)):])
			if got, _, _ := parseMark(torn); got != before {
				t.Errorf("store %d torn at byte %d: %v, want %v", i, until, got, before)
			}
		}
	}
}

func TestANoteSparesWhatWasFlushed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mark")
	m := mustOpenMark(t, path)
	mustStore(t, m, Position{9, 1})
	flushed := m.next
	for i := Seq(2); i < 5; i++ {
		if err := m.note(Position{9, i}); err != nil {
			t.Fatal(err)
		}
		if got := mustOpenMark(t, path).Load(); got != (Position{9, i}) {
			t.Errorf("Load after reopening = %v, want note %d", got, i)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		clear(b[flushed*slotStep:][:slotSize])
		if got, _, _ := parseMark(b); got != (Position{9, 1}) {
			t.Errorf("position with note %d lost = %v, want what was flushed", i, got)
		}
	}
}

func TestAFlippedBitOfAMark(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mark")
	m := mustOpenMark(t, path)
	mustStore(t, m, Position{9, 1})
	mustStore(t, m, Position{9, 2})
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, _, newest := parseMark(b)
	for i := range 2 {
		for bit := range slotSize * 8 {
			b[i*slotStep+bit/8] ^= 1 << (bit % 8)
			want := Position{9, 2}
			if i == newest {
				want.Seq = 1
			}
			if got, _, _ := parseMark(b); got != want {
				t.Errorf("bit %d of slot %d flipped: %v, want %v", bit, i, got, want)
			}
			b[i*slotStep+bit/8] ^= 1 << (bit % 8)
		}
	}
	clear(b)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := mustOpenMark(t, path).Load(); got != (Position{}) {
		t.Errorf("Load with both slots lost = %v, want the zero position", got)
	}
}

func TestAStoreThatFailsSparesTheOtherSlot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mark")
	var v testVolume
	m, err := openMark(&v, path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	mustStore(t, m, Position{9, 1})
	for _, op := range []string{"write", "sync", "sync"} {
		v.fail = failing(op, syscall.EIO)
		if err := m.Store(Position{9, 2}); err == nil {
			t.Errorf("Store while %s fails: no error", op)
		}
		if got := m.Load(); got != (Position{9, 1}) {
			t.Errorf("Load while %s fails = %v, want what was stored", op, got)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if at, _, _ := parseSlot(b[(1-m.next)*slotStep:][:slotSize]); at != (Position{9, 1}) {
			t.Errorf("the other slot while %s fails = %v, want what was stored", op, at)
		}
	}
	v.fail = nil
	mustStore(t, m, Position{9, 3})
	if got := mustOpenMark(t, path).Load(); got != (Position{9, 3}) {
		t.Errorf("Load after reopening = %v, want the last one stored", got)
	}
}

func TestMarkConcurrently(t *testing.T) {
	m := mustOpenMark(t, filepath.Join(t.TempDir(), "mark"))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for k := range 20 {
				if err := m.Store(Position{Epoch(i + 1), Seq(k)}); err != nil {
					t.Error(err)
				}
				_ = m.Load()
			}
		})
	}
	wg.Wait()
	if got := m.Load(); got.Seq != 19 {
		t.Errorf("Load = %v, want what somebody stored last", got)
	}
}

func FuzzMark(f *testing.F) {
	slot := appendSlot(nil, 3, Position{9, 2})
	f.Add([]byte{})
	f.Add(slot)
	f.Add(append(append(appendSlot(nil, 4, Position{9, 3}), make([]byte, slotStep-slotSize)...), slot...))
	f.Fuzz(func(t *testing.T, b []byte) {
		at, count, newest := parseMark(b)
		if count == 0 && at != (Position{}) {
			t.Errorf("position %v without a valid slot", at)
		}
		if count != 0 && !bytes.Equal(appendSlot(nil, count, at), b[newest*slotStep:][:slotSize]) {
			t.Errorf("position %v of count %d is not what slot %d holds", at, count, newest)
		}
		own := Position{9, 5}
		b = append(appendSlot(nil, math.MaxUint64, own), b[min(slotSize, len(b)):]...)
		if at, _, _ := parseMark(b); at != own {
			t.Errorf("position %v, want %v of the highest count", at, own)
		}
	})
}
