package lab_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"cdnlab/internal/lab"
	"cdnlab/mgmt"
	"cdnlab/topology"
)

// TestAHubGoneHalfWayCostsWhatIsInFlight ends a hub while objects travel through it. Its edges go on at the missing pieces elsewhere.
func TestAHubGoneHalfWayCostsWhatIsInFlight(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 1.2 GB")
	}
	l := startLabWith(t, "three-continents", lab.Options{}, "sites={www.cdn.test: {cache: {ttl: 1h}}}", "links=[{between: [hubs.eu, main], bandwidth: 200Mbps}]")
	const objects, size, flying = 10, 10 << 20, 16 << 20 // four pieces of four objects at a time
	var urls []string
	for i := range objects {
		urls = append(urls, fmt.Sprintf("http://%s/synthetic/10MiB/%d", l.site, i))
	}
	pushed := make(chan mgmt.Pushed, 1)
	go func() { pushed <- l.push(t, urls) }()
	waitFor(t, "half of it in london", func() error {
		if got := l.fetched(t, "london-1"); got < objects*size/2 {
			return fmt.Errorf("%d MiB are there", got>>20)
		}
		return nil
	})
	l.breaks(t, mgmt.FaultSpec{Target: "eu", Down: true})
	for _, o := range (<-pushed).Objects {
		for _, n := range o.Nodes {
			if !n.Applied && n.Node != "eu-1" {
				t.Errorf("%s has not come to %s", o.URL, n.Node)
			}
		}
	}
	for _, edge := range []topology.NodeName{"london-1", "frankfurt-1"} {
		if got := l.fetched(t, edge); got < objects*size || got > objects*size+flying {
			t.Errorf("%s has fetched %d MiB for %d MiB, want 16 more at most", edge, got>>20, objects*size>>20)
		}
	}
}

// push pushes URLs everywhere and waits until all have arrived.
func (l *testLab) push(t *testing.T, urls []string) (pushed mgmt.Pushed) {
	token, err := os.ReadFile(filepath.Join(l.dir, "token"))
	if err != nil {
		t.Error(err)
		return pushed
	}
	body, err := json.Marshal(mgmt.PushSpec{URLs: urls, Wait: "10m"})
	if err != nil {
		t.Error(err)
		return pushed
	}
	req, err := http.NewRequest(http.MethodPost, l.State().Admin+"/api/v1/push", bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return pushed
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return pushed
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&pushed); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("the push is answered %d, %v", resp.StatusCode, err)
	}
	return pushed
}

// fetched is how many bytes a node has fetched from its parents.
func (l *testLab) fetched(t *testing.T, node topology.NodeName) (sum int64) {
	t.Helper()
	n, ok := l.Plan().Node(node)
	if !ok {
		t.Fatalf("no node %s", node)
	}
	_, body := l.get(t, newClient(t, &http.Transport{DisableKeepAlives: true}), "http://"+n.HTTP.String()+"/-/metrics")
	for line := range strings.SplitSeq(body, "\n") {
		if strings.HasPrefix(line, "cdnlab_fetched_bytes_total{") {
			n, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += int64(n)
		}
	}
	return sum
}
