package experiment

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"cdnlab/topology"
)

func TestStaleServed(t *testing.T) {
	const s = time.Second
	version := func(etag string, at time.Duration) put {
		return put{topology.PutStep{Site: "s", Path: "/a", Key: "k"}, etag, at}
	}
	purged := func(at time.Duration) purge { return purge{topology.PurgeStep{Site: "s", Path: "/a"}, at, s} }
	got := func(etag string, at time.Duration) sample {
		return sample{url: "s/a", etag: etag, at: at, status: 200, place: "paris"}
	}
	for name, c := range map[string]struct {
		r    record
		w    window
		want float64
	}{
		"before the purge has returned":           {r: record{puts: []put{version("1", 1*s)}, purges: []purge{purged(3 * s)}, samples: []sample{got("0", 2*s)}}, want: 0},
		"after it":                                {r: record{puts: []put{version("1", 1*s)}, purges: []purge{purged(3 * s)}, samples: []sample{got("0", 4*s), got("1", 4*s), got("0", 3*s)}}, want: 2},
		"purged before the new version was there": {r: record{puts: []put{version("1", 3*s)}, purges: []purge{purged(1 * s)}, samples: []sample{got("0", 2*s), got("0", 4*s)}}, want: 1},
		"the next version is not purged yet":      {r: record{puts: []put{version("1", 1*s), version("2", 3*s)}, purges: []purge{purged(2 * s)}, samples: []sample{got("1", 4*s), got("0", 4*s), got("2", 4*s)}}, want: 1},
		"both are purged":                         {r: record{puts: []put{version("1", 1*s), version("2", 3*s)}, purges: []purge{purged(2 * s), purged(4 * s)}, samples: []sample{got("1", 5*s), got("2", 5*s)}}, want: 1},
		"not put since the start":                 {r: record{purges: []purge{purged(1 * s)}, samples: []sample{got("0", 2*s)}}, want: 0},
		"another object is purged":                {r: record{puts: []put{version("1", 1*s)}, purges: []purge{{topology.PurgeStep{Site: "s", Path: "/b"}, 2 * s, s}}, samples: []sample{got("0", 3*s)}}, want: 0},
		"its key is purged":                       {r: record{puts: []put{version("1", 1*s)}, purges: []purge{{topology.PurgeStep{Site: "s", Key: "k"}, 2 * s, s}}, samples: []sample{got("0", 3*s)}}, want: 1},
		"an error and what is not watched":        {r: record{puts: []put{version("1", 1*s)}, purges: []purge{purged(2 * s)}, samples: []sample{{url: "s/a", at: 3 * s, status: 503}, {at: 3 * s, status: 200}}}, want: 0},
		"outside the window":                      {r: record{puts: []put{version("1", 1*s)}, purges: []purge{purged(2 * s)}, samples: []sample{got("0", 3*s), got("0", 5*s)}}, w: window{from: 4 * s, place: "paris"}, want: 1},
		"elsewhere":                               {r: record{puts: []put{version("1", 1*s)}, purges: []purge{purged(2 * s)}, samples: []sample{got("0", 3*s)}}, w: window{place: "tokyo"}, want: 0},
	} {
		if n := c.r.figures(c.w)["purge.stale_served"]; float64(n) != c.want {
			t.Errorf("%s: purge.stale_served = %v, want %v", name, n, c.want)
		}
	}
	if n := (&record{}).staleServed(window{}); !math.IsNaN(float64(n)) {
		t.Errorf("without a purge: %v, want none", n)
	}
}

func TestPurgeTimeIsThatOfTheSlowest(t *testing.T) {
	r := &record{purges: []purge{{at: time.Second, took: 30 * time.Millisecond}, {at: 2 * time.Second, took: 50 * time.Millisecond}, {at: 3 * time.Second, took: 10 * time.Millisecond}}}
	for w, want := range map[window]float64{{}: 0.05, {from: 3 * time.Second}: 0.01, {until: 2 * time.Second}: 0.03} {
		if got := r.figures(w)["purge.time"]; float64(got) != want {
			t.Errorf("purge.time of %+v = %v, want %v", w, got, want)
		}
	}
	if got := r.figures(window{from: 4 * time.Second})["purge.time"]; !math.IsNaN(float64(got)) {
		t.Errorf("purge.time without a purge = %v, want none", got)
	}
	r.purges[0].took = -1
	if got := r.figures(window{})["purge.time"]; !math.IsInf(float64(got), 1) {
		t.Errorf("purge.time when a node has not applied it = %v, want infinity", got)
	}
}

func TestPushedInVainIsOfAllThatWasPushed(t *testing.T) {
	r := seen()
	for i := range r.readings {
		r.readings[i].Pushed, r.readings[i].Vain = 1000, int64(1000-50*i)
	}
	for w, want := range map[window]float64{{}: 0.5, {until: 4 * time.Second}: 0.8, {from: 8 * time.Second}: 0.5} {
		if got := r.figures(w)["push.vain"]; float64(got) != want {
			t.Errorf("push.vain of %+v = %v, want %v", w, got, want)
		}
	}
}

// told is a lab that notes what it is told.
type told struct {
	Lab
	calls []string
	err   error
}

func (l *told) Put(_ context.Context, p topology.PutStep, version uint64) (string, error) {
	l.calls = append(l.calls, "put "+p.Path)
	return `"` + strings.Repeat("x", int(version)) + `"`, l.err
}

func (l *told) Purge(_ context.Context, p topology.PurgeStep) (time.Duration, error) {
	l.calls = append(l.calls, "purge "+p.Path)
	return time.Millisecond, l.err
}

func (l *told) Push(_ context.Context, p topology.PushStep) error {
	l.calls = append(l.calls, "push "+strings.Join(p.Paths, " "))
	return l.err
}

func TestChangesAreMadeInOrderAndNotedSinceTheStart(t *testing.T) {
	e, err := topology.ParseExperiment("x.yaml", []byte(`
topology: tiny
vary: { name: [a, b] }
load: [ { rate: 1/s, for: 1s, objects: 9, size: 2KiB } ]
timeline:
  - { at: 2ms, purge: /a }
  - { at: 0s, put: /a }
  - { at: 1ms, put: /a }
  - { at: 1ms, purge: /b, when: name=b }
  - { at: 2ms, push: 2 }
  - { at: 1ms, down: eu }
`), "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	lab := &told{}
	s := &session{e: e, lab: lab, r: &record{}}
	before, after := changes(e, e.Variants[0])
	for _, step := range before {
		if err := s.change(t.Context(), step); err != nil {
			t.Fatal(err)
		}
	}
	s.start = time.Now()
	if err := s.keep(t.Context(), after); err != nil {
		t.Fatal(err)
	}
	if want := []string{"put /a", "put /a", "purge /a", "push /synthetic/2048B/1 /synthetic/2048B/2"}; !slices.Equal(lab.calls, want) {
		t.Errorf("the lab was told %q, want %q", lab.calls, want)
	}
	if r := s.r; len(r.puts) != 1 || r.puts[0].etag != `"xx"` || len(r.purges) != 1 || r.purges[0].took != time.Millisecond || r.purges[0].at <= r.puts[0].at {
		t.Errorf("noted were %+v and %+v, want the second version and its purge", r.puts, r.purges)
	}

	lab.err = ErrPending
	if err := s.change(t.Context(), after[1]); err != nil || s.r.purges[1].took != -1 {
		t.Errorf("a purge that hangs: %v and %+v, want it noted as such", err, s.r.purges)
	}
	lab.err = errors.New("no disk")
	for _, step := range after {
		if err := s.change(t.Context(), step); err == nil || !strings.Contains(err.Error(), "no disk") {
			t.Errorf("%+v: %v, want the lab's error", step, err)
		}
	}
}
