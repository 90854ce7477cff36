package cache

import (
	"fmt"
	"strings"
	"testing"

	"cdnlab/internal/httpcache"
)

// selected returns which of the values of Accept find a response.
func selected(s *Store, key string, accepts string) string {
	found := ""
	for _, a := range strings.Split(accepts, "") {
		if find(s, key, askFor("Accept", a)) != nil {
			found += a
		}
	}
	return found
}

// listed returns the values of Accept that the marker of a key lists, oldest first.
func listed(t *testing.T, s *Store, key string) string {
	t.Helper()
	o := s.entries.peek(key)
	if o == nil || o.more().variants == nil {
		t.Fatalf("marker of %q = none, want one", key)
	}
	list := ""
	for _, k := range o.more().variants.keys {
		list += strings.TrimPrefix(strings.TrimSuffix(k, "\n"), string(o.more().variants.appendPrefix(nil, []byte(key)))+"=")
	}
	return list
}

func TestVariants(t *testing.T) {
	type step struct{ accept, language, vary string }
	tests := []struct {
		name  string
		steps []step
		ask   step
		want  int // index of the step whose response is found; -1 for none
	}{
		{"the one stored", []step{{"a", "", "Accept"}}, step{accept: "a"}, 0},
		{"of two", []step{{"a", "", "Accept"}, {"b", "", "Accept"}}, step{accept: "a"}, 0},
		{"the other of two", []step{{"a", "", "Accept"}, {"b", "", "Accept"}}, step{accept: "b"}, 1},
		{"no field is a variant", []step{{"", "", "Accept"}, {"b", "", "Accept"}}, step{}, 0},
		{"stored again", []step{{"a", "", "Accept"}, {"a", "", "Accept"}}, step{accept: "a"}, 1},
		{"other fields mean nothing", []step{{"a", "de", "Accept"}}, step{"a", "fr", ""}, 0},
		{"the values in another form", []step{{"", "de, fr", "Accept-Language"}}, step{"", "FR,DE", ""}, 0},
		{"two fields", []step{{"a", "de", "Accept, Accept-Language"}}, step{"a", "de", ""}, 0},
		{"two fields, one differs", []step{{"a", "de", "Accept, Accept-Language"}}, step{"a", "fr", ""}, -1},
		{"a field more replaces what was stored", []step{{"a", "", "Accept"}, {"a", "de", "Accept, Accept-Language"}}, step{accept: "a"}, -1},
		{"a field more", []step{{"b", "", "Accept"}, {"a", "de", "Accept, Accept-Language"}}, step{"a", "de", ""}, 1},
		{"a field less keeps to the fields of the key", []step{{"a", "de", "Accept, Accept-Language"}, {"a", "fr", "Accept"}}, step{"a", "de", ""}, 0},
		{"a field less is a variant by all of them", []step{{"a", "de", "Accept, Accept-Language"}, {"a", "fr", "Accept"}}, step{"a", "it", ""}, -1},
		{"one that does not vary, after those that do", []step{{"a", "", "Accept"}, {"b", "", ""}}, step{accept: "a"}, 0},
		{"one that does not vary is a variant then", []step{{"a", "", "Accept"}, {"b", "", ""}}, step{accept: "b"}, 1},
		{"one that varies, after one that does not", []step{{"a", "", ""}, {"b", "", "Accept"}}, step{accept: "a"}, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := New(Config{Budget: 1 << 20})
			ask := func(st step) *httpcache.Ask {
				var pairs []string
				if st.accept != "" {
					pairs = append(pairs, "Accept", st.accept)
				}
				if st.language != "" {
					pairs = append(pairs, "Accept-Language", st.language)
				}
				return askFor(pairs...)
			}
			for i, st := range tt.steps {
				if put(t, s, "k", ask(st), admitted("Vary", st.vary), fmt.Sprint(i)) == nil {
					t.Fatalf("step %d = not stored, want stored", i)
				}
			}
			want := "nothing"
			if tt.want >= 0 {
				want = fmt.Sprint(tt.want)
			}
			if got := bodyOf(find(s, "k", ask(tt.ask))); got != want {
				t.Errorf("Find(%+v) = %q, want %q", tt.ask, got, want)
			}
		})
	}
}

func TestVariantsOfAKeyAreBounded(t *testing.T) {
	tests := []struct {
		name     string
		do       func(*testing.T, *Store)
		listed   string
		selected string
	}{
		{"as many as may be", func(*testing.T, *Store) {}, "abc", "abc"},
		{"one more takes the place of the oldest", func(t *testing.T, s *Store) { putAccept(t, s, "d") }, "bcd", "bcd"},
		{"one stored again is the newest", func(t *testing.T, s *Store) {
			putAccept(t, s, "a")
			putAccept(t, s, "d")
		}, "cad", "acd"},
		{"one that is gone takes no place", func(t *testing.T, s *Store) {
			s.Replace(find(s, "k", askFor("Accept", "c")), httpcache.Admission{})
			putAccept(t, s, "d")
		}, "abd", "abd"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := New(Config{Budget: 1 << 20, MaxVariants: 3})
			for _, accept := range []string{"a", "b", "c"} {
				putAccept(t, s, accept)
			}
			tt.do(t, s)
			if got := listed(t, s, "k"); got != tt.listed {
				t.Errorf("listed = %q, want %q", got, tt.listed)
			}
			if got := selected(s, "k", "abcd"); got != tt.selected {
				t.Errorf("selected = %q, want %q", got, tt.selected)
			}
			if got, want := s.Stats().Objects, 1+len(tt.selected); got != want {
				t.Errorf("Stats().Objects = %d, want %d: the marker and its variants", got, want)
			}
		})
	}
}

func putAccept(t *testing.T, s *Store, accept string) {
	t.Helper()
	if put(t, s, "k", askFor("Accept", accept), admitted("Vary", "Accept"), accept) == nil {
		t.Fatalf("variant %q = not stored, want stored", accept)
	}
}

func TestDefaultNumberOfVariants(t *testing.T) {
	s := New(Config{Budget: 1 << 20})
	for i := range 3 * DefaultMaxVariants {
		putAccept(t, s, fmt.Sprintf("text/x-%d", i))
	}
	if got, want := s.Stats().Objects, 1+DefaultMaxVariants; got != want {
		t.Errorf("Stats().Objects = %d, want %d", got, want)
	}
}

func TestFillsThatBeganBeforeTheKeyVaried(t *testing.T) {
	tests := []struct {
		name        string
		vary, other string // of the fill, and of the response that overtakes it
		stored      bool
	}{
		{"by the same fields", "Accept", "Accept", true},
		{"by fewer fields", "Accept", "Accept, X", false},
		{"by none", "", "Accept", false},
		{"by more fields", "Accept, X", "Accept", true},
		{"by other fields", "Accept", "X", false},
		{"not at all yet", "Accept", "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := New(Config{Budget: 1 << 20})
			a := askFor("Accept", "a", "X", "x")
			f := begin(s, "k", a, admitted("Vary", tt.vary))
			put(t, s, "k", askFor("Accept", "b", "X", "y"), admitted("Vary", tt.other), "other")
			write(t, f, "body")
			if o := complete(t, f); (o != nil) != tt.stored {
				t.Errorf("Complete() = %v, want stored: %v", o, tt.stored)
			}
			if o := find(s, "k", a); tt.stored && bodyOf(o) != "body" || !tt.stored && bodyOf(o) == "body" {
				t.Errorf("Find() = %q, want the body only if it was stored", bodyOf(o))
			}
		})
	}
}

func TestMatchesWhatVarySelects(t *testing.T) {
	tests := []struct {
		name      string
		vary      string
		admission bool
		accept    string
		want      bool
	}{
		{"does not vary", "", true, "b", true},
		{"same value", "Accept", true, "a", true},
		{"another value", "Accept", true, "b", false},
		{"a response for one request only", "", false, "a", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := New(Config{Budget: 1 << 20})
			adm := admitted("Vary", tt.vary)
			adm.Stored = tt.admission
			f := begin(s, "k", askFor("Accept", "a"), adm)
			if got := f.Matches(askFor("Accept", tt.accept)); got != tt.want {
				t.Errorf("Matches(%q) = %v, want %v", tt.accept, got, tt.want)
			}
		})
	}
}

func TestEvictedMarkerTakesItsVariants(t *testing.T) {
	s := New(Config{Budget: 8 << 10})
	putAccept(t, s, "a")
	putAccept(t, s, "b")
	for i := range 40 {
		put(t, s, fmt.Sprint(i), askFor(), admitted(), pattern(100))
	}
	if got := selected(s, "k", "ab"); got != "" {
		t.Errorf("selected = %q, want none", got)
	}
	for _, o := range s.held() {
		if strings.HasPrefix(o.key(), "k") {
			t.Errorf("held = %q, want nothing of the key", o.key())
		}
	}
}

// A use counts for the variant and its marker alone, and the storing of one variant not as a use of the others.
func TestVariantsAgeOnTheirOwn(t *testing.T) {
	s := New(Config{Budget: 1 << 20})
	for _, accept := range []string{"a", "b", "c"} {
		putAccept(t, s, accept)
	}
	put(t, s, "plain", askFor(), admitted(), "")
	find(s, "k", askFor("Accept", "b"))
	putAccept(t, s, "d")
	s.Replace(find(s, "plain", askFor()), admitted())
	begin(s, "k", askFor(), admitted()).Abort(errBroken)
	order := ""
	for o, ok := s.entries.evict(); ok; o, ok = s.entries.evict() { // oldest first
		switch {
		case o.more().variants != nil:
			order += "marker "
		case o.key() == "plain":
			order += "plain "
		default:
			order += bodyOf(o) + " "
		}
	}
	if want := "a c b marker d plain "; order != want {
		t.Errorf("order = %q, want %q", order, want)
	}
}
