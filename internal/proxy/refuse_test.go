package proxy

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// get and post begin requests to which cases add their lines.
const (
	getHead  = "GET /a HTTP/1.1\r\nHost: www.cdn.test\r\n"
	postHead = "POST /a HTTP/1.1\r\nHost: www.cdn.test\r\n"
)

// What two recipients could understand in two ways is refused, and the connection ends with it.
func TestAmbiguousRequestsAreRefused(t *testing.T) {
	tests := []struct {
		name, raw string
		status    int
	}{
		{"length beside chunks", postHead + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"chunks beside length", postHead + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400},
		{"two lengths", postHead + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400},
		{"two lengths that agree", postHead + "Content-Length: 5\r\ncontent-length: 5\r\n\r\nhello", 400},
		{"list of lengths", postHead + "Content-Length: 5, 5\r\n\r\nhello", 400},
		{"signed length", postHead + "Content-Length: +5\r\n\r\nhello", 400},
		{"negative length", postHead + "Content-Length: -5\r\n\r\nhello", 400},
		{"hexadecimal length", postHead + "Content-Length: 0x5\r\n\r\nhello", 400},
		{"length with a space in it", postHead + "Content-Length: 5 5\r\n\r\nhello", 400},
		{"empty length", postHead + "Content-Length:\r\n\r\n", 400},
		{"length that overflows", postHead + "Content-Length: 18446744073709551621\r\n\r\nhello", 400},
		{"two codings", postHead + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"identity", postHead + "Transfer-Encoding: identity\r\n\r\n", 400},
		{"identity beside length", postHead + "Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", 400},
		{"coding with a vertical tab", postHead + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400},
		{"list of codings", postHead + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400},
		{"unknown coding", postHead + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400},
		{"chunks in HTTP/1.0", "POST /a HTTP/1.0\r\nHost: www.cdn.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"space before the colon", postHead + "Content-Length : 5\r\n\r\nhello", 400},
		{"tab before the colon", postHead + "Content-Length\t: 5\r\n\r\nhello", 400},
		{"space in a name", getHead + "X Y: 1\r\n\r\n", 400},
		{"tab in a name", getHead + "X\tY: 1\r\n\r\n", 400},
		{"bracket in a name", getHead + "X(Y): 1\r\n\r\n", 400},
		{"control character in a name", getHead + "X\x01Y: 1\r\n\r\n", 400},
		{"byte past ASCII in a name", getHead + "X\xe9Y: 1\r\n\r\n", 400},
		{"empty name", getHead + ": 1\r\n\r\n", 400},
		{"no colon", getHead + "Nothing\r\n\r\n", 400},
		{"NUL in a value", getHead + "X: a\x00b\r\n\r\n", 400},
		{"control character in a value", getHead + "X: a\x01b\r\n\r\n", 400},
		{"bare CR in a value", getHead + "X: a\rb\r\n\r\n", 400},
		{"bare LF behind a line", getHead + "X: a\nY: b\r\n\r\n", 400},
		{"bare LF behind every line", "GET /a HTTP/1.1\nHost: www.cdn.test\n\n\r\n\r\n", 400},
		{"bare LF at the end of the head", getHead + "X: a\r\n\nGET /b HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", 400},
		{"bare CR behind the request line", "GET /a HTTP/1.1\rHost: www.cdn.test\r\n\r\n", 400},
		{"folded line", getHead + "X: a\r\n b: c\r\n\r\n", 400},
		{"line folded with a tab", getHead + "X: a\r\n\tb: c\r\n\r\n", 400},
		{"folded line without a colon", getHead + "X: a\r\n b\r\n\r\n", 400},
		{"folded first line", "GET /a HTTP/1.1\r\n Host: www.cdn.test\r\nHost: www.cdn.test\r\n\r\n", 400},
		{"no host", "GET /a HTTP/1.1\r\n\r\n", 400},
		{"no host in HTTP/1.0", "GET /a HTTP/1.0\r\n\r\n", 400},
		{"empty host", "GET /a HTTP/1.1\r\nHost:\r\n\r\n", 400},
		{"two hosts", getHead + "Host: www.cdn.test\r\n\r\n", 400},
		{"list of hosts", "GET /a HTTP/1.1\r\nHost: www.cdn.test, www.cdn.test\r\n\r\n", 400},
		{"host with a path", "GET /a HTTP/1.1\r\nHost: www.cdn.test/b\r\n\r\n", 400},
		{"host with a user", "GET /a HTTP/1.1\r\nHost: a@www.cdn.test\r\n\r\n", 400},
		{"host with a port past the last", "GET /a HTTP/1.1\r\nHost: www.cdn.test:65536\r\n\r\n", 400},
		{"host with a bad port", "GET /a HTTP/1.1\r\nHost: www.cdn.test:8o\r\n\r\n", 400},
		{"absolute form with a bad Host", "GET http://www.cdn.test/a HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
		{"absolute form without Host", "GET http://www.cdn.test/a HTTP/1.1\r\n\r\n", 400},
		{"absolute form of another scheme", "GET ftp://www.cdn.test/a HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", 400},
		{"absolute form with a user", "GET http://a@www.cdn.test/a HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", 400},
		{"target without a slash", "GET a HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", 400},
		{"target with a space", "GET /a HTTP/1.1 HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", 400},
		{"target with two spaces before the version", "GET /a  HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", 400},
		{"target with a tab", "GET /a\tb HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", 400},
		{"target with a control character", "GET /a\x01 HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", 400},
		{"target with a byte past ASCII", "GET /\xc3\xa9 HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", 400},
		{"target with a fragment", "GET /a#b HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", 400},
		{"asterisk of GET", "GET * HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", 400},
		{"long target", "GET /" + strings.Repeat("a", maxTarget) + " HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", 414},
		{"long head", getHead + "X: " + strings.Repeat("a", 20<<10) + "\r\n\r\n", 431},
		{"CONNECT", "CONNECT www.cdn.test:80 HTTP/1.1\r\nHost: www.cdn.test:80\r\n\r\n", 501},
		{"CONNECT of a path", "CONNECT /a HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", 501},
		{"TRACE", "TRACE /a HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", 405},
		{"HTTP/2.0", "GET /a HTTP/2.0\r\nHost: www.cdn.test\r\n\r\n", 505},
		{"HTTP/1.9", "GET /a HTTP/1.9\r\nHost: www.cdn.test\r\n\r\n", 505},
		{"preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
		{"no version", "GET /a\r\nHost: www.cdn.test\r\n\r\n", 400},
		{"malformed method", "GE(T /a HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", 400},
		{"unknown expectation", postHead + "Expect: miracle\r\nContent-Length: 5\r\n\r\nhello", 417},
		{"no HTTP at all", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400},
	}
	f := start(t, setup{}, fresh)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f.in(t)
			before := f.origin().count()
			c := f.connect()
			c.send(tt.raw)
			resp, err := c.begin(http.MethodGet)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != tt.status || len(body) == 0 {
				t.Errorf("= %d %q, want %d and why", resp.StatusCode, body, tt.status)
			}
			if !c.closed() {
				t.Errorf("the connection goes on")
			}
			if n := f.origin().count(); n > before {
				t.Errorf("the origin was asked: %q", f.origin().asked()[n-1].head)
			}
		})
	}
}

// A chunked body that is malformed reaches no origin as a whole one.
func TestMalformedChunksOfARequest(t *testing.T) {
	tests := []struct{ name, body string }{
		{"no number", "zz\r\nhello\r\n0\r\n\r\n"},
		{"negative", "-5\r\nhello\r\n0\r\n\r\n"},
		{"0x", "0x5\r\nhello\r\n0\r\n\r\n"},
		{"underscore", "0_5\r\nhello\r\n0\r\n\r\n"},
		{"empty size", "\r\nhello\r\n0\r\n\r\n"},
		{"too large", "ffffffffffffffff5\r\nhello\r\n0\r\n\r\n"},
		{"bare LF", "5\nhello\n0\n\n"},
		{"bare LF in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"},
		{"bare CR", "5\rhello\r\n0\r\n\r\n"},
		{"space before the size", " 5\r\nhello\r\n0\r\n\r\n"},
		{"data longer than the size", "3\r\nhello\r\n0\r\n\r\n"},
		{"data shorter than the size", "6\r\nhello\r\n0\r\n\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var whole atomic.Bool
			f := start(t, setup{}, func(c *call) bool {
				body, _ := io.ReadAll(c.br)
				whole.Store(strings.HasSuffix(string(body), "0\r\n\r\n"))
				return false
			})
			c := f.connect()
			c.send(postHead, "Transfer-Encoding: chunked\r\n\r\n", tt.body)
			if a := c.read("POST"); a.status != 400 {
				t.Errorf("= %d %q, want 400", a.status, a.body)
			}
			if !c.closed() {
				t.Errorf("the connection goes on")
			}
			f.wait("the connection upstream to end", func() bool { open, ever := f.origin().connections(); return open == 0 && ever > 0 })
			if whole.Load() {
				t.Errorf("the origin took the body for whole")
			}
		})
	}
}

func TestAbsoluteForm(t *testing.T) {
	tests := []struct{ target, host, line string }{
		{"http://www.cdn.test/a?b", "www.cdn.test", "GET /a?b HTTP/1.1"},
		{"HTTP://WWW.CDN.TEST:80/a?c", "www.cdn.test", "GET /a?c HTTP/1.1"},
		{"https://www.cdn.test", "www.cdn.test", "GET / HTTP/1.1"},
		{"http://www.cdn.test?q", "www.cdn.test", "GET /?q HTTP/1.1"},
	}
	f := start(t, setup{}, fresh)
	for i, tt := range tests {
		c := f.connect()
		c.send("GET ", tt.target, " HTTP/1.1\r\nHost: evil.test\r\n\r\n")
		if a := c.read("GET"); a.status != 200 {
			t.Fatalf("GET %s = %d %s, want 200", tt.target, a.status, a.body)
		}
		if got := f.origin().asked()[i]; got.line() != tt.line || got.field("Host") != tt.host {
			t.Errorf("GET %s reaches the origin as %q for %s, want %q for %s", tt.target, got.line(), got.field("Host"), tt.line, tt.host)
		}
	}
	if a := f.get("/a?b"); a.header.Get("X-Cache") != "HIT, paris-1" {
		t.Errorf("origin form = %s, want a hit of what absolute form has stored", a.header.Get("X-Cache"))
	}
}

// An upgrade that is not offered is not heard.
func TestUpgradeToHTTP2IsIgnored(t *testing.T) {
	f := start(t, setup{}, fresh)
	a := f.get("/a", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
	if a.status != 200 || a.body != "body of /a" || a.header.Get("Upgrade") != "" {
		t.Errorf("= %d %q, want the plain answer", a.status, a.body)
	}
	for _, name := range []string{"Connection", "Upgrade", "HTTP2-Settings"} {
		if v := f.origin().asked()[0].field(name); v != "" {
			t.Errorf("the origin sees %s: %s", name, v)
		}
	}
}

func TestHopByHopFields(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool {
		return c.write(reply("200 OK", dated+"Cache-Control: max-age=60\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n"+
			"Proxy-Authenticate: Basic\r\nTrailer: X-Sum\r\nUpgrade: h2c\r\nTE: x\r\nX-End: 1\r\n", "hello"))
	})
	c := f.connect()
	a := c.do("GET", "/a", "Connection: close-not, X-Mine", "Connection: Cookie", "X-Mine: 1", "Cookie: a=b", "Keep-Alive: timeout=9", "TE: trailers",
		"Proxy-Authorization: Basic eA==", "Proxy-Connection: keep-alive", "Trailer: X", "X-End: 2")
	got := f.origin().asked()[0]
	for _, name := range []string{"Connection", "X-Mine", "Cookie", "Keep-Alive", "TE", "Proxy-Authorization", "Proxy-Connection", "Trailer"} {
		if v := got.field(name); v != "" {
			t.Errorf("the origin sees %s: %s", name, v)
		}
	}
	if got.field("X-End") != "2" {
		t.Errorf("the origin does not see X-End, which is end-to-end")
	}
	if a.cacheStatus() != "paris-1;fwd=bypass;fwd-status=200" { // the origin has not seen what others would send
		t.Errorf("Cache-Status = %s, want a bypass", a.cacheStatus())
	}
	c.do("GET", "/a")
	for what, a := range map[string]*received{"passed": a, "stored": c.do("GET", "/a")} {
		for _, name := range []string{"Connection", "X-Hop", "Keep-Alive", "Proxy-Authenticate", "Trailer", "Upgrade", "TE"} {
			if v := a.header.Get(name); v != "" {
				t.Errorf("%s: the client sees %s: %s", what, name, v)
			}
		}
		if a.header.Get("X-End") != "1" || a.body != "hello" {
			t.Errorf("%s: = %q %v, want hello and X-End", what, a.body, a.header)
		}
	}
}
