package popular

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestASketchIsReadAsItWasWritten(t *testing.T) {
	for _, n := range []int{0, 1, 10, 50} {
		s := sketch(t, 10, half)
		for i := range n {
			s.Observe([]byte(path(uint64(i*i%23))), int64(i), start.Add(time.Duration(i)*time.Second))
		}
		now := start.Add(time.Hour)
		b := s.Append([]byte("before"), now)
		clock := start.Add(-24 * time.Hour) // of the other side
		got, err := Decode(b[len("before"):], clock)
		if err != nil {
			t.Fatal(err)
		}
		checkHeap(t, got)
		if want := s.Top(10, now); !slices.Equal(got.Top(10, clock), want) || got.Total(clock) != s.Total(now) {
			t.Errorf("%d requests read back as %+v, want %+v", n, got.Top(10, clock), want)
		}
		if again := got.Append(nil, clock); !bytes.Equal(again, b[len("before"):]) {
			t.Errorf("%d requests: written again it is %x, want %x", n, again, b)
		}
		if got, err = Decode(b[len("before"):], clock); err != nil {
			t.Fatal(err)
		}
		if later := got.Total(clock.Add(half)); later != s.Total(now)/2 {
			t.Errorf("%d requests have become %v a half-life later, want half of %v", n, later, s.Total(now))
		}
	}
}

func TestWhatIsTooLongLeavesOutTheRarest(t *testing.T) {
	s, e := sketch(t, 2000, half), newExact()
	for i := range 2000 {
		key := strings.Repeat("k", MaxKey-4) + fmt.Sprintf("%04d", i)
		for range 1 + i%10 {
			s.Observe([]byte(key), 1, start)
			e.observe(key, start)
		}
	}
	b := s.Append(nil, start)
	got, err := Decode(b, start)
	if err != nil || len(b) > MaxEncoded || len(b) < MaxEncoded-2*MaxKey {
		t.Fatalf("%d bytes: %v", len(b), err)
	}
	items := got.Top(2000, start)
	if last := items[len(items)-1]; len(items) < 900 || last.Count < 5 {
		t.Errorf("%d keys, the last with %v, want the half asked for most", len(items), last.Count)
	}
	// What was left out may come back: its requests are within the error.
	key := strings.Repeat("k", MaxKey-4) + "0004"
	got.Observe([]byte(key), 1, start)
	for _, it := range got.Top(2000, start) {
		if it.Key == key && (it.Count < e.counts[key]+1 || it.Count-it.Error > 1) {
			t.Errorf("a key that was left out has %+v, want to enclose %v", it, e.counts[key]+1)
		}
	}
}

// encode writes a sketch of room for two keys with whatever numbers.
func encode(half uint64, total, absent float64, items ...Item) []byte {
	s := Sketch{weight: 1, capacity: 2, half: time.Duration(half)}
	b := s.Append(nil, start)
	b = appendFloat(appendFloat(b[:len(b)-17], total), absent)
	b = append(b, byte(len(items)))
	for _, it := range items {
		b = append(append(b, byte(len(it.Key))), it.Key...)
		b = appendFloat(appendFloat(appendFloat(b, it.Count), it.Error), it.Bytes)
	}
	return b
}

func TestDecodeRefuses(t *testing.T) {
	a, second, c := Item{"a", 2, 1, 1}, Item{"b", 2, 1, 1}, Item{"c", 2, 1, 1}
	if _, err := Decode(encode(1<<30, 5, 1, a, second), start); err != nil {
		t.Fatalf("a right one: %v", err)
	}
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"nothing", nil, "ends early"},
		{"another format", []byte{2}, "format 2 is not 1"},
		{"a long message", make([]byte, MaxEncoded+1), "over 1048576"},
		{"a message that ends early", encode(1<<30, 5, 1, Item{"long", 2, 1, 1})[:52], "ends early"},
		{"a message that goes on", append(encode(1<<30, 5, 1, a), 0), "1 bytes follow"},
		{"no room", []byte{1, 0, 0}, "ends early"},
		{"too much room", []byte{1, 0xff, 0xff, 0xff, 0x7f}, "over 16384"},
		{"a short half-life", encode(1000, 5, 1, a), "it must be at least 1ms"},
		{"more keys than room", encode(1<<30, 5, 1, a, second, c), "a size of 3 is over 2"},
		{"more keys than bytes", append(encode(1<<30, 5, 1)[:24-1], 2), "a size of 2 is over 0"},
		{"a key twice", encode(1<<30, 5, 1, a, a), `key "a" is there twice`},
		{"a total that is no number", encode(1<<30, math.NaN(), 1), "a count of NaN"},
		{"a negative bound", encode(1<<30, 1, -1), "a count of -1"},
		{"a count without end", encode(1<<30, 1, 1, Item{"a", math.Inf(1), 1, 1}), "a count of +Inf"},
		{"huge bytes", encode(1<<30, 1, 1, Item{"a", 1, 1, 1e30}), "a count of 1e+30"},
		{"an error above the count", encode(1<<30, 5, 1, Item{"a", 2, 3, 1}), "below its error"},
		{"a count below the bound of those that are not held", encode(1<<30, 5, 3, a), "below its error of 1 or the 3 of others"},
	} {
		if _, err := Decode(c.b, start); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Decode = %v, want %q", c.name, err, c.want)
		}
	}
}

// FuzzDecode reads any bytes: they are refused, or make a sketch that works and is written as the same again.
func FuzzDecode(f *testing.F) {
	f.Add(encode(1<<30, 5, 1, Item{"a", 2, 1, 1}, Item{"b", 3, 1, 7}))
	f.Add(encode(1<<40, 0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Decode(b, start)
		if err != nil {
			return
		}
		checkHeap(t, s)
		once := s.Append(nil, start)
		again, err := Decode(once, start)
		if err != nil || !bytes.Equal(again.Append(nil, start), once) {
			t.Errorf("written as %x it reads as %v", once, err)
		}
		later := start.Add(100 * s.half)
		s.Observe([]byte("newcomer"), 1, later)
		if err := s.Merge(again, later); err != nil {
			t.Error(err)
		}
		checkHeap(t, s)
	})
}
