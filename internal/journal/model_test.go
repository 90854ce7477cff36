package journal

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// model is what a journal ought to hold.
type model struct {
	epoch  Epoch
	start  Seq     // of the epoch
	events []Event // all of the epoch, those behind the horizon, too
}

func (m *model) last() Seq { return m.start + Seq(len(m.events)) }

func randomEvent(rng *rand.Rand) Event {
	text := func() string { return strings.Repeat(string(rune('a'+rng.IntN(26))), rng.IntN(20)) }
	e := Event{Kind: Kind(1 + rng.IntN(3)), Site: "s" + text(), Value: "/" + text(), Version: text(), Size: rng.Int64N(1 << 40), To: text(), Who: text()}
	if e.Kind == Purge {
		e.Scope, e.Soft = Scope(1+rng.IntN(4)), rng.IntN(2) == 0
	}
	return e
}

// check compares a journal with its model, reading from a random place.
func (m *model) check(t *testing.T, j *Journal, rng *rand.Rand, horizon Seq) {
	t.Helper()
	if got := j.Position(); got != (Position{m.epoch, m.last()}) {
		t.Fatalf("Position = %v, want %v of epoch %v", got, m.last(), m.epoch)
	}
	h := j.Horizon()
	if h < m.start || h > m.start && m.last()-h < horizon {
		t.Fatalf("horizon %d of %d events after %d, want %d kept", h, len(m.events), m.start, horizon)
	}
	if h > 0 {
		if _, err := j.Read(Seq(rng.Uint64N(uint64(h))), 1); err != ErrHorizon {
			t.Fatalf("Read behind the horizon: %v, want ErrHorizon", err)
		}
	}
	after := h + Seq(rng.Uint64N(uint64(m.last()-h)+1))
	for {
		events, err := j.Read(after, 1+rng.IntN(10))
		if err != nil {
			t.Fatalf("Read after %d: %v", after, err)
		}
		want := m.events[after-m.start:]
		if len(events) == 0 && len(want) > 0 || len(events) > len(want) || !slices.Equal(events, want[:len(events)]) {
			t.Fatalf("Read after %d = %v, want the first of %v", after, events, want)
		}
		if len(events) == 0 {
			return
		}
		after += Seq(len(events))
	}
}

func TestJournalIsLikeItsModel(t *testing.T) {
	schedules := uint64(12)
	if testing.Short() {
		schedules = 4
	}
	for seed := range schedules {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			cfg := testConfig(t)
			cfg.Horizon, cfg.HorizonBytes = 20, 1
			j := mustOpen(t, cfg)
			m := model{epoch: j.Position().Epoch}
			for range 150 {
				switch rng.IntN(12) {
				default:
					events := make([]Event, 1+rng.IntN(4))
					for i := range events {
						events[i] = randomEvent(rng)
					}
					at, err := j.Append(events...)
					for i, e := range events {
						e.Seq, e.Time = m.last()+1, noon.UnixNano()
						m.events = append(m.events, e)
						events[i] = e
					}
					if err != nil || at != (Position{m.epoch, m.last()}) {
						t.Fatalf("Append = %v, %v, want %d", at, err, m.last())
					}
				case 0:
					mustClose(t, j)
					j = mustOpen(t, cfg)
				case 1, 2: // killed, perhaps while it wrote
					old := j
					cfg.Dir = copyDir(t, cfg.Dir)
					if rng.IntN(2) == 0 {
						e := randomEvent(rng)
						e.Seq = m.last() + 1
						record := e.Append(nil)
						files := paths(t, cfg.Dir)
						appendFile(t, files[len(files)-1], record[:rng.IntN(len(record))])
					}
					mustClose(t, old)
					j = mustOpen(t, cfg)
				case 3:
					if rng.IntN(5) > 0 {
						continue
					}
					at, err := j.Renew()
					if err != nil || at.Epoch == m.epoch || at.Seq <= m.last() {
						t.Fatalf("Renew at %d = %v, %v", m.last(), at, err)
					}
					m = model{epoch: at.Epoch, start: at.Seq}
				}
				m.check(t, j, rng, Seq(cfg.Horizon))
			}
		})
	}
}
