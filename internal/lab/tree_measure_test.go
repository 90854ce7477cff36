package lab_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cdnlab/internal/lab"
	"cdnlab/mgmt"
	"cdnlab/topology"
)

// admin calls the admin API.
func (l *testLab) admin(t *testing.T, method, path, body string, into any) {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(l.dir, "token"))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, l.AdminURL()+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s is answered %s, %v", method, path, resp.Status, err)
	}
}

// tree waits until all nodes follow, and returns whom.
func (l *testLab) tree(t *testing.T) map[string]mgmt.TreeNode {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		var trees mgmt.Trees
		l.admin(t, http.MethodGet, "/tree", "", &trees)
		nodes, up := map[string]mgmt.TreeNode{}, 0
		for _, n := range trees.Trees[0].Nodes {
			nodes[n.Node] = n
			if n.Up && (n.Role == "hub" || n.Parent != "main") {
				up++
			}
		}
		if up == len(nodes) {
			return nodes
		}
		if time.Now().After(deadline) {
			t.Fatalf("not all nodes follow: %+v", trees)
		}
	}
}

// purges makes so many purges, one after the other, after some for warming up, and calls back with what became of each and how long
// the call took.
func (l *testLab) purges(t *testing.T, n int, done func(mgmt.Purged, time.Duration)) {
	t.Helper()
	const warming = 5
	for i := range warming + n {
		var p mgmt.Purged
		began := time.Now()
		l.admin(t, http.MethodPost, "/purge", fmt.Sprintf(`{"url": "http://%s/%d"}`, l.site, i), &p)
		took := time.Since(began)
		if len(p.Pending)+len(p.Unreachable) > 0 {
			t.Errorf("purge %d: pending %v, unreachable %v", i, p.Pending, p.Unreachable)
		}
		if i >= warming {
			done(p, took)
		}
	}
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

// fourServers makes the nine PoPs 36 edge servers.
var fourServers = []string{"defaults.edges.servers=4", "edges.paris.servers=4", "edges.new-york.servers=4", "edges.tokyo.servers=4"}

// TestMeasurePurge prints how long a purge takes until it is applied at 36 edge servers; it runs with CDNLAB_MEASURE=1.
func TestMeasurePurge(t *testing.T) {
	if os.Getenv("CDNLAB_MEASURE") == "" {
		t.Skip("set CDNLAB_MEASURE=1 to measure purges through a lab")
	}
	defer http.DefaultClient.CloseIdleConnections()
	t.Run("no netem", func(t *testing.T) {
		l := startLabWith(t, "three-continents", lab.Options{NoNetem: true}, fourServers...)
		if n := len(l.tree(t)); n != 36+3 {
			t.Fatalf("%d hubs and edge servers, want 39", n)
		}
		var times, calls []float64
		l.purges(t, 200, func(p mgmt.Purged, took time.Duration) {
			times, calls = append(times, p.Staleness), append(calls, milliseconds(took))
		})
		slices.Sort(times)
		slices.Sort(calls)
		t.Logf("applied everywhere: median %.2f ms, p99 %.2f ms, most %.2f ms; the whole call: median %.2f ms, p99 %.2f ms",
			times[100], times[198], times[199], calls[100], calls[198])
		if times[100] > 10 || times[198] > 50 {
			t.Errorf("applied everywhere in a median of %.2f ms and a p99 of %.2f ms, want 10 ms and 50 ms", times[100], times[198])
		}
	})
	t.Run("netem", func(t *testing.T) {
		l := startLabWith(t, "three-continents", lab.Options{}, fourServers...)
		rtts, longest := map[string]time.Duration{}, time.Duration(0) // along the tree
		nodes := l.tree(t)
		for name, n := range nodes {
			for at := n; ; at = nodes[at.Parent] {
				rtts[name] += l.Topology().Path(l.ref(at.Node), l.ref(at.Parent)).RTT
				if at.Role == "hub" {
					break
				}
			}
			longest = max(longest, rtts[name])
		}
		worst, over := map[string]float64{}, 0
		var calls []float64
		l.purges(t, 50, func(p mgmt.Purged, took time.Duration) {
			for _, n := range p.Nodes {
				oneWay := milliseconds(rtts[n.Node]) / 2
				at := n.After - oneWay // what the report takes on its way back
				worst[n.Node] = max(worst[n.Node], at-oneWay)
				if at > 1.5*oneWay+20 {
					over++
				}
			}
			calls = append(calls, milliseconds(took))
		})
		slices.Sort(calls)
		most := 0.0
		for _, over := range worst {
			most = max(most, over)
		}
		t.Logf("at a node at most %.2f ms later than its one-way path; the longest RTT is %v, the calls took a median of %.2f ms, at most %.2f ms",
			most, longest, calls[25], calls[49])
		t.Logf("%d times of %d at a node later than 1.5 times its one-way path and 20 ms", over, len(calls)*len(nodes))
		if over > len(calls)*len(nodes)/100 {
			t.Error("that is more than one in a hundred")
		}
		if bar := 1.2*milliseconds(longest) + 20; calls[49] > bar {
			t.Errorf("a call took %.2f ms, want %.2f ms at most", calls[49], bar)
		}
	})
}

// ref is the entry of the topology that a node belongs to.
func (l *testLab) ref(name string) topology.Ref {
	n, _ := l.Plan().Node(topology.NodeName(name))
	return topology.Ref{Kind: n.Kind, Name: n.Group}
}
