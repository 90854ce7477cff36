package journal

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
)

func TestConcurrentUse(t *testing.T) {
	cfg := testConfig(t)
	cfg.Horizon, cfg.HorizonBytes, cfg.SegmentBytes = 200, 1, 2000
	j := mustOpen(t, cfg)
	const writers, each = 8, 100
	var writing, reading sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			last := Seq(0)
			for i := range each {
				at, err := j.Append(purge(fmt.Sprintf("%d-%d", w, i)), purge("more"))
				if err != nil || at.Seq < last+2 {
					t.Errorf("Append after %d = %v, %v", last, at, err)
				}
				last = at.Seq
			}
		})
	}
	for range 8 {
		reading.Go(func() {
			after := Seq(0)
			next := [writers]int{}
			for after < writers*each*2 {
				if err := j.Wait(context.Background(), after); err != nil {
					t.Error(err)
					return
				}
				events, err := j.Read(after, 10)
				if err == ErrHorizon { // compacted before this reader came
					after = j.Horizon()
					next = [writers]int{}
					continue
				}
				if err != nil || len(events) == 0 {
					t.Errorf("Read after Wait = %v, %v", events, err)
					return
				}
				for _, e := range events {
					if after++; e.Seq != after {
						t.Errorf("event %d after %d", e.Seq, after-1)
					}
					var w, i int
					if n, _ := fmt.Sscanf(e.Value, "/%d-%d", &w, &i); n == 2 {
						if next[w] > 0 && i != next[w] {
							t.Errorf("event %d of writer %d, want %d", i, w, next[w])
						}
						next[w] = i + 1
					}
				}
			}
		})
	}
	writing.Wait()
	reading.Wait()
	if got := j.Position().Seq; got != writers*each*2 {
		t.Errorf("%d events, want %d", got, writers*each*2)
	}
}

func TestCallersShareAFlush(t *testing.T) {
	cfg := testConfig(t)
	flushing, goOn := make(chan struct{}), make(chan struct{})
	var mu sync.Mutex
	flushes := 0
	var v testVolume
	cfg.volume = &v
	j := mustOpen(t, cfg)
	v.fail = func(op string) error {
		if op == "sync" {
			mu.Lock()
			flushes++
			first := flushes == 1
			mu.Unlock()
			if first {
				close(flushing)
				<-goOn
			}
		}
		return nil
	}
	var wg sync.WaitGroup
	appendOne := func() {
		if _, err := j.Append(purge("x")); err != nil {
			t.Error(err)
		}
	}
	wg.Go(appendOne)
	<-flushing
	for range 50 {
		wg.Go(appendOne)
	}
	for pending := 0; pending < 50; { // nothing tells that they have come
		j.mu.Lock()
		if j.pending != nil {
			pending = len(j.pending.events)
		}
		j.mu.Unlock()
		runtime.Gosched()
	}
	close(goOn)
	wg.Wait()
	if flushes != 2 {
		t.Errorf("%d flushes for one caller and 50 who came meanwhile, want 2", flushes)
	}
}
