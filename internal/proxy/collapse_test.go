package proxy

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// crowd sends a GET of the same target on as many connections at the same time, and only then lets open close what the origin
// waits for. It returns all answers.
func (f *tier) crowd(n int, open func(), raw func(i int) string) []*received {
	f.t.Helper()
	clients := make([]*client, n)
	for i := range clients {
		clients[i] = f.connect()
	}
	for i, c := range clients {
		c.send(raw(i))
	}
	f.wait("the first request to arrive", func() bool { return f.origin().count() > 0 })
	open()
	answers := make([]*received, n)
	var all sync.WaitGroup
	for i, c := range clients {
		all.Go(func() { answers[i] = c.read("GET") })
	}
	all.Wait()
	return answers
}

// gated answers the first request once the gate is open and the others at once.
func gated(gate chan struct{}, s script) script {
	return func(c *call) bool {
		if c.number == 1 {
			<-gate
		}
		return s(c)
	}
}

func TestCollapsing(t *testing.T) {
	const clients = 500
	same := func(int) string { return requestHead11("GET", "/a") }
	tests := []struct {
		name     string
		answer   script
		raw      func(i int) string
		fetches  int
		again    int // further fetches for those who come when the first has landed and the second has not
		distinct int // bodies
	}{
		{"one fetch for all", func(c *call) bool {
			return c.write(reply("200 OK", dated+"Cache-Control: max-age=60\r\n", fmt.Sprint(c.number)))
		}, same, 1, 0, 1},
		{"a body without a length", func(c *call) bool {
			return c.write("HTTP/1.1 200 OK\r\n", dated, "Cache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n", fmt.Sprint(c.number), "\r\n0\r\n\r\n")
		}, same, 1, 0, 1},
		{"private answers are nobody else's", func(c *call) bool {
			return c.write(reply("200 OK", dated+"Cache-Control: private, max-age=60\r\n", fmt.Sprint(c.number)))
		}, same, clients, 0, clients},
		{"no-store", func(c *call) bool {
			return c.write(reply("200 OK", dated+"Cache-Control: no-store\r\n", fmt.Sprint(c.number)))
		}, same, clients, 0, clients},
		{"a cookie for one", func(c *call) bool {
			return c.write(reply("200 OK", dated+"Cache-Control: max-age=60\r\nSet-Cookie: id=1\r\n", fmt.Sprint(c.number)))
		}, same, clients, 0, clients},
		{"no-cache without a validator", func(c *call) bool {
			return c.write(reply("200 OK", dated+"Cache-Control: no-cache\r\n", fmt.Sprint(c.number)))
		}, same, clients, 0, clients},
		{"no-cache with one", func(c *call) bool {
			return c.write(reply("200 OK", dated+"Cache-Control: no-cache\r\nETag: \"v1\"\r\n", fmt.Sprint(c.number)))
		}, same, clients, 0, clients},
		{"one fetch for each variant", func(c *call) bool {
			return c.write(reply("200 OK", dated+"Cache-Control: max-age=60\r\nVary: Accept-Language\r\n", c.field("Accept-Language")))
		}, func(i int) string { return requestHead11("GET", "/a", fmt.Sprintf("Accept-Language: l%d", i%4)) }, 4, 20, 4},
		{"Vary: * answers one", func(c *call) bool {
			return c.write(reply("200 OK", dated+"Cache-Control: max-age=60\r\nVary: *\r\n", fmt.Sprint(c.number)))
		}, same, clients, 0, clients},
		{"a site that does not collapse", func(c *call) bool {
			return c.write(reply("200 OK", dated+"Cache-Control: private\r\n", fmt.Sprint(c.number)))
		}, func(int) string { return "GET /a HTTP/1.1\r\nHost: alone.cdn.test\r\n\r\n" }, clients, 0, clients},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			gate := make(chan struct{})
			f := start(t, setup{}, gated(gate, tt.answer))
			bodies := map[string]bool{}
			for i, a := range f.crowd(clients, func() { close(gate) }, tt.raw) {
				if a.status != 200 || a.err != nil {
					t.Fatalf("client %d = %d %q, %v, want 200", i, a.status, a.body, a.err)
				}
				bodies[a.body] = true
			}
			if n := f.origin().count(); n < tt.fetches || n > tt.fetches+tt.again {
				t.Errorf("the origin was asked %d times, want %d and up to %d more", n, tt.fetches, tt.again)
			}
			if len(bodies) != tt.distinct {
				t.Errorf("the clients got %d different bodies, want %d", len(bodies), tt.distinct)
			}
		})
	}
}

func TestVariantsMeetTheirOwn(t *testing.T) {
	gate := make(chan struct{})
	f := start(t, setup{}, gated(gate, func(c *call) bool {
		return c.write(reply("200 OK", dated+"Cache-Control: max-age=60\r\nVary: Accept-Language\r\n", c.field("Accept-Language")))
	}))
	language := func(i int) string { return fmt.Sprintf("l%d", i%3) }
	for i, a := range f.crowd(30, func() { close(gate) }, func(i int) string { return requestHead11("GET", "/a", "Accept-Language: "+language(i)) }) {
		if a.body != language(i) {
			t.Errorf("client %d asked for %s and got %s", i, language(i), a.body)
		}
	}
}

// Followers are told of each byte as it comes, not at the end.
func TestFollowersStream(t *testing.T) {
	gate := make(chan struct{})
	f := start(t, setup{}, func(c *call) bool {
		c.write("HTTP/1.1 200 OK\r\n", dated, "Cache-Control: max-age=60\r\nContent-Length: 10000\r\n\r\n", pattern(5000))
		<-gate
		return c.write(pattern(10000)[5000:])
	})
	var clients []*client
	for range 3 {
		c := f.connect()
		c.send(requestHead11("GET", "/a"))
		resp, err := c.begin("GET")
		if err != nil {
			t.Fatal(err)
		}
		half := make([]byte, 4000) // what lies in fasthttp's buffer may wait for more
		if _, err := io.ReadFull(resp.Body, half); err != nil {
			t.Fatal(err)
		}
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(strings.NewReader(string(half)), resp.Body), resp.Body}
		clients = append(clients, c)
		defer func() {
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != pattern(10000) {
				t.Errorf("body = %d bytes, %v, want those of the origin", len(body), err)
			}
		}()
	}
	close(gate)
	if n := f.origin().count(); n != 1 {
		t.Errorf("the origin was asked %d times for %d clients, want 1", n, len(clients))
	}
}

func TestFailureIsShared(t *testing.T) {
	gate := make(chan struct{})
	f := start(t, setup{}, gated(gate, func(c *call) bool { return false }))
	collapsed := 0
	for _, a := range f.crowd(50, func() { close(gate) }, func(int) string { return requestHead11("GET", "/a") }) {
		if a.status != 504 || !strings.Contains(a.body, "paris-1 has no answer for http://www.cdn.test/a: eu-1: ") {
			t.Fatalf("= %d %q, want 504 and why", a.status, a.body)
		}
		if strings.Contains(a.cacheStatus(), ";collapsed") {
			collapsed++
		}
	}
	if n := f.origin().count(); collapsed == 0 || n > 50-collapsed {
		t.Errorf("the origin was asked %d times for 50 clients, %d of them collapsed", n, collapsed)
	}
}

// The one who caused a fetch may go away: the fetch goes on for the others and the store.
func TestFirstClientHangsUp(t *testing.T) {
	gate := make(chan struct{})
	f := start(t, setup{}, func(c *call) bool {
		c.write("HTTP/1.1 200 OK\r\n", dated, "Cache-Control: max-age=60\r\nContent-Length: 100000\r\n\r\n", pattern(50000))
		<-gate
		return c.write(pattern(100000)[50000:])
	})
	first := f.connect()
	first.send(requestHead11("GET", "/a"))
	if _, err := first.begin("GET"); err != nil {
		t.Fatal(err)
	}
	second := f.connect()
	second.send(requestHead11("GET", "/a"))
	if _, err := second.br.Peek(1); err != nil {
		t.Fatal(err)
	}
	_ = first.conn.Close() // its rest is lost
	close(gate)
	if a := second.read("GET"); a.err != nil || a.body != pattern(100000) {
		t.Errorf("second client = %d bytes, %v, want all", len(a.body), a.err)
	}
	f.wait("the body to be stored", func() bool { return f.get("/a").header.Get("X-Cache") == "HIT, paris-1" })
	if n := f.origin().count(); n != 1 {
		t.Errorf("the origin was asked %d times, want 1", n)
	}
}

// Requests that ask for more than what is stored do not wait for one another.
func TestRequestsThatFetchForThemselves(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool {
		return c.write(reply("200 OK", "Cache-Control: max-age=60\r\n", fmt.Sprint(c.number)))
	})
	f.get("/a")
	f.pass(10 * time.Second)
	tests := []struct{ line, body, status string }{
		{"Cache-Control: no-cache", "2", "paris-1;fwd=request;fwd-status=200;stored"},
		{"Cache-Control: max-age=5", "2", "paris-1;hit;ttl=60"},
		{"Cache-Control: no-store", "2", "paris-1;hit;ttl=60"},
		{"Cache-Control: min-fresh=61", "3", "paris-1;fwd=request;fwd-status=200;stored"},
		{"Pragma: no-cache", "4", "paris-1;fwd=request;fwd-status=200;stored"},
	}
	for _, tt := range tests {
		if a := f.get("/a", tt.line); a.body != tt.body || a.cacheStatus() != tt.status {
			t.Errorf("GET with %s = %s %s, want %s %s", tt.line, a.body, a.cacheStatus(), tt.body, tt.status)
		}
	}
	if a := f.get("/b", "Cache-Control: no-store"); a.cacheStatus() != "paris-1;fwd=uri-miss;fwd-status=200" {
		t.Errorf("no-store of nothing = %s, want a miss that is not stored", a.cacheStatus())
	}
	if a := f.get("/b"); a.header.Get("X-Cache") != "MISS, paris-1" {
		t.Errorf("after no-store = %s, want a miss", a.header.Get("X-Cache"))
	}
}

// A client that reloads changes nothing for those who may share an answer.
func TestReloadDoesNotEndCollapsing(t *testing.T) {
	gate := make(chan struct{})
	f := start(t, setup{}, func(c *call) bool {
		if c.number == 2 {
			<-gate
		}
		return c.write(reply("200 OK", "Cache-Control: max-age=5\r\n", fmt.Sprint(c.number)))
	})
	f.get("/a", "Cache-Control: no-cache")
	f.pass(6 * time.Second)
	f.crowd(50, func() {
		f.wait("the second request", func() bool { return f.origin().count() == 2 })
		close(gate)
	}, func(int) string { return requestHead11("GET", "/a") })
	if n := f.origin().count(); n != 2 {
		t.Errorf("the origin was asked %d times, want 2", n)
	}
}
