package edge

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"

	"cdnlab/internal/probe"
	"cdnlab/internal/stats"
	"cdnlab/topology"
)

func TestProbes(t *testing.T) {
	down := func() *health {
		h := &health{}
		h.report(false, noon)
		return h
	}
	back := noon.Add(firstBackOff)
	t.Run("a server is probed once it has been left alone", func(t *testing.T) {
		h := down()
		if (&health{}).due(noon) || h.due(back.Add(-1)) || !h.due(back) {
			t.Error("due is wrong about one that is up, one that is left alone, or one that is not")
		}
	})
	t.Run("no request is a trial while probes fail in time", func(t *testing.T) {
		h, now := down(), back
		for range 100 {
			if !h.due(now) {
				t.Fatalf("no probe is due at %s", now.Sub(noon))
			}
			if now = now.Add(2 * probeLimit); h.admit(true, now) {
				t.Fatalf("a request is let through at %s, while a probe is under way", now.Sub(noon))
			}
			h.probed(false, now)
			now = now.Add(probeEvery)
		}
	})
	t.Run("a probe that tells nothing leaves it to a request", func(t *testing.T) {
		h := down()
		if h.admit(true, back.Add(grace-1)) || !h.admit(true, back.Add(grace)) {
			t.Errorf("the trial is not due %s after the back-off", grace)
		}
	})
	t.Run("it is up when it answers", func(t *testing.T) {
		h := down()
		if h.probed(true, back); !h.up() || !h.admit(false, back) || h.due(back) {
			t.Error("a server that answers a probe is not up")
		}
	})
	t.Run("one that answers probes and fails requests is left alone ever longer", func(t *testing.T) {
		h, now := &health{}, noon
		for _, want := range []time.Duration{1, 2, 4, 8, 8} {
			h.report(false, now)
			if got := h.until.Sub(now); got != want*time.Second {
				t.Errorf("left alone for %s, want %s", got, want*time.Second)
			}
			now = h.until
			h.probed(true, now)
		}
		h.report(true, now)
		h.report(false, now)
		if got := h.until.Sub(now); got != firstBackOff {
			t.Errorf("left alone for %s after a request went well, want %s", got, firstBackOff)
		}
	})
	t.Run("a late answer of one that is up", func(t *testing.T) {
		h := down()
		h.report(true, noon)
		if h.probed(false, noon); !h.up() {
			t.Error("a failed probe takes down what has answered a request")
		}
	})
}

func TestWhatAProbeTells(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want bool
	}{
		"200":               {nil, true},
		"503: not ready":    {probe.StatusError(http.StatusServiceUnavailable), false},
		"404: no such page": {probe.StatusError(http.StatusNotFound), true},
		"no connection":     {errors.New("connect: refused"), false},
	} {
		if got := alive(tt.err); got != tt.want {
			t.Errorf("%s: alive = %v, want %v", name, got, tt.want)
		}
	}
}

// isUp reports whether a parent may be tried for sure.
func (p *parents) isUp(name topology.NodeName) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.servers[name].health.up()
}

// Without a request from any client, a hub that failed is used again once it answers.
func TestAParentIsFoundToBeBack(t *testing.T) {
	top := preset(t)
	plan, err := top.Plan(topology.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	node, _ := plan.Node("paris-1")
	var ready atomic.Bool
	var now atomic.Pointer[time.Time]
	now.Store(&noon)
	ln := fasthttputil.NewInmemoryListener()
	asked := make(chan string, 1000)
	hub := &fasthttp.Server{Handler: func(rc *fasthttp.RequestCtx) {
		if !ready.Load() {
			rc.SetStatusCode(http.StatusServiceUnavailable)
		}
		asked <- string(rc.Host()) + string(rc.RequestURI())
	}}
	ended := make(chan error, 1)
	go func() { ended <- hub.Serve(ln) }()
	defer func() {
		_ = ln.Close() // of memory
		<-ended
	}()
	p := newParents(&Config{Topology: top, Plan: plan, Node: node, Stats: stats.New(noon), Probe: time.Millisecond, Now: func() time.Time { return *now.Load() },
		Dial: func(_ context.Context, to topology.Node) (net.Conn, error) {
			if to.Name != "eu-1" {
				return nil, errors.New("unexpected connection")
			}
			return ln.Dial()
		}})
	defer p.Close()
	ctx, stop := context.WithCancel(context.Background())
	var watch sync.WaitGroup
	watch.Go(func() { p.watch(ctx) })
	defer watch.Wait()
	defer stop()

	site := &top.Sites[0]
	for round := range 2 {
		at := noon.Add(time.Duration(round) * time.Hour)
		now.Store(&at)
		ready.Store(false)
		for len(asked) > 0 {
			<-asked
		}
		p.Report(p.servers["eu-1"].Upstream, errors.New("gone"), at)
		if got := strings.Join(chosen(p, site, 1, at), " "); strings.Contains(got, "eu-1") {
			t.Fatalf("Choose = %s after eu-1 has failed", got)
		}
		later := at.Add(2 * firstBackOff)
		now.Store(&later)
		if got, want := <-asked, p.servers["eu-1"].Node.HTTP.String()+"/-/health"; got != want {
			t.Fatalf("the hub was asked for %s, want %s", got, want)
		}
		if got := strings.Join(chosen(p, site, 1, later), " "); strings.Contains(got, "eu-1") {
			t.Errorf("Choose = %s while eu-1 is not ready", got)
		}
		ready.Store(true)
		for deadline := time.Now().Add(30 * time.Second); !p.isUp("eu-1"); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("eu-1 is ready and is not found to be")
			}
			later := now.Load().Add(probeEvery)
			now.Store(&later)
		}
		if got := chosen(p, site, 1, at); got[0] != "eu-1" {
			t.Errorf("Choose = %s once eu-1 is ready", got)
		}
	}
}
