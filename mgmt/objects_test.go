package mgmt

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

// store is an origin that tells what it was asked.
func store(t *testing.T, handle http.HandlerFunc) rig {
	t.Helper()
	srv := httptest.NewServer(handle)
	t.Cleanup(srv.Close)
	return serve(t, func(c *Config) { c.Plan.Nodes[origin].HTTP = netip.MustParseAddrPort(srv.Listener.Addr().String()) })
}

func TestObjectCallsReachTheSitesOrigin(t *testing.T) {
	r := store(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/-/stats" {
			return // of the collector
		}
		if r.Header.Get("Cdnlab-Secret") != testSecret || r.Header.Get("Authorization") != "" {
			t.Errorf("origin got secret %q and Authorization %q, want the lab's and none", r.Header.Get("Cdnlab-Secret"), r.Header.Get("Authorization"))
		}
		w.Header().Set("X-Host", r.Host)
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, r.Method+" "+r.URL.Path+"?"+r.URL.RawQuery+" "+strings.Join(r.Header["Cdnlab-Header"], ";"))
	})
	tests := []struct{ name, method, path, want string }{
		{"list", "GET", "/api/v1/objects?site=www.cdn.test&prefix=/a", "GET /-/objects?prefix=%2Fa&site=www.cdn.test X: 1"},
		{"list without site", "GET", "/api/v1/objects", "GET /-/objects?site=www.cdn.test X: 1"},
		{"upload", "PUT", "/api/v1/objects/item?path=/a%26b", "PUT /-/objects/item?path=%2Fa%26b&site=www.cdn.test X: 1"},
		{"remove", "DELETE", "/api/v1/objects/item?path=/a", "DELETE /-/objects/item?path=%2Fa&site=www.cdn.test X: 1"},
		{"versions", "GET", "/api/v1/objects/versions?path=/a", "GET /-/objects/versions?path=%2Fa&site=www.cdn.test X: 1"},
		{"roll back", "POST", "/api/v1/objects/rollback?path=/a&version=2", "POST /-/objects/rollback?path=%2Fa&site=www.cdn.test&version=2 X: 1"},
		{"sign", "POST", "/api/v1/objects/sign?path=/a&for=1h", "POST /-/objects/sign?for=1h&path=%2Fa&site=www.cdn.test X: 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, body := r.call(t, tt.method, tt.path, "Authorization", "Bearer "+testToken, "Cdnlab-Header", "X: 1")
			if status != http.StatusAccepted || body != tt.want {
				t.Errorf("%s %s = %d %q, want 202 %q", tt.method, tt.path, status, body, tt.want)
			}
		})
	}
}

func TestObjectCallsOfUnsuitableSites(t *testing.T) {
	r := serve(t, nil)
	tests := []struct {
		name, query string
		status      int
		says        string
	}{
		{"unknown site", "site=www.example.com", 404, "the sites are app.cdn.test, www.cdn.test"},
		{"origin is an app", "site=app.cdn.test", 409, `the origin of app.cdn.test, "web", takes its content from elsewhere`},
		{"origin is down", "site=www.cdn.test", 502, "does not answer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, body := r.call(t, "GET", "/api/v1/objects?"+tt.query)
			if got := decode[Error](t, body).Error; status != tt.status || !strings.Contains(got, tt.says) {
				t.Errorf("objects?%s = %d %q, want %d %q", tt.query, status, got, tt.status, tt.says)
			}
		})
	}
}

func TestAnOriginsRefusalBecomesJSON(t *testing.T) {
	r := store(t, func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no object at this path", http.StatusNotFound)
	})
	status, body := r.call(t, "GET", "/api/v1/objects/versions?path=/a")
	if got := decode[Error](t, body).Error; status != 404 || got != "no object at this path" {
		t.Errorf("versions = %d %q, want 404 and the origin's sentence", status, got)
	}
}

// The origin must see the first line of an upload before the second is sent.
func TestUploadsStream(t *testing.T) {
	seen := make(chan string)
	r := store(t, func(w http.ResponseWriter, r *http.Request) {
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			seen <- lines.Text()
		}
	})
	body, feed := io.Pipe()
	req, _ := http.NewRequest("PUT", r.base+"/api/v1/objects/item?path=/a", body)
	req.Header.Set("Authorization", "Bearer "+testToken)
	done := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		done <- err
	}()
	for _, line := range []string{"first", "second"} {
		if _, err := io.WriteString(feed, line+"\n"); err != nil {
			t.Fatal(err)
		}
		if got := <-seen; got != line {
			t.Fatalf("origin read %q, want %q", got, line)
		}
	}
	feed.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
