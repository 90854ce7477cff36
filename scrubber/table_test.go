package scrubber

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

func newTestTable(t testing.TB, l Limit, memory int64) *table {
	t.Helper()
	w, err := newLaw(l)
	if err != nil {
		t.Fatal(err)
	}
	tab, err := newTable(&w, memory)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

// take asks for one unit for a key.
func (t *table) take(key uint64, now int64) Verdict {
	p, s, log := t.find(key)
	defer p.release()
	next, v := t.law.peek(s, log, now, 1)
	if v.OK {
		p.commit(next, 1, now)
	}
	return v
}

// spread makes small numbers into keys that look like hashes.
func spread(n uint64) uint64 {
	return max(1, text(sipKey{1, 2}, []byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}))
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestTableWithRoomEqualsLimiters(t *testing.T) {
	for a := range numAlgorithms {
		l := Limit{Algorithm: a, Rate: 4, Per: time.Second}
		tab := newTestTable(t, l, 1<<20)
		alone := map[uint64]*Limiter{}
		rng := rand.New(rand.NewPCG(1, 2))
		now := int64(0)
		for range 20_000 {
			now += rng.Int64N(1e7)
			key := spread(rng.Uint64N(100))
			if alone[key] == nil {
				alone[key] = limiter(t, l)
			}
			if got, want := tab.take(key, now), alone[key].Take(now, 1); got != want {
				t.Fatalf("%v: take(%x, %d) = %+v, want %+v as by a limiter for this key alone", a, key, now, got, want)
			}
		}
		if got := tab.fill(); got.Keys != 100 || got.Forgotten != 0 {
			t.Errorf("%v: fill = %+v, want 100 keys and none forgotten", a, got)
		}
	}
}

// Ten million clients, one request each, and some that are at their limit all along.
func TestFloodOfKeys(t *testing.T) {
	flood := uint64(10_000_000)
	if testing.Short() {
		flood /= 10
	}
	const heavy = 1000
	for a := range numAlgorithms {
		t.Run(a.String(), func(t *testing.T) {
			const memory = 4 << 20
			before := heap()
			tab := newTestTable(t, Limit{Algorithm: a, Rate: 10, Per: 20 * time.Second}, memory)
			atStart := heap()
			if got := atStart - before; got > memory+1<<16 {
				t.Errorf("the table takes %d bytes, want %d at most", got, memory+1<<16)
			}
			now := int64(100 * time.Second)
			for k := range uint64(heavy) {
				for tab.take(spread(1<<31+k), now).OK {
				}
			}
			for k := range flood {
				if v := tab.take(spread(k), now); !v.OK {
					t.Fatalf("new key %d: take = %+v, want OK", k, v)
				}
				now += int64(time.Second) / int64(flood)
			}
			if got := heap(); got > atStart+1<<16 {
				t.Errorf("after %d keys the table has grown from %d to %d bytes", flood, atStart-before, got-before)
			}
			kept := 0
			for k := range uint64(heavy) {
				if !tab.take(spread(1<<31+k), now).OK {
					kept++
				}
			}
			fill := tab.fill()
			if fill.Keys > fill.Places || fill.Keys < fill.Places*99/100 || fill.Forgotten < uint64(fill.Places) {
				t.Errorf("fill = %+v, want nearly all places taken, and keys forgotten", fill)
			}
			// The buckets are far more than the heavy keys, so that none has eight of them.
			if want := heavy; kept != want {
				t.Errorf("%d of %d keys at their limit are still refused after the flood, want %d", kept, heavy, want)
			}
			runtime.KeepAlive(tab)
		})
	}
}

func TestRoomGoesToTheLeastUsefulState(t *testing.T) {
	for a := range numAlgorithms {
		tab := newTestTable(t, Limit{Algorithm: a, Rate: 4, Per: time.Second}, 1<<10) // few buckets
		tab.buckets = tab.buckets[:1]
		at := func(ms int64) int64 { return 10*second + ms*1e6 }
		tab.take(1, at(0)) // run out when key 9 comes
		for key := uint64(2); key <= 8; key++ {
			tab.take(key, at(2500+int64(key)))
		}
		tab.take(2, at(2520))  // the oldest, but with two units
		tab.take(9, at(2530))  // in the place of 1
		tab.take(10, at(2540)) // in the place of 3
		var got []uint64
		for _, key := range tab.buckets[0].keys {
			got = append(got, key)
		}
		want := []uint64{9, 2, 10, 4, 5, 6, 7, 8}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%v: keys = %v, want %v", a, got, want)
				break
			}
		}
		if got := tab.fill(); got.Keys != 8 || got.Forgotten != 1 {
			t.Errorf("%v: fill = %+v, want 8 keys and 1 forgotten while it counted", a, got)
		}
	}
}

func TestUsedIsWhatForgettingGivesAway(t *testing.T) {
	for a := range numAlgorithms {
		rng := rand.New(rand.NewPCG(3, uint64(a)))
		for range 2000 {
			l, draw := schedule(rng, a)
			if a == FixedWindow || a == SlidingCounter {
				l.MaxDelay = 1 + min(MaxDelay-1, l.Per)
			}
			lim := limiter(t, l)
			now := int64(0)
			for range 10 {
				gap, cost := draw()
				now += gap
				lim.Take(now, cost)
			}
			for range 5 {
				w := &lim.law
				_, fresh := w.peek(state{}, make([]int64, w.logSize()), now, 0)
				got, want := w.used(lim.state, lim.log, now, w.start(now)), fresh.Remaining-lim.Take(now, 0).Remaining
				if w.weight > 0 {
					got = min(ceilDiv(got, w.weight), w.quota)
				}
				if got != want {
					t.Fatalf("%+v: used at %d = %d, want %d", l, now, got, want)
				}
				gap, _ := draw()
				now += gap
			}
		}
	}
}

func TestNewKeyTakesNothingOfAnothersState(t *testing.T) {
	for a := range numAlgorithms {
		tab := newTestTable(t, Limit{Algorithm: a, Rate: 4, Per: time.Second}, 1<<10)
		tab.buckets = tab.buckets[:1]
		for key := range uint64(ways) {
			for range 3 {
				tab.take(key+1, 10*second)
			}
		}
		fresh := limiter(t, tab.law.Limit)
		if got, want := tab.take(99, 10*second), fresh.Take(10*second, 1); got != want {
			t.Errorf("%v: take of a new key in a full bucket = %+v, want %+v", a, got, want)
		}
	}
}

func TestRefusedKeysTakeNoRoom(t *testing.T) {
	tab := newTestTable(t, Limit{Rate: 4, Per: time.Second}, 1<<16)
	p, s, log := tab.find(7)
	if _, v := tab.law.peek(s, log, second, 5); v.OK {
		t.Errorf("peek of 5 of 4 = %+v, want refused", v)
	}
	p.release()
	if got := tab.fill().Keys; got != 0 {
		t.Errorf("%d keys after a request that was refused, want 0", got)
	}
}

func TestTooLittleMemory(t *testing.T) {
	w, _ := newLaw(Limit{Algorithm: SlidingLog, Rate: 1000, Per: time.Second})
	if _, err := newTable(&w, 64_000); err == nil {
		t.Error("newTable of 64,000 bytes for logs of 1000 = nil, want an error")
	}
}

func BenchmarkTable(b *testing.B) {
	for a := range numAlgorithms {
		for _, c := range []struct {
			name string
			keys uint64
		}{{"hot", 64}, {"flood", 1 << 24}} {
			b.Run(a.String()+"/"+c.name, func(b *testing.B) {
				tab := newTestTable(b, Limit{Algorithm: a, Rate: 100, Per: time.Second}, defaultMemory)
				b.ReportAllocs()
				n := uint64(0)
				for now := int64(0); b.Loop(); now += 1000 {
					n++
					tab.take((n%c.keys+1)*0x9e3779b97f4a7c15, now)
				}
			})
		}
	}
}
