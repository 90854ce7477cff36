package mgmt

import (
	"io/fs"
	"net/http"
	"strings"
	"testing"

	"cdnlab/internal/uplot"
)

func TestBrowsersGetThePageAndToolsTheCalls(t *testing.T) {
	r := serve(t, nil)
	for accept, want := range map[string]string{"text/html,application/xhtml+xml": "<!doctype html>", "*/*": "admin API"} {
		if _, body := r.call(t, "GET", "/", "Accept", accept); !strings.Contains(body, want) {
			t.Errorf("GET / with Accept %s gave %.80q, want %q", accept, body, want)
		}
	}
	h := r.head(t, "/", "Accept", "text/html")
	if policy := h.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'self'") || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers of the page: %v", h)
	}
	for path, kind := range map[string]string{"/ui/app.js": "text/javascript; charset=utf-8", "/ui/uPlot.js": "text/javascript; charset=utf-8",
		"/ui/style.css": "text/css; charset=utf-8", "/ui/land.json": "application/json", "/ui/favicon.svg": "image/svg+xml"} {
		if got := r.head(t, path).Get("Content-Type"); got != kind {
			t.Errorf("%s is %q, want %q", path, got, kind)
		}
	}
	for _, path := range []string{"/ui/", "/ui/nothing.js", "/ui/../server.go", "/ui/%2e%2e/server.go"} {
		if status, _ := r.call(t, "GET", path); status != http.StatusNotFound && status != http.StatusMovedPermanently && status != http.StatusTemporaryRedirect {
			t.Errorf("GET %s = %d", path, status)
		}
	}
}

func TestThePageIsSmallAndWhole(t *testing.T) {
	total := len(uplot.Script()) + len(uplot.Style())
	err := fs.WalkDir(ui, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(ui, name)
		if err != nil {
			return err
		}
		total += len(data)
		text := strings.ReplaceAll(string(data), "http://www.w3.org/2000/svg", "")
		if strings.Contains(text, "https://") || strings.Contains(text, "//cdn") || strings.Contains(text, "innerHTML") {
			t.Errorf("%s names another origin, or sets innerHTML", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if total > 250_000 {
		t.Errorf("the page has %d bytes, want at most 250 kB", total)
	}
}
