package proxy

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestMissThenHit(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool {
		return c.write(reply("200 OK", dated+"Cache-Control: max-age=60\r\nX-App: a\r\nX-App: b\r\nSet-Thing: x\r\nServer-Timing: app;dur=3\r\nCache-Status: app;hit\r\nX-Cache: spoofed\r\nX-Request-Id: spoofed\r\nAge: 5\r\n", "hello"))
	})
	c := f.connect()
	miss := c.do("GET", "/a")
	f.pass(10 * time.Second)
	hit := c.do("GET", "/a")
	for _, tt := range []struct {
		what               string
		got                *received
		field, want, wants string
	}{
		{"miss", miss, "Cache-Status", `app;hit, paris-1;fwd=uri-miss;fwd-status=200;stored`, ""},
		{"miss", miss, "X-Cache", "MISS, paris-1", ""},
		{"miss", miss, "Age", "5", ""},
		{"miss", miss, "Server-Timing", "", `^app;dur=3, edge;dur=[0-9.]+;desc="paris-1"$`},
		{"miss", miss, "Via", "1.1 paris-1 (cdnlab)", ""},
		{"miss", miss, "X-Request-Id", "", "^[0-9a-f]{32}$"},
		{"miss", miss, "Date", "Thu, 01 Jan 2026 12:00:00 GMT", ""},
		{"hit", hit, "Cache-Status", "paris-1;hit;ttl=45", ""},
		{"hit", hit, "X-Cache", "HIT, paris-1", ""},
		{"hit", hit, "Age", "15", ""},
		{"hit", hit, "Server-Timing", "", `^edge;dur=[0-9.]+;desc="paris-1"$`},
		{"hit", hit, "Via", "1.1 paris-1 (cdnlab)", ""},
		{"hit", hit, "X-Request-Id", "", "^[0-9a-f]{32}$"},
		{"hit", hit, "Date", "Thu, 01 Jan 2026 12:00:00 GMT", ""},
		{"hit", hit, "X-App", "a|b", ""},
		{"hit", hit, "Content-Length", "5", ""},
		{"hit", hit, "Content-Type", "", "^$"},
		{"hit", hit, "Server", "", "^$"},
	} {
		got := strings.Join(tt.got.header.Values(tt.field), "|")
		if tt.wants != "" && !regexp.MustCompile(tt.wants).MatchString(got) || tt.wants == "" && got != tt.want {
			t.Errorf("%s: %s = %q, want %s%s", tt.what, tt.field, got, tt.want, tt.wants)
		}
	}
	if miss.header.Get("X-Request-Id") == hit.header.Get("X-Request-Id") {
		t.Errorf("two requests have the X-Request-Id %s", hit.header.Get("X-Request-Id"))
	}
	for what, a := range map[string]*received{"miss": miss, "hit": hit} {
		if a.status != 200 || a.body != "hello" || a.err != nil {
			t.Errorf("%s = %d %q, %v, want 200 hello", what, a.status, a.body, a.err)
		}
	}
	if n := f.origin().count(); n != 1 {
		t.Errorf("the origin was asked %d times, want 1", n)
	}
	if got := f.finished().Cache + " " + f.finished().Cache; got != "MISS HIT" {
		t.Errorf("records say %s, want MISS HIT", got)
	}
}

func TestOriginSees(t *testing.T) {
	f := start(t, setup{}, fresh)
	a := f.get("/a?b=c", "X-Forwarded-For: 6.6.6.6", "X-Request-Id: mine", "CDN-Client-City: Atlantis", "Cdnlab-Secret: guessed",
		"Cdnlab-Error: x", "X-Original-Url: /admin", "Range: bytes=0-1", "If-None-Match: \"x\"", "Accept: text/*", "Via: 1.1 mine", "Cookie: a=b")
	got := f.origin().asked()[0]
	for name, want := range map[string]string{
		"Host": "www.cdn.test", "CDN-Loop": "paris-1.cdnlab", "Via": "1.1 mine|1.1 paris-1 (cdnlab)", "X-Forwarded-For": "198.18.1.7",
		"X-Forwarded-Proto": "http", "X-Request-Id": a.header.Get("X-Request-Id"), "CDN-Client-Country": "FR", "CDN-Client-City": "Paris",
		"Cdnlab-Secret": secret, "Cdnlab-Error": "", "X-Original-Url": "", "Range": "bytes=0-1048575", "If-None-Match": "", "Accept": "text/*",
		"Cookie": "a=b", "Connection": "", "Transfer-Encoding": "", "Content-Length": "",
	} {
		if got.field(name) != want {
			t.Errorf("the origin sees %s: %q, want %q", name, got.field(name), want)
		}
	}
	if got.line() != "GET /a?b=c HTTP/1.1" {
		t.Errorf("the origin sees %q, want GET /a?b=c HTTP/1.1", got.line())
	}
}

func TestTrustedPeerSpeaksForTheClient(t *testing.T) {
	f := start(t, setup{}, fresh)
	a := f.get("/a", "Cdnlab-Secret: "+secret, "X-Forwarded-For: 198.18.2.9", "X-Request-Id: 0123", "CDN-Client-City: Tokyo", "Via: 1.1 tokyo-1")
	got := f.origin().asked()[0]
	for name, want := range map[string]string{
		"X-Forwarded-For": "198.18.2.9", "X-Request-Id": "0123", "CDN-Client-City": "Tokyo", "CDN-Client-Country": "",
		"Via": "1.1 tokyo-1|1.1 paris-1 (cdnlab)", "Cdnlab-Secret": secret,
	} {
		if got.field(name) != want {
			t.Errorf("the origin sees %s: %q, want %q", name, got.field(name), want)
		}
	}
	if got := a.header.Get("X-Cache") + a.header.Get("X-Request-Id"); got != "" {
		t.Errorf("another tier is told %q, which is for clients", got)
	}
}

func TestHeadFromStoredGet(t *testing.T) {
	f := start(t, setup{}, fresh)
	c := f.connect()
	c.do("GET", "/a")
	a := c.do("HEAD", "/a")
	if a.header.Get("X-Cache") != "HIT, paris-1" || a.header.Get("Content-Length") != "10" || a.body != "" || a.header.Get("ETag") != `"v1"` {
		t.Errorf("HEAD = %v %q, want a hit with Content-Length 10 and no body", a.header, a.body)
	}
	if again := c.do("GET", "/a"); again.body != "body of /a" { // nothing was left on the connection
		t.Errorf("GET after HEAD = %q, want body of /a", again.body)
	}
	if n := f.origin().count(); n != 1 {
		t.Errorf("the origin was asked %d times, want 1", n)
	}
}

func TestHeadMiss(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool {
		if strings.HasPrefix(c.line(), "HEAD") {
			return c.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 1234\r\n\r\n")
		}
		return fresh(c)
	})
	c := f.connect()
	a := c.do("HEAD", "/a")
	if a.status != 200 || a.header.Get("Content-Length") != "1234" || a.cacheStatus() != "paris-1;fwd=uri-miss;fwd-status=200" {
		t.Errorf("HEAD = %d %v, want 200, Content-Length 1234, a miss that is not stored", a.status, a.header)
	}
	if a := c.do("GET", "/a"); a.body != "body of /a" || a.header.Get("X-Cache") != "MISS, paris-1" {
		t.Errorf("GET after HEAD = %q %s, want body of /a, a miss", a.body, a.header.Get("X-Cache"))
	}
}

func TestConditionalClients(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool {
		return c.write(reply("200 OK", dated+"Cache-Control: max-age=60\r\nETag: \"v1\"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Language: fr\r\n", "hello"))
	})
	f.get("/a")
	tests := []struct {
		name, target string
		lines        []string
		want         int
	}{
		{"tag matches", "/a", []string{`If-None-Match: "v1"`}, 304},
		{"weak tag matches", "/a", []string{`If-None-Match: W/"v1"`}, 304},
		{"one of many tags matches", "/a", []string{`If-None-Match: "x", "v1"`}, 304},
		{"any tag", "/a", []string{`If-None-Match: *`}, 304},
		{"other tag", "/a", []string{`If-None-Match: "v2"`}, 200},
		{"not modified since", "/a", []string{"If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT"}, 304},
		{"modified since", "/a", []string{"If-Modified-Since: Wed, 31 Dec 2025 00:00:00 GMT"}, 200},
		{"the tag counts before the date", "/a", []string{`If-None-Match: "v2"`, "If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT"}, 200},
		{"a miss is fetched whole and answered conditionally", "/new", []string{`If-None-Match: "v1"`}, 304},
	}
	c := f.connect()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f.in(t)
			a := c.do("GET", tt.target, tt.lines...)
			if a.status != tt.want {
				t.Fatalf("GET %s with %q = %d, want %d", tt.target, tt.lines, a.status, tt.want)
			}
			if a.status != 304 {
				return
			}
			if a.body != "" || a.header.Get("ETag") != `"v1"` || a.header.Get("Cache-Control") == "" || a.header.Get("Date") == "" {
				t.Errorf("304 = %v %q, want ETag, Cache-Control, Date and no body", a.header, a.body)
			}
			if got := a.header.Get("Content-Type") + a.header.Get("Content-Language") + a.header.Get("Content-Length"); got != "" {
				t.Errorf("304 describes a body that it has not: %q", got)
			}
		})
	}
	if n := f.origin().count(); n != 2 {
		t.Errorf("the origin was asked %d times, want 2", n)
	}
}

func TestOnlyIfCached(t *testing.T) {
	f := start(t, setup{}, fresh)
	a := f.get("/a", "Cache-Control: only-if-cached")
	if a.status != 504 || f.origin().count() != 0 || !strings.Contains(a.body, "only-if-cached") {
		t.Errorf("only-if-cached of nothing = %d %q, origin asked %d times; want 504 and no question", a.status, a.body, f.origin().count())
	}
	f.get("/a")
	if a := f.get("/a", "Cache-Control: only-if-cached"); a.status != 200 {
		t.Errorf("only-if-cached of what is stored = %d, want 200", a.status)
	}
	f.pass(2 * time.Hour)
	if a := f.get("/a", "Cache-Control: only-if-cached"); a.status != 504 || f.origin().count() != 1 {
		t.Errorf("only-if-cached of what is stale = %d, want 504", a.status)
	}
}

func TestRefusedByRoute(t *testing.T) {
	tests := []struct {
		name, raw string
		status    int
		sentence  string
	}{
		{"unknown host", "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", 404,
			"unknown host \"example.com\": this CDN serves www.cdn.test, alone.cdn.test\n"},
		{"looped", requestHead11("GET", "/", "CDN-Loop: other, paris-1.cdnlab; a=b"), 508,
			"the request has been at paris-1 before: CDN-Loop names it\n"},
		{"looped, in another case", requestHead11("GET", "/", "CDN-Loop: x", "cdn-loop: PARIS-1.CDNLAB"), 508,
			"the request has been at paris-1 before: CDN-Loop names it\n"},
		{"node's own endpoint by a site's host", requestHead11("GET", "/-/health"), 200, "body of /-/health"},
		{"loop of others", requestHead11("GET", "/l", "CDN-Loop: paris-1.cdnlab.example"), 200, "body of /l"},
		{"host in capitals with port and dot", "GET /d HTTP/1.1\r\nHost: WWW.cdn.test.:8080\r\n\r\n", 200, "body of /d"},
		{"own address", "GET /-/health HTTP/1.1\r\nHost: 127.3.1.1:8080\r\n\r\n", 200, "ok\n"},
	}
	f := start(t, setup{}, fresh)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f.in(t)
			c := f.connect()
			c.send(tt.raw)
			a := c.read("GET")
			if a.status != tt.status || a.body != tt.sentence {
				t.Errorf("= %d %q, want %d %q", a.status, a.body, tt.status, tt.sentence)
			}
			if again := c.do("GET", "/again"); again.status != 200 {
				t.Errorf("next request on the connection = %d, want 200", again.status)
			}
		})
	}
}

func TestHTTP10Client(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool {
		if c.target() == "/chunked" {
			return c.write("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
		}
		return fresh(c)
	})
	tests := []struct {
		name, target, line, body string
		kept                     bool
	}{
		{"known length", "/a", "", "body of /a", false},
		{"known length, keep-alive", "/a", "Connection: keep-alive\r\n", "body of /a", true},
		{"unknown length ends with the connection", "/chunked", "Connection: keep-alive\r\n", "hello world", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f.in(t)
			c := f.connect()
			c.send("GET ", tt.target, " HTTP/1.0\r\nHost: www.cdn.test\r\n", tt.line, "\r\n")
			a := c.read(http.MethodGet)
			if a.status != 200 || a.body != tt.body || a.header.Get("Transfer-Encoding") != "" {
				t.Errorf("GET = %d %v %q, want 200 %q unchunked", a.status, a.header, a.body, tt.body)
			}
			if r := f.finished(); r.Bytes != int64(len(tt.body)) {
				t.Errorf("record says %d bytes, want %d", r.Bytes, len(tt.body))
			}
			if !tt.kept {
				if !c.closed() {
					t.Errorf("the connection stays open")
				}
				return
			}
			if a := c.do("GET", "/a"); a.status != 200 {
				t.Errorf("next request on the connection = %d, want 200", a.status)
			}
			f.finished()
		})
	}
	if line := f.origin().asked()[0].line(); line != "GET /a HTTP/1.1" {
		t.Errorf("the origin sees %q, want HTTP/1.1", line)
	}
}

func TestRequestsAreCountedBySiteAndPlace(t *testing.T) {
	f := start(t, setup{}, fresh)
	f.get("/a")
	size := uint64(len(f.get("/a").body))
	f.get("/a", "Cdnlab-Secret: "+secret) // of a node: no client's
	for range 3 {
		f.finished()
	}
	s := f.stats.Snapshot()
	if got := s.Sites["www.cdn.test"]; got.Status["2xx"] != 3 || got.Hits != 2 || got.Bytes != 3*size || got.TTFB.Count != 3 {
		t.Errorf("www.cdn.test = %+v, want 3 requests, 2 hits", got)
	}
	if got := s.Places["paris"]; len(s.Places) != 1 || got.Status["2xx"] != 2 || got.Hits != 1 || got.Bytes != 2*size || got.TTFB.Count != 2 {
		t.Errorf("the places are %+v, want 2 requests from paris, 1 hit", s.Places)
	}
}
