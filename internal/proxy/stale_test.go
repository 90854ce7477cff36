package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// versioned answers with its present version and confirms it to those who have it. directives follow max-age=60.
type versioned struct {
	version    string
	directives string
	failing    string // a status line to answer with instead
}

func (v *versioned) answer(c *call) bool {
	lines := "Cache-Control: max-age=60" + v.directives + "\r\nETag: \"" + v.version + "\"\r\n"
	switch {
	case v.failing != "":
		return c.write(reply(v.failing, "", "no"))
	case c.field("If-None-Match") == `"`+v.version+`"`:
		return c.write("HTTP/1.1 304 Not Modified\r\n", lines, "X-New: yes\r\n\r\n")
	case strings.HasPrefix(c.line(), "HEAD"):
		return c.write("HTTP/1.1 200 OK\r\n", lines, "Content-Length: 2\r\n\r\n")
	}
	return c.write(reply("200 OK", lines, v.version))
}

func TestRevalidation(t *testing.T) {
	v := &versioned{version: "v1"}
	f := start(t, setup{}, v.answer)
	f.get("/a")
	f.pass(61 * time.Second)

	a := f.get("/a")
	if a.status != 200 || a.body != "v1" || a.header.Get("X-New") != "yes" || a.header.Get("X-Cache") != "REVALIDATED, paris-1" ||
		a.cacheStatus() != "paris-1;fwd=stale;fwd-status=304;stored" {
		t.Errorf("validated = %d %q %v, want 200 v1 with the fields of the 304", a.status, a.body, a.header)
	}
	if a := f.get("/a"); a.header.Get("X-Cache") != "HIT, paris-1" || a.header.Get("X-New") != "yes" {
		t.Errorf("after validation = %v, want a hit with the fields of the 304", a.header)
	}

	v.version = "v2"
	f.pass(61 * time.Second)
	if a := f.get("/a"); a.body != "v2" || a.header.Get("X-Cache") != "MISS, paris-1" || a.cacheStatus() != "paris-1;fwd=stale;fwd-status=200;stored" {
		t.Errorf("replaced = %q %v, want v2", a.body, a.header)
	}
	if a := f.get("/a"); a.body != "v2" || a.header.Get("X-Cache") != "HIT, paris-1" {
		t.Errorf("after replacement = %q %v, want a hit of v2", a.body, a.header)
	}
	if got := f.origin().asked()[2].field("If-None-Match"); got != `"v1"` {
		t.Errorf("the origin was asked with If-None-Match %s, want \"v1\"", got)
	}
}

// The client's own precondition is weighed against the validated response; it does not go upstream.
func TestRevalidationForAConditionalClient(t *testing.T) {
	v := &versioned{version: "v1"}
	f := start(t, setup{}, v.answer)
	f.get("/a")
	f.pass(61 * time.Second)
	if a := f.get("/a", `If-None-Match: "v1"`); a.status != 304 || a.body != "" {
		t.Errorf("= %d %q, want 304", a.status, a.body)
	}
	v.version = "v2"
	f.pass(61 * time.Second)
	if a := f.get("/a", `If-None-Match: "v1"`); a.status != 200 || a.body != "v2" {
		t.Errorf("of what has changed = %d %q, want 200 v2", a.status, a.body)
	}
	f.pass(61 * time.Second)
	if a := f.get("/a", "Range: bytes=1-1"); a.status != 206 || a.body != "2" || f.origin().asked()[3].field("Range") != "" {
		t.Errorf("range = %d %q, want 206 2", a.status, a.body)
	}
}

func TestNotModifiedOfSomethingElse(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool {
		if c.field("If-None-Match") != "" {
			return c.write("HTTP/1.1 304 Not Modified\r\nETag: \"other\"\r\n\r\n")
		}
		return c.write(reply("200 OK", dated+"Cache-Control: max-age=60\r\nETag: \"v1\"\r\n", fmt.Sprint(c.number)))
	})
	f.get("/a")
	f.pass(61 * time.Second)
	if a := f.get("/a"); a.status != 200 || a.body != "3" {
		t.Errorf("= %d %q, want 200 3: fetched anew without validators", a.status, a.body)
	}
}

func TestHeadRevalidates(t *testing.T) {
	v := &versioned{version: "v1"}
	f := start(t, setup{}, v.answer)
	f.get("/a")
	f.pass(61 * time.Second)
	if a := f.do("HEAD", "/a"); a.status != 200 {
		t.Errorf("HEAD = %d, want 200", a.status)
	}
	if a := f.get("/a"); a.header.Get("X-Cache") != "HIT, paris-1" || a.body != "v1" {
		t.Errorf("GET after HEAD that confirmed = %s %q, want a hit of v1", a.header.Get("X-Cache"), a.body)
	}
	v.version = "v2"
	f.pass(61 * time.Second)
	f.do("HEAD", "/a")
	f.pass(-30 * time.Second) // what was stored would be fresh again
	if a := f.get("/a"); a.body != "v2" {
		t.Errorf("GET after HEAD that showed a change = %q, want v2", a.body)
	}
}

func TestStaleWhileRevalidate(t *testing.T) {
	for _, method := range []string{"GET", "HEAD"} {
		t.Run(method, func(t *testing.T) {
			v := &versioned{version: "v1", directives: ", stale-while-revalidate=30"}
			release := make(chan struct{})
			f := start(t, setup{}, func(c *call) bool {
				if c.number == 2 {
					<-release
				}
				return v.answer(c)
			})
			f.get("/a")
			f.pass(70 * time.Second)
			v.version = "v2"
			for range 3 { // the origin does not answer yet, and is asked once
				a := f.do(method, "/a")
				if a.status != 200 || a.header.Get("X-Cache") != "STALE, paris-1" || a.cacheStatus() != "paris-1;hit;ttl=-10" || a.header.Get("Age") != "70" {
					t.Fatalf("stale = %d %v, want 200, a hit with ttl=-10", a.status, a.header)
				}
			}
			close(release)
			f.wait("the refresh", func() bool { return f.get("/a").header.Get("X-Cache") == "HIT, paris-1" })
			if a := f.get("/a"); a.body != "v2" {
				t.Errorf("after the refresh = %q, want v2", a.body)
			}
			if n := f.origin().count(); n != 2 {
				t.Errorf("the origin was asked %d times, want 2", n)
			}
			f.pass(91 * time.Second)
			if a := f.get("/a"); a.header.Get("X-Cache") != "REVALIDATED, paris-1" {
				t.Errorf("past the window: %s, want REVALIDATED", a.header.Get("X-Cache"))
			}
		})
	}
}

func TestStaleIfError(t *testing.T) {
	tests := []struct {
		name, directives, failing string
		down                      bool
		after                     time.Duration
		want                      int
		result                    string
	}{
		{"every parent is down", "", "", true, 10 * time.Minute, 200, "STALE, paris-1"},
		{"the app fails", "", "500 Internal Server Error", false, 10 * time.Minute, 200, "STALE, paris-1"},
		{"the app is away", "", "503 Service Unavailable", false, 10 * time.Minute, 200, "STALE, paris-1"},
		{"the app finds nothing", "", "404 Not Found", false, 10 * time.Minute, 404, "MISS, paris-1"},
		{"past the site's limit", "", "", true, 62 * time.Minute, 504, "ERROR, paris-1"},
		{"past the response's own limit", ", stale-if-error=5", "", true, 2 * time.Minute, 504, "ERROR, paris-1"},
		{"must-revalidate", ", must-revalidate", "", true, 2 * time.Minute, 504, "ERROR, paris-1"},
		{"must-revalidate and the app fails", ", must-revalidate", "500 Internal Server Error", false, 2 * time.Minute, 500, "MISS, paris-1"},
	}
	for _, tt := range tests {
		for _, method := range []string{"GET", "HEAD"} {
			t.Run(tt.name+" "+method, func(t *testing.T) {
				v := &versioned{version: "v1", directives: tt.directives}
				f := start(t, setup{}, v.answer, v.answer)
				f.get("/a")
				f.pass(tt.after)
				v.failing = tt.failing
				for _, o := range f.parents.origins {
					o.setDown(tt.down)
				}
				a := f.do(method, "/a")
				if a.status != tt.want || a.header.Get("X-Cache") != tt.result {
					t.Errorf("= %d %s %s, want %d %s", a.status, a.header.Get("X-Cache"), a.cacheStatus(), tt.want, tt.result)
				}
				if tt.want == 200 && (!strings.Contains(a.cacheStatus(), `detail="served stale: `) || method == "GET" && a.body != "v1") {
					t.Errorf("= %q with Cache-Status %s, want v1 and why it is stale", a.body, a.cacheStatus())
				}
				for _, o := range f.parents.origins {
					o.setDown(false)
				}
				v.failing = ""
				if a := f.get("/a"); a.status != 200 || a.header.Get("X-Cache") == tt.result {
					t.Errorf("once the origin is back = %d %s, want an answer of the origin", a.status, a.header.Get("X-Cache"))
				}
			})
		}
	}
}

func TestUnsafeMethodInvalidates(t *testing.T) {
	tests := []struct {
		name, method, status, lines, target string
		gone                                bool
	}{
		{"POST", "POST", "204 No Content", "", "/a", true},
		{"PUT", "PUT", "201 Created", "", "/a", true},
		{"unknown method", "FROB", "200 OK", "", "/a", true},
		{"redirect", "POST", "303 See Other", "Location: /b\r\n", "/a", true},
		{"failed POST", "POST", "500 Internal Server Error", "", "/a", false},
		{"OPTIONS", "OPTIONS", "200 OK", "", "/a", false},
		{"Location on the same host", "POST", "201 Created", "Location: http://www.cdn.test/a\r\n", "/b", true},
		{"Location elsewhere", "POST", "201 Created", "Location: http://alone.cdn.test/a\r\n", "/b", false},
		{"Content-Location", "PUT", "200 OK", "Content-Location: a\r\n", "/b", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := start(t, setup{}, func(c *call) bool {
				if strings.HasPrefix(c.line(), "GET") {
					return fresh(c)
				}
				if strings.HasPrefix(tt.status, "204") {
					return c.write("HTTP/1.1 204 No Content\r\n\r\n")
				}
				return c.write(reply(tt.status, tt.lines, ""))
			})
			f.get("/a")
			a := f.do(tt.method, tt.target)
			if !strings.HasPrefix(tt.status, fmt.Sprint(a.status)) || a.header.Get("X-Cache") != "PASS, paris-1" ||
				a.cacheStatus() != fmt.Sprintf("paris-1;fwd=method;fwd-status=%d", a.status) {
				t.Errorf("%s = %d %v, want %s passed on", tt.method, a.status, a.header, tt.status)
			}
			if got := f.get("/a").header.Get("X-Cache"); (got == "MISS, paris-1") != tt.gone {
				t.Errorf("GET after %s = %s, want it gone: %v", tt.method, got, tt.gone)
			}
		})
	}
}

// What was on its way when an unsafe request succeeded may be older than its effect.
func TestUnsafeMethodInvalidatesWhatIsUnderWay(t *testing.T) {
	release := make(chan struct{})
	f := start(t, setup{}, func(c *call) bool {
		switch {
		case strings.HasPrefix(c.line(), "POST"):
			return c.write(reply("200 OK", "", "done"))
		case c.number == 1:
			c.write("HTTP/1.1 200 OK\r\n", dated, "Cache-Control: max-age=60\r\nContent-Length: 6\r\n\r\nbef")
			<-release
			return c.write("ore")
		}
		return c.write(reply("200 OK", dated+"Cache-Control: max-age=60\r\n", "after"))
	})
	early := f.connect()
	early.send(requestHead11("GET", "/a"))
	if _, err := early.br.Peek(1); err != nil {
		t.Fatal(err)
	}
	f.do("POST", "/a")
	late := f.connect()
	late.send(requestHead11("GET", "/a"))
	if a := late.read("GET"); a.body != "after" {
		t.Errorf("GET that began after the POST had succeeded = %q, want after", a.body)
	}
	close(release)
	if a := early.read("GET"); a.body != "before" {
		t.Errorf("GET that began before the POST = %q, want before", a.body)
	}
	if a := f.get("/a"); a.body != "after" {
		t.Errorf("stored is %q, want after", a.body)
	}
}
