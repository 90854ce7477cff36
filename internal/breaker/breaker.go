// Package breaker keeps a node from hurting an upstream that is down: Breaker stops asking it, Budget bounds how many
// requests the retries add.
//
//	          N failures in a row, or too many of a window
//	closed ───────────────────────────────────────────────► open ◄──┐
//	   ▲                                                      │      │ the probe fails: open twice as long
//	   │ the probe succeeds                   its time is over ▼      │
//	   └────────────────────────────────────────────────── half-open ┘  one probe at a time
//
// Everything here is pure: it takes now and a random source, starts no goroutine, and allocates only in New. A now before
// an earlier one is taken as that one.
package breaker

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Config says when a Breaker opens and for how long. A zero field takes its default.
type Config struct {
	Failures  int           // in a row that open it; 5
	Ratio     float64       // of failures in Window that opens it, 0 to 1; 0.5
	MinVolume int           // reports that Window must hold before Ratio counts; 20
	Window    time.Duration // in ten steps; 10 s
	Open      time.Duration // how long it stays open at first, twice as long after each failed probe; 1 s
	MaxOpen   time.Duration // the longest it stays open; 30 s
	Jitter    float64       // each time open is shortened by up to this part, at random, 0 to 1; 0.2
	Probe     time.Duration // a probe without a report for so long is lost, the next may go; 10 s
}

func (c Config) withDefaults() Config {
	return Config{
		Failures:  cmp.Or(c.Failures, 5),
		Ratio:     cmp.Or(c.Ratio, 0.5),
		MinVolume: cmp.Or(c.MinVolume, 20),
		Window:    cmp.Or(c.Window, 10*time.Second),
		Open:      cmp.Or(c.Open, time.Second),
		MaxOpen:   cmp.Or(c.MaxOpen, 30*time.Second),
		Jitter:    cmp.Or(c.Jitter, 0.2),
		Probe:     cmp.Or(c.Probe, 10*time.Second),
	}
}

func (c Config) check() error {
	var faults []error
	if c.Failures < 1 {
		faults = append(faults, fmt.Errorf("failures is %d: it must be at least 1", c.Failures))
	}
	if !(c.Ratio > 0 && c.Ratio <= 1) {
		faults = append(faults, fmt.Errorf("ratio is %v: it must be above 0, at most 1", c.Ratio))
	}
	if c.MinVolume < 1 {
		faults = append(faults, fmt.Errorf("minimum volume is %d: it must be at least 1", c.MinVolume))
	}
	if c.Window < steps {
		faults = append(faults, fmt.Errorf("window is %s: it must be at least %s", c.Window, time.Duration(steps)))
	}
	if c.Open < 0 || c.MaxOpen < c.Open {
		faults = append(faults, fmt.Errorf("open is %s, at most %s: the first must be positive, the second no less", c.Open, c.MaxOpen))
	}
	if !(c.Jitter >= 0 && c.Jitter <= 1) {
		faults = append(faults, fmt.Errorf("jitter is %v: it must be 0 to 1", c.Jitter))
	}
	if c.Probe < 0 {
		faults = append(faults, fmt.Errorf("probe is %s: it must be positive", c.Probe))
	}
	return errors.Join(faults...)
}

// State is whether requests go to the upstream.
type State int

const (
	Closed   State = iota // all go
	Open                  // none goes
	HalfOpen              // one goes, as a probe
)

func (s State) String() string {
	return [...]string{"closed", "open", "half-open"}[s]
}

// Breaker is the circuit breaker of one upstream, closed at first. It is safe for concurrent use.
type Breaker struct {
	config Config

	mu      sync.Mutex // guards everything below
	rng     *rand.Rand
	open    bool
	until   time.Time // open: half-open from here on
	opened  time.Duration
	probing bool      // open: a probe is under way
	lost    time.Time // probing: the probe counts as lost from here on
	row     int       // closed: failures in a row
	reports window    // closed: a is all, b the failures
	latest  time.Time
}

// New returns a closed breaker, or all that is wrong with the config. The breaker is the only user of rng from here on.
func New(c Config, rng *rand.Rand) (*Breaker, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	return &Breaker{config: c, rng: rng, reports: window{step: c.Window / steps}}, nil
}

// Allow reports whether a request may go to the upstream at now. Each allowed request is followed by one Report.
func (b *Breaker) Allow(now time.Time) (ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now = b.clock(now)
	switch b.state(now) {
	case Closed:
		return true
	case HalfOpen:
		if b.probing && now.Before(b.lost) {
			return false
		}
		b.probing, b.lost = true, now.Add(b.config.Probe)
		return true
	default:
		return false
	}
}

// Report says how a request to the upstream ended. While open, only a probe's report counts: others come from requests
// that began before. Reports carry no name, so that the first one after the probe began is taken as the probe's.
func (b *Breaker) Report(now time.Time, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now = b.clock(now)
	switch {
	case b.open && !b.probing:
	case b.open && ok:
		b.open, b.probing, b.opened, b.row = false, false, 0, 0
		b.reports = window{step: b.reports.step}
	case b.open:
		b.trip(now)
	default:
		b.count(now, ok)
	}
}

// State returns the state at now.
func (b *Breaker) State(now time.Time) State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state(b.clock(now))
}

func (b *Breaker) state(now time.Time) State {
	switch {
	case !b.open:
		return Closed
	case now.Before(b.until):
		return Open
	default:
		return HalfOpen
	}
}

// count counts a report while closed, and opens when it is one failure too many.
func (b *Breaker) count(now time.Time, ok bool) {
	if ok {
		b.row = 0
		b.reports.add(now, 1, 0)
		return
	}
	b.row++
	b.reports.add(now, 1, 1)
	all, failures := b.reports.sum(now)
	if b.row >= b.config.Failures || all >= b.config.MinVolume && float64(failures) >= b.config.Ratio*float64(all) {
		b.trip(now)
	}
}

// trip opens for twice as long as the last time, up to the maximum, shortened by the jitter.
func (b *Breaker) trip(now time.Time) {
	switch {
	case b.opened == 0:
		b.opened = b.config.Open
	case b.opened > b.config.MaxOpen/2:
		b.opened = b.config.MaxOpen
	default:
		b.opened *= 2
	}
	short := time.Duration(b.config.Jitter * b.rng.Float64() * float64(b.opened))
	b.open, b.probing, b.until = true, false, now.Add(b.opened-short)
}

func (b *Breaker) clock(now time.Time) time.Time {
	if now.Before(b.latest) {
		return b.latest
	}
	b.latest = now
	return now
}
