package probe

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"cdnlab/internal/stats"
	"cdnlab/topology"
)

func newHandler(ready func() error) *Handler {
	n := stats.New(time.Unix(100, 0))
	n.Request(0, stats.Request{Result: stats.Hit, Status: 200, Out: 10, TTFB: time.Millisecond})
	n.Site("www.cdn.test").Request(0, stats.Request{Result: stats.Hit, Status: 200, Out: 10, TTFB: time.Millisecond})
	n.Place("tokyo").Request(0, stats.Request{Result: stats.Hit, Status: 304, Out: 7, TTFB: time.Millisecond})
	n.DNS("paris", 0)
	n.SetCache(func() stats.Cache { return stats.Cache{Objects: 1, Budget: 5} })
	node := topology.Node{Name: "paris-1", Kind: topology.KindEdge, HTTP: netip.MustParseAddrPort("127.3.1.1:8080"),
		Public: []netip.Addr{netip.MustParseAddr("127.3.1.1"), netip.MustParseAddr("2001:db8::1")}}
	return New(Config{Node: node, Zone: "cdn.test", Stats: n, Ready: ready})
}

func TestAnswersOnlyOnItsOwnAddressOrName(t *testing.T) {
	for host, want := range map[string]bool{
		"127.3.1.1": true, "127.3.1.1:8080": true, "[2001:db8::1]:8080": true, "[2001:db8::1]": true, "paris-1": true, "PARIS-1.cdn.test:8080": true,
		"www.cdn.test": false, "127.3.1.2": false, "": false, "paris-2": false,
	} {
		var ctx fasthttp.RequestCtx
		ctx.Request.Header.SetHost(host)
		ctx.Request.SetRequestURI("/-/health?x=1")
		if got := newHandler(nil).Serve(&ctx); got != want {
			t.Errorf("Serve with Host %q = %v, want %v", host, got, want)
		}
	}
}

func TestEndpoints(t *testing.T) {
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	for _, c := range []struct {
		name, method, path string
		ready              func() error
		status             int
		contains           string
	}{
		{"healthy", "GET", "/-/health", nil, 200, "ok"},
		{"not ready", "GET", "/-/health", func() error { return errors.New("still replaying") }, 503, "still replaying"},
		{"stats", "GET", "/-/stats", nil, 200, `"requests":{"hit":1}`},
		{"metrics", "GET", "/-/metrics", nil, 200, `cdnlab_requests_total{node="paris-1",result="hit",tier="edge"} 1`},
		{"metrics histogram", "GET", "/-/metrics", nil, 200, `cdnlab_time_to_first_byte_seconds_bucket{node="paris-1",tier="edge",le="0.005"} 1`},
		{"metrics answers", "GET", "/-/metrics", nil, 200, `cdnlab_dns_answers_total{node="paris-1",pop="paris",tier="edge"} 1`},
		{"metrics cache", "GET", "/-/metrics", nil, 200, `cdnlab_cache_budget_bytes{node="paris-1",tier="edge"} 5`},
		{"metrics of a site", "GET", "/-/metrics", nil, 200, `cdnlab_site_responses_total{class="2xx",node="paris-1",site="www.cdn.test",tier="edge"} 1`},
		{"hits of a site", "GET", "/-/metrics", nil, 200, `cdnlab_site_hits_total{node="paris-1",site="www.cdn.test",tier="edge"} 1`},
		{"bytes of a site", "GET", "/-/metrics", nil, 200, `cdnlab_site_sent_bytes_total{node="paris-1",site="www.cdn.test",tier="edge"} 10`},
		{"histogram of a site", "GET", "/-/metrics", nil, 200, `cdnlab_site_time_to_first_byte_seconds_bucket{node="paris-1",site="www.cdn.test",tier="edge",le="0.005"} 1`},
		{"metrics of a place", "GET", "/-/metrics", nil, 200, `cdnlab_place_responses_total{class="3xx",node="paris-1",place="tokyo",tier="edge"} 1`},
		{"hits of a place", "GET", "/-/metrics", nil, 200, `cdnlab_place_hits_total{node="paris-1",place="tokyo",tier="edge"} 1`},
		{"bytes of a place", "GET", "/-/metrics", nil, 200, `cdnlab_place_sent_bytes_total{node="paris-1",place="tokyo",tier="edge"} 7`},
		{"histogram of a place", "GET", "/-/metrics", nil, 200, `cdnlab_place_time_to_first_byte_seconds_bucket{node="paris-1",place="tokyo",tier="edge",le="0.005"} 1`},
		{"places in stats", "GET", "/-/stats", nil, 200, `"places":{"tokyo":{"status":{"3xx":1},"hits":1,"bytes":7,"ttfb":{"count":1,"sum_us":1000,`},
		{"change refused", "POST", "/-/stats", nil, 405, "GET and HEAD only"},
		{"not mine", "GET", "/-/objects", nil, 418, ""},
		{"a site's path", "GET", "/hello.txt", nil, 418, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHandler(c.ready)
			r := httptest.NewRequest(c.method, c.path, nil)
			r.Host = "127.3.1.1:8080"
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r, next)
			body, _ := io.ReadAll(w.Body)
			if w.Code != c.status || !strings.Contains(string(body), c.contains) {
				t.Errorf("%s %s = %d %q, want %d with %q", c.method, c.path, w.Code, body, c.status, c.contains)
			}
			if c.status == 418 {
				return
			}
			var ctx fasthttp.RequestCtx
			ctx.Request.Header.SetMethod(c.method)
			ctx.Request.Header.SetHost("paris-1")
			ctx.Request.SetRequestURI(c.path)
			if !h.Serve(&ctx) || ctx.Response.StatusCode() != c.status || !strings.Contains(string(ctx.Response.Body()), c.contains) {
				t.Errorf("fasthttp %s %s = %d %q, want %d with %q", c.method, c.path, ctx.Response.StatusCode(), ctx.Response.Body(), c.status, c.contains)
			}
		})
	}
}
