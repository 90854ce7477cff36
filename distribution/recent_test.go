package distribution

import (
	"errors"
	"strings"
	"testing"

	"cdnlab/internal/journal"
)

func TestRecentReadsOnFromAnywhere(t *testing.T) {
	var l recent
	l.reset(journal.Position{Epoch: 7, Seq: 100})
	for seq := journal.Seq(101); seq <= 110; seq++ {
		l.add(purgeOf(seq))
	}
	if at := l.Position(); at != (journal.Position{Epoch: 7, Seq: 110}) || l.Horizon() != 100 {
		t.Errorf("it is at %v with horizon %d, want 7-110 and 100", at, l.Horizon())
	}
	for _, tt := range []struct {
		after journal.Seq
		most  int
		first journal.Seq
		n     int
	}{{100, 20, 101, 10}, {100, 3, 101, 3}, {105, 3, 106, 3}, {109, 9, 110, 1}, {110, 9, 0, 0}, {200, 9, 0, 0}} {
		events, err := l.Read(tt.after, tt.most)
		if err != nil || len(events) != tt.n || tt.n > 0 && (events[0].Seq != tt.first || events[tt.n-1].Seq != tt.first+journal.Seq(tt.n)-1) {
			t.Errorf("Read(%d, %d) = %v, %v, want %d events from %d", tt.after, tt.most, events, err, tt.n, tt.first)
		}
	}
	if _, err := l.Read(99, 1); !errors.Is(err, journal.ErrHorizon) {
		t.Errorf("Read(99) = %v, want ErrHorizon", err)
	}
	l.reset(journal.Position{Epoch: 8, Seq: 3})
	if events, err := l.Read(3, 9); len(events) != 0 || err != nil || l.Horizon() != 3 {
		t.Errorf("after a new beginning Read(3) = %v, %v, horizon %d", events, err, l.Horizon())
	}
}

func TestRecentIsBounded(t *testing.T) {
	for name, tt := range map[string]struct {
		size, add, most int
	}{
		"many":             {1, 3 * recentEvents, recentEvents},
		"large":            {60 << 10, 1000, recentBytes / (60 << 10)},
		"larger than room": {recentBytes, 3, 1},
	} {
		var l recent
		l.reset(journal.Position{Epoch: 1})
		e := journal.Event{Kind: journal.Purge, Scope: journal.ScopeURL, Value: strings.Repeat("x", tt.size)}
		for i := range tt.add {
			e.Seq = journal.Seq(i + 1)
			l.add(e)
			if n := len(l.events); n > tt.most || l.bytes > max(recentBytes, sizeOf(&e)) {
				t.Fatalf("%s: %d events of %d bytes are kept, want %d at most", name, n, l.bytes, tt.most)
			}
			if last, err := l.Read(l.Horizon(), 1); err != nil || len(last) != 1 || last[0].Seq != l.Horizon()+1 {
				t.Fatalf("%s: behind the horizon %d there is %v, %v", name, l.Horizon(), last, err)
			}
		}
		if n := len(l.events); n < tt.most*9/10 {
			t.Errorf("%s: only %d events are kept, want about %d", name, n, tt.most)
		}
	}
}
