package mgmt

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"cdnlab/internal/stats"
	"cdnlab/topology"
)

// node answers the counters as a node does.
func node(t *testing.T, counters *stats.Node) netip.AddrPort {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/-/stats" || r.Host != r.Context().Value(http.LocalAddrContextKey).(interface{ String() string }).String() {
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(counters.Snapshot())
	}))
	t.Cleanup(srv.Close)
	return netip.MustParseAddrPort(srv.Listener.Addr().String())
}

func count(n *stats.Node, result stats.Result, status int, bytes int64, ttfb time.Duration, times int) {
	for range times {
		n.Request(0, stats.Request{Result: result, Status: status, In: 1, Out: bytes, TTFB: ttfb})
	}
}

func TestStatus(t *testing.T) {
	near, far, shield, names := stats.New(time.Now()), stats.New(time.Now()), stats.New(time.Now()), stats.New(time.Now())
	count(near, stats.Hit, 200, 100, 2*time.Millisecond, 6)
	count(near, stats.Stale, 200, 100, 2*time.Millisecond, 1)
	count(near, stats.Miss, 200, 50, 90*time.Millisecond, 2)
	count(near, stats.Failed, 502, 0, time.Millisecond, 1)
	near.SetCache(func() stats.Cache { return stats.Cache{Objects: 2, Bytes: 150, Budget: 1000, Evictions: 3} })
	count(far, stats.Miss, 200, 700, time.Millisecond, 10)
	far.Fetch(stats.Fetch{To: topology.KindOrigin, Bytes: 1})
	far.SetCache(func() stats.Cache { return stats.Cache{Objects: 1, Bytes: 50, Budget: 1000} })
	shield.SetCache(func() stats.Cache { return stats.Cache{Budget: 5} })
	for range 3 {
		shield.Fetch(stats.Fetch{To: topology.KindOrigin, Bytes: 1})
	}
	names.DNS("paris", 0)
	names.DNS("", 3)

	r := serve(t, func(c *Config) {
		c.Plan.Nodes[hub].HTTP, c.Plan.Nodes[paris].HTTP = node(t, shield), node(t, near)
		c.Plan.Nodes[tokyo].HTTP, c.Plan.Nodes[dnsServer].HTTP = node(t, far), node(t, names)
	})
	_, body := r.call(t, "GET", "/api/v1/status")
	got := decode[Status](t, body)

	if got.OriginOffload == nil || *got.OriginOffload != 0.8 {
		t.Errorf("origin offload = %v, want 0.8: 4 fetches for 20 requests", value(got.OriginOffload))
	}
	p := got.Nodes[paris]
	if p.Name != "paris-1" || p.Role != "edge" || p.City != "Paris" || !p.Up || p.Requests != 10 || p.Errors != 1 || p.BytesIn != 10 || p.BytesOut != 800 {
		t.Errorf("paris-1 = %+v, want 10 requests, 1 error, 10 bytes in, 800 out", p)
	}
	if value(p.HitRatio) != 0.7 || value(p.ByteHitRatio) != 0.875 {
		t.Errorf("paris-1: hit ratio %v, byte hit ratio %v, want 0.7 and 0.875", value(p.HitRatio), value(p.ByteHitRatio))
	}
	if p.Cache == nil || p.Cache.Bytes != 150 {
		t.Errorf("paris-1: cache %+v, want 150 bytes", p.Cache)
	}
	if p.TTFBP50 < 1.9 || p.TTFBP50 > 2.1 || p.TTFBP99 < 89 || p.TTFBP99 > 91 {
		t.Errorf("paris-1: time to first byte p50 %v, p99 %v, want 2 and 90 ms", p.TTFBP50, p.TTFBP99)
	}
	if h := got.Nodes[hub]; h.HitRatio != nil {
		t.Errorf("eu-1: hit ratio %v before its first request, want none", value(h.HitRatio))
	}
	if w := got.Nodes[web]; w.Up || w.Problem != "connect: connection refused" {
		t.Errorf("web = %+v, want down because the connection was refused", w)
	}
	if d := got.Nodes[dnsServer]; d.DNSAnswers != 2 || d.DNSPoPs["paris"] != 1 || d.HitRatio != nil {
		t.Errorf("dns-1 = %+v, want 2 answers, 1 of them paris, no hit ratio", d)
	}

	edges, origins := got.Tiers[0], got.Tiers[2]
	if edges.Role != "edge" || edges.Nodes != 2 || edges.Up != 2 || edges.Requests != 20 || value(edges.HitRatio) != 0.35 || *edges.Cache != (stats.Cache{Objects: 3, Bytes: 200, Budget: 2000, Evictions: 3}) {
		t.Errorf("edges = %+v, want the sum of paris-1 and tokyo-1", edges)
	}
	if origins.Role != "origin" || origins.Nodes != 2 || origins.Up != 0 {
		t.Errorf("origins = %+v, want 2 nodes, none up", origins)
	}
}

func TestANodeThatAnswersNonsenseIsDown(t *testing.T) {
	for name, handle := range map[string]http.HandlerFunc{
		"refusal":  func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusNotFound) },
		"not JSON": func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"silence":  func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(handle)
			t.Cleanup(srv.Close)
			r := serve(t, func(c *Config) { c.Plan.Nodes[paris].HTTP = netip.MustParseAddrPort(srv.Listener.Addr().String()) })
			_, body := r.call(t, "GET", "/api/v1/status")
			if n := decode[Status](t, body).Nodes[paris]; n.Up || n.Problem == "" {
				t.Errorf("%+v, want down with a reason", n)
			}
		})
	}
}

func value(r *float64) any {
	if r == nil {
		return nil
	}
	return *r
}
