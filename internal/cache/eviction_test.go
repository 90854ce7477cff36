package cache

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cdnlab/internal/evict"
	"cdnlab/internal/httpcache"
)

// after stores a, b and c, asks for some of them, and stores d and e, for which two have to go. It returns what is left.
func after(t *testing.T, policy string, asked ...string) string {
	t.Helper()
	const each = Overhead + 1 + 1000
	s := New(Config{Budget: 8 * each, Eviction: policy, MaxObject: each})
	for i, key := range []string{"a", "b", "c", "4", "5", "6", "7", "8"} { // one more than fits beside what a fill reserves
		store(t, s, key, lasting(time.Duration(10-i)*time.Minute))
	}
	for _, key := range asked {
		s.Find([]byte(key), askFor())
	}
	for _, key := range []string{"d", "e"} {
		store(t, s, key, lasting(time.Hour))
	}
	var left []string
	for o := range s.entries.table.all() {
		left = append(left, o.key())
	}
	slices.Sort(left)
	return strings.Join(left, "")
}

func lasting(d time.Duration) httpcache.Admission {
	adm := admitted()
	adm.Meta.Lifetime = d
	return adm
}

func store(t *testing.T, s *Store, key string, adm httpcache.Admission) {
	t.Helper()
	f := s.Begin(FillConfig{Key: []byte(key), Ask: askFor(), Admission: adm, Length: 1000, Ticket: s.Ticket()})
	if _, err := f.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Complete(); err != nil {
		t.Fatal(err)
	}
}

// TestTheEvictionDecidesWhatGoes tells the policies apart whose choice is easy to say; evict holds them all against models.
func TestTheEvictionDecidesWhatGoes(t *testing.T) {
	for policy, want := range map[string]string{
		"":      "45678ade", // b and c are the ones used longest ago
		"lru":   "45678ade",
		"fifo":  "45678cde", // a and b came first
		"lfu":   "5678acde", // c is asked for too; b and 4 are the first of those that were used once
		"sieve": "45678ade",
		"ttl":   "456abcde", // 8 and 7 expire first
	} {
		asked := []string{"a", "a"}
		if policy == "lfu" {
			asked = append(asked, "c")
		}
		if got := after(t, policy, asked...); got != want {
			t.Errorf("%s: %s is left, want %s", policy, got, want)
		}
	}
}

func TestEveryPolicyKeepsTheBudget(t *testing.T) {
	for _, policy := range evict.Names() {
		for _, budget := range []int64{0, 50, 20_000, 1 << 20} {
			s := New(Config{Budget: budget, Eviction: policy, Seed: 1})
			for i := range 2000 {
				key := fmt.Sprint("k", i*i%701)
				if o, _ := s.Find([]byte(key), askFor()); o == nil {
					f := s.Begin(FillConfig{Key: []byte(key), Ask: askFor(), Admission: admitted(), Length: -1, Ticket: s.Ticket()})
					r, _ := f.Reader(All)
					if _, err := f.Write(make([]byte, i%900)); err == nil {
						_, _ = f.Complete() // what is not stored is as good
					}
					if r != nil {
						r.Close()
					}
				}
				if st := s.Stats(); st.Bytes > budget {
					t.Fatalf("%s with %d bytes: holds %d", policy, budget, st.Bytes)
				}
			}
			if st := s.Stats(); budget == 1<<20 && (st.Objects == 0 || st.Bytes == 0) {
				t.Errorf("%s holds nothing of 2000 objects", policy)
			}
			s.Purge(Purge{Scope: ScopeAll}, 0)
			if st := s.Stats(); st.Objects != 0 || st.Bytes != 0 {
				t.Errorf("%s holds %+v after a purge of all", policy, st)
			}
		}
	}
}
