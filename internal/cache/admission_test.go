package cache

import (
	"fmt"
	"strings"
	"testing"

	"cdnlab/internal/evict"
	"cdnlab/internal/httpcache"
)

// offer brings a response for a key to a store, as a request that misses does, and reports why it was refused, or "".
func offer(t *testing.T, s *Store, key string, a *httpcache.Ask, adm httpcache.Admission, body string, above bool) string {
	t.Helper()
	c := FillConfig{Key: []byte(key), Ask: a, Admission: adm, Length: int64(len(body)), Ticket: s.Ticket()}
	if no := s.Admit(&c, above); no != nil {
		return no.Why
	}
	f := s.Begin(c)
	write(t, f, body)
	complete(t, f)
	return ""
}

func TestEachFilterDecidesWhatIsStored(t *testing.T) {
	type response struct {
		key   string
		size  int
		above bool
	}
	asked := []response{{"a", 10, false}, {"a", 10, true}, {"b", 11, true}, {"a", 10, false}}
	for _, tt := range []struct {
		filter evict.AdmissionConfig
		want   string // the refused ones, by the beginning of the reason
	}{
		{evict.AdmissionConfig{}, "- - - -"},
		{evict.AdmissionConfig{Name: "always"}, "- - - -"},
		{evict.AdmissionConfig{Name: "second-hit"}, "asked - asked -"},
		{evict.AdmissionConfig{Name: "leave-copy-down"}, "the - - -"},
		{evict.AdmissionConfig{Name: "size", Size: 10}, "- - longer -"},
		{evict.AdmissionConfig{Name: "probability", Probability: 1}, "- - - -"},
		{evict.AdmissionConfig{Name: "probability"}, "left left left left"},
	} {
		s := New(Config{Budget: 1 << 20, Admission: tt.filter})
		var got []string
		for _, r := range asked {
			why := offer(t, s, r.key, askFor(), admitted(), strings.Repeat("x", r.size), r.above)
			if stored := find(s, r.key, askFor()) != nil; stored != (why == "") {
				t.Errorf("%+v: %s: refused because %q, and stored is %v", tt.filter, r.key, why, stored)
			}
			word, _, _ := strings.Cut(why, " ")
			if why == "" {
				word = "-"
			}
			got = append(got, word)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%+v: %s, want %s", tt.filter, got, tt.want)
		}
	}
}

// The same seed draws the same lots.
func TestAdmissionByChanceIsSeeded(t *testing.T) {
	stored := func(seed uint64) (keys string) {
		s := New(Config{Budget: 1 << 20, Seed: seed, Admission: evict.AdmissionConfig{Name: "probability", Probability: 0.5}})
		for i := range 64 {
			if offer(t, s, fmt.Sprint(i), askFor(), admitted(), "x", false) == "" {
				keys += fmt.Sprint(i, " ")
			}
		}
		return keys
	}
	if a, b := stored(1), stored(1); a != b {
		t.Errorf("the same seed stores %s and then %s", a, b)
	}
	if a, b := stored(1), stored(2); a == b {
		t.Errorf("two seeds store the same: %s", a)
	}
}

func TestAVariantIsAskedForOnItsOwn(t *testing.T) {
	s := New(Config{Budget: 1 << 20, Admission: evict.AdmissionConfig{Name: "second-hit"}})
	en, de := askFor("Accept-Language", "en"), askFor("Accept-Language", "de")
	var got []bool
	for _, a := range []*httpcache.Ask{en, de, de, en} {
		got = append(got, offer(t, s, "a", a, admitted("Vary", "Accept-Language"), "x", false) == "")
	}
	if want := "[false false true true]"; fmt.Sprint(got) != want {
		t.Errorf("en, de, de, en are stored: %v, want %s", got, want)
	}
}

// A length that is not announced shows when it is too late to refuse: nothing is stored all the same.
func TestTheSizeLimitHoldsForBodiesOfUnknownLength(t *testing.T) {
	s := New(Config{Budget: 1 << 20, Admission: evict.AdmissionConfig{Name: "size", Size: 1000}})
	for size, want := range map[int]bool{1000: true, 1001: false} {
		key := fmt.Sprint(size)
		c := FillConfig{Key: []byte(key), Ask: askFor(), Admission: admitted(), Length: -1, Ticket: s.Ticket()}
		if no := s.Admit(&c, false); no != nil {
			t.Fatalf("refused before a byte was known: %s", no.Why)
		}
		f := s.Begin(c)
		r := reader(t, f, All)
		write(t, f, pattern(size))
		complete(t, f)
		if got := readAll(r); got != pattern(size) {
			t.Errorf("%d bytes: the reader gets %d", size, len(got))
		}
		if got := find(s, key, askFor()) != nil; got != want {
			t.Errorf("%d bytes are stored: %v, want %v", size, got, want)
		}
	}
}

func TestSlicesOfWhatIsNotAdmittedPass(t *testing.T) {
	s := New(Config{Budget: 64 << 20})
	refused := httpcache.Admission{Meta: admitted().Meta, Header: admitted().Header}
	head := s.PutSliced(FillConfig{Key: []byte("a"), Ask: askFor(), Admission: refused, Ticket: s.Ticket()}, 3<<20)
	f := s.BeginSlice(head, 0, s.Ticket())
	r := reader(t, f, httpcache.Span{First: 100_000, Length: 10})
	done, _ := pour(f, pattern(1<<20))
	if got := readAll(r); got != pattern(1 << 20)[100_000:100_010] {
		t.Errorf("the reader gets %q", got)
	}
	_ = r.Close()
	<-done
	if st := s.Stats(); st.Objects != 0 || st.Bytes != 0 {
		t.Errorf("%d objects of %d bytes are stored, want none", st.Objects, st.Bytes)
	}
}

// What comes from disk returns to RAM as the filter says, and is served in any case.
func TestTheFilterDecidesWhatReturnsToRAM(t *testing.T) {
	for _, tt := range []struct {
		filter evict.AdmissionConfig
		want   string // in RAM after each request
	}{
		{evict.AdmissionConfig{}, "[true true]"},
		{evict.AdmissionConfig{Name: "second-hit"}, "[false true]"},
		{evict.AdmissionConfig{Name: "leave-copy-down"}, "[true true]"},
		{evict.AdmissionConfig{Name: "size", Size: 9}, "[false false]"},
		{evict.AdmissionConfig{Name: "probability"}, "[false false]"},
	} {
		dir := t.TempDir()
		s := onDisk(t, dir, Config{})
		put(t, s, "a", askFor(), admitted("X", "1"), pattern(10))
		s.Close()
		s = onDisk(t, dir, Config{Admission: tt.filter})
		var got []bool
		for range 2 {
			if body, _ := served(t, s, "a", askFor()); body != pattern(10) {
				t.Errorf("%+v: %d bytes come back", tt.filter, len(body))
			}
			got = append(got, s.Stats().Objects == 1)
		}
		if fmt.Sprint(got) != tt.want {
			t.Errorf("%+v: it is in RAM: %v, want %s", tt.filter, got, tt.want)
		}
	}
}

func TestAValidationOfWhatIsOnlyOnDiskIsKept(t *testing.T) {
	dir := t.TempDir()
	s := onDisk(t, dir, Config{})
	put(t, s, "a", askFor(), admitted("X", "1"), pattern(10))
	s.Close()
	s = onDisk(t, dir, Config{Admission: evict.AdmissionConfig{Name: "probability"}})
	s.Replace(find(s, "a", askFor()), admitted("X", "2"))
	if o := find(s, "a", askFor()); o == nil || o.Header().Get("X") != "2" {
		t.Errorf("found %+v, want what was validated", o)
	}
	old := find(s, "a", askFor())
	s.Purge(Purge{Value: "a"}, 0)
	s.Replace(old, admitted("X", "3"))
	if o := find(s, "a", askFor()); o != nil {
		t.Errorf("found %+v, want nothing: it was purged", o)
	}
}

func TestWhatIsHeldIsReplaced(t *testing.T) {
	for _, vary := range []string{"", "Accept-Language"} {
		s := New(Config{Budget: 1 << 20, Admission: evict.AdmissionConfig{Name: "leave-copy-down"}})
		a, other := askFor("Accept-Language", "en"), askFor("Accept-Language", "de")
		adm := admitted("Vary", vary)
		offer(t, s, "a", a, adm, "old", true)
		if why := offer(t, s, "a", a, adm, "new", false); why != "" {
			t.Errorf("Vary %q: a new version is refused: %s", vary, why)
		}
		if why := offer(t, s, "a", other, adm, "neu", false); vary != "" && why == "" {
			t.Error("another variant takes no place, and is stored")
		}
	}
}
