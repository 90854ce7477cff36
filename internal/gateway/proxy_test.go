package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// echo answers with the request as it came, line by line.
func echo(w http.ResponseWriter, r *http.Request) {
	dump, err := httputil.DumpRequest(r, true)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
	}
	_, _ = w.Write(dump)
}

// rawEdge serves one edge on a listener that sees the bytes: the first line of each request goes to lines.
func (n *network) rawEdge(name, response string) (lines func() []string) {
	n.t.Helper()
	ln := listen(n.t, n.node("paris-1").HTTP.String())
	var mu sync.Mutex // guards got
	var got []string
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				br := bufio.NewReader(conn)
				for {
					line, err := br.ReadString('\n')
					if err != nil {
						return
					}
					mu.Lock()
					got = append(got, strings.TrimSpace(line))
					mu.Unlock()
					if line == "\r\n" {
						if _, err := io.WriteString(conn, response); err != nil {
							return
						}
					}
				}
			})
		}
	})
	n.t.Cleanup(func() { ln.Close(); n.stop(); conns.Wait() })
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(got)
	}
}

// TestProxyKeepsTheTarget holds the proxy to the client's spelling: an edge's cache key is made from it.
func TestProxyKeepsTheTarget(t *testing.T) {
	for _, c := range []struct{ target, want string }{
		{"", "/"},
		{"/", "/"},
		{"/a/b.txt", "/a/b.txt"},
		{"/a%2Fb%2fc", "/a%2Fb%2fc"},
		{"/%7euser/%41", "/%7euser/%41"},
		{"/a|b\"c^d`{e}", "/a|b\"c^d`{e}"},
		{"/é", "/é"},
		{"/a/../b/./c//d", "/a/../b/./c//d"},
		{"//a", "//a"},
		{"//127.0.0.1:7070/a", "//127.0.0.1:7070/a"},
		{"/a;b=1", "/a;b=1"},
		{"/a:b@c", "/a:b@c"},
		{"/a?", "/a?"},
		{"?a=b", "/?a=b"},
		{"/a?b=1&a=2&b=", "/a?b=1&a=2&b="},
		{"/a?b=1;c=2", "/a?b=1;c=2"},
		{"/a?b=%zz", "/a?b=%zz"},
		{"/a?b=c d"[:6], "/a?b=c"},
		{"/a?u=http://x/y?z", "/a?u=http://x/y?z"},
		{"/a?q|\"<>", "/a?q|\"<>"},
		{"/*", "/*"},
	} {
		t.Run(c.target, func(t *testing.T) {
			n := start(t, newAuthority(t, addresses("127.3.1.1")))
			lines := n.rawEdge("paris-1", "HTTP/1.1 204 No Content\r\n\r\n")
			resp, body := n.raw(n.city, "GET http://www.cdn.test"+c.target+" HTTP/1.1\r\nHost: www.cdn.test\r\nConnection: close\r\n\r\n")
			if resp.StatusCode != 204 {
				t.Fatalf("status = %d %q, want 204", resp.StatusCode, body)
			}
			if got, want := lines()[0], "GET "+c.want+" HTTP/1.1"; got != want {
				t.Errorf("the edge got %q, want %q", got, want)
			}
		})
	}
}

func TestProxyKeepsTheRequest(t *testing.T) {
	n := start(t, newAuthority(t, addresses("127.3.1.1")))
	n.edge("paris-1", echo)
	for _, c := range []struct {
		name, request string
		has, hasNot   []string
	}{
		{"nothing is added", "GET http://www.cdn.test/a HTTP/1.1\r\nHost: www.cdn.test\r\n",
			[]string{"GET /a HTTP/1.1\r\nHost: www.cdn.test\r\n"}, []string{"User-Agent", "X-Forwarded", "Via", "Accept-Encoding", "Forwarded"}},
		{"fields of the client", "GET http://www.cdn.test/ HTTP/1.1\r\nHost: www.cdn.test\r\nUser-Agent: me/1\r\nCookie: a=1; b=2\r\nAccept-Encoding: gzip, br\r\nX-Twice: 1\r\nX-Twice: 2\r\nRange: bytes=0-1\r\nAuthorization: Basic YTpi\r\n",
			[]string{"User-Agent: me/1", "Cookie: a=1; b=2", "Accept-Encoding: gzip, br", "X-Twice: 1\r\nX-Twice: 2", "Range: bytes=0-1", "Authorization: Basic YTpi"}, nil},
		{"fields of proxies are the edge's to judge", "GET http://www.cdn.test/ HTTP/1.1\r\nHost: www.cdn.test\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nVia: 1.1 me\r\n",
			[]string{"X-Forwarded-For: 6.6.6.6\r\n", "Forwarded: for=6.6.6.6\r\n", "Via: 1.1 me\r\n"}, []string{"127."}},
		{"fields of the connection", "GET http://www.cdn.test/ HTTP/1.1\r\nHost: www.cdn.test\r\nConnection: close, X-Mine, X-Forwarded-For\r\nX-Mine: 1\r\nX-Forwarded-For: 6.6.6.6\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\nTrailer: X-End\r\nUpgrade-Insecure-Requests: 1\r\n",
			[]string{"Upgrade-Insecure-Requests: 1"}, []string{"X-Mine", "X-Forwarded-For", "Keep-Alive", "Proxy-Connection", "TE:", "Te:", "Trailer", "Connection"}},
		{"credentials for the proxy", "GET http://www.cdn.test/ HTTP/1.1\r\nHost: www.cdn.test\r\nProxy-Authorization: Basic cGFyaXM6\r\nProxy-Authenticate: x\r\n", nil, []string{"Proxy-", "cGFyaXM6"}},
		{"a body with its length", "POST http://www.cdn.test/ HTTP/1.1\r\nHost: www.cdn.test\r\nContent-Length: 5\r\nContent-Type: text/x\r\n\r\nhello",
			[]string{"POST / HTTP/1.1", "Content-Length: 5", "Content-Type: text/x", "\r\n\r\nhello"}, []string{"Transfer-Encoding"}},
		{"a body without", "PUT http://www.cdn.test/ HTTP/1.1\r\nHost: www.cdn.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
			[]string{"PUT / HTTP/1.1", "Transfer-Encoding: chunked", "hello"}, []string{"Content-Length"}},
		{"an empty body", "POST http://www.cdn.test/ HTTP/1.1\r\nHost: www.cdn.test\r\nContent-Length: 0\r\n", []string{"Content-Length: 0"}, nil},
		{"a method of the app's own", "PURGE http://www.cdn.test/a HTTP/1.1\r\nHost: www.cdn.test\r\n", []string{"PURGE /a HTTP/1.1"}, nil},
		{"OPTIONS", "OPTIONS http://www.cdn.test/a HTTP/1.1\r\nHost: www.cdn.test\r\n", []string{"OPTIONS /a HTTP/1.1"}, nil},
		{"an HTTP/1.0 client", "GET http://www.cdn.test/ HTTP/1.0\r\n", []string{"GET / HTTP/1.1\r\nHost: www.cdn.test"}, nil},
		{"a WebSocket by its own scheme", "GET ws://www.cdn.test/chat HTTP/1.1\r\nHost: www.cdn.test\r\n", []string{"GET /chat HTTP/1.1\r\nHost: www.cdn.test"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			request := c.request
			if !strings.Contains(request, "\r\n\r\n") {
				request += "\r\n"
			}
			resp, body := n.raw(n.city, request)
			if resp.StatusCode != 200 {
				t.Fatalf("status = %d %q, want 200", resp.StatusCode, body)
			}
			for _, want := range c.has {
				if !strings.Contains(body, want) {
					t.Errorf("the edge got %q, want it with %q", body, want)
				}
			}
			for _, bad := range c.hasNot {
				if strings.Contains(body, bad) {
					t.Errorf("the edge got %q, want it without %q", body, bad)
				}
			}
		})
	}
}

func TestProxyKeepsTheResponse(t *testing.T) {
	for _, c := range []struct {
		name, response string
		status         int
		has            string // in the dump of the head
		hasNot         string
		body           string
	}{
		{"a type that is not given", "200 OK\r\nContent-Length: 6\r\n\r\n<html>", 200, "Content-Length: 6", "Content-Type", "<html>"},
		{"a date", "200 OK\r\nDate: Thu, 01 Jan 2026 12:00:00 GMT\r\nContent-Length: 0\r\n\r\n", 200, "Date: Thu, 01 Jan 2026 12:00:00 GMT", "Proxy", ""},
		{"a redirect", "302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n", 302, "Location: /b", "", ""},
		{"two cookies", "200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n", 200, "Set-Cookie: a=1\r\nSet-Cookie: b=2", "", ""},
		{"a coding", "200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\ngzip", 200, "Content-Encoding: gzip", "", "gzip"},
		{"fields of the connection", "200 OK\r\nConnection: X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n", 200, "HTTP/1.1 200", "X-Mine", ""},
		{"an error of the edge's", "503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy", 503, "503", "", "busy"},
		{"chunks", "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", 200, "chunked", "Content-Length", "abc"},
		{"trailers", "200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-Sum: 9\r\n\r\n", 200, "Trailer: X-Sum", "", "ab"},
		{"a body up to the end of the connection", "200 OK\r\nConnection: close\r\n\r\nabc", 200, "chunked", "", "abc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := start(t, newAuthority(t, addresses("127.3.1.1")))
			if strings.Contains(c.response, "Connection: close") {
				n.edge("paris-1", func(w http.ResponseWriter, _ *http.Request) {
					conn, _, err := http.NewResponseController(w).Hijack()
					if err != nil {
						t.Error(err)
						return
					}
					defer conn.Close()
					_, _ = fmt.Fprint(conn, "HTTP/1.1 "+c.response)
				})
			} else {
				n.rawEdge("paris-1", "HTTP/1.1 "+c.response)
			}
			conn := n.dial("tcp", n.city)
			if _, err := io.WriteString(conn, "GET http://www.cdn.test/ HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if trailer := resp.Trailer; len(trailer) > 0 {
				resp.Header["Trailer"] = []string{"X-Sum"}
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil || string(body) != c.body {
				t.Errorf("body = %q, %v, want %q", body, err, c.body)
			}
			dump, err := httputil.DumpResponse(resp, false)
			if err != nil {
				t.Fatal(err)
			}
			if head := string(dump); resp.StatusCode != c.status || !strings.Contains(head, c.has) || c.hasNot != "" && strings.Contains(head, c.hasNot) {
				t.Errorf("head = %q, want %d with %q and without %q", head, c.status, c.has, c.hasNot)
			}
			if c.name == "trailers" && resp.Trailer.Get("X-Sum") != "9" {
				t.Errorf("trailers = %v, want X-Sum: 9", resp.Trailer)
			}
		})
	}
}

// A server may answer what has come of a body while the rest is on its way.
func TestBodiesGoBothWaysAtOnce(t *testing.T) {
	n := start(t, newAuthority(t, addresses("127.3.1.1")))
	n.edge("paris-1", func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex() // never fails with HTTP/1
		for lines := bufio.NewScanner(r.Body); lines.Scan(); {
			fmt.Fprintf(w, "%s!\n", lines.Text())
			_ = control.Flush()
		}
	})
	conn := n.dial("tcp", n.city)
	if _, err := io.WriteString(conn, "POST http://www.cdn.test/ HTTP/1.1\r\nHost: www.cdn.test\r\nContent-Length: 12\r\n\r\nword\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(resp.Body)
	for _, next := range []string{"more\n", "x\n"} {
		if line, err := answers.ReadString('\n'); err != nil || !strings.HasSuffix(line, "!\n") {
			t.Fatalf("%q, %v, want the word back", line, err)
		}
		if _, err := io.WriteString(conn, next); err != nil { // only once the one before is back
			t.Fatal(err)
		}
	}
	if rest, err := io.ReadAll(answers); err != nil || string(rest) != "x!\n" {
		t.Errorf("the last answer = %q, %v", rest, err)
	}
}

// A server that answers a short upload without reading it leaves the client's connection to the next request.
func TestAnUnreadBodyIsNoObstacle(t *testing.T) {
	n := start(t, newAuthority(t, addresses("127.3.1.1")))
	n.edge("paris-1", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			return
		}
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil { // net/http would read the body first
			_, _ = io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			_, _ = io.Copy(io.Discard, c) // until the gateway closes it
			_ = c.Close()
		}
	})
	conn := n.dial("tcp", n.city)
	br := bufio.NewReader(conn)
	for i := range 20 {
		for _, piece := range []string{"POST http://www.cdn.test/ HTTP/1.1\r\nHost: www.cdn.test\r\nContent-Length: 5\r\n\r\nhell", "oGET http://www.cdn.test/ HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n"} {
			if _, err := io.WriteString(conn, piece); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(i%3) * time.Millisecond) // so that each end is met at work at times
		}
		for _, want := range []int{403, 200} {
			if resp, err := http.ReadResponse(br, nil); err != nil || resp.StatusCode != want {
				t.Fatalf("request %d: %v, %v, want %d", i, resp, err, want)
			}
		}
	}
}

func TestABrokenResponseIsNotTakenForWhole(t *testing.T) {
	for _, version := range []string{"1.0", "1.1"} {
		n := start(t, newAuthority(t, addresses("127.3.1.1")))
		seen := make(chan struct{})
		n.edge("paris-1", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half") // the test meets the error
			_ = http.NewResponseController(w).Flush()
			<-seen
			panic(http.ErrAbortHandler)
		})
		conn := n.dial("tcp", n.city)
		if _, err := io.WriteString(conn, "GET http://www.cdn.test/ HTTP/"+version+"\r\nHost: www.cdn.test\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		close(seen)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("a client of HTTP/%s took %q for the whole body", version, body)
		}
		n.stop()
	}
}
