package origin

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"cdnlab/topology"
)

// startApp runs an origin in front of an app with the given handler.
func startApp(t *testing.T, h http.HandlerFunc, change ...func(*Config)) *lab {
	t.Helper()
	return startAppAt(t, h, "", change...)
}

// startAppAt does so with a base path in the app's URL.
func startAppAt(t *testing.T, h http.HandlerFunc, base string, change ...func(*Config)) *lab {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return start(t, topology.Origin{Kind: topology.App, App: mustParse(t, server.URL+base)}, change...)
}

func mustParse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestAppSeesTheRequestUnchanged(t *testing.T) {
	var got *http.Request
	var body string
	l := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got, body = r, string(b)
	})
	for _, c := range []struct{ method, target, body string }{
		{"GET", "/", ""},
		{"GET", "/a/b?x=1&y=%20&bad=%zz;&empty", ""},
		{"GET", "/a%2Fb//c/%E2%82%AC/+", ""},
		{"POST", "/form?q", "a=1&b=2"},
		{"PUT", "/x", strings.Repeat("body", 10_000)},
		{"DELETE", "/x", ""},
		{"PATCH", "/x", "{}"},
		{"OPTIONS", "/x", ""},
		{"PROPFIND", "/x", "<xml/>"},
	} {
		a := l.send(&http.Request{Method: c.method, URL: opaque(c.target), Host: testSite + ":8080", Body: io.NopCloser(strings.NewReader(c.body)),
			ContentLength: int64(len(c.body)), Header: http.Header{"Cookie": {"a=1; b=2"}, "X-Own": {"one", "two"}, "Content-Type": {"text/x-own"}}})
		if a.status != 200 || got.Method != c.method || got.RequestURI != c.target || body != c.body {
			t.Errorf("%s %s: %d; the app saw %s %s with %d bytes", c.method, c.target, a.status, got.Method, got.RequestURI, len(body))
		}
		if got.Host != testSite+":8080" || got.Header.Get("Cookie") != "a=1; b=2" || strings.Join(got.Header["X-Own"], "|") != "one|two" || got.Header.Get("Content-Type") != "text/x-own" {
			t.Errorf("%s %s: the app saw the host %s and %v", c.method, c.target, got.Host, got.Header)
		}
		if got.ContentLength != int64(len(c.body)) || len(got.TransferEncoding) != 0 {
			t.Errorf("%s %s: the app saw the length %d, %v", c.method, c.target, got.ContentLength, got.TransferEncoding)
		}
		if _, ok := got.Header["Accept-Encoding"]; ok {
			t.Errorf("the app saw Accept-Encoding: %s, which nobody sent", got.Header.Get("Accept-Encoding"))
		}
	}
	l.do("POST", "/", io.MultiReader(strings.NewReader("chunk"), strings.NewReader("ed")))
	if body != "chunked" || got.ContentLength != -1 {
		t.Errorf("a chunked body arrived as %q with length %d", body, got.ContentLength)
	}
	req := &http.Request{Method: "GET", URL: opaque("/"), Host: testSite, Header: http.Header{"User-Agent": nil}}
	l.send(req)
	if ua, ok := got.Header["User-Agent"]; ok {
		t.Errorf("the app saw User-Agent: %v, which nobody sent", ua)
	}
}

func TestAppIsToldAboutTheClient(t *testing.T) {
	var got *http.Request
	app := func(w http.ResponseWriter, r *http.Request) { got = r }
	secret := "Cdnlab-Secret: " + testSecret
	plain := startApp(t, app, func(c *Config) { c.Locator = fakeLocator{} })
	forced := startApp(t, app, func(c *Config) {
		c.Topology.Sites[0].HostHeader, c.Topology.Sites[0].Scheme = "app.internal", "https"
	})
	based := startAppAt(t, app, "/base/?fixed=1")
	forged := []string{"X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", "X-Request-Id: r1", "CDN-Client-City: Paris", "X-Forwarded-Host: evil", "Forwarded: for=evil",
		"Cdnlab-Debug: 1", "Via: 1.1 paris-1 (cdnlab)", "CDN-Loop: paris-1.cdnlab"}
	expect := func(what string, want map[string]string) {
		t.Helper()
		for name, value := range want {
			if g := strings.Join(got.Header.Values(name), ", "); g != value {
				t.Errorf("%s: %s = %q, want %q", what, name, g, value)
			}
		}
	}
	plain.get("/", append(forged, secret)...)
	expect("through a tier", map[string]string{"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Request-Id": "r1", "CDN-Client-City": "Paris",
		"X-Forwarded-Host": testSite, "Forwarded": "", "Cdnlab-Debug": "", "Cdnlab-Secret": "", "Via": "1.1 paris-1 (cdnlab), 1.1 main (cdnlab)", "CDN-Loop": "paris-1.cdnlab, main.cdnlab"})
	plain.get("/", append(forged, "Cdnlab-Secret: guess")...)
	expect("from anybody", map[string]string{"X-Forwarded-For": "198.18.2.7", "X-Forwarded-Proto": "http", "CDN-Client-City": "Tokyo", "CDN-Client-Country": "JP",
		"X-Forwarded-Host": testSite, "Forwarded": "", "Cdnlab-Debug": "", "Cdnlab-Secret": ""})
	forced.get("/", secret)
	expect("with host and scheme of the site", map[string]string{"X-Forwarded-Proto": "https", "X-Forwarded-Host": testSite})
	if got.Host != "app.internal" {
		t.Errorf("Host = %q, want the site's", got.Host)
	}
	based.get("/a?b=%zz")
	if got.RequestURI != "/base/a?fixed=1&b=%zz" {
		t.Errorf("with a base path the app saw %s", got.RequestURI)
	}
}

func TestAppsAnswerPassesUnchanged(t *testing.T) {
	l := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		switch r.URL.Path {
		case "/redirect":
			h.Set("Location", "http://localhost:3000/elsewhere?x=1#y")
			w.WriteHeader(307)
		case "/cookies":
			h["Set-Cookie"] = []string{"a=1; Path=/; HttpOnly", "b=2"}
			h["Cdnlab-Debug"] = []string{"x"}
			h.Set("Server-Timing", "db;dur=5")
			h.Set("Cache-Control", "public, max-age=1")
			_, _ = io.WriteString(w, "ok")
		case "/untyped":
			h["Content-Type"] = nil
			_, _ = io.WriteString(w, "<html>")
		case "/gzip":
			h.Set("Content-Encoding", "gzip")
			_, _ = w.Write([]byte{0x1f, 0x8b, 1, 2, 3})
		case "/502":
			w.WriteHeader(502)
		case "/204":
			w.WriteHeader(204)
		case "/304":
			h.Set("ETag", `"x"`)
			w.WriteHeader(304)
		case "/trailer":
			h.Set("Trailer", "X-Sum")
			_, _ = io.WriteString(w, "body")
			h.Set("X-Sum", "42")
		case "/head":
			h.Set("Content-Length", "12345")
		}
	})
	a := l.get("/redirect")
	if a.status != 307 || a.header.Get("Location") != "http://localhost:3000/elsewhere?x=1#y" {
		t.Errorf("redirect = %d to %q", a.status, a.header.Get("Location"))
	}
	a = l.get("/cookies")
	if got := strings.Join(a.header["Set-Cookie"], "|"); got != "a=1; Path=/; HttpOnly|b=2" || a.header.Get("Cache-Control") != "public, max-age=1" || a.body != "ok" {
		t.Errorf("cookies = %v %q", a.header, a.body)
	}
	if got := a.header.Values("Server-Timing"); len(got) != 2 || got[0] != "db;dur=5" || !strings.HasPrefix(got[1], "origin;dur=") {
		t.Errorf("Server-Timing = %q", got)
	}
	if a.header.Get("Via") != "1.1 main (cdnlab)" || a.header.Get("Cdnlab-Debug") != "" {
		t.Errorf("Via = %q, Cdnlab-Debug = %q", a.header.Get("Via"), a.header.Get("Cdnlab-Debug"))
	}
	if a := l.get("/untyped"); a.header.Get("Content-Type") != "" || a.body != "<html>" {
		t.Errorf("a response without type got %q", a.header.Get("Content-Type"))
	}
	if a := l.get("/gzip"); a.body != "\x1f\x8b\x01\x02\x03" || a.header.Get("Content-Encoding") != "gzip" {
		t.Errorf("gzip = %x %v", a.body, a.header)
	}
	if a := l.get("/502"); a.status != 502 || a.header.Get(errorHeader) != "" {
		t.Errorf("the app's own 502 = %d with %s %q", a.status, errorHeader, a.header.Get(errorHeader))
	}
	if a := l.get("/204"); a.status != 204 {
		t.Errorf("204 = %d", a.status)
	}
	if a := l.get("/304"); a.status != 304 || a.header.Get("ETag") != `"x"` {
		t.Errorf("304 = %d %v", a.status, a.header)
	}
	if a := l.do("HEAD", "/head", nil); a.header.Get("Content-Length") != "12345" {
		t.Errorf("HEAD = %v", a.header)
	}
	resp, err := l.client.Get("http://" + testSite + "/trailer")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "body" || resp.Trailer.Get("X-Sum") != "42" {
		t.Errorf("trailer = %v with %q, %v", resp.Trailer, b, err)
	}
}

func TestAppThatDoesNotAnswer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	l := start(t, topology.Origin{Kind: topology.App, App: mustParse(t, "http://"+nobody)})
	a := l.get("/")
	a.want(t, "an app that is not running", 502, "the app http://"+nobody+" does not answer")
	if !strings.Contains(a.body, "start it there") || a.header.Get(errorHeader) != "origin-unreachable" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("502 says %q with %v", a.body, a.header)
	}
	l.at(l.addr, http.MethodGet, "/-/health", nil).want(t, "the node's own health", 200, "ok")
	l.at("nowhere.test", http.MethodGet, "/", nil).want(t, "unknown host", 404, "this origin serves img.cdn.test, www.cdn.test")
	if got := l.stats.Snapshot(); got.Requests["failed"] != 2 || got.Requests["pass"] != 0 {
		t.Errorf("counted %v", got.Requests)
	}

	silent := startApp(t, func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })
	a = silent.get("/")
	a.want(t, "an app that hangs up", 502, "look at its own log")
	torn := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100000")
		_, _ = io.WriteString(w, strings.Repeat("x", 50000))
		panic(http.ErrAbortHandler)
	})
	resp, err := torn.client.Get("http://" + testSite + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a body that breaks off = %d bytes, %v; want %v", n, err, io.ErrUnexpectedEOF)
	}
}

func TestARequestThatComesBackIsRefused(t *testing.T) {
	l := startApp(t, func(w http.ResponseWriter, r *http.Request) {})
	l.get("/", "CDN-Loop: paris-1.cdnlab, MAIN.cdnlab; x=1").want(t, "a loop", 508, "leads back to this CDN")
	l.get("/", "CDN-Loop: paris-1.cdnlab, xmain.cdnlab").want(t, "no loop", 200, "")
}
