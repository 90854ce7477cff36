package cache

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cdnlab/internal/httpcache"
)

// bodyFor returns the body that every fill of a key and value writes, so that a mixed one shows.
func bodyFor(key, value string, size int) string {
	b := pattern(size)
	return fmt.Sprintf("%s %s %d ", key, value, size) + b
}

// fetch stores a response while others read along, as a server does.
func fetch(t *testing.T, s *Store, rng *rand.Rand, key, value string) {
	size := rng.IntN(12 << 10)
	body := bodyFor(key, value, size)
	adm := admitted("Vary", "A")
	f := s.Begin(FillConfig{Key: []byte(key), Ask: askFor("A", value), Admission: adm, Length: int64(len(body)), Ticket: s.Ticket()})
	var readers sync.WaitGroup
	defer readers.Wait()
	for range rng.IntN(4) {
		r, ok := f.Reader(All)
		if !ok {
			continue
		}
		most := rng.IntN(len(body) * 2)
		readers.Go(func() {
			defer func() { _ = r.Close() }()
			got, p := "", make([]byte, 900)
			for len(got) < most { // some leave early
				n, err := r.Read(p)
				if got += string(p[:n]); err != nil {
					break
				}
			}
			if len(got) > len(body) || got != body[:len(got)] {
				t.Errorf("Read() of %s, %s = %.20q…, want %.20q…", key, value, got, body)
			}
		})
	}
	for rest := body; len(rest) > 0; {
		n := min(len(rest), rng.IntN(3000)+1)
		if _, err := f.Write([]byte(rest[:n])); err != nil {
			f.Abort(err)
			return
		}
		rest = rest[n:]
		if rng.IntN(50) == 0 {
			f.Abort(errBroken)
			return
		}
	}
	if _, err := f.Complete(); err != nil {
		t.Errorf("Complete() = %v, want no error", err)
	}
}

func TestConcurrentUse(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s := New(Config{Budget: 64 << 10, Chunk: 1 << 10, MaxVariants: 3, Patience: time.Millisecond})
	var workers sync.WaitGroup
	for i := range 8 {
		workers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 7))
			ask := &httpcache.Ask{}
			for range 400 {
				key, value := fmt.Sprint("k", rng.IntN(6)), fmt.Sprint("v", rng.IntN(5))
				switch n := rng.IntN(40); {
				case n < 12:
					fetch(t, s, rng, key, value)
				case n == 12:
					s.Purge(Purge{Value: key}, 0)
				case n == 13 && rng.IntN(10) == 0:
					s.Purge(Purge{Scope: ScopeAll}, 0)
				default:
					ask.Reset([]byte("GET"))
					ask.Add([]byte("A"), []byte(value))
					o, _ := s.Find([]byte(key), ask)
					if o == nil {
						continue
					}
					got := bodyOf(o)
					var size int
					if _, err := fmt.Sscanf(got, key+" "+value+" %d ", &size); err != nil || got != bodyFor(key, value, size) {
						t.Errorf("Find(%s, %s) = %.20q…: another's, or mixed", key, value, got)
					}
					if n < 18 {
						s.Replace(o, admitted("Vary", "A", "Age", fmt.Sprint(n)))
					}
				}
				if st := s.Stats(); st.Bytes < 0 || st.Bytes > st.Budget {
					t.Errorf("Stats() = %+v, want bytes within the budget", st)
				}
			}
		})
	}
	workers.Wait()
	var bytes int64
	for _, o := range s.held() {
		bytes += o.cost()
	}
	if st := s.Stats(); s.reserved != 0 || st.Bytes != bytes || st.Evictions == 0 {
		t.Errorf("Stats() = %+v with %d reserved, want %d bytes, nothing reserved, and evictions", st, s.reserved, bytes)
	}
}
