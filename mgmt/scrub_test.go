package mgmt

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestBlocksAreAddedListedAndRemoved(t *testing.T) {
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
	const path = "/api/v1/scrub/blocks"
	for _, c := range []struct {
		name, method, path, body, token string
		status                          int
		want                            string
	}{
		{"needs the token", "POST", path, `{"prefix": "192.0.2.1"}`, "", 401, "token"},
		{"a network for a time", "POST", path, `{"prefix": "192.0.2.7/24", "for": "10m"}`, testToken, 201, `"prefix":"192.0.2.0/24"`},
		{"an address for ever", "POST", path, `{"prefix": "2001:db8::1"}`, testToken, 201, `"prefix":"2001:db8::1/128"`},
		{"listed", "GET", "/api/v1/scrub", "", "", 200, `"prefix":"192.0.2.0/24","by":"10m0s"`},
		{"no address", "POST", path, `{"prefix": "tokyo"}`, testToken, 400, "neither an address nor a network"},
		{"no time", "POST", path, `{"prefix": "192.0.2.1", "for": "0"}`, testToken, 400, "for: "},
		{"unknown key", "POST", path, `{"prefix": "192.0.2.1", "ttl": "1m"}`, testToken, 400, "ttl"},
		{"removing needs the token", "DELETE", path + "?prefix=192.0.2.0/24", "", "", 401, "token"},
		{"removed", "DELETE", path + "?prefix=192.0.2.0/24", "", testToken, 204, ""},
		{"removed already", "DELETE", path + "?prefix=192.0.2.0/24", "", testToken, 404, "is not blocked"},
		{"removing nothing", "DELETE", path, "", testToken, 400, "neither"},
	} {
		if status, body := call(c.method, c.path, c.body, c.token); status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %s %s = %d %q, want %d with %q", c.name, c.method, c.path, status, body, c.status, c.want)
		}
	}
	r.lab.err = errors.New("block list is full")
	if status, body := call("POST", path, `{"prefix": "192.0.2.1"}`, testToken); status != 409 || !strings.Contains(body, "is full") {
		t.Errorf("a full list: %d %q", status, body)
	}
}
