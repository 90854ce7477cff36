package experiment

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
	"golang.org/x/sync/errgroup"

	"cdnlab/topology"
)

// Lab is a running network, as far as an experiment needs it.
type Lab interface {
	Plan() *topology.Plan
	Counters() Counters
	// Impair makes something go wrong, for a length of time or, when that is 0, to the end.
	Impair(target string, what topology.Impairment, length time.Duration) error
	// Put stores a version of an object, whose content is that of no other version, and returns its entity tag.
	Put(ctx context.Context, what topology.PutStep, version uint64) (etag string, err error)
	// Purge returns when every node that is alive has applied it, and how long the slowest took; ErrPending after a while without.
	Purge(ctx context.Context, what topology.PurgeStep) (took time.Duration, err error)
	// Push returns when the objects are where they are to be.
	Push(ctx context.Context, what topology.PushStep) error
	// Stop ends the lab and waits until it has.
	Stop() error
}

// Starter starts a network; noNetem leaves distance and faults of links out.
type Starter func(ctx context.Context, t *topology.Topology, noNetem bool) (Lab, error)

// ErrPending says that a node which is alive has not applied a purge for long.
var ErrPending = errors.New("a node that is alive has not applied it")

// Run is what came of one variant with one seed.
type Run struct {
	Variant  string            `json:"variant"` // its label; "" for the only one
	Seed     uint64            `json:"seed"`
	Seconds  float64           `json:"seconds"` // of load
	Figures  map[string]Number `json:"figures"` // every metric, over the whole run
	Expected []Outcome         `json:"expect"`
	Series   Series            `json:"series"`
	Problems map[string]int    `json:"problems,omitempty"` // what went wrong with requests, and how often
}

// Passed reports whether all that was expected held.
func (r Run) Passed() bool {
	return !slices.ContainsFunc(r.Expected, func(o Outcome) bool { return !o.Held })
}

// Progress is told how far a run is; done and total are of the load's time.
type Progress func(v topology.Variant, done, total time.Duration, requests int)

// grace is how long requests may take after the load has ended.
const grace = 30 * time.Second

// Execute runs one variant of an experiment: starts its network, makes its requests, breaks and changes what its timeline
// says, stops the network. The error is one of running it; expectations that were missed are in the Run.
func Execute(ctx context.Context, e *topology.Experiment, v topology.Variant, start Starter, progress Progress) (Run, error) {
	lab, err := start(ctx, v.Topology, e.NoNetem)
	if err != nil {
		return Run{}, fmt.Errorf("start %s: %w", v.Topology.Name, err)
	}
	r, problems, err := load(ctx, e, v, lab, progress)
	if err := errors.Join(err, lab.Stop()); err != nil {
		return Run{}, err
	}
	return Run{Variant: v.Label(), Seed: e.Seed, Seconds: e.Length.Seconds(), Figures: r.figures(window{}), Expected: r.judge(e.Expect, v),
		Series: r.series(e.Length), Problems: problems}, nil
}

// load makes the requests of all workloads, each at its time, and keeps the timeline.
func load(ctx context.Context, e *topology.Experiment, v topology.Variant, lab Lab, progress Progress) (*record, map[string]int, error) {
	s := &session{e: e, v: v, lab: lab, watch: watched(e), r: &record{}, problems: map[string]int{}}
	var err error
	if s.cities, err = citiesOf(e, lab.Plan()); err != nil {
		return nil, nil, err
	}
	defer func() {
		for _, c := range s.cities {
			c.http.CloseIdleConnections()
		}
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	before, after := changes(e, v)
	for _, step := range before {
		if err := s.change(ctx, step); err != nil {
			return nil, nil, err
		}
	}
	s.start = time.Now()
	s.read()
	s.r.readings[0].at = 0
	var loads, beside errgroup.Group
	for i, w := range e.Load {
		if w.When.In(v) {
			loads.Go(func() error { return s.ask(ctx, i, w) })
		}
	}
	for _, step := range e.Timeline {
		if step.Target == "" || !step.When.In(v) {
			continue
		}
		beside.Go(func() error {
			if !sleep(ctx, s.start.Add(step.At)) {
				return nil
			}
			return lab.Impair(step.Target, step.Impairment, step.For)
		})
	}
	beside.Go(func() error { return s.keep(ctx, after) })
	beside.Go(func() error {
		s.look(ctx, progress)
		return nil
	})
	err = loads.Wait()
	cancel()
	err = errors.Join(err, beside.Wait())
	s.read()
	return s.r, s.problems, err
}

// session is a run under way.
type session struct {
	e      *topology.Experiment
	v      topology.Variant
	lab    Lab
	cities map[string]*city
	watch  map[string]bool
	start  time.Time // of the load; zero before
	made   uint64    // versions that were put

	mu       sync.Mutex // guards the fields below
	r        *record
	problems map[string]int
}

// read notes the counters.
func (s *session) read() {
	x := reading{time.Since(s.start), s.lab.Counters()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.r.readings = append(s.r.readings, x)
}

// ask makes the requests of a workload.
func (s *session) ask(ctx context.Context, i int, w topology.Workload) error {
	if !sleep(ctx, s.start.Add(w.At)) {
		return ctx.Err()
	}
	u := &users{seq: newSequence(w, s.e.Seed, i), watch: s.watch}
	for _, p := range w.From {
		u.cities = append(u.cities, s.cities[p.Place])
	}
	for res := range attack(ctx, u, w) {
		x, problem := u.sample(res, s.start)
		s.mu.Lock()
		s.r.samples = append(s.r.samples, x)
		if problem != "" {
			s.problems[problem]++
		}
		s.mu.Unlock()
	}
	return ctx.Err()
}

// look notes the counters again and again, and tells how far the run is.
func (s *session) look(ctx context.Context, progress Progress) {
	for _, at := range readingTimes(s.e) {
		if !sleep(ctx, s.start.Add(at)) {
			return
		}
		s.read()
		if progress != nil {
			s.mu.Lock()
			n := len(s.r.samples)
			s.mu.Unlock()
			progress(s.v, min(time.Since(s.start), s.e.Length), s.e.Length, n)
		}
	}
}

// readingTimes is each second of a run, and the times that expectations name.
func readingTimes(e *topology.Experiment) (all []time.Duration) {
	for at := time.Second; at <= e.Length; at += time.Second {
		all = append(all, at)
	}
	for _, x := range e.Expect {
		all = append(all, x.After, x.Until)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return slices.DeleteFunc(all, func(d time.Duration) bool { return d == 0 })
}

// citiesOf finds the places that requests come from.
func citiesOf(e *topology.Experiment, plan *topology.Plan) (map[string]*city, error) {
	for _, n := range plan.Nodes {
		if !n.HTTP.Addr().IsLoopback() {
			return nil, fmt.Errorf("%s is at %s: load is made on this machine's own lab only, so leave \"addresses\" out of the topology", n.Name, n.HTTP.Addr())
		}
	}
	cities := map[string]*city{}
	for _, w := range e.Load {
		for _, from := range w.From {
			p, ok := plan.Place(from.Place)
			if !ok || !p.Client.IsValid() {
				return nil, fmt.Errorf("clients in %s have no addresses of their own in the address plan, which has room for the first 155 places", from.Place)
			}
			cities[from.Place] = newCity(p, plan.HTTPPort())
		}
	}
	return cities, nil
}

// sleep waits until a time; false says that ctx ended first.
func sleep(ctx context.Context, until time.Time) bool {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// attack makes the requests of a workload.
func attack(ctx context.Context, u *users, w topology.Workload) <-chan *vegeta.Result {
	client := &http.Client{Transport: u, Timeout: grace, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	attacker := vegeta.NewAttacker(vegeta.Client(client), vegeta.MaxBody(0))
	p := pace{vegeta.ConstantPacer{Freq: int(w.Rate * 1000), Per: 1000 * time.Second}, uint64(math.Round(w.Rate * w.For.Seconds()))}
	stop := context.AfterFunc(ctx, func() { attacker.Stop() })
	target := vegeta.NewStaticTargeter(vegeta.Target{Method: http.MethodGet, URL: "http://" + w.Site + "/"})
	results := make(chan *vegeta.Result)
	go func() {
		defer stop()
		defer close(results)
		for res := range attacker.Attack(target, p, 0, "") {
			results <- res
		}
	}()
	return results
}

// pace is a constant rate that ends with a number of requests: a machine that falls behind makes them later, not fewer.
type pace struct {
	vegeta.ConstantPacer
	total uint64
}

// Pace implements vegeta.Pacer.
func (p pace) Pace(elapsed time.Duration, made uint64) (wait time.Duration, stop bool) {
	if made >= p.total {
		return 0, true
	}
	return p.ConstantPacer.Pace(elapsed, made)
}

// sample puts together what vegeta measured and what the response said.
func (u *users) sample(res *vegeta.Result, start time.Time) (s sample, problem string) {
	n := u.note(res.Seq)
	s = sample{at: res.Timestamp.Sub(start), latency: res.Latency, status: int(res.Code), place: u.seq.load.From[n.place].Place,
		bytes: n.bytes, edge: n.edge, hub: n.hub, url: n.url, etag: n.etag}
	if res.Code == 0 || res.Code >= 400 {
		problem = plain(res.Error)
	}
	return s, problem
}

// plain leaves out of an error what differs from request to request: vegeta's and Go's prefixes with addresses.
func plain(text string) string {
	if i := strings.LastIndex(text, ": "); i >= 0 && strings.Contains(text, "://") {
		return text[i+2:]
	}
	return text
}
