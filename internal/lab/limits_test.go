package lab

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"cdnlab/internal/proxy"
	"cdnlab/topology"
)

// TestAnEdgeHoldsBackSoManyRequests asks a guard as an edge does, of a queue that is longer than what an edge holds back.
func TestAnEdgeHoldsBackSoManyRequests(t *testing.T) {
	top, err := topology.Preset("tiny", []string{"limits={slow: {rate: 1000/s, limiter: leaky-bucket, burst: 20000}}"})
	if err != nil {
		t.Fatal(err)
	}
	s := newScrubbers()
	g, err := s.guard("paris-1", top)
	if err != nil {
		t.Fatal(err)
	}
	visit := proxy.Visit{Client: netip.MustParseAddr("198.18.1.1"), Site: "www.cdn.test", Path: []byte("/"), Header: func(string) []byte { return nil }}
	now := time.Now()
	check := func() (proxy.Pass, string) {
		p, lines := g.Check(now, &visit, nil)
		return p, string(lines)
	}
	var last proxy.Pass
	for n := range maxHeld + 1 { // the first waits for nothing
		p, _ := check()
		if p.Status != 0 || (p.Delay > 0) != (n > 0) || (p.Done != nil) != (n > 0) {
			t.Fatalf("request %d: Check = %+v, want it to pass, all but the first with a delay", n+1, p)
		}
		last = p
	}
	p, lines := check()
	if p.Status != 429 || p.Delay != 0 || p.Done != nil || !strings.Contains(p.Why, "too many requests wait here") || !strings.Contains(lines, "\r\nRetry-After: 11\r\n") {
		t.Errorf("with %d held: Check = %+v with\n%swant 429 with Retry-After: 11", maxHeld, p, lines)
	}
	other, err := s.guard("paris-2", top)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if p, _ := other.Check(now, &visit, nil); p.Status != 0 {
			t.Errorf("another server: Check = %+v, want it to pass: the bound is each server's own", p)
		}
	}
	last.Done()
	if p, _ := check(); p.Status != 0 || p.Delay == 0 {
		t.Errorf("after one has left: Check = %+v, want it to pass with a delay", p)
	}
}
