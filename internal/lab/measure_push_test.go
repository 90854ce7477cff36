package lab_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"cdnlab/internal/lab"
	"cdnlab/mgmt"
	"cdnlab/topology"
)

// TestMeasurePush pushes objects of 10 MiB to nine PoPs across links of one bandwidth while clients go on asking; it runs
// with CDNLAB_MEASURE=1. CDNLAB_PUSH is how many objects, CDNLAB_PUSH_LINK how many Mbit/s.
func TestMeasurePush(t *testing.T) {
	if os.Getenv("CDNLAB_MEASURE") == "" {
		t.Skip("set CDNLAB_MEASURE=1 to measure pushing")
	}
	number := func(name string, n int) int {
		if v := os.Getenv(name); v != "" {
			var err error
			if n, err = strconv.Atoi(v); err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	objects, mbps := number("CDNLAB_PUSH", 20), number("CDNLAB_PUSH_LINK", 100)
	const size = 10 << 20
	ram := fmt.Sprintf("%dMiB", objects*12+200)
	l := startLabWith(t, "three-continents", lab.Options{}, "defaults.edges.ram="+ram, "defaults.hubs.ram="+ram, "sites={www.cdn.test: {cache: {ttl: 1h}}}",
		fmt.Sprintf("links=[{between: [hubs.eu, main], bandwidth: %dMbps}, {between: [hubs.ap, main], bandwidth: %[1]dMbps}, {between: [hubs.na, main], bandwidth: %[1]dMbps}]", mbps))
	var urls []string
	for i := range objects {
		urls = append(urls, fmt.Sprintf("http://%s/synthetic/10MiB/%d", l.site, i))
	}
	quiet := l.p99(t, 0, nil)
	before := l.originBytes(t)
	began := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, o := range l.push(t, urls).Objects {
			for _, n := range o.Nodes {
				if !n.Applied {
					t.Errorf("%s has not come to %s", o.URL, n.Node)
				}
			}
		}
	}()
	busy := l.p99(t, 1, done)
	took := time.Since(began)
	sent := l.originBytes(t) - before
	total := int64(objects) * size
	ideal := time.Duration(float64(total) * 8 / (float64(mbps) * 1e6) * float64(time.Second))
	t.Logf("%d objects of 10 MiB at 9 PoPs after %v; a link of %d Mbit/s needs %v: %.2f times as long", objects, took.Round(time.Millisecond), mbps, ideal.Round(time.Millisecond), took.Seconds()/ideal.Seconds())
	t.Logf("the origin has sent %d MiB: %.2f times the objects, of which one is for the manifests", sent>>20, float64(sent)/float64(total))
	t.Logf("p99 of clients %v, without a push %v: %.2f times", busy, quiet, busy.Seconds()/quiet.Seconds())
	if ratio := float64(sent) / float64(total); ratio > 4.05 {
		t.Errorf("the origin has sent %.2f times the objects, want one for each hub and one for the manifests", ratio)
	}
}

// p99 is that of clients of four cities, each of whom asks 20 times a second for something small that is mostly stored, for 5 s or until done.
func (l *testLab) p99(t *testing.T, round int, done <-chan struct{}) time.Duration {
	var mu sync.Mutex
	var times []time.Duration
	var clients sync.WaitGroup
	for _, city := range []string{"paris", "tokyo", "sao-paulo", "new-york"} {
		place, ok := l.Plan().Place(city)
		if !ok {
			t.Fatalf("no place %s", city)
		}
		c := l.client(t, place)
		clients.Go(func() {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for i := 0; done != nil || i < 100; i++ {
				select {
				case <-done:
					return
				case <-tick.C:
				}
				id := i % 10
				if i%10 == 9 {
					id = 1000*(round+1) + i // a miss now and then
				}
				began := time.Now()
				resp, err := c.Get(fmt.Sprintf("http://%s/synthetic/2KiB/%d", l.site, id))
				if err != nil {
					t.Error(err)
					continue
				}
				_, _ = io.Copy(io.Discard, resp.Body) // what breaks off is late, too
				resp.Body.Close()
				mu.Lock()
				times = append(times, time.Since(began))
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	slices.Sort(times)
	return times[len(times)*99/100]
}

// originBytes is what the origin has sent.
func (l *testLab) originBytes(t *testing.T) (sent int64) {
	t.Helper()
	var status mgmt.Status
	_, body := l.get(t, newClient(t, &http.Transport{}), l.State().Admin+"/api/v1/status")
	if err := json.Unmarshal([]byte(body), &status); err != nil {
		t.Fatal(err)
	}
	for _, n := range status.Tiers {
		if n.Role == topology.KindOrigin.String() {
			sent += int64(n.BytesOut)
		}
	}
	return sent
}
