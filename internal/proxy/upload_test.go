package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// body reads the whole body of a request by its framing.
func (c *call) body() (string, error) {
	if c.field("Transfer-Encoding") == "chunked" {
		br := c.br.(lineReader).Reader
		b, err := io.ReadAll(httputil.NewChunkedReader(br))
		if err == nil {
			_, err = br.ReadString('\n') // the end of the trailer
		}
		return string(b), err
	}
	n, _ := strconv.ParseInt(c.field("Content-Length"), 10, 64)
	b := make([]byte, n)
	_, err := io.ReadFull(c.br, b)
	return string(b), err
}

// echo answers a request's body.
func echo(c *call) bool {
	b, err := c.body()
	return err == nil && c.write(reply("200 OK", "Cache-Control: no-store\r\n", b))
}

// chunked frames a body in chunks of the given size.
func chunked(body string, size int) string {
	var b strings.Builder
	for len(body) > 0 {
		n := min(size, len(body))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String() + "0\r\n\r\n"
}

func TestRequestBodies(t *testing.T) {
	large := pattern(300000)
	tests := []struct {
		name, lines, body, want string
		framing                 string
	}{
		{"small", "Content-Length: 5\r\n", "hello", "hello", "5"},
		{"what is at hand", "Content-Length: 8192\r\n", pattern(8192), pattern(8192), "8192"},
		{"a byte more", "Content-Length: 8193\r\n", pattern(8193), pattern(8193), "8193"},
		{"large", "Content-Length: 300000\r\n", large, large, "300000"},
		{"chunked", "Transfer-Encoding: chunked\r\n", chunked("hello world", 3), "hello world", "chunked"},
		{"large and chunked", "Transfer-Encoding: Chunked\r\n", chunked(large, 70000), large, "chunked"},
		{"chunked and empty", "Transfer-Encoding: chunked\r\n", "0\r\n\r\n", "", "chunked"},
		{"chunk extensions and trailer", "Transfer-Encoding: chunked\r\n", "5;a=b\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", "hello", "chunked"},
		{"empty", "Content-Length: 0\r\n", "", "", "0"},
		{"none", "", "", "", "0"},
		{"expected", "Expect: 100-continue\r\nContent-Length: 5\r\n", "hello", "hello", "5"},
		{"form", "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 10\r\n", "no form at", "no form at", "10"},
	}
	f := start(t, setup{}, echo)
	c := f.connect()
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f.in(t)
			c.send("POST /a HTTP/1.1\r\nHost: www.cdn.test\r\n", tt.lines, "\r\n", tt.body)
			if a := c.read("POST"); a.status != 200 || a.body != tt.want || a.header.Get("X-Cache") != "PASS, paris-1" {
				t.Errorf("= %d, %d bytes %v, want 200 and the %d bytes sent", a.status, len(a.body), a.header, len(tt.want))
			}
			seen := f.origin().asked()[i]
			if got := seen.field("Content-Length") + seen.field("Transfer-Encoding"); got != tt.framing || seen.field("Expect") != "" {
				t.Errorf("the origin sees the framing %s and Expect %q, want %s and none", got, seen.field("Expect"), tt.framing)
			}
		})
	}
	if _, ever := f.origin().connections(); ever != 1 {
		t.Errorf("%d connections were opened upstream, want 1", ever)
	}
}

// A GET with a body has nothing to do with the cache.
func TestBodyOfAGet(t *testing.T) {
	f := start(t, setup{}, echo)
	for range 2 {
		c := f.connect()
		c.send("GET /a HTTP/1.1\r\nHost: www.cdn.test\r\nContent-Length: 5\r\n\r\nhello")
		if a := c.read("GET"); a.body != "hello" || a.cacheStatus() != "paris-1;fwd=bypass;fwd-status=200" {
			t.Errorf("= %q %s, want hello, a bypass", a.body, a.cacheStatus())
		}
	}
}

func TestExpectContinue(t *testing.T) {
	f := start(t, setup{}, echo)
	c := f.connect()
	c.send("POST /a HTTP/1.1\r\nHost: www.cdn.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	resp, err := http.ReadResponse(c.br, nil)
	if err != nil || resp.StatusCode != 100 {
		t.Fatalf("before the body: %v, %v, want 100", resp, err)
	}
	c.send("hello")
	if a := c.read("POST"); a.status != 200 || a.body != "hello" {
		t.Errorf("= %d %q, want 200 hello", a.status, a.body)
	}
}

// heap returns the bytes in use once garbage is gone.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

const (
	huge  = 100 << 20
	ample = 16 << 20 // of memory for a body of any size
)

// peak watches the memory in use until its function is called, which returns by how much it rose.
func peak() (stop func() int64) {
	before := heap()
	var most atomic.Int64
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-quit:
				tick.Stop()
				return
			case <-tick.C:
				most.Store(max(most.Load(), heap()-before))
			}
		}
	}()
	return func() int64 {
		close(quit)
		<-ended
		return most.Load()
	}
}

func TestHugeUploadNeedsLittleMemory(t *testing.T) {
	for _, framing := range []string{"Content-Length: 104857600", "Transfer-Encoding: chunked"} {
		t.Run(framing, func(t *testing.T) {
			f := start(t, setup{}, func(c *call) bool {
				var from io.Reader = io.LimitReader(c.br, huge)
				if c.field("Content-Length") == "" {
					from = httputil.NewChunkedReader(c.br)
				}
				n, err := io.Copy(io.Discard, from)
				return err == nil && c.write(reply("200 OK", "Cache-Control: no-store\r\nConnection: close\r\n", fmt.Sprint(n)))
			})
			stop := peak()
			c := f.connect()
			c.send("PUT /a HTTP/1.1\r\nHost: www.cdn.test\r\n", framing, "\r\n\r\n")
			var w io.Writer = c.conn
			if framing == "Transfer-Encoding: chunked" {
				cw := httputil.NewChunkedWriter(c.conn)
				defer func() { _ = cw.Close() }() // writes nothing that counts
				w = cw
			}
			piece := []byte(pattern(1 << 20))
			for range huge / len(piece) {
				if _, err := w.Write(piece); err != nil {
					t.Fatal(err)
				}
			}
			if framing == "Transfer-Encoding: chunked" {
				c.send("0\r\n\r\n")
			}
			a := c.read("PUT")
			if rose := stop(); rose > ample {
				t.Errorf("memory rose by %d bytes for a body of %d, want at most %d", rose, huge, ample)
			}
			if a.status != 200 || a.body != fmt.Sprint(huge) {
				t.Errorf("= %d %q, want 200 and the origin to have all of it", a.status, a.body)
			}
		})
	}
}

// A server may answer before it has read the request's body. What the client still sends is not taken for a request.
func TestAnswerBeforeTheBody(t *testing.T) {
	for _, framing := range []string{"Content-Length: 1000000", "Transfer-Encoding: chunked"} {
		t.Run(framing, func(t *testing.T) {
			f := start(t, setup{}, func(c *call) bool {
				c.write(reply("403 Forbidden", "Cache-Control: no-store\r\nConnection: close\r\n", "no"))
				_, _ = io.Copy(io.Discard, c.br) // until the proxy ends the connection
				return false
			})
			c := f.connect()
			c.send("PUT /a HTTP/1.1\r\nHost: www.cdn.test\r\n", framing, "\r\n\r\n")
			if framing == "Content-Length: 1000000" {
				c.send(pattern(10000)) // more than the front reads before it hands the request over
			}
			if a := c.read("PUT"); a.status != 403 || a.body != "no" {
				t.Errorf("= %d %q, want 403 no", a.status, a.body)
			}
			if !c.closed() {
				t.Errorf("the connection goes on with half a request on it")
			}
		})
	}
}

func TestUnreadBodyOfARefusedRequest(t *testing.T) {
	f := start(t, setup{}, echo)
	c := f.connect()
	c.send("POST /a HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello")
	if a := c.read("POST"); a.status != 404 {
		t.Errorf("= %d, want 404", a.status)
	}
	c.send("POST /a HTTP/1.1\r\nHost: www.cdn.test\r\nContent-Length: 2\r\n\r\nhi")
	if a := c.read("POST"); a.status != 200 || a.body != "hi" {
		t.Errorf("next request = %d %q, want 200 hi", a.status, a.body)
	}
	c.send("POST /a HTTP/1.1\r\nHost: example.com\r\nContent-Length: 100000000\r\n\r\n", pattern(20000))
	if a := c.read("POST"); a.status != 404 || !c.closed() {
		t.Errorf("with too much to read = %d, want 404 and the end of the connection", a.status)
	}
}

func TestClientHangsUpInItsBody(t *testing.T) {
	for _, framing := range []string{"Content-Length: 1000000", "Transfer-Encoding: chunked"} {
		t.Run(framing, func(t *testing.T) {
			ended := make(chan error, 1)
			f := start(t, setup{}, func(c *call) bool {
				_, err := c.body()
				ended <- err
				return false
			})
			c := f.connect()
			c.send("POST /a HTTP/1.1\r\nHost: www.cdn.test\r\n", framing, "\r\n\r\n", "2710\r\n", pattern(10000))
			f.wait("the request to arrive", func() bool { return f.origin().count() == 1 })
			_ = c.conn.Close() // in the middle
			if err := <-ended; err == nil {
				t.Errorf("the origin took half a body for a whole one")
			}
			if n := f.parents.failed("eu-1"); n != 0 {
				t.Errorf("the parent was reported as failed for what the client did")
			}
		})
	}
}

// A parent that ends in the middle of an upload is at fault, however slowly the client sends.
func TestParentHangsUpInTheBody(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool {
		reset(c.conn)
		return false
	})
	c := f.connect()
	c.send("POST /a HTTP/1.1\r\nHost: www.cdn.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	if a := c.read("POST"); a.status != 504 || !strings.Contains(a.body, "eu-1: ") {
		t.Errorf("= %d %q, want 504 and the parent's name", a.status, a.body)
	}
	if n := f.parents.failed("eu-1"); n != 1 {
		t.Errorf("the parent was reported as failed %d times, want 1", n)
	}
}

// recorder remembers the deadline for reading that was set last on a connection.
type recorder struct {
	net.Conn
	at atomic.Pointer[time.Time]
}

func (r *recorder) wrap(c net.Conn) net.Conn {
	r.Conn = c
	return r
}

func (r *recorder) SetReadDeadline(t time.Time) error {
	r.at.Store(&t)
	return r.Conn.SetReadDeadline(t)
}

func (r *recorder) read() time.Time { return *r.at.Load() }

// The head goes upstream before the body comes, and the answer to the client before the body ends.
func TestTwoWayStream(t *testing.T) {
	deadlines := &recorder{}
	f := start(t, setup{wrap: deadlines.wrap}, func(c *call) bool {
		c.write("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n")
		pieces := bufio.NewScanner(httputil.NewChunkedReader(c.br))
		for pieces.Scan() {
			line := pieces.Text() + "!\n"
			c.write(fmt.Sprintf("%x\r\n%s\r\n", len(line), line))
		}
		if left := time.Until(deadlines.read()); left < bodyIdle/2 { // both ends may be silent now
			t.Errorf("the body is waited for %s once the request has ended, want %s", left, bodyIdle)
		}
		return c.write("0\r\n\r\n") && false
	})
	c := f.connect()
	c.send("POST /a HTTP/1.1\r\nHost: www.cdn.test\r\nTransfer-Encoding: chunked\r\n\r\n")
	resp, err := c.begin("POST")
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(resp.Body)
	for _, word := range []string{"one", "two", "three"} {
		c.send(fmt.Sprintf("%x\r\n%s\n\r\n", len(word)+1, word))
		if got, err := lines.ReadString('\n'); err != nil || got != word+"!\n" {
			t.Fatalf("after %s: %q, %v, want it back", word, got, err)
		}
	}
	c.send("0\r\n\r\n")
	if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
		t.Errorf("end = %q, %v, want a clean one", rest, err)
	}
}

// uploads that go well keep their connections, both to the parent and from the client.
func TestUploadsKeepConnections(t *testing.T) {
	f := start(t, setup{}, echo)
	c := f.connect()
	body := pattern(100000)
	for range 300 {
		c.send("POST /a HTTP/1.1\r\nHost: www.cdn.test\r\nContent-Length: 100000\r\n\r\n", body)
		if a := c.read("POST"); a.body != body {
			t.Fatalf("= %d, %d bytes, %v", a.status, len(a.body), a.err)
		}
		c.send("POST /a HTTP/1.1\r\nHost: www.cdn.test\r\nTransfer-Encoding: chunked\r\n\r\n", chunked("hello", 2))
		if a := c.read("POST"); a.body != "hello" {
			t.Fatalf("= %d %q, %v", a.status, a.body, a.err)
		}
	}
	if _, ever := f.origin().connections(); ever != 1 {
		t.Errorf("%d connections were opened upstream, want 1", ever)
	}
}

// unheard is a connection on which the write of an upload's end returns only when writing is to end: the answer overtakes it.
type unheard struct {
	net.Conn
	halted chan struct{}
	halt   func()
}

func newUnheard(c net.Conn) net.Conn {
	halted := make(chan struct{})
	return &unheard{c, halted, sync.OnceFunc(func() { close(halted) })}
}

func (u *unheard) Write(p []byte) (int, error) {
	n, err := u.Conn.Write(p)
	if strings.HasSuffix(string(p), "end") || strings.HasSuffix(string(p), "0\r\n\r\n") {
		<-u.halted
	}
	return n, err
}

func (u *unheard) SetWriteDeadline(t time.Time) error {
	if t.Before(time.Now()) {
		u.halt()
	}
	return u.Conn.SetWriteDeadline(t)
}

func (u *unheard) Close() error {
	u.halt()
	return u.Conn.Close()
}

func TestAnAnswerThatOvertakesTheWriteOfTheEndKeepsTheConnection(t *testing.T) {
	body := pattern(10_000) + "end"
	for framing, framed := range map[string]string{"Content-Length: 10003": body, "Transfer-Encoding: chunked": chunked(body, 5000)} {
		t.Run(framing, func(t *testing.T) {
			f := start(t, setup{wrap: newUnheard}, echo)
			c := f.connect()
			for range 3 {
				c.send("POST /a HTTP/1.1\r\nHost: www.cdn.test\r\n", framing, "\r\n\r\n", framed)
				if a := c.read("POST"); a.body != body {
					t.Fatalf("= %d, %d bytes, %v", a.status, len(a.body), a.err)
				}
			}
			if _, ever := f.origin().connections(); ever != 1 {
				t.Errorf("%d connections were opened upstream, want 1", ever)
			}
		})
	}
}

// A refusal comes through whatever the length of what is still sent, and whatever the client says of its connection.
func TestARefusedShortUploadHearsWhy(t *testing.T) {
	const size = 100_000
	for _, lines := range []string{"", "Connection: close\r\n"} {
		for host, want := range map[string]int{"www.cdn.test": 403, "example.com": 404} {
			t.Run(fmt.Sprint(want, " ", lines), func(t *testing.T) {
				f := start(t, setup{}, func(c *call) bool {
					c.write(reply("403 Forbidden", "Cache-Control: no-store\r\nConnection: close\r\n", "not here"))
					_, _ = io.Copy(io.Discard, c.br) // until the proxy ends the connection
					return false
				})
				c := f.connect()
				c.send("PUT /a HTTP/1.1\r\nHost: ", host, "\r\n", lines, "Content-Length: ", strconv.Itoa(size), "\r\n\r\n", pattern(size)[:10_000])
				if _, err := c.br.Peek(1); err != nil { // the answer overtakes the rest
					t.Fatal(err)
				}
				for range 9 {
					time.Sleep(5 * time.Millisecond) // so that a reset would meet the next piece
					c.send(pattern(10_000))
				}
				if a := c.read("PUT"); a.status != want || a.body == "" {
					t.Errorf("= %d %q, %v, want %d", a.status, a.body, a.err, want)
				}
			})
		}
	}
}

// A client that sends all before it reads gets the answer of a request that was refused meanwhile: a reset would take it away.
func TestARefusedUploadHearsWhy(t *testing.T) {
	const size = 4 << 20
	refused := func(c *call) bool {
		c.write(reply("403 Forbidden", "Cache-Control: no-store\r\nConnection: close\r\n", "not here"))
		_, _ = io.Copy(io.Discard, c.br) // until the proxy ends the connection
		return false
	}
	framings := map[string]string{"Content-Length: " + strconv.Itoa(size): pattern(size), "Transfer-Encoding: chunked": chunked(pattern(size), 32<<10)}
	tests := []struct {
		name, lines string
		want        int
	}{
		{"by the origin", "Host: www.cdn.test\r\n", 403},
		{"for its host", "Host: example.com\r\n", 404},
		{"for its head", "Host: www.cdn.test\r\nBad Name: x\r\n", 400},
	}
	for _, test := range tests {
		for framing, body := range framings {
			t.Run(test.name+", "+framing, func(t *testing.T) {
				f := start(t, setup{}, refused)
				c := f.connect()
				c.send("PUT /a HTTP/1.1\r\n", test.lines, framing, "\r\n\r\n")
				for rest := body; rest != ""; { // slower than the answer comes
					n := min(len(rest), 256<<10)
					c.send(rest[:n])
					rest = rest[n:]
					time.Sleep(time.Millisecond)
				}
				if a := c.read("PUT"); a.status != test.want || a.body == "" {
					t.Errorf("= %d %q, %v, want %d", a.status, a.body, a.err, test.want)
				}
				if !c.closed() {
					t.Error("the connection goes on")
				}
			})
		}
	}
}

// A connection counts for its client until it is closed, also when it is only read on, or is a tunnel.
func TestConnectionsThatAreTakenOverCount(t *testing.T) {
	for name, raw := range map[string]string{
		"a refused upload": "PUT /a HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1000000\r\n\r\n" + pattern(10_000), // more than is read ahead
		"a tunnel":         "GET /a HTTP/1.1\r\nHost: www.cdn.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, setup{most: 1}, func(c *call) bool {
				c.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
				_, _ = io.Copy(io.Discard, c.br) // until the tunnel ends
				return false
			})
			served := func() bool {
				c := f.connect()
				defer c.conn.Close()
				_, _ = io.WriteString(c.conn, "OPTIONS / HTTP/1.1\r\nHost: www.cdn.test\r\nMax-Forwards: 0\r\n\r\n") // it may have been closed
				resp, err := http.ReadResponse(c.br, nil)
				return err == nil && resp.StatusCode == 200
			}
			held := f.connect()
			held.send(raw)
			if _, err := held.begin("PUT"); err != nil {
				t.Fatal(err)
			}
			if served() {
				t.Error("another connection of the client is let in")
			}
			_ = held.conn.Close() // gives its place back
			f.wait("the next connection to be let in", served)
		})
	}
}
