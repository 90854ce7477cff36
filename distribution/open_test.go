package distribution

import (
	"testing"

	"cdnlab/internal/journal"
)

func TestWhatANodeLacks(t *testing.T) {
	some := report{Open: packOpen([]journal.Seq{3, 4, 300})}
	for at, want := range map[journal.Seq]bool{0: false, 2: false, 3: true, 4: true, 5: false, 299: false, 300: true, 301: false} {
		if got := some.lacks(at); got != want {
			t.Errorf("event %d: %v, want %v", at, got, want)
		}
	}
	var all []journal.Seq
	for i := range journal.Seq(2 * maxOpen) {
		all = append(all, 2*i+1)
	}
	many := report{Open: packOpen(all)}
	for at, want := range map[journal.Seq]bool{1: true, 2: false, 2*maxOpen - 1: true, 2 * maxOpen: true, 4 * maxOpen: true} {
		if got := many.lacks(at); got != want {
			t.Errorf("event %d of many: %v, want %v", at, got, want)
		}
	}
	if !many.Open.valid() || !some.Open.valid() || !openPushes("").valid() {
		t.Error("what was packed is not valid")
	}
	for _, bad := range []openPushes{"\x80", many.Open + "\x01", packOpen([]journal.Seq{1<<64 - 1}) + "\x01"} {
		if bad.valid() {
			t.Errorf("%q is valid", bad)
		}
	}
}
