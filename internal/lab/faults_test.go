package lab_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"cdnlab/internal/lab"
	"cdnlab/mgmt"
	"cdnlab/topology"
)

// near removes what distance there is, so that what a fault adds stands out.
var near = []string{
	"links=[{between: [clients.paris, edges.paris], rtt: 0.1ms}, {between: [edges.paris, hubs.eu], rtt: 0.1ms}, {between: [hubs.eu, origins.main], rtt: 0.1ms}]",
	"sites={www.cdn.test: {cache: {ttl: 1h}}}",
}

// fetchTime fetches a path that no cache has and returns how long that took.
func (l *testLab) fetchTime(t *testing.T, c *http.Client) time.Duration {
	t.Helper()
	began := time.Now()
	if resp, body := l.get(t, c, fmt.Sprintf("http://%s/synthetic/1KiB/%d", l.site, began.UnixNano())); resp.StatusCode != 200 {
		t.Fatalf("%s: %s", resp.Status, body)
	}
	return time.Since(began)
}

func (l *testLab) breaks(t *testing.T, spec mgmt.FaultSpec) mgmt.Fault {
	t.Helper()
	f, err := l.AddFault(spec)
	if err != nil {
		t.Fatalf("AddFault(%+v) = %v", spec, err)
	}
	return f
}

func (l *testLab) mends(t *testing.T, f mgmt.Fault) {
	t.Helper()
	if err := l.RemoveFault(f.ID); err != nil {
		t.Fatalf("RemoveFault(%s) = %v", f.ID, err)
	}
}

func TestFaultsThatSlowDoSoWhereTheyAre(t *testing.T) {
	l := startLabWith(t, "tiny", lab.Options{}, near...)
	c := l.direct(t)
	l.fetchTime(t, c)
	const d = 120 * time.Millisecond
	for name, spec := range map[string]mgmt.FaultSpec{
		"latency of a hub":         {Target: "eu-1", Latency: "120ms"},
		"latency of a link":        {Target: "paris:eu", Latency: "120ms"},
		"latency of the last mile": {Target: "clients.paris:paris", Latency: "120ms"},
		"bandwidth of an origin":   {Target: "main", Bandwidth: "60kbps"},
		"an origin's slow disk":    {Target: "main", SlowDisk: "120ms"},
	} {
		t.Run(name, func(t *testing.T) {
			f := l.breaks(t, spec)
			if took := l.fetchTime(t, c); took < d {
				t.Errorf("a fetch took %v, want at least %v", took, d)
			}
			l.mends(t, f)
			fastest := time.Hour
			for range 5 {
				fastest = min(fastest, l.fetchTime(t, c))
			}
			if fastest >= d {
				t.Errorf("after the fault ended a fetch takes %v", fastest)
			}
		})
	}
	t.Run("faults add up", func(t *testing.T) {
		a, b := l.breaks(t, mgmt.FaultSpec{Target: "eu-1", Latency: "60ms"}), l.breaks(t, mgmt.FaultSpec{Target: "eu", Latency: "60ms"})
		if took := l.fetchTime(t, c); took < d {
			t.Errorf("a fetch took %v, want at least %v", took, d)
		}
		if got := l.Faults(); len(got) != 2 || got[0].ID != a.ID || got[1].ID != b.ID {
			t.Errorf("Faults() = %+v, want both", got)
		}
		l.mends(t, a)
		l.mends(t, b)
	})
	t.Run("a fault ends by itself", func(t *testing.T) {
		l.breaks(t, mgmt.FaultSpec{Target: "eu-1", Latency: "10s", For: "50ms"})
		waitFor(t, "the end of the fault", func() error {
			if all := l.Faults(); len(all) > 0 {
				return fmt.Errorf("%+v holds", all)
			}
			return nil
		})
		if took := l.fetchTime(t, c); took >= 10*time.Second {
			t.Errorf("after the fault ended a fetch takes %v", took)
		}
	})
}

// slowed says how slow a fault makes some fetches, and what all but such a fault is faster than.
const slowed = 100 * time.Millisecond

// harms are faults, each with the least that is to be seen of it from outside. A fetch is answered, or ends, within a minute.
var harms = map[string]struct {
	spec  mgmt.FaultSpec
	shows func(t *testing.T, l *testLab, c *http.Client) error // nil once its effect was seen
}{
	"a server is down": {mgmt.FaultSpec{Target: "paris", Down: true}, failsWith(syscall.ECONNREFUSED)},
	"a link is down": {mgmt.FaultSpec{Target: "paris:eu", Down: true}, func(t *testing.T, l *testLab, c *http.Client) error {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if status, err := l.try(ctx, c); err == nil && status == 200 {
			return errors.New("a fetch across it was answered")
		}
		return nil
	}},
	"latency":   {mgmt.FaultSpec{Target: "eu", Latency: "150ms"}, everyFetchTakes(150 * time.Millisecond)},
	"bandwidth": {mgmt.FaultSpec{Target: "paris:eu", Bandwidth: "60kbps"}, everyFetchTakes(slowed)},
	"slow disk": {mgmt.FaultSpec{Target: "main", SlowDisk: "150ms"}, everyFetchTakes(150 * time.Millisecond)},
	"jitter": {mgmt.FaultSpec{Target: "paris:eu", Jitter: "400ms"}, func(t *testing.T, l *testLab, c *http.Client) error {
		slowest, fastest := time.Duration(0), time.Hour
		for range 20 {
			took := l.fetchTime(t, c)
			if slowest, fastest = max(slowest, took), min(fastest, took); slowest-fastest >= slowed {
				return nil
			}
		}
		return fmt.Errorf("20 fetches took %v to %v", fastest, slowest)
	}},
	"loss": {mgmt.FaultSpec{Target: "paris:eu", Loss: "50%"}, func(t *testing.T, l *testLab, c *http.Client) error {
		for range 20 {
			if l.fetchTime(t, c) >= 200*time.Millisecond { // the least retransmission timeout
				return nil
			}
		}
		return errors.New("20 fetches have lost nothing")
	}},
	"reset": {mgmt.FaultSpec{Target: "paris", Reset: true}, failsWith(syscall.ECONNRESET)},
}

func failsWith(want error) func(*testing.T, *testLab, *http.Client) error {
	return func(t *testing.T, l *testLab, c *http.Client) error {
		c.CloseIdleConnections()
		if status, err := l.try(t.Context(), c); !errors.Is(err, want) {
			return fmt.Errorf("a fetch = %d, %v, want %v", status, err, want)
		}
		return nil
	}
}

func everyFetchTakes(least time.Duration) func(*testing.T, *testLab, *http.Client) error {
	return func(t *testing.T, l *testLab, c *http.Client) error {
		for range 2 {
			if took := l.fetchTime(t, c); took < least {
				return fmt.Errorf("a fetch took %v, want at least %v", took, least)
			}
		}
		return nil
	}
}

// try fetches a path that no cache has.
func (l *testLab) try(ctx context.Context, c *http.Client) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("http://%s/synthetic/1KiB/%d", l.site, time.Now().UnixNano()), nil)
	if err != nil {
		return 0, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// mended waits until fetches are as fast as without faults: so many in a row that neither jitter nor loss can have spared all.
func (l *testLab) mended(t *testing.T, c *http.Client) {
	t.Helper()
	waitFor(t, "the fault's effect to end", func() error {
		for range 8 {
			began := time.Now()
			if status, err := l.try(t.Context(), c); err != nil || status != 200 {
				return fmt.Errorf("a fetch = %d, %v", status, err)
			}
			if took := time.Since(began); took >= slowed {
				return fmt.Errorf("a fetch took %v", took)
			}
		}
		return nil
	})
}

// Every fault has its effect until it is removed, or until its time is over and not before.
func TestEveryFaultShowsUntilItEnds(t *testing.T) {
	const length = time.Second
	for name, harm := range harms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := startLabWith(t, "tiny", lab.Options{}, near...)
			c := l.direct(t)
			l.mended(t, c)
			f := l.breaks(t, harm.spec)
			if err := harm.shows(t, l, c); err != nil {
				t.Errorf("until it is removed: %v", err)
			}
			l.mends(t, f)
			l.mended(t, c)
			harm.spec.For = length.String()
			began := time.Now()
			l.breaks(t, harm.spec)
			err := harm.shows(t, l, c)
			if held := time.Since(began) < length; held && err != nil {
				t.Errorf("for its time: %v", err)
			} else if held && len(l.Faults()) != 1 && time.Since(began) < length {
				t.Errorf("it has ended after %v, want %v", time.Since(began), length)
			}
			waitFor(t, "the end of the fault", func() error {
				if all := l.Faults(); len(all) > 0 {
					return fmt.Errorf("%+v holds", all)
				}
				return nil
			})
			if lasted := time.Since(began); lasted < length {
				t.Errorf("it held for %v, want %v", lasted, length)
			}
			l.mended(t, c)
		})
	}
}

func TestAServerThatIsDownComesBackCold(t *testing.T) {
	for name, opt := range map[string]lab.Options{"emulated": {}, "bare": {NoNetem: true}} {
		t.Run(name, func(t *testing.T) {
			l := startLabWith(t, "tiny", opt, near...)
			c := l.direct(t)
			url := "http://" + l.site + "/hello.txt"
			l.get(t, c, url)
			if resp, _ := l.get(t, c, url); resp.Header.Get("X-Cache") != "HIT, paris-1" {
				t.Fatalf("X-Cache = %q before the fault", resp.Header.Get("X-Cache"))
			}
			f := l.breaks(t, mgmt.FaultSpec{Target: "paris", Down: true})
			c.CloseIdleConnections()
			if resp, err := c.Get(url); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("a server that is down answered %v, %v", resp, err)
			}
			l.mends(t, f)
			resp, _ := l.get(t, c, url)
			if got := resp.Header.Get("X-Cache"); got != "MISS, paris-1" {
				t.Errorf("X-Cache = %q, want a miss: its memory was lost", got)
			}
		})
	}
}

func TestALinkThatIsDownSendsEdgesToTheNextHub(t *testing.T) {
	l := startLabWith(t, "three-continents", lab.Options{})
	c := l.direct(t)
	f := l.breaks(t, mgmt.FaultSpec{Target: "paris:eu", Down: true})
	resp, _ := l.get(t, c, "http://"+l.site+"/hello.txt")
	if status := resp.Header.Get("Cache-Status"); resp.StatusCode != 200 || strings.HasPrefix(status, "eu-1") || !strings.Contains(status, "paris-1") {
		t.Errorf("%s, Cache-Status %q, want an answer by way of another hub", resp.Status, status)
	}
	l.mends(t, f)
}

func TestResetAndLossReachClients(t *testing.T) {
	l := startLabWith(t, "tiny", lab.Options{}, near...)
	c := l.direct(t)
	f := l.breaks(t, mgmt.FaultSpec{Target: "paris-1", Reset: true})
	if _, err := c.Get("http://" + l.site + "/hello.txt"); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a reset edge gave %v, want a reset", err)
	}
	l.mends(t, f)
	l.fetchTime(t, c)
	f = l.breaks(t, mgmt.FaultSpec{Target: "clients.paris:paris", Loss: "99%"})
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond) // the least retransmission timeout is 200 ms
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+l.site+"/hello.txt", nil)
	if resp, err := c.Do(req); err == nil {
		t.Errorf("with nearly all packets lost the answer was there at once: %s", resp.Status)
	}
	l.mends(t, f)
	l.fetchTime(t, c)
}

func TestAFaultThatCannotBeIsRefused(t *testing.T) {
	l := startLabWith(t, "tiny", lab.Options{})
	bare := startLab(t, "tiny")
	for name, c := range map[string]struct {
		l    *testLab
		spec mgmt.FaultSpec
		want string
	}{
		"unknown target":        {l, mgmt.FaultSpec{Target: "pariss", Down: true}, `did you mean "paris"`},
		"clients":               {l, mgmt.FaultSpec{Target: "clients.paris", Down: true}, "clients.paris:POP"},
		"nothing":               {l, mgmt.FaultSpec{Target: "paris"}, "nothing goes wrong"},
		"unit missing":          {l, mgmt.FaultSpec{Target: "paris", Latency: "80"}, "latency: "},
		"too long":              {l, mgmt.FaultSpec{Target: "paris", Jitter: "2h"}, "jitter: 2h is too much"},
		"no time at all":        {l, mgmt.FaultSpec{Target: "paris", Down: true, For: "0"}, "lasts longer than 0"},
		"more than all":         {l, mgmt.FaultSpec{Target: "paris", Loss: "120%"}, "loss: "},
		"no bandwidth":          {l, mgmt.FaultSpec{Target: "paris", Bandwidth: "1bps"}, "at least 1kbps"},
		"an edge's disk":        {l, mgmt.FaultSpec{Target: "paris", SlowDisk: "1s"}, "an origin has one"},
		"a link's disk":         {l, mgmt.FaultSpec{Target: "paris:eu", SlowDisk: "1s"}, "a link has no disk"},
		"a link to itself":      {l, mgmt.FaultSpec{Target: "paris:paris", Down: true}, "two ends"},
		"clients to a hub":      {l, mgmt.FaultSpec{Target: "clients.paris:eu", Down: true}, "clients reach the PoPs only"},
		"a slow DNS":            {l, mgmt.FaultSpec{Target: "dns-1", Latency: "1s"}, "can only be down"},
		"latency without netem": {bare, mgmt.FaultSpec{Target: "paris", Latency: "1s"}, "--no-netem"},
		"a cut without netem":   {bare, mgmt.FaultSpec{Target: "paris:eu", Down: true}, "--no-netem"},
	} {
		if f, err := c.l.AddFault(c.spec); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: AddFault = %+v, %v, want an error with %q", name, f, err, c.want)
		}
	}
	if all := append(l.Faults(), bare.Faults()...); len(all) > 0 {
		t.Errorf("refused faults hold: %+v", all)
	}
	if err := l.RemoveFault("f1"); !errors.Is(err, mgmt.ErrNoFault) {
		t.Errorf("RemoveFault of none = %v", err)
	}
}

func TestALabThatStopsWithFaultsStops(t *testing.T) {
	l := startLabWith(t, "tiny", lab.Options{}, near...)
	l.breaks(t, mgmt.FaultSpec{Target: "eu", Down: true, For: "1h"})
	l.breaks(t, mgmt.FaultSpec{Target: "paris:eu", Down: true})
	l.breaks(t, mgmt.FaultSpec{Target: "main", Latency: "1s", For: "1ms"})
	if n := len(l.nodes(topology.KindEdge)); n != 1 {
		t.Fatalf("%d edges", n)
	}
}
