package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// broken are bodies that end before their framing says so, each after its first bytes.
var broken = []struct{ name, framing, body string }{
	{"short Content-Length", "Content-Length: 100000\r\n", "whole"},
	{"long body cut short", "Content-Length: 100000\r\n", pattern(70000)},
	{"chunk cut", "Transfer-Encoding: chunked\r\n", "5\r\nwhole\r\n10\r\npar"},
	{"no last chunk", "Transfer-Encoding: chunked\r\n", "5\r\nwhole\r\n"},
	{"cut in a chunk's size", "Transfer-Encoding: chunked\r\n", "5\r\nwhole\r\n1"},
	{"cut after a chunk's data", "Transfer-Encoding: chunked\r\n", "5\r\nwhole"},
	{"no end of the trailer", "Transfer-Encoding: chunked\r\n", "5\r\nwhole\r\n0\r\n"},
	{"cut in the trailer", "Transfer-Encoding: chunked\r\n", "5\r\nwhole\r\n0\r\nX-Sum: 1\r\n"},
	{"malformed trailer", "Transfer-Encoding: chunked\r\n", "5\r\nwhole\r\n0\r\nno colon\r\n\r\n"},
	{"malformed chunk size", "Transfer-Encoding: chunked\r\n", "5\r\nwhole\r\nx\r\n\r\n0\r\n\r\n"},
	{"negative chunk size", "Transfer-Encoding: chunked\r\n", "5\r\nwhole\r\n-1\r\n\r\n0\r\n\r\n"},
	{"chunk size with a bare LF", "Transfer-Encoding: chunked\r\n", "5\r\nwhole\r\n1\nx\r\n0\r\n\r\n"},
	{"chunk longer than its size", "Transfer-Encoding: chunked\r\n", "5\r\nwhole, and more\r\n0\r\n\r\n"},
	{"huge chunk size", "Transfer-Encoding: chunked\r\n", "5\r\nwhole\r\nfffffffffffffffff\r\n"},
}

// reset makes a connection end with RST.
func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0) // the connection is open
	_ = c.Close()
}

func TestTruncatedBody(t *testing.T) {
	for _, control := range []string{"max-age=60", "no-store"} {
		for _, end := range []string{"close", "reset"} {
			for _, tt := range broken {
				t.Run(fmt.Sprint(control, "/", end, "/", tt.name), func(t *testing.T) {
					t.Parallel()
					testTruncated(t, control, end == "reset", tt.framing, tt.body)
				})
			}
		}
	}
}

func testTruncated(t *testing.T, control string, rst bool, framing, body string) {
	seen := make(chan struct{})
	f := start(t, setup{}, func(c *call) bool {
		if c.number > 1 {
			return c.write(reply("200 OK", dated+"Cache-Control: max-age=60\r\n", "mended"))
		}
		c.write("HTTP/1.1 200 OK\r\n", dated, "Cache-Control: ", control, "\r\n", framing, "\r\n")
		<-seen // the client has the head: from now on the answer can only break off
		c.write(body)
		if rst {
			reset(c.conn)
		}
		return false
	})
	c := f.connect()
	c.send(requestHead11("GET", "/a"))
	resp, err := c.begin("GET")
	if err != nil {
		t.Fatal(err)
	}
	close(seen)
	if got, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("the client took %d bytes for a whole body", len(got))
	}
	if !c.closed() {
		t.Errorf("the connection goes on after half a body")
	}
	if a := f.get("/a"); a.status != 200 || a.body != "mended" || a.header.Get("X-Cache") != "MISS, paris-1" {
		t.Errorf("next GET = %d %q %s, want mended, fetched anew", a.status, a.body, a.header.Get("X-Cache"))
	}
	if got := f.proxy.store.Stats(); got.Objects != 1 {
		t.Errorf("the store holds %d objects, want the mended one", got.Objects)
	}
}

// The whole of half a body may be here before the client is answered. A second fetch may bring all of it; no third is made.
func TestTruncatedAtOnce(t *testing.T) {
	for _, control := range []string{"max-age=60", "no-store"} {
		t.Run(control, func(t *testing.T) {
			f := start(t, setup{}, func(c *call) bool {
				c.write("HTTP/1.1 200 OK\r\n", dated, "Cache-Control: ", control, "\r\nContent-Length: 100\r\n\r\nhalf")
				return false
			})
			for range 200 {
				before := f.origin().count()
				c := f.connect()
				c.send(requestHead11("GET", "/a"))
				resp, err := c.begin("GET")
				if err == nil && resp.StatusCode == 200 {
					_, err = io.ReadAll(resp.Body)
				}
				if err == nil && resp.StatusCode != 502 && resp.StatusCode != 504 {
					t.Fatalf("the client took half a body for a %d", resp.StatusCode)
				}
				if n := f.origin().count() - before; n > 2 {
					t.Fatalf("one request became %d", n)
				}
			}
		})
	}
}

func TestTruncatedForFollowers(t *testing.T) {
	gate := make(chan struct{})
	f := start(t, setup{}, gated(gate, func(c *call) bool {
		c.write("HTTP/1.1 200 OK\r\n", dated, "Cache-Control: max-age=60\r\nContent-Length: 100000\r\n\r\n", pattern(60000))
		return false
	}))
	for i, a := range f.crowd(50, func() { close(gate) }, func(int) string { return requestHead11("GET", "/a") }) {
		if a.err == nil && a.status == 200 {
			t.Errorf("client %d took %d bytes for a whole body", i, len(a.body))
		}
	}
	if got := f.proxy.store.Stats(); got.Objects != 0 || got.Bytes != 0 {
		t.Errorf("the store holds %+v, want nothing", got)
	}
}

// A client of HTTP/1.0 tells the end of a body without a length by the end of the connection: a broken one must not end well.
func TestTruncatedForHTTP10(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool {
		c.write("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n")
		return false
	})
	c := f.connect()
	c.send("GET /a HTTP/1.0\r\nHost: www.cdn.test\r\n\r\n")
	if got, err := io.ReadAll(c.br); err == nil {
		t.Errorf("the client took %q for a whole answer", got)
	}
}

// Heads that do not arrive whole, or could be read in two ways, are no answer.
func TestBrokenHead(t *testing.T) {
	tests := []struct{ name, raw, why string }{
		{"nothing", "", "hung up"},
		{"cut", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", "hung up"},
		{"no HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n", "malformed status line"},
		{"bare LF", "HTTP/1.1 200 OK\nContent-Length: 5\n\nwhole\r\n\r\n", "malformed status line"},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nwhole", "malformed Content-Length"},
		{"list of lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nwhole", "malformed Content-Length"},
		{"signed length", "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nwhole", "malformed Content-Length"},
		{"length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n", "two framings"},
		{"chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n", "two framings"},
		{"unknown coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "unknown transfer coding"},
		{"folded line", "HTTP/1.1 200 OK\r\nA: b\r\n c: d\r\nContent-Length: 5\r\n\r\nwhole", "malformed header line"},
		{"space before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nwhole", "malformed header line"},
		{"too long", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", maxResponseHead) + "\r\n\r\n", "exceeds 65536 bytes"},
		{"unasked tunnel", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "switched protocols unasked"},
		{"endless interim responses", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", maxInterim+1), "more than 16 interim responses"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := start(t, setup{}, func(c *call) bool {
				c.write(tt.raw)
				return false
			})
			a := f.get("/a")
			if a.status != 504 || !strings.HasPrefix(a.body, "paris-1 has no answer for http://www.cdn.test/a: eu-1: ") || !strings.Contains(a.body, tt.why) {
				t.Errorf("= %d %q, want 504 that says %q", a.status, a.body, tt.why)
			}
			if f.parents.failed("eu-1") == 0 {
				t.Errorf("the parent was not reported as failed")
			}
		})
	}
}

func TestInterimResponsesAreSkipped(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool {
		return c.write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n") && fresh(c)
	})
	if a := f.get("/a"); a.status != 200 || a.body != "body of /a" || a.header.Get("Link") != "" {
		t.Errorf("= %d %q %v, want the final answer alone", a.status, a.body, a.header)
	}
}

// What has a length, or is stored, does not come after a long silence; an event stream may.
func TestSilenceInABody(t *testing.T) {
	for _, tt := range []struct {
		header string
		want   time.Duration
	}{
		{"Content-Length: 5\r\n", bodyStall},
		{"Transfer-Encoding: chunked\r\n", bodyIdle},
		{"", bodyIdle},
	} {
		h, err := parseHead([]byte("HTTP/1.1 200 OK\r\n" + tt.header + "\r\n"))
		var b body
		if err = errors.Join(err, b.init(&upConn{}, &h, false)); err != nil || b.idle != tt.want {
			t.Errorf("a body with %q may be silent for %v, %v, want %v", tt.header, b.idle, err, tt.want)
		}
	}
}
