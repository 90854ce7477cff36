package lab_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"cdnlab/internal/lab"
	"cdnlab/topology"
)

// turns lets a second request wait for a minute.
var turns = []string{"limits={turns: {rate: 1/m, limiter: leaky-bucket, burst: 1}}"}

// holds makes two requests, of which the second is held back when it returns, and tells how that ends: its status is an error.
func (l *testLab) holds(ctx context.Context, t *testing.T, c *http.Client) <-chan error {
	t.Helper()
	url := "http://" + l.site + "/hello.txt"
	l.get(t, c, url)
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		resp, err := c.Do(req)
		if err == nil {
			_ = resp.Body.Close() // nothing of it is of interest
			err = errors.New(resp.Status)
		}
		ended <- err
	}()
	waitFor(t, "a request to be held back", func() error {
		if n := l.Scrub().Limits[0].Delayed; n != 1 {
			return fmt.Errorf("%d were held back", n)
		}
		return nil
	})
	return ended
}

// A request that waits for its turn ends with its client, across the emulated last mile as without, and with its edge.
func TestHeldRequestsEnd(t *testing.T) {
	for name, opt := range map[string]lab.Options{"emulated": {Drain: time.Minute}, "bare": {Drain: time.Minute, NoNetem: true}} {
		t.Run(name, func(t *testing.T) {
			l := startLabWith(t, "tiny", opt, slices.Concat(near, turns)...)
			c := l.direct(t)
			ctx, leave := context.WithCancel(t.Context())
			ended := l.holds(ctx, t, c)
			leave()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("the request held back = %v, want canceled", err)
			}
			waitFor(t, "the edge to let go of it", func() error {
				if f := l.edgeFigures(t); f.all != 2 {
					return fmt.Errorf("%d requests have ended", f.all)
				}
				return nil
			})
		})
	}
	t.Run("stop", func(t *testing.T) {
		l := startLabWith(t, "tiny", lab.Options{Drain: time.Minute, NoNetem: true}, turns...)
		ended := l.holds(t.Context(), t, l.direct(t))
		began := time.Now()
		if err := l.Stop(l.nodes(topology.KindEdge)[0].Name); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("the stop took %v, so it waited for the turn of the request", took)
		}
		if err := <-ended; err == nil || err.Error() != "503 Service Unavailable" {
			t.Errorf("the request held back = %v, want 503", err)
		}
	})
}
