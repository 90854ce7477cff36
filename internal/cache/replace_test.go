package cache

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cdnlab/internal/evict"
	"cdnlab/internal/httpcache"
)

func TestReplaceAfterValidation(t *testing.T) {
	refused := admitted("Age", "new")
	refused.Stored = false
	tests := []struct {
		name  string
		adm   httpcache.Admission
		while func(*testing.T, *Store) // what happens between Find and Replace
		want  string                   // found afterwards: its Age and body
	}{
		{"meaning and header are new, the body is kept", admitted("Age", "new"), nil, "new body"},
		{"no longer admitted", refused, nil, "nothing"},
		{"varies by now", admitted("Age", "new", "Vary", "X"), nil, "nothing"},
		{"deleted meanwhile", admitted("Age", "new"), func(_ *testing.T, s *Store) { s.Purge(Purge{Value: "k"}, 0) }, "nothing"},
		{"cleared meanwhile", admitted("Age", "new"), func(_ *testing.T, s *Store) { s.Purge(Purge{Scope: ScopeAll}, 0) }, "nothing"},
		{"another response meanwhile", admitted("Age", "new"), func(t *testing.T, s *Store) {
			put(t, s, "k", askFor(), admitted("Age", "newer"), "other")
		}, "newer other"},
		{"another validation meanwhile", admitted("Age", "new"), func(_ *testing.T, s *Store) {
			s.Replace(find(s, "k", askFor()), admitted("Age", "newer"))
		}, "newer body"},
		{"another response meanwhile, and no longer admitted", refused, func(t *testing.T, s *Store) {
			put(t, s, "k", askFor(), admitted("Age", "newer"), "other")
		}, "newer other"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := New(Config{Budget: 1 << 20})
			put(t, s, "k", askFor(), admitted("Age", "old"), "body")
			old := find(s, "k", askFor())
			if tt.while != nil {
				tt.while(t, s)
			}
			tt.adm.Meta.Lifetime = time.Minute
			o := s.Replace(old, tt.adm)
			if o.Header().Get("Age") != "new" || o.Meta().Lifetime != time.Minute || bodyOf(o) != "body" {
				t.Errorf("Replace() = %q, %v, %q, want the new header and meaning on the old body", o.Header(), o.Meta().Lifetime, bodyOf(o))
			}
			if old.Header().Get("Age") != "old" || old.Meta().Lifetime != 0 {
				t.Errorf("old = %q, %v, want it unchanged", old.Header(), old.Meta().Lifetime)
			}
			got := "nothing"
			if held := find(s, "k", askFor()); held != nil {
				got = held.Header().Get("Age") + " " + bodyOf(held)
			}
			if got != tt.want {
				t.Errorf("Find() = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestReplaceOfAVariant(t *testing.T) {
	s := New(Config{Budget: 1 << 20})
	putAccept(t, s, "a")
	putAccept(t, s, "b")
	s.Replace(find(s, "k", askFor("Accept", "a")), admitted("Vary", "Accept", "Age", "new"))
	for accept, age := range map[string]string{"a": "new", "b": ""} {
		o := find(s, "k", askFor("Accept", accept))
		if bodyOf(o) != accept || o.Header().Get("Age") != age {
			t.Errorf("Find(%s) = %q, %q, want its own body and age %q", accept, bodyOf(o), o.Header(), age)
		}
	}
}

func TestReplaceForWhichThereIsNoRoom(t *testing.T) {
	const budget = 64 << 10
	tests := []struct {
		name   string
		header int
		stored bool
		others bool // some of them are left
	}{
		{"more than before, and there is room", 30 << 10, true, true},
		{"more than the whole budget evicts nothing", budget, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := New(Config{Budget: budget})
			put(t, s, "k", askFor(), admitted(), "body")
			for i := range 50 {
				put(t, s, fmt.Sprint(i), askFor(), admitted(), pattern(100))
			}
			before := s.Stats()
			s.Replace(find(s, "k", askFor()), admitted("X", strings.Repeat("x", tt.header)))
			if got := find(s, "k", askFor()) != nil; got != tt.stored {
				t.Errorf("stored = %v, want %v", got, tt.stored)
			}
			if got := s.Stats(); got.Bytes > budget || (got.Objects > 2) != tt.others || !tt.stored && got.Evictions != before.Evictions {
				t.Errorf("Stats() = %+v, before %+v", got, before)
			}
		})
	}
}

// A variant whose marker has to go for its sake goes with it.
func TestReplaceEvictsTheMarker(t *testing.T) {
	s := New(Config{Budget: 8 << 10})
	putAccept(t, s, "a")
	old := find(s, "k", askFor("Accept", "a"))
	s.Replace(old, admitted("Vary", "Accept", "X", strings.Repeat("x", 8<<10-Overhead-250)))
	if got := s.Stats(); got.Objects != 0 || got.Bytes != 0 {
		t.Errorf("Stats() = %+v, want nothing held that nothing finds", got)
	}
}

func TestPurgeKeepsEarlierFetchesOut(t *testing.T) {
	others := func(n int) func(*Store) {
		return func(s *Store) {
			for i := range n {
				s.Purge(Purge{Value: fmt.Sprint("other", i)}, 0)
			}
		}
	}
	tests := []struct {
		name   string
		purge  func(*Store)
		stored bool
	}{
		{"nothing purged", func(*Store) {}, true},
		{"key deleted", func(s *Store) { s.Purge(Purge{Value: "k"}, 0) }, false},
		{"key deleted, then others", func(s *Store) { s.Purge(Purge{Value: "k"}, 0); others(10)(s) }, false},
		{"key deleted, then more others than are remembered", func(s *Store) { s.Purge(Purge{Value: "k"}, 0); others(3 * purgeHistory)(s) }, false},
		{"another key deleted", others(1), true},
		{"as many others deleted as are remembered", others(purgeHistory), true},
		{"more others deleted than are remembered: to be safe", others(purgeHistory + 1), false},
		{"cleared", func(s *Store) { s.Purge(Purge{Scope: ScopeAll}, 0) }, false},
		{"cleared, then another key deleted", func(s *Store) { s.Purge(Purge{Scope: ScopeAll}, 0); others(1)(s) }, false},
	}
	moments := []struct {
		name  string
		begin bool // before the purge
		write bool
	}{
		{"before the response", false, false},
		{"before the body", true, false},
		{"in the body", true, true},
	}
	for _, tt := range tests {
		for _, at := range moments {
			t.Run(tt.name+", "+at.name, func(t *testing.T) {
				s := New(Config{Budget: 1 << 20})
				ticket := s.Ticket()
				start := func() *Fill {
					return s.Begin(FillConfig{Key: []byte("k"), Ask: askFor(), Admission: admitted(), Length: -1, Ticket: ticket})
				}
				var f *Fill
				if at.begin {
					f = start()
				}
				if at.write {
					write(t, f, "half ")
				}
				tt.purge(s)
				if !at.begin {
					f = start()
				}
				r, ok := f.Reader(All)
				if !ok {
					t.Fatal("Reader() = false, want one: who asked gets the response")
				}
				write(t, f, "body")
				if got := complete(t, f) != nil; got != tt.stored {
					t.Errorf("Complete() stored = %v, want %v", got, tt.stored)
				}
				if got := find(s, "k", askFor()) != nil; got != tt.stored {
					t.Errorf("Find() = %v, want %v", got, tt.stored)
				}
				if got := readAll(r); !strings.HasSuffix(got, "body") {
					t.Errorf("Read() = %q, want the body", got)
				}
				if got := s.Stats(); !tt.stored && got.Bytes != 0 {
					t.Errorf("Stats() = %+v, want nothing held", got)
				}
				if o := put(t, s, "k", askFor(), admitted(), "later"); o == nil {
					t.Error("a fetch after the purge was not stored")
				}
			})
		}
	}
}

func TestPurgeOfAKeyTakesVariantsUnderWay(t *testing.T) {
	s := New(Config{Budget: 1 << 20})
	putAccept(t, s, "a")
	f := begin(s, "k", askFor("Accept", "b"), admitted("Vary", "Accept"))
	s.Purge(Purge{Value: "k"}, 0)
	if o := complete(t, f); o != nil || selected(s, "k", "ab") != "" {
		t.Errorf("Complete() = %v, selected %q, want nothing stored", o, selected(s, "k", "ab"))
	}
}

func TestPurgeLog(t *testing.T) {
	var l purgeLog
	if l.since(0, []byte("k"), 0) {
		t.Error("since() = true before any purge, want false")
	}
	l.key([]byte("k"))
	if !l.since(0, []byte("k"), 0) || l.since(1, []byte("k"), 0) || l.since(0, []byte("j"), 0) {
		t.Error("since() after one purge: want true for its key and earlier tickets alone")
	}
	if l.since(0, []byte("k"), 1) {
		t.Error("since() but for the only purge = true, want false")
	}
	l.all()
	if !l.since(1, []byte("j"), 0) || l.since(2, []byte("j"), 0) {
		t.Error("since() after a purge of all: want true for earlier tickets alone")
	}
	for range purgeHistory + 1 {
		l.key([]byte("j"))
	}
	if !l.since(3, []byte("j"), 0) || l.since(3, []byte("k"), 0) || !l.since(2, []byte("k"), 0) {
		t.Error("since() after more purges than are remembered: want it to tell keys apart for those that are")
	}
}

// TestDropIsOfTheFileToo drops what RAM has let go of, or holds in another form since.
func TestDropIsOfTheFileToo(t *testing.T) {
	dir := t.TempDir()
	s := onDisk(t, dir, Config{})
	put(t, s, "small", askFor(), admitted(), "body")
	put(t, s, "large", askFor(), admitted(), pattern(400_000))
	large := find(s, "large", askFor())
	s.tier.drain()
	s.Drop(large)
	if body, ok := served(t, s, "large", askFor()); ok {
		t.Errorf("%d bytes are left of the large one", len(body))
	}
	s.Close()
	s = onDisk(t, dir, Config{Admission: evict.AdmissionConfig{Name: "second-hit"}})
	s.Drop(find(s, "small", askFor())) // the filter does not let it into RAM
	for range 2 {
		if body, ok := served(t, s, "small", askFor()); ok {
			t.Errorf("%q is left of the small one", body)
		}
	}
}
