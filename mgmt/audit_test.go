package mgmt

import (
	"net/http"
	"strings"
	"testing"
)

func TestEveryChangeIsAudited(t *testing.T) {
	r := serve(t, nil)
	for _, c := range []struct{ token, origin, host string }{{testToken, "", ""}, {"", "", ""}, {testToken, "http://evil.test", ""}, {testToken, "", "evil.test"}} {
		req, err := http.NewRequest("POST", r.base+"/api/v1/faults", strings.NewReader(`{"target": "paris-1", "down": true}`))
		if err != nil {
			t.Fatal(err)
		}
		if c.host != "" {
			req.Host = c.host
		}
		req.Header.Set("Authorization", "Bearer "+c.token)
		if c.origin != "" {
			req.Header.Set("Origin", c.origin)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	r.call(t, "GET", "/api/v1/faults")
	_, body := r.call(t, "GET", "/api/v1/audit")
	if n := strings.Count(body, `"path":"/api/v1/faults"`); n != 4 {
		t.Errorf("%d calls were audited, want the four that were to change something:\n%s", n, body)
	}
	for _, want := range []string{`"status":201`, `"status":401`, `"status":403,"origin":"http://evil.test"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the audit log lacks %s:\n%s", want, body)
		}
	}
	for _, want := range []string{"admin call refused", "status=201"} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
}
