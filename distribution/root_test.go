package distribution

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"cdnlab/topology"
)

// TestWhatAWaitThinksOfANode has a report, or none, and looks so much later, 10 s after the root began.
func TestWhatAWaitThinksOfANode(t *testing.T) {
	n := newNetwork(t, smallTree)
	for _, tt := range []struct {
		name    string
		reports []report
		later   time.Duration
		applied bool
		open    bool
	}{
		{"never heard of, for long", nil, 0, false, false},
		{"it has applied it", []report{{At: pos(1, 7)}}, 0, true, false},
		{"it has applied more", []report{{At: pos(1, 9)}}, 0, true, false},
		{"it has applied it and left", []report{{At: pos(1, 7)}, {At: pos(1, 7), Gone: true}}, time.Minute, true, false},
		{"it has not", []report{{At: pos(1, 6)}}, 0, false, true},
		{"it has applied more, of another epoch", []report{{At: pos(2, 9)}}, 0, false, true},
		{"it has not and is silent for a moment", []report{{At: pos(1, 6)}}, silence + grace - 1, false, true},
		{"it has not and is silent for long", []report{{At: pos(1, 6)}}, silence + grace, false, false},
		{"it has left a moment ago", []report{{At: pos(1, 6), Gone: true}}, grace - 1, false, true},
		{"it has left", []report{{At: pos(1, 6), Gone: true}}, grace, false, false},
		{"it has left and is back", []report{{At: pos(1, 6), Gone: true}, {At: pos(1, 6), Turn: 1}}, grace, false, true},
	} {
		c := newClock()
		root, stop := n.root(RootConfig{Now: c.Now}, nil)
		c.pass(10 * time.Second)
		from := c.Now()
		for _, r := range tt.reports {
			r.Node = "eu-1"
			root.reports.set(r, 1, c.Now())
		}
		c.pass(tt.later)
		a := Applied{Node: "eu-1"}
		open := root.judge(&a, pos(1, 7), from, c.Now(), false)
		if a.Applied != tt.applied || open != tt.open {
			t.Errorf("%s: applied %v, may still come %v, want %v and %v", tt.name, a.Applied, open, tt.applied, tt.open)
		}
		if tt.applied && a.After != milliseconds(tt.later) {
			t.Errorf("%s: after %v ms, want %v", tt.name, a.After, milliseconds(tt.later))
		}
		if !tt.applied && len(tt.reports) > 0 && a.Heard != tt.later.Seconds() {
			t.Errorf("%s: heard of %v s ago, want %v", tt.name, a.Heard, tt.later.Seconds())
		}
		stop()
	}
}

func TestANodeThatIsExpectedAfterAStart(t *testing.T) {
	n := newNetwork(t, smallTree)
	c := newClock()
	root, _ := n.root(RootConfig{Now: c.Now}, nil)
	for _, open := range []bool{true, false} {
		if got := root.judge(&Applied{Node: "eu-1"}, root.Position(), c.Now(), c.Now(), false); got != open {
			t.Errorf("%v after the root began, a node that has not come yet may still come: %v, want %v", c.Now().Sub(root.started), got, open)
		}
		c.pass(comeBack)
	}
}

// waits waits for an event beside the test.
func waits(ctx context.Context, root *Root) <-chan Progress {
	done := make(chan Progress, 1)
	at, from := root.Position(), root.cfg.Now()
	go func() { done <- root.Wait(ctx, at, from, false) }()
	return done
}

// state returns what became of an event at the nodes: + applied, - not.
func stateOf(p Progress) (s string) {
	for _, n := range p.Nodes {
		if s += n.Node + "-"; n.Applied {
			s = s[:len(s)-1] + "+"
		}
		s += " "
	}
	return s
}

func TestWait(t *testing.T) {
	const all, without = "eu-1+ us-1+ paris-1+ london-1+ boston-1+ ", "eu-1+ us-1+ paris-1- london-1+ boston-1+ "
	for name, tt := range map[string]struct {
		during func(t *testing.T, n *network, c *clock, edge *member, cancel func())
		want   string
	}{
		"a node that stays away": {func(_ *testing.T, _ *network, c *clock, edge *member, _ func()) {
			c.pass(grace)
		}, without},
		"a node that comes back": {func(t *testing.T, n *network, _ *clock, _ *member, _ func()) {
			n.run("paris-1", Config{})
		}, all},
		"whoever waits leaves": {func(_ *testing.T, _ *network, _ *clock, _ *member, cancel func()) { cancel() }, without},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t, smallTree)
			c := newClock()
			root, _ := n.root(RootConfig{Now: c.Now}, nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var edge *member
			for _, name := range []topology.NodeName{"eu-1", "us-1", "paris-1", "london-1", "boston-1"} {
				m := n.run(name, Config{})
				await(t, "node that has caught up", m.Feed("main").ready)
				if name == "paris-1" {
					edge = m
				}
			}
			publish(t, root, 0, 1)
			if got := stateOf(root.Wait(ctx, root.Position(), c.Now(), false)); got != all {
				t.Errorf("with all of them there: %s", got)
			}
			edge.stop()
			await(t, "word of its leaving", func() bool { r, _ := root.reports.get("paris-1"); return r.Gone })
			publish(t, root, 1, 2)
			done := waits(ctx, root)
			for _, name := range []string{"eu-1", "us-1", "london-1", "boston-1"} {
				await(t, "others that have applied it", func() bool { r, _ := root.reports.get(name); return r.At == root.Position() })
			}
			select {
			case p := <-done:
				t.Fatalf("the wait is over at once: %s", stateOf(p))
			default:
			}
			tt.during(t, n, c, edge, cancel)
			p := <-done
			if got := stateOf(p); got != tt.want {
				t.Errorf("the wait ends with %s, want %s", got, tt.want)
			}
			for _, a := range p.Nodes {
				if want := a.Node == "paris-1" && strings.HasPrefix(name, "whoever"); a.Pending != want {
					t.Errorf("%s: pending %v, want %v", a.Node, a.Pending, want)
				}
			}
		})
	}
}

func TestAWaitEndsWithItsEpoch(t *testing.T) {
	n := newNetwork(t, smallTree)
	c := newClock()
	root, _ := n.root(RootConfig{Now: c.Now}, nil)
	publish(t, root, 0, 1)
	done := waits(t.Context(), root)
	ahead := root.Position()
	ahead.Seq++
	root.strange(ahead)
	if p := <-done; p.Nodes[0].Applied {
		t.Errorf("it ends with %s", stateOf(p))
	}
}

func TestState(t *testing.T) {
	n := newNetwork(t, smallTree)
	c := newClock()
	root, _ := n.root(RootConfig{Now: c.Now, Beat: time.Hour}, nil)
	publish(t, root, 0, 5)
	at := root.Position()
	for _, r := range []report{
		{Node: "eu-1", Via: "main", At: at, Beat: c.Now().UnixNano()},
		{Node: "paris-1", Via: "eu-1", At: pos(uint64(at.Epoch), 3)},
		{Node: "london-1", Via: "eu-1", At: pos(uint64(at.Epoch)+1, 900)},
		{Node: "boston-1", Via: "us-1", At: at, Gone: true},
	} {
		root.reports.set(r, 1, c.Now())
	}
	c.pass(2 * time.Second)
	want := map[string]NodeState{
		"eu-1":     {Node: "eu-1", Role: "hub", Parent: "main", Up: true, Seq: 5, Staleness: 2},
		"us-1":     {Node: "us-1", Role: "hub", Staleness: -1},
		"paris-1":  {Node: "paris-1", Role: "edge", Parent: "eu-1", Up: true, Seq: 3, Lag: 2, Staleness: -1},
		"london-1": {Node: "london-1", Role: "edge", Parent: "eu-1", Up: true, Lag: 5, Staleness: -1},
		"boston-1": {Node: "boston-1", Role: "edge", Parent: "us-1", Seq: 5, Staleness: -1},
	}
	s := root.State()
	if s.Seq != 5 || len(s.Nodes) != len(want) {
		t.Errorf("at %d with %d nodes, want 5 and %d", s.Seq, len(s.Nodes), len(want))
	}
	for _, got := range s.Nodes {
		if got != want[got.Node] {
			t.Errorf("%+v, want %+v", got, want[got.Node])
		}
	}
}

func TestABeatIsAlwaysNew(t *testing.T) {
	n := newNetwork(t, smallTree)
	c := newClock()
	root, _ := n.root(RootConfig{Now: c.Now, Beat: time.Hour}, nil)
	for range 3 {
		before := root.lastBeat()
		c.pass(-time.Minute) // the clock is set back
		if root.tick(); root.lastBeat().Time <= before.Time {
			t.Errorf("%v follows %v: it tells nothing", root.lastBeat(), before)
		}
	}
}

// TestARootEndsThoughTheOriginDoesNotAnswer has it end while an object is being summed up.
func TestARootEndsThoughTheOriginDoesNotAnswer(t *testing.T) {
	asked := make(chan struct{}, 1)
	n := newNetwork(t, smallTree)
	_, stop := n.root(RootConfig{Get: func(ctx context.Context, _, _ string) (*http.Response, error) {
		asked <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}}, nil)
	node, _ := n.plan.Node("main")
	c, err := n.dialer("test")(t.Context(), node)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /-/tree/append?kind=push&site=www.cdn.test&value=/x HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-asked
	began := time.Now()
	if stop(); time.Since(began) > prepareTime/2 {
		t.Errorf("it took %s", time.Since(began))
	}
}
