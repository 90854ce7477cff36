package mgmt

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestFaultsAreAddedListedAndRemoved(t *testing.T) {
	r := serve(t, nil)
	call := func(method, path, body, token string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(method, r.base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	spec := `{"target": "paris-1", "latency": "80ms", "for": "10s"}`
	for _, c := range []struct {
		name, method, path, body, token string
		status                          int
		want                            string
	}{
		{"none at first", "GET", "/api/v1/faults", "", "", 200, `{"faults":null}`},
		{"adding needs the token", "POST", "/api/v1/faults", spec, "", 401, "token"},
		{"added", "POST", "/api/v1/faults", spec, testToken, 201, `"latency":"80ms"`},
		{"listed", "GET", "/api/v1/faults", "", "", 200, `"id":"f1","target":"paris-1"`},
		{"unknown key", "POST", "/api/v1/faults", `{"target": "paris-1", "delay": "80ms"}`, testToken, 400, "delay"},
		{"no JSON", "POST", "/api/v1/faults", "down", testToken, 400, "want a JSON object"},
		{"removing needs the token", "DELETE", "/api/v1/faults?id=f1", "", "", 401, "token"},
		{"removing another", "DELETE", "/api/v1/faults?id=f2", "", testToken, 404, `no fault \"f2\"`},
		{"removed", "DELETE", "/api/v1/faults?id=f1", "", testToken, 204, ""},
		{"gone", "GET", "/api/v1/faults", "", "", 200, `{"faults":null}`},
	} {
		if status, body := call(c.method, c.path, c.body, c.token); status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %s %s = %d %q, want %d with %q", c.name, c.method, c.path, status, body, c.status, c.want)
		}
	}
	r.lab.err = errors.New("target: unknown edge")
	if status, body := call("POST", "/api/v1/faults", spec, testToken); status != 400 || !strings.Contains(body, "target: unknown edge") {
		t.Errorf("a fault that the lab refuses: %d %q, want 400 and its reason", status, body)
	}
}
