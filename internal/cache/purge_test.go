package cache

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"cdnlab/internal/httpcache"
)

const minute = int64(time.Minute)

// tagged admits a response that is fresh for an hour, arrived at instant 0, and has surrogate keys.
func tagged(tags ...string) httpcache.Admission {
	adm := admitted()
	adm.Meta.Lifetime, adm.Meta.ResponseTime, adm.Meta.InitialAge = time.Hour, 0, 0
	adm.Header = httpcache.MakeHeader("Surrogate-Key", strings.Join(tags, " "))
	return adm
}

func keep(t testing.TB, s *Store, key string, adm httpcache.Admission, a *httpcache.Ask) {
	t.Helper()
	f := s.Begin(FillConfig{Key: []byte(key), Ask: a, Admission: adm, Length: 1, Ticket: s.Ticket()})
	if _, err := f.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if o, err := f.Complete(); o == nil || err != nil {
		t.Fatalf("%s was not stored: %v", key, err)
	}
}

// holds says what the store has under a key after ten minutes: "fresh", "stale" since when, or "nothing".
func holds(s *Store, key string, a *httpcache.Ask) string {
	o, _ := s.Find([]byte(key), a)
	if o == nil {
		return "nothing"
	}
	m := o.Meta()
	if m.TTL(10*minute) > 0 {
		return "fresh"
	}
	return fmt.Sprintf("stale for %v", -m.TTL(10*minute))
}

func TestPurge(t *testing.T) {
	for _, tt := range []struct {
		name   string
		purges []Purge // one a minute
		a, ab  string  // what becomes of host/a, with tags x and y, and of host/a/b, with tag y
	}{
		{"nothing", nil, "fresh", "fresh"},
		{"a key", []Purge{{ScopeKey, "host/a", false, ""}}, "nothing", "fresh"},
		{"a key, softly", []Purge{{ScopeKey, "host/a", true, ""}}, "stale for 9m0s", "fresh"},
		{"another key", []Purge{{ScopeKey, "host/", false, ""}, {ScopeKey, "host/", true, ""}}, "fresh", "fresh"},
		{"a prefix", []Purge{{ScopePrefix, "host/a", false, ""}}, "nothing", "nothing"},
		{"a longer prefix", []Purge{{ScopePrefix, "host/a/", false, ""}}, "fresh", "nothing"},
		{"a prefix, softly", []Purge{{ScopePrefix, "host/", true, ""}}, "stale for 9m0s", "stale for 9m0s"},
		{"a tag", []Purge{{ScopeTag, "x", false, ""}}, "nothing", "fresh"},
		{"a tag of both", []Purge{{ScopeTag, "y", false, ""}}, "nothing", "nothing"},
		{"a tag, softly", []Purge{{ScopeTag, "y", true, ""}}, "stale for 9m0s", "stale for 9m0s"},
		{"a tag that nothing has", []Purge{{ScopeTag, "z", false, ""}}, "fresh", "fresh"},
		{"a tag, softly and then hard", []Purge{{ScopeTag, "x", true, ""}, {ScopeTag, "x", false, ""}}, "nothing", "fresh"},
		{"a tag, softly twice", []Purge{{ScopeTag, "x", true, ""}, {ScopeTag, "x", true, ""}}, "stale for 8m0s", "fresh"},
		{"a tag of a site", []Purge{{ScopeTag, "x", false, "host"}}, "nothing", "fresh"},
		{"a tag of a site, softly", []Purge{{ScopeTag, "x", true, "host"}}, "stale for 9m0s", "fresh"},
		{"a tag of another site", []Purge{{ScopeTag, "y", false, "hos"}, {ScopeTag, "y", true, ""}}, "stale for 8m0s", "stale for 8m0s"},
		{"all", []Purge{{Scope: ScopeAll}}, "nothing", "nothing"},
		{"all, softly", []Purge{{Scope: ScopeAll, Soft: true}}, "stale for 9m0s", "stale for 9m0s"},
		{"a tag and a key, softly", []Purge{{ScopeTag, "x", true, ""}, {ScopeKey, "host/a", true, ""}}, "stale for 9m0s", "fresh"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := New(Config{Budget: 1 << 20})
			keep(t, s, "host/a", tagged("x", "y"), askFor())
			keep(t, s, "host/a/b", tagged("y"), askFor())
			for i, p := range tt.purges {
				s.Purge(p, int64(i+1)*minute)
			}
			for range 2 { // the second look finds what the first left
				if a, ab := holds(s, "host/a", askFor()), holds(s, "host/a/b", askFor()); a != tt.a || ab != tt.ab {
					t.Errorf("host/a is %s and host/a/b %s, want %s and %s", a, ab, tt.a, tt.ab)
				}
			}
			keep(t, s, "host/a", tagged("x", "y"), askFor())
			if got := holds(s, "host/a", askFor()); got != "fresh" {
				t.Errorf("what was stored after the purge is %s, want fresh", got)
			}
		})
	}
}

func TestPurgeTakesAllVariants(t *testing.T) {
	for _, p := range []Purge{{ScopeKey, "k", false, ""}, {ScopeKey, "k", true, ""}, {ScopePrefix, "k", false, ""}, {ScopeTag, "x", false, ""}, {ScopeTag, "x", true, ""}} {
		s := New(Config{Budget: 1 << 20})
		adm := tagged("x")
		adm.Meta.Vary = "a"
		for _, v := range []string{"1", "2"} {
			keep(t, s, "k", adm, askFor("A", v))
		}
		s.Purge(p, minute)
		want := "nothing"
		if p.Soft {
			want = "stale for 9m0s"
		}
		for _, v := range []string{"1", "2"} {
			if got := holds(s, "k", askFor("A", v)); got != want {
				t.Errorf("%+v: variant %s is %s, want %s", p, v, got, want)
			}
		}
	}
}

func TestAFetchUnderWayIsPurgedToo(t *testing.T) {
	for _, p := range []Purge{{ScopeKey, "k", false, ""}, {ScopeKey, "k", true, ""}, {ScopePrefix, "", false, ""}, {ScopeTag, "x", false, ""}, {ScopeTag, "x", true, ""}, {Scope: ScopeAll}, {Scope: ScopeAll, Soft: true}} {
		s := New(Config{Budget: 1 << 20})
		f := s.Begin(FillConfig{Key: []byte("k"), Ask: askFor(), Admission: tagged("x"), Length: 0, Ticket: s.Ticket()})
		s.Purge(p, minute)
		if o, err := f.Complete(); o != nil || err != nil {
			t.Errorf("%+v: Complete() = %v, %v, want nothing stored", p, o, err)
		}
	}
}

func TestWhatIsForgottenOfPurgesCountsAsPurged(t *testing.T) {
	for name, flood := range map[string]func(*Store){
		"tags": func(s *Store) {
			many(s, tagHistory, func(i int) Purge { return Purge{ScopeTag, fmt.Sprint("other", i), false, ""} })
		},
		"prefixes": func(s *Store) {
			many(s, otherHistory, func(i int) Purge { return Purge{ScopePrefix, fmt.Sprint("other", i), false, ""} })
		},
	} {
		s := New(Config{Budget: 1 << 20})
		keep(t, s, "k", tagged("x"), askFor())
		keep(t, s, "l", tagged("y"), askFor())
		flood(s)
		if got := holds(s, "l", askFor()); got != "fresh" {
			t.Errorf("%s: after as many other rules as are remembered it is %s, want fresh", name, got)
		}
		flood(s)
		if got := holds(s, "k", askFor()); got != "nothing" {
			t.Errorf("%s: after more other rules than are remembered it is %s, want nothing, to be safe", name, got)
		}
		if n := len(s.purges.tags); n > tagHistory {
			t.Errorf("%s: %d tags are remembered, want %d at most", name, n, tagHistory)
		}
	}
}

func many(s *Store, n int, purge func(int) Purge) {
	for i := range n {
		s.Purge(purge(i), minute)
	}
}

func TestAValidatedResponseIsNoLongerPurged(t *testing.T) {
	s := New(Config{Budget: 1 << 20})
	keep(t, s, "k", tagged("x"), askFor())
	s.Purge(Purge{ScopeTag, "x", true, ""}, minute)
	old, _ := s.Find([]byte("k"), askFor())
	fresh := tagged("z")
	fresh.Meta.ResponseTime = 2 * minute
	s.Replace(old, fresh)
	if got := holds(s, "k", askFor()); got != "fresh" {
		t.Errorf("after its validation it is %s, want fresh", got)
	}
	s.Purge(Purge{ScopeTag, "x", false, ""}, minute)
	if got := holds(s, "k", askFor()); got != "fresh" {
		t.Errorf("after a purge of the tag that it had it is %s, want fresh", got)
	}
	s.Purge(Purge{ScopeTag, "z", false, ""}, minute)
	if got := holds(s, "k", askFor()); got != "nothing" {
		t.Errorf("after a purge of the tag that it has now it is %s, want nothing", got)
	}
}

func TestWhatIsOutdatedIsNotServedWhileItIsValidated(t *testing.T) {
	dir := t.TempDir()
	s := onDisk(t, dir, Config{})
	adm := tagged("x")
	adm.Meta.StaleWhileRevalidate = time.Hour
	for _, key := range []string{"host/a", "host/b", "other/a"} {
		keep(t, s, key, adm, askFor())
	}
	s.Purge(Purge{ScopeKey, "host/b", true, ""}, minute)
	s.Purge(Purge{ScopeKey, "other/a", true, ""}, minute)
	s.Outdate("host/", 2*minute)
	s.tier.drain()
	outcomes := func(s *Store) string {
		t.Helper()
		all := ""
		for _, key := range []string{"host/a", "host/b", "other/a"} {
			o, _ := s.Find([]byte(key), askFor())
			if o == nil {
				t.Fatalf("%s is gone", key)
			}
			m := o.Meta()
			all += fmt.Sprint(httpcache.Decide(10*minute, &m, askFor()).Outcome, " ")
		}
		return all
	}
	want := fmt.Sprint(httpcache.Revalidate, " ", httpcache.Revalidate, " ", httpcache.HitRevalidate, " ")
	if got := outcomes(s); got != want {
		t.Errorf("two that are outdated and one that is stale are decided %s, want %s", got, want)
	}
	s.crash()
	if got := outcomes(onDisk(t, dir, Config{})); got != want {
		t.Errorf("after a restart they are decided %s, want %s", got, want)
	}
}

func TestSurrogateKeysOfAHeader(t *testing.T) {
	tags, ok := tagsOf(httpcache.MakeHeader("Surrogate-Key", " a b\tc ", "X", "d", "cache-tag", "e f, g,,", "Surrogate-Key", "h"))
	var want []uint64
	for _, tag := range []string{"a", "b", "c", "e f", "g", "h"} {
		want = append(want, tagHash(tag))
	}
	if fmt.Sprint(tags) != fmt.Sprint(want) || !ok {
		t.Errorf("tagsOf = %v, %v, want %v", tags, ok, want)
	}
	s := New(Config{Budget: 1 << 20})
	f := s.Begin(FillConfig{Key: []byte("k"), Ask: askFor(), Admission: tagged(strings.Fields(strings.Repeat("x ", maxTags+1))...), Length: 0})
	if f.Storing() {
		t.Error("a response with more surrogate keys than can be looked after is stored")
	}
}

// TestPurgesAgainstAModel purges and stores at random and compares with a model that walks over everything.
func TestPurgesAgainstAModel(t *testing.T) {
	type entry struct {
		tags  []string
		stale int64 // since; 0 not
	}
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := New(Config{Budget: 1 << 30})
		model := map[string]*entry{}
		key := func() string { return fmt.Sprintf("h/%d/%d", r.IntN(3), r.IntN(4)) }
		for step := int64(1); step < 300; step++ {
			switch r.IntN(4) {
			case 0:
				k, e := key(), &entry{}
				for range r.IntN(3) {
					e.tags = append(e.tags, fmt.Sprint("t", r.IntN(5)))
				}
				keep(t, s, k, tagged(e.tags...), askFor())
				model[k] = e
			case 1:
				p := Purge{Scope: Scope(r.IntN(4)), Soft: r.IntN(2) == 0}
				p.Value = [...]string{key(), fmt.Sprintf("h/%d/", r.IntN(3)), fmt.Sprint("t", r.IntN(5)), ""}[p.Scope]
				s.Purge(p, step)
				for k, e := range model {
					hit := p.Scope == ScopeAll || p.Scope == ScopeKey && k == p.Value || p.Scope == ScopePrefix && strings.HasPrefix(k, p.Value)
					for _, tag := range e.tags {
						hit = hit || p.Scope == ScopeTag && tag == p.Value
					}
					switch {
					case hit && !p.Soft:
						delete(model, k)
					case hit && e.stale == 0:
						e.stale = step
					}
				}
			default:
				k := key()
				o, _ := s.Find([]byte(k), askFor())
				e := model[k]
				if (o == nil) != (e == nil) {
					t.Fatalf("seed %d, step %d: %s is %v, want %v", seed, step, k, o != nil, e != nil)
				}
				if o != nil && (o.Meta().Lifetime == time.Hour) != (e.stale == 0) {
					t.Fatalf("seed %d, step %d: %s has %v to live, want it stale since %d", seed, step, k, o.Meta().Lifetime, e.stale)
				}
			}
		}
	}
}

func BenchmarkPurgeOfATag(b *testing.B) {
	s := New(Config{Budget: 8 << 30})
	for i := range 1_000_000 {
		tag := "other"
		if i%10 == 0 {
			tag = "x"
		}
		keep(b, s, fmt.Sprint("host/", i), tagged(tag), askFor())
	}
	b.ReportAllocs()
	for b.Loop() { // a tag of 100,000 of a million objects
		s.Purge(Purge{ScopeTag, "x", false, ""}, 0)
	}
}
