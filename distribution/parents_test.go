package distribution

import (
	"fmt"
	"testing"
	"time"

	"cdnlab/topology"
)

func namesOf(list []candidate) string {
	s := ""
	for i := range list {
		s += string(list[i].node.Name) + " "
	}
	return s
}

const threeHubs = `
origins: { main: { at: Ashburn }, other: { at: Paris } }
hubs:    { eu: { at: Frankfurt, servers: 4 }, us: { at: Chicago }, ap: { at: Singapore } }
edges:   { paris: { servers: 200 }, tokyo: { parent: ap }, lab: { at: Paris, parent: main } }
sites:   { www.cdn.test: { origin: main } }
`

func TestCandidates(t *testing.T) {
	n := newNetwork(t, threeHubs)
	of := func(name topology.NodeName, origin string) []candidate {
		node, ok := n.plan.Node(name)
		if !ok {
			t.Fatalf("no node %s", name)
		}
		return candidates(n.top, n.plan, node, origin)
	}
	for name, want := range map[topology.NodeName]string{"eu-1": "main ", "tokyo-1": "ap-1 eu-", "lab-1": "main "} {
		if got := namesOf(of(name, "main")); len(got) < len(want) || got[:len(want)] != want {
			t.Errorf("%s follows %s, want %s first", name, got, want)
		}
	}
	if got := namesOf(of("lab-1", "other")); got != "main " && got != "other " {
		t.Errorf("lab-1 follows %s for the journal of other, want one origin", got)
	}
	first := map[topology.NodeName]int{}
	for i := range 200 {
		list := of(topology.NodeName(fmt.Sprint("paris-", i+1)), "main")
		if got := list[len(list)-1].node.Name; len(list) != 7 || got != "main" {
			t.Fatalf("paris-%d follows %s, want seven, the origin last", i+1, namesOf(list))
		}
		if again := of(topology.NodeName(fmt.Sprint("paris-", i+1)), "main"); namesOf(again) != namesOf(list) {
			t.Fatalf("paris-%d follows %s and then %s", i+1, namesOf(list), namesOf(again))
		}
		first[list[0].node.Name]++
	}
	for _, name := range []topology.NodeName{"eu-1", "eu-2", "eu-3", "eu-4"} {
		if n := first[name]; n < 30 || n > 70 {
			t.Errorf("%d of 200 servers of paris follow %s first, want about 50: %v", n, name, first)
		}
	}
}

func TestChooseAndBetter(t *testing.T) {
	now := time.Unix(1000, 0)
	rest := func(after ...int) []candidate { // so many milliseconds that each is left alone for
		list := make([]candidate, len(after))
		for i, ms := range after {
			list[i].until = now.Add(time.Duration(ms) * time.Millisecond)
		}
		return list
	}
	for _, tt := range []struct {
		name    string
		list    []candidate
		choose  int
		wait    time.Duration
		current int // that is followed
		better  int
		deaf    int // what is better should it be deaf
	}{
		{"all can be had", rest(0, 0, 0), 0, 0, 1, 0, 0},
		{"the best is followed", rest(0, 0, 0), 0, 0, 0, -1, 1},
		{"the best has failed", rest(500, 0, 0), 1, 0, 1, -1, 2},
		{"the best has failed a while ago", rest(-1, 0, 0), 0, 0, 2, 0, 0},
		{"the first two have failed", rest(500, 300, -1), 2, 0, 2, -1, -1},
		{"all have failed", rest(500, 300, 400), -1, 300 * time.Millisecond, 1, -1, -1},
		{"one that can be tried this instant", rest(1, 0), 1, 0, 1, -1, -1},
		{"a pause that is longer than any", rest(60_000), -1, lastPause, 0, -1, -1},
	} {
		if i, wait := choose(tt.list, now); i != tt.choose || wait != tt.wait {
			t.Errorf("%s: choose = %d, %v, want %d, %v", tt.name, i, wait, tt.choose, tt.wait)
		}
		if i := better(tt.list, tt.current, false, now); i != tt.better {
			t.Errorf("%s: better than %d = %d, want %d", tt.name, tt.current, i, tt.better)
		}
		if i := better(tt.list, tt.current, true, now); i != tt.deaf {
			t.Errorf("%s: better than %d, which is deaf = %d, want %d", tt.name, tt.current, i, tt.deaf)
		}
	}
}

func TestAParentThatFailsIsLeftAloneForLonger(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, spread := range []float64{0, 0.5, 0.999} {
		var c candidate
		for i := range 40 {
			c.failed(now, spread)
			pause := min(firstPause<<min(i, 10), lastPause)
			got := c.until.Sub(now)
			if want := time.Duration((0.5 + spread) * float64(pause)); got < want-time.Millisecond || got > want+time.Millisecond {
				t.Errorf("after failure %d with spread %v: left alone for %v, want %v", i+1, spread, got, want)
			}
		}
		c.followed()
		if i, _ := choose([]candidate{c}, now); i != 0 {
			t.Error("a parent that was followed for a while is left alone")
		}
		if c.failed(now, spread); c.until.Sub(now) > 2*firstPause {
			t.Errorf("its next failure counts as one of many: left alone for %v", c.until.Sub(now))
		}
	}
}

// TestAParentThatComesAndGoesIsNotTriedAllTheTime plays a parent that takes followers and drops them at once, beside one that is good.
func TestAParentThatComesAndGoesIsNotTriedAllTheTime(t *testing.T) {
	list := make([]candidate, 2)
	now, tries, current := time.Unix(1000, 0), 0, -1
	for end := now.Add(10 * time.Minute); now.Before(end); now = now.Add(100 * time.Millisecond) {
		i := current
		if current < 0 {
			i, _ = choose(list, now)
		} else if b := better(list, current, false, now); b >= 0 {
			i = b
		}
		if i == 0 {
			tries++
			list[0].failed(now, 0.5)
			i = -1
		}
		current = i
	}
	if tries > 10*60/8+10 {
		t.Errorf("within 10 minutes it was tried %d times", tries)
	}
}
