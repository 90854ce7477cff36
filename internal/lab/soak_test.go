package lab_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Of the soak: CDNLAB_SOAK is how long it takes, as in 30m.
const (
	soakRate    = 5000 // requests a second
	soakClients = 16
	soakObjects = 20000
	soakBudget  = 64 << 20 // bytes of all caches
)

// TestSoak has clients ask for more than the caches hold, some of whom leave in the middle, and finds memory and goroutines where
// they were after a third of the time.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes its time")
	}
	lasts := 6 * time.Second
	if v := os.Getenv("CDNLAB_SOAK"); v != "" {
		var err error
		if lasts, err = time.ParseDuration(v); err != nil {
			t.Fatal(err)
		}
	}
	l := startLab(t, "tiny", "defaults.edges.ram=16MiB", "defaults.hubs.ram=32MiB")
	edge := l.edges()[0]
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	sizes := []string{"1KiB", "4KiB", "16KiB", "100KiB", "1MiB"}
	var requests, failures atomic.Int64
	var clients sync.WaitGroup
	for i := range soakClients {
		clients.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			ids := rand.NewZipf(rng, 1.1, 1, soakObjects)
			client := l.to(t, edge)
			tick := time.NewTicker(time.Second * soakClients / soakRate)
			defer tick.Stop()
			for ctx.Err() == nil {
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
				size := sizes[min(int(rng.ExpFloat64()*1.2), len(sizes)-1)]
				requests.Add(1)
				if !soakRequest(ctx, client, fmt.Sprintf("http://%s/synthetic/%s/%d", l.site, size, ids.Uint64()), rng.IntN(50) == 0) && ctx.Err() == nil {
					failures.Add(1)
				}
			}
		})
	}
	wait := func(part time.Duration) (heapBytes int64, goroutines int) {
		select {
		case <-time.After(part):
		case <-ctx.Done():
		}
		return heap(), runtime.NumGoroutine()
	}
	before, running := wait(lasts / 3)
	after, ended := wait(lasts/3 + lasts/6)
	cancel()
	clients.Wait()
	t.Logf("%d requests, %d failed; %d and %d MiB, %d and %d goroutines", requests.Load(), failures.Load(), before>>20, after>>20, running, ended)
	if after > before*5/4+16<<20 || after > 2*soakBudget+64<<20 {
		t.Errorf("the heap holds %d MiB, after %d at a third of the time", after>>20, before>>20)
	}
	if ended > running+100 {
		t.Errorf("%d goroutines run, after %d at a third of the time", ended, running)
	}
	if n := failures.Load(); n > 0 {
		t.Errorf("%d of %d requests failed", n, requests.Load())
	}
}

// soakRequest makes one request, and is false when it fails. One that leaves does not wait for the end.
func soakRequest(ctx context.Context, c *http.Client, url string, leaves bool) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := c.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	if leaves {
		return resp.StatusCode == http.StatusOK
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK
}
