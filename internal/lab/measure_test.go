package lab_test

import (
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"cdnlab/internal/lab"
)

// TestMeasure prints what distance costs a client of a lab; it runs with CDNLAB_MEASURE=1.
func TestMeasure(t *testing.T) {
	if os.Getenv("CDNLAB_MEASURE") == "" {
		t.Skip("set CDNLAB_MEASURE=1 to measure distance and bandwidth through a lab")
	}
	get := func(c *http.Client, url string) (time.Duration, int64) {
		began := time.Now()
		resp, err := c.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		n, err := io.Copy(io.Discard, resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", url, resp.Status, err)
		}
		return time.Since(began), n
	}
	median := func(l *testLab) time.Duration {
		c := l.direct(t)
		var times []time.Duration
		for range 101 { // the first is the miss, and connects
			d, _ := get(c, "http://"+l.site+"/hello.txt")
			times = append(times, d)
		}
		slices.Sort(times[1:])
		return times[51]
	}
	near := median(startLab(t, "tiny"))
	far := median(startLabWith(t, "tiny", lab.Options{}, "links=[{between: [clients.paris, edges.paris], rtt: 40ms}]"))
	t.Logf("median of 100 hits on an open connection: %v, with 40 ms RTT %v: %v more", near, far, far-near)
	if added := far - near; added < 38*time.Millisecond || added > 42*time.Millisecond {
		t.Errorf("40 ms RTT added %v, want 40 ms ± 2 ms", added)
	}
	for bandwidth, size := range map[int]string{10: "2MiB", 100: "20MiB", 1000: "200MiB"} {
		l := startLabWith(t, "tiny", lab.Options{}, "links=[{between: [clients.paris, edges.paris], rtt: 0.1ms, bandwidth: "+strconv.Itoa(bandwidth)+"Mbps}]", "edges.paris.ram=512MiB", "sites={www.cdn.test: {cache: {ttl: 1h}}}")
		c := l.direct(t)
		url := "http://" + l.site + "/synthetic/" + size + "/1"
		get(c, url)
		took, n := get(c, url)
		rate := float64(n) * 8 / 1e6 / took.Seconds()
		t.Logf("%d Mbit/s: %d bytes in %v, %.1f Mbit/s", bandwidth, n, took, rate)
		if rate < 0.95*float64(bandwidth) || rate > 1.05*float64(bandwidth) {
			t.Errorf("%d Mbit/s: got %.1f, want within 5 %%", bandwidth, rate)
		}
	}
}
