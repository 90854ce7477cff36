package mgmt

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/time/rate"
)

// tree is the origins of a lab: it takes events into one journal, and says that the nodes have applied them.
type tree struct {
	rig
	mu      sync.Mutex // guards the fields below
	events  []string   // of purges: "www.cdn.test url /a soft", sorted within a call
	nodes   []AppliedNode
	state   []TreeNode
	failing bool
}

func newTree(t *testing.T) *tree {
	f := &tree{nodes: []AppliedNode{{Node: "eu-1", Role: "hub", Applied: true, After: 3}, {Node: "paris-1", Role: "edge", Applied: true, After: 8}}}
	srv := httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(srv.Close)
	f.rig = serve(t, func(c *Config) {
		at := netip.MustParseAddrPort(srv.Listener.Addr().String())
		c.Plan.Nodes[origin].HTTP, c.Plan.Nodes[web].HTTP = at, at
	})
	return f
}

func (f *tree) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := r.URL.Query()
	switch {
	case r.URL.Path == treeState:
		_ = json.NewEncoder(w).Encode(Tree{Epoch: "e", Nodes: f.state})
	case r.URL.Path != treeAppend:
	case f.failing:
		http.Error(w, "the disk is full", http.StatusInsufficientStorage)
	default:
		words := []string{q.Get("site"), q.Get("scope"), q.Get("value")}
		if q.Get("soft") == "true" {
			words = append(words, "soft")
		}
		f.events = append(f.events, strings.TrimRight(strings.Join(words, " "), " "))
		_ = json.NewEncoder(w).Encode(Progress{Epoch: "e", Seq: uint64(len(f.events)), Nodes: f.nodes, Staleness: 8})
	}
}

// taken returns the events since the last call.
func (f *tree) taken() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	events := f.events
	f.events = nil
	slices.Sort(events)
	return events
}

// dialectCall is a call as an app makes it, and what is to come of it.
type dialectCall struct {
	name, method, path string
	header             []string
	body               string
	status             int
	says               string   // in the body
	events             []string // sorted
}

func (f *tree) test(t *testing.T, calls []dialectCall) {
	t.Helper()
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) {
			status, body := f.dial(t, c.method, c.path, c.body, c.header...)
			if status != c.status || !strings.Contains(body, c.says) {
				t.Errorf("%s %s = %d %s, want %d with %q", c.method, c.path, status, body, c.status, c.says)
			}
			if got := f.taken(); !slices.Equal(got, c.events) {
				t.Errorf("%s %s purged %q, want %q", c.method, c.path, got, c.events)
			}
		})
	}
}

// dial makes a call, and follows no redirect.
func (f *tree) dial(t *testing.T, method, path, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, f.base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

func TestPurgeMethod(t *testing.T) {
	f := newTree(t)
	key := []string{"Fastly-Key", testToken}
	at := func(host string, more ...string) []string { return append([]string{"Host", host}, more...) }
	f.test(t, []dialectCall{
		{"URL of a site", "PURGE", "/a?b=1", at("www.cdn.test", key...), "", 200, `{"status":"ok","id":"main-e-1"}`, []string{"www.cdn.test url /a?b=1"}},
		{"with a port and a bearer token", "PURGE", "/a", at("WWW.cdn.test:8080", "Authorization", "Bearer "+testToken), "", 200, `"ok"`, []string{"www.cdn.test url /a"}},
		{"softly", "PURGE", "/a", at("app.cdn.test", "Fastly-Key", testToken, "Fastly-Soft-Purge", "1"), "", 200, `"id":"web-e-1"`, []string{"app.cdn.test url /a soft"}},
		{"a path that is not tidy", "PURGE", "/a//b/../c", at("www.cdn.test", key...), "", 200, `"ok"`, []string{"www.cdn.test url /a//b/../c"}},
		{"a path of the API", "PURGE", "/api/v1/status", at("www.cdn.test", key...), "", 200, `"ok"`, []string{"www.cdn.test url /api/v1/status"}},
		{"without token", "PURGE", "/a", at("www.cdn.test"), "", 401, "Provided credentials are missing or invalid", nil},
		{"with another token", "PURGE", "/a", at("www.cdn.test", "Fastly-Key", "token"), "", 401, "credentials", nil},
		{"of no site", "PURGE", "/a", at("evil.example", key...), "", 403, "not evil.example", nil},
		{"under the API's own name", "PURGE", "/a", key, "", 404, "no site", nil},
		{"from a page", "PURGE", "/a", at("www.cdn.test", "Fastly-Key", testToken, "Origin", "http://www.cdn.test"), "", 403, "pages of http://www.cdn.test", nil},
		{"another method under a site's name", "POST", "/api/v1/purge", at("www.cdn.test", "Authorization", "Bearer "+testToken), `{"all":true}`, 403, "not www.cdn.test", nil},
		{"a read under a site's name", "GET", "/api/v1/status", at("www.cdn.test", key...), "", 403, "not www.cdn.test", nil},
	})
}

func TestPurgeMethodTakesAnAbsoluteTarget(t *testing.T) {
	f := newTree(t)
	proxy, _ := url.Parse(f.base)
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy), DisableKeepAlives: true}}
	req, _ := http.NewRequest("PURGE", "http://www.cdn.test/x?y", nil)
	req.Header.Set("Fastly-Key", testToken)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := f.taken(); resp.StatusCode != 200 || !slices.Equal(got, []string{"www.cdn.test url /x?y"}) {
		t.Errorf("PURGE http://www.cdn.test/x?y = %d and purged %q", resp.StatusCode, got)
	}
}

func TestFastly(t *testing.T) {
	f := newTree(t)
	key := []string{"Fastly-Key", testToken}
	f.test(t, []dialectCall{
		{"URL", "POST", "/purge/www.cdn.test/a/b?c=d", key, "", 200, `{"status":"ok","id":"main-e-1"}`, []string{"www.cdn.test url /a/b?c=d"}},
		{"URL with its scheme", "POST", "/purge/http://www.cdn.test/a", key, "", 200, `"ok"`, []string{"www.cdn.test url /a"}},
		{"URL in one segment", "POST", "/purge/https%3A%2F%2Fwww.cdn.test%2Fa%3Fb", key, "", 200, `"ok"`, []string{"www.cdn.test url /a?b"}},
		{"URL softly", "POST", "/purge/www.cdn.test/a", append(key, "Fastly-Soft-Purge", "1"), "", 200, `"ok"`, []string{"www.cdn.test url /a soft"}},
		{"URL of no site", "POST", "/purge/other.test/a", key, "", 404, `"msg":"Not Found"`, nil},
		{"key", "POST", "/service/www.cdn.test/purge/k1", key, "", 200, `{"status":"ok","id":"main-e-1"}`, []string{"www.cdn.test key k1"}},
		{"key with a slash, softly", "POST", "/service/www.cdn.test/purge/a%2Fb", append(key, "Fastly-Soft-Purge", "1"), "", 200, `"ok"`, []string{"www.cdn.test key a/b soft"}},
		{"key of a customer", "POST", "/service/default/purge/k1", key, "", 200, `"ok"`, []string{"app.cdn.test key k1", "www.cdn.test key k1"}},
		{"keys in a header", "POST", "/service/www.cdn.test/purge", append(key, "Surrogate-Key", "a b"), "", 200, `"a":"main-e-`, []string{"www.cdn.test key a", "www.cdn.test key b"}},
		{"keys in a body", "POST", "/service/www.cdn.test/purge", key, `{"surrogate_keys":["a","b"]}`, 200, `"b":"main-e-`, []string{"www.cdn.test key a", "www.cdn.test key b"}},
		{"no keys", "POST", "/service/www.cdn.test/purge", key, "", 400, "want 1 to 256", nil},
		{"too many keys", "POST", "/service/www.cdn.test/purge", append(key, "Surrogate-Key", strings.Repeat("k ", 257)), "", 400, "want 1 to 256", nil},
		{"all of a site", "POST", "/service/www.cdn.test/purge_all", key, "", 200, `{"status":"ok"}`, []string{"www.cdn.test all"}},
		{"all of a domain", "POST", "/service/cdn.test/purge_all", key, "", 200, `{"status":"ok"}`, []string{"app.cdn.test all", "www.cdn.test all"}},
		{"unknown service", "POST", "/service/SU1Z0isxPaozGVKXdv0eY/purge_all", key, "", 404, "Record not found", nil},
		{"without token", "POST", "/service/www.cdn.test/purge_all", nil, "", 401, "credentials", nil},
		{"URL without token", "POST", "/purge/www.cdn.test/a", nil, "", 401, "credentials", nil},
		{"from another page", "POST", "/purge/www.cdn.test/a", append(key, "Origin", "http://evil.example"), "", 403, "pages of", nil},
		{"under another name", "POST", "/purge/www.cdn.test/a", append(key, "Host", "www.cdn.test"), "", 403, "not www.cdn.test", nil},
		{"a read", "GET", "/purge/www.cdn.test/a", key, "", 404, "no such call", nil},
	})
}

func TestDialectsAreAuditedAndSayWhatIsPending(t *testing.T) {
	f := newTree(t)
	f.nodes = append(f.nodes, AppliedNode{Node: "tokyo-1", Role: "edge", Heard: 0.5, Pending: true})
	resp, _ := f.send(t, "PURGE", "/a", "Host", "www.cdn.test", "Fastly-Key", testToken)
	if got := resp.Header.Get(pendingHeader); got != "tokyo-1" {
		t.Errorf("%s = %q, want tokyo-1", pendingHeader, got)
	}
	f.call(t, "PURGE", "/a", "Host", "www.cdn.test")
	_, body := f.call(t, "GET", "/api/v1/audit")
	calls := decode[map[string][]Audited](t, body)["calls"]
	if len(calls) != 2 || calls[0].Method != "PURGE" || calls[0].Detail != `purge {"url":"www.cdn.test/a"}` || calls[1].Status != 401 {
		t.Errorf("the audit has %+v, want the purge and the refused one", calls)
	}
}

func TestDialectsHaveTheLimitOfPurges(t *testing.T) {
	top, plan := testTopology(t)
	s, err := New(Config{Topology: top, Plan: plan, Token: testToken, Secret: testSecret})
	if err != nil {
		t.Fatal(err)
	}
	s.purges = rate.NewLimiter(0, 1)
	specs := []PurgeSpec{{URL: "www.cdn.test/a"}, {URL: "www.cdn.test/b"}}
	if _, status, err := s.purge(t.Context(), specs...); status != http.StatusTooManyRequests {
		t.Errorf("two purges at once where one is allowed: %d, %v, want 429", status, err)
	}
}

// 256 keys of a service with many sites are more purges than may be made at once. They are one call all the same.
func TestTheMostKeysAreTakenForManySites(t *testing.T) {
	top, plan := testTopology(t)
	s, err := New(Config{Topology: top, Plan: plan, Token: testToken, Secret: testSecret})
	if err != nil {
		t.Fatal(err)
	}
	s.purges = rate.NewLimiter(0, purgeBurst)
	specs := make([]PurgeSpec, purgeBurst+1)
	for i := range specs {
		specs[i] = PurgeSpec{Key: fmt.Sprint(i), Site: "www.cdn.test"}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // nothing listens
	if _, status, err := s.purge(ctx, specs...); status == http.StatusTooManyRequests {
		t.Errorf("%d purges at once: %d, %v", len(specs), status, err)
	}
	if _, status, err := s.purge(ctx, specs[0]); status != http.StatusTooManyRequests {
		t.Errorf("one more purge: %d, %v, want 429", status, err)
	}
}

// One event of many waits for the nodes, and it is the last.
func TestManyPurgesWaitOnce(t *testing.T) {
	var mu sync.Mutex
	var waits []string
	r := store(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != treeAppend {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		waits = append(waits, r.URL.Query().Get("wait"))
		fmt.Fprintf(w, `{"epoch":"e","seq":%d,"nodes":[{"node":"paris-1","applied":%t,"after_ms":5}],"max_staleness_ms":5}`, len(waits), r.URL.Query().Get("wait") != "0s")
	})
	status, body := r.call(t, "POST", "/service/www.cdn.test/purge", "Fastly-Key", testToken, "Surrogate-Key", "a b c")
	if want := []string{"0s", "0s", "5s"}; status != 200 || !slices.Equal(waits, want) {
		t.Errorf("purge of three keys = %d %s with waits %v, want %v", status, body, waits, want)
	}
}
