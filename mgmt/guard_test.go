package mgmt

import (
	"strings"
	"testing"
)

func TestGuard(t *testing.T) {
	r := serve(t, func(c *Config) { c.Hosts = []string{"mgmt.internal"} })
	own := strings.TrimPrefix(r.base, "http://")
	const item = "/api/v1/objects/item?site=www.cdn.test&path=/a"
	// 502 is an accepted call: the test's origin does not listen.
	tests := []struct {
		name, method, path string
		header             []string
		status             int
		says               string
	}{
		{"read under the address", "GET", "/api/v1/topology", nil, 200, ""},
		{"read under localhost", "GET", "/api/v1/topology", []string{"Host", "localhost:7070"}, 200, ""},
		{"read under LOCALHOST", "GET", "/api/v1/topology", []string{"Host", "LOCALHOST"}, 200, ""},
		{"read under IPv6", "GET", "/api/v1/topology", []string{"Host", "[::1]:7070"}, 200, ""},
		{"read under IPv6 without port", "GET", "/api/v1/topology", []string{"Host", "[::1]"}, 200, ""},
		{"read under a configured name", "GET", "/api/v1/topology", []string{"Host", "mgmt.internal:7070"}, 200, ""},
		{"rebound name", "GET", "/api/v1/topology", []string{"Host", "evil.example:7070"}, 403, "not evil.example"},
		{"name that starts like a local one", "GET", "/", []string{"Host", "localhost.evil.example"}, 403, "not localhost.evil.example"},
		{"another loopback address", "GET", "/", []string{"Host", "127.3.1.1:7070"}, 403, "not 127.3.1.1"},
		{"rebound name with token", "DELETE", item, []string{"Host", "evil.example", "Authorization", "Bearer " + testToken}, 403, "not evil.example"},

		{"change with token", "DELETE", item, []string{"Authorization", "Bearer " + testToken}, 502, ""},
		{"change with token, scheme in lower case", "DELETE", item, []string{"Authorization", "bearer " + testToken}, 502, ""},
		{"change without token", "DELETE", item, nil, 401, "Authorization: Bearer"},
		{"change with a wrong token", "DELETE", item, []string{"Authorization", "Bearer token-of-the-lat"}, 401, "Authorization: Bearer"},
		{"change with a beginning of the token", "DELETE", item, []string{"Authorization", "Bearer token"}, 401, "Authorization: Bearer"},
		{"change with the token as Basic", "DELETE", item, []string{"Authorization", "Basic " + testToken}, 401, "Authorization: Bearer"},
		{"change with the nodes' secret", "DELETE", item, []string{"Authorization", "Bearer " + testSecret}, 401, "Authorization: Bearer"},
		{"body of an object without token", "GET", item, nil, 401, "Authorization: Bearer"},

		{"change from our own page", "DELETE", item, []string{"Authorization", "Bearer " + testToken, "Origin", "http://" + own}, 502, ""},
		{"change from another page", "DELETE", item, []string{"Authorization", "Bearer " + testToken, "Origin", "http://evil.example"}, 403, "pages of http://evil.example"},
		{"change from another local port", "DELETE", item, []string{"Authorization", "Bearer " + testToken, "Origin", "http://127.0.0.1:3000"}, 403, "pages of http://127.0.0.1:3000"},
		{"change from a sandboxed page", "DELETE", item, []string{"Authorization", "Bearer " + testToken, "Origin", "null"}, 403, "pages of null"},
		{"read from another page", "GET", "/api/v1/topology", []string{"Origin", "http://evil.example"}, 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := len(r.log.String())
			status, body := r.call(t, tt.method, tt.path, tt.header...)
			if status != tt.status {
				t.Fatalf("%s = %d %s, want %d", tt.path, status, body, tt.status)
			}
			if tt.says == "" {
				return
			}
			if got := decode[Error](t, body).Error; !strings.Contains(got, tt.says) {
				t.Errorf("error %q, want %q in it", got, tt.says)
			}
			if logged := r.log.String()[before:]; !strings.Contains(logged, "admin call refused") || !strings.Contains(logged, "method="+tt.method) {
				t.Errorf("log %q, want the refusal", logged)
			}
		})
	}
}

func TestReadsOfOtherOriginsCarryNoPermission(t *testing.T) {
	// A page elsewhere may send a read; without Access-Control-Allow-Origin the browser keeps the answer from it.
	r := serve(t, nil)
	resp := r.head(t, "/api/v1/topology", "Origin", "http://evil.example")
	if got := resp.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("Access-Control-Allow-Origin = %q, want none", got)
	}
	if got := resp.Get("X-Content-Type-Options"); got != "nosniff" {
		t.Errorf("X-Content-Type-Options = %q, want nosniff", got)
	}
}
