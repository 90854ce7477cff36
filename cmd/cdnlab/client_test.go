package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cdnlab/internal/lab"
)

func TestListingFollowsPages(t *testing.T) {
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.URL.Path != "/api/v1/objects" || q.Get("site") != "www.cdn.test" || q.Get("prefix") != "/x" {
			t.Errorf("asked for %s", r.URL)
		}
		pages := map[string]string{
			"":    `{"objects": [{"path": "/x1"}, {"path": "/x2"}], "next": "/x2"}`,
			"/x2": `{"objects": [{"path": "/x3"}]}`,
		}
		_, _ = io.WriteString(w, pages[q.Get("after")])
	}))
	defer admin.Close()
	c := &client{state: lab.State{Admin: admin.URL}}
	list, err := c.objects(t.Context(), "www.cdn.test", "/x")
	if err != nil || len(list) != 3 || list[2].Path != "/x3" {
		t.Errorf("objects = %+v, %v, want those of both pages", list, err)
	}
}

func TestErrorsOfTheAPIAreItsSentences(t *testing.T) {
	for name, tt := range map[string]struct{ body, want string }{
		"JSON":      {`{"error": "no such thing"}`, "no such thing"},
		"not JSON":  {"<html>", "418 I'm a teapot: <html>"},
		"no reason": {"{}", "418 I'm a teapot: {}"},
	} {
		t.Run(name, func(t *testing.T) {
			admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusTeapot)
				_, _ = io.WriteString(w, tt.body)
			}))
			defer admin.Close()
			c := &client{state: lab.State{Admin: admin.URL}}
			if err := c.call(t.Context(), request{path: "/status"}, nil); err == nil || err.Error() != tt.want {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestAPlaceBeyondTheAddressPlanCannotBeActedFrom(t *testing.T) {
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"places": [{"name": "tokyo", "fallback": true, "gateway": "127.101.0.53:3128"}, {"name": "nuuk"}]}`)
	}))
	defer admin.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "lab.json"), []byte(`{"admin": "`+admin.URL+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &app{dataDir: dir}
	if _, _, place, err := a.in(t.Context(), ""); err != nil || place.Name != "tokyo" {
		t.Errorf("the fallback place = %+v, %v, want tokyo", place, err)
	}
	if _, _, _, err := a.in(t.Context(), "nuuk"); err == nil || !strings.Contains(err.Error(), "no resolver and gateway") {
		t.Errorf("error %v, want that there is no gateway", err)
	}
}
