package proxy

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// silent hangs up once it has read the request.
func silent(*call) bool { return false }

// tierError answers as a tier whose own parents fail.
func tierError(status, sentence string) script {
	return func(c *call) bool {
		return c.write(reply(status, "Cdnlab-Error: eu-1\r\nCache-Control: no-store\r\nCache-Status: eu-1;fwd=miss\r\n", sentence))
	}
}

func TestFailover(t *testing.T) {
	posted := "POST /a HTTP/1.1\r\nHost: www.cdn.test\r\nContent-Length: 5\r\n\r\nhello"
	tests := []struct {
		name   string
		first  script
		down   bool // the first parent refuses connections
		raw    string
		status int
		body   string
		counts [2]int // requests that the parents saw
		failed int    // reports about the first
	}{
		{name: "GET, first is down", down: true, raw: requestHead11("GET", "/a"), status: 200, body: "second", counts: [2]int{0, 1}, failed: 1},
		{name: "GET, first hangs up", first: silent, raw: requestHead11("GET", "/a"), status: 200, body: "second", counts: [2]int{1, 1}, failed: 1},
		{name: "GET, first talks nonsense", first: func(c *call) bool { return c.write("?\r\n\r\n") }, raw: requestHead11("GET", "/a"), status: 200,
			body: "second", counts: [2]int{1, 1}, failed: 1},
		{name: "GET, first has no answer from above", first: tierError("504 Gateway Timeout", "eu-1 has no answer"), raw: requestHead11("GET", "/a"),
			status: 200, body: "second", counts: [2]int{1, 1}},
		{name: "GET, the app itself says 503", first: func(c *call) bool { return c.write(reply("503 Service Unavailable", "", "app")) },
			raw: requestHead11("GET", "/a"), status: 503, body: "app", counts: [2]int{1, 0}},
		{name: "HEAD, first hangs up", first: silent, raw: requestHead11("HEAD", "/a"), status: 200, counts: [2]int{1, 1}, failed: 1},
		{name: "OPTIONS, first hangs up", first: silent, raw: requestHead11("OPTIONS", "/a"), status: 200, body: "second", counts: [2]int{1, 1}, failed: 1},
		{name: "POST, first is down", down: true, raw: posted, status: 200, body: "second", counts: [2]int{0, 1}, failed: 1},
		{name: "POST, first hangs up", first: silent, raw: posted, status: 504, counts: [2]int{1, 0}, failed: 1},
		{name: "POST, first has no answer from above", first: tierError("504 Gateway Timeout", "eu-1 has no answer"), raw: posted, status: 504,
			body: "eu-1 has no answer", counts: [2]int{1, 0}},
		{name: "POST without a body, first hangs up", first: silent, raw: requestHead11("POST", "/a"), status: 504, counts: [2]int{1, 0}, failed: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := start(t, setup{}, tt.first, func(c *call) bool {
				if strings.HasPrefix(c.line(), "HEAD") {
					return c.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
				}
				_, _ = c.body()
				return c.write(reply("200 OK", dated, "second"))
			})
			f.origin().setDown(tt.down)
			c := f.connect()
			c.send(tt.raw)
			method, _, _ := strings.Cut(tt.raw, " ")
			a := c.read(method)
			if a.status != tt.status || tt.body != "" && a.body != tt.body {
				t.Errorf("= %d %q, want %d %q", a.status, a.body, tt.status, tt.body)
			}
			if got := [2]int{f.origin().count(), f.parents.origins[1].count()}; got != tt.counts {
				t.Errorf("the parents saw %v requests, want %v", got, tt.counts)
			}
			if n := f.parents.failed("eu-1"); n != tt.failed {
				t.Errorf("the first parent was reported as failed %d times, want %d", n, tt.failed)
			}
			if v := a.header.Get("Cdnlab-Error"); v != "" {
				t.Errorf("the client sees Cdnlab-Error: %s", v)
			}
		})
	}
}

// When no parent does better, the sentence of the tier that knows is the one that the client reads.
func TestEveryParentFails(t *testing.T) {
	tests := []struct {
		name    string
		scripts []script
		status  int
		want    string
	}{
		{"none answers", []script{silent, silent, silent}, 504,
			"paris-1 has no answer for http://www.cdn.test/a: eu-1: hung up without an answer; eu-2: hung up without an answer; main: hung up without an answer\n"},
		{"a tier says why", []script{silent, tierError("503 Service Unavailable", "eu-2 is stopping"), silent}, 503, "eu-2 is stopping\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := start(t, setup{}, tt.scripts...)
			if a := f.get("/a"); a.status != tt.status || a.body != tt.want || a.header.Get("X-Cache") != "ERROR, paris-1" ||
				a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Cdnlab-Error") != "" {
				t.Errorf("= %d %q %v, want %d %q", a.status, a.body, a.header, tt.status, tt.want)
			}
			if a := f.get("/a", "Cdnlab-Secret: "+secret); a.header.Get("Cdnlab-Error") != "paris-1" {
				t.Errorf("a node below is told Cdnlab-Error: %q, want paris-1", a.header.Get("Cdnlab-Error"))
			}
		})
	}
}

func TestRefusedConnectionIsToldPlainly(t *testing.T) {
	f := start(t, setup{}, fresh)
	f.origin().setDown(true)
	want := "paris-1 has no answer for http://www.cdn.test/a: eu-1: cannot connect: connection refused\n"
	if a := f.get("/a"); a.status != 504 || a.body != want {
		t.Errorf("= %d %q, want 504 %q", a.status, a.body, want)
	}
}

// A kept connection may have been closed by the time that it is used: what may be repeated is, on a new one.
func TestKeptConnectionHasGone(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool {
		b, err := c.body()
		return err == nil && c.write(reply("200 OK", "Cache-Control: no-store\r\n", fmt.Sprint(c.number, b)))
	})
	for _, raw := range []string{requestHead11("GET", "/a"), "POST /a HTTP/1.1\r\nHost: www.cdn.test\r\nContent-Length: 1\r\n\r\n!"} {
		f.get("/a") // leaves a connection
		before := f.origin().count()
		f.origin().hangUp()
		f.wait("the connection to end", func() bool { open, _ := f.origin().connections(); return open == 0 })
		c := f.connect()
		c.send(raw)
		if a := c.read("GET"); a.status != 200 || f.origin().count() != before+1 {
			t.Errorf("%.4s = %d %q, want 200 on a new connection", raw, a.status, a.body)
		}
	}
	if n := f.parents.failed("eu-1"); n != 0 {
		t.Errorf("the parent was reported as failed %d times, want 0", n)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	tests := []struct {
		name, raw string
		conns     int
	}{
		{"length", reply("200 OK", "", "hello"), 1},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", 1},
		{"nothing", "HTTP/1.1 204 No Content\r\n\r\n", 1},
		{"the server closes", reply("200 OK", "Connection: foo, Close\r\n", "hello"), 5},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 5},
		{"more than the body", reply("200 OK", "", "hello") + "HTTP/1.1 200 OK\r\n", 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := start(t, setup{}, func(c *call) bool { return c.write(tt.raw) })
			for range 5 {
				if a := f.get("/a", "Cache-Control: no-store"); a.err != nil || a.body != "hello" && a.status != 204 {
					t.Errorf("= %d %q, %v, want hello", a.status, a.body, a.err)
				}
				f.finished()
			}
			if _, ever := f.origin().connections(); ever != tt.conns {
				t.Errorf("%d connections were opened, want %d", ever, tt.conns)
			}
		})
	}
}

// What Connection nominates does not arrive: no tier may take the answer for what others would get.
func TestNominatedFieldsKeepAllTiersFromStoring(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool {
		return c.write(reply("200 OK", dated+"Cache-Control: max-age=60\r\n", fmt.Sprint(c.number)))
	})
	f.get("/a", "Connection: Cookie", "Cookie: a=b")
	if c := f.origin().asked()[0]; c.field("Cdnlab-Pass") == "" || c.field("Cookie") != "" {
		t.Errorf("the next tier is sent %q, want Cdnlab-Pass and no Cookie", c.head)
	}
	f.get("/a", "Cdnlab-Secret: "+secret, "Cdnlab-Pass: 1") // as the next tier gets it
	if a := f.get("/a"); a.body != "3" {
		t.Errorf("another client got answer %s, want one of its own", a.body)
	}
	if c := f.origin().asked()[2]; c.field("Cdnlab-Pass") != "" {
		t.Errorf("an ordinary request is sent as %q", c.head)
	}
}

func TestMaxForwards(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool { return c.write(reply("200 OK", "", c.field("Max-Forwards"))) })
	tests := []struct {
		method, value string
		want          string // what the app is told
		asked         bool
	}{
		{"OPTIONS", "0", "", false},
		{"OPTIONS", "1", "0", true},
		{"OPTIONS", "5", "4", true},
		{"OPTIONS", "5", "4", true}, // the same once more
		{"OPTIONS", "many", "many", true},
		{"DELETE", "0", "0", true},
	}
	c := f.connect()
	for _, tt := range tests {
		before := f.origin().count()
		a := c.do(tt.method, "/a", "Max-Forwards: "+tt.value)
		if asked := f.origin().count() > before; a.status != 200 || a.body != tt.want || asked != tt.asked || !asked && a.header.Get("Allow") == "" {
			t.Errorf("%s with %s = %d %q, asked upstream: %v; want 200 %q, %v, and Allow from this node", tt.method, tt.value, a.status, a.body, asked, tt.want, tt.asked)
		}
	}
}

// Other parents than those that Choose names in time are not tried.
func TestTriesAreBounded(t *testing.T) {
	f := start(t, setup{}, silent)
	u := f.parents.upstreams[0]
	f.parents.upstreams = []*Upstream{u, u, u, u, u, u}
	if a := f.get("/a"); a.status != 504 || f.origin().count() != maxTries {
		t.Errorf("= %d after %d tries, want 504 after %d", a.status, f.origin().count(), maxTries)
	}
}

func TestEndOfConnectionIsTheEndOfTheBody(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool {
		return c.write("HTTP/1.1 200 OK\r\n", dated, "Cache-Control: max-age=60\r\n\r\n", pattern(100000)) && false
	})
	if a := f.get("/a"); a.status != 200 || a.body != pattern(100000) || a.err != nil {
		t.Errorf("= %d, %d bytes, %v, want 200 and all", a.status, len(a.body), a.err)
	}
	f.wait("the body to be stored", func() bool { return f.get("/a").header.Get("X-Cache") == "HIT, paris-1" })
}

func TestFieldsPassUnchanged(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool {
		return c.write(reply("299 Own", "x-lower: 1\r\nX-Twice: a\r\nX-Other: b\r\nX-Twice: c\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n"+
			"Content-Type: text/x; charset=odd\r\nServer: app\r\nContent-Encoding: gzip\r\nX-Empty:\r\nX-Latin: \xe9\r\nCache-Control: no-store\r\n", "hello"))
	})
	c := f.connect()
	c.send(requestHead11("GET", "/a"))
	head, err := (lineReader{c.br}).head()
	if err != nil {
		t.Fatal(err)
	}
	want := "x-lower: 1\r\nX-Twice: a\r\nX-Other: b\r\nX-Twice: c\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n" +
		"Content-Type: text/x; charset=odd\r\nServer: app\r\nContent-Encoding: gzip\r\nX-Empty: \r\nX-Latin: \xe9\r\nCache-Control: no-store\r\n"
	if !strings.HasPrefix(head, "HTTP/1.1 299 ") || !strings.Contains(head, want) {
		t.Errorf("head = %q, want 299 and %q", head, want)
	}
	if n := strings.Count(strings.ToLower(head), "\r\ncontent-length:"); n != 1 {
		t.Errorf("head = %q has %d lengths, want one", head, n)
	}
	body := make([]byte, 5)
	if _, err := io.ReadFull(c.br, body); err != nil || string(body) != "hello" {
		t.Errorf("body = %q, %v, want hello", body, err)
	}
}

func TestFieldsGoUpstreamAsEachRequestHasThem(t *testing.T) {
	f := start(t, setup{}, fresh)
	c := f.connect()
	for i, tt := range []struct {
		lines      []string
		want, none string // X-A and If-None-Match as the origin gets them
	}{
		{[]string{"X-A: 1"}, "1", ""},
		{[]string{"X-A: 1"}, "1", ""},
		{[]string{"X-A: 1", `If-None-Match: "v"`}, "1", ""}, // what fills the cache is wanted whole
		{[]string{"X-A: 2", "X-A: 3"}, "2|3", ""},
		{nil, "", ""},
		{[]string{"X-A: 4", "Cache-Control: no-store", `If-None-Match: "v"`}, "4", `"v"`},
		{[]string{"X-A: 4"}, "4", ""},
	} {
		c.do("GET", fmt.Sprint("/", i), tt.lines...)
		asked := f.origin().asked()
		if got := asked[len(asked)-1]; len(asked) != i+1 || got.field("X-A") != tt.want || got.field("If-None-Match") != tt.none {
			t.Errorf("request %d with %q: the origin gets\n%s", i, tt.lines, got.head)
		}
	}
}
