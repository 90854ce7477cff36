package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Bodies that the cache has no room for pass through in a window, at the pace of a client that takes its time.
func TestHugeBodyNeedsLittleMemory(t *testing.T) {
	piece := pattern(1 << 20)
	tests := []struct{ name, lines string }{
		{"not stored", "Cache-Control: no-store\r\nContent-Length: 104857600\r\n"},
		{"too large for the cache", "Cache-Control: max-age=60\r\nContent-Length: 104857600\r\n"},
		{"outgrows the cache", "Cache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n"},
		{"ends with the connection", "Cache-Control: max-age=60\r\nConnection: close\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			framed := []byte(piece)
			if strings.Contains(tt.lines, "chunked") {
				framed = []byte("100000\r\n" + piece + "\r\n")
			}
			f := start(t, setup{ram: 16 << 20}, func(c *call) bool {
				c.write("HTTP/1.1 200 OK\r\n", dated, tt.lines, "\r\n")
				for range huge / len(piece) {
					if _, err := c.conn.Write(framed); err != nil {
						return false
					}
				}
				if strings.Contains(tt.lines, "chunked") {
					return c.write("0\r\n\r\n")
				}
				return !strings.Contains(tt.lines, "close")
			})
			c := f.connect()
			stop := peak()
			c.send(requestHead11("GET", "/a"))
			resp, err := c.begin("GET")
			if err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, len(piece))
			for i := range huge / len(piece) {
				if _, err := io.ReadFull(resp.Body, buf); err != nil || string(buf) != piece {
					t.Fatalf("MiB %d: %v, want that of the origin", i, err)
				}
			}
			if n, err := io.Copy(io.Discard, resp.Body); n > 0 || err != nil {
				t.Errorf("after the end: %d bytes, %v", n, err)
			}
			if rose := stop(); rose > ample {
				t.Errorf("memory rose by %d bytes for a body of %d, want at most %d", rose, huge, ample)
			}
			if got := f.proxy.store.Stats(); got.Objects != 0 || got.Bytes != 0 {
				t.Errorf("the store holds %+v, want nothing", got)
			}
			if r := f.finished(); r.Bytes != huge || r.Status != 200 {
				t.Errorf("record = %d, %d bytes, want 200, %d", r.Status, r.Bytes, huge)
			}
		})
	}
}

func TestEventStream(t *testing.T) {
	for _, control := range []string{"Cache-Control: no-store\r\n", "Cache-Control: max-age=60\r\n", ""} {
		t.Run(control, func(t *testing.T) {
			received := make(chan bool)
			f := start(t, setup{}, func(c *call) bool {
				c.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n", control, "Transfer-Encoding: chunked\r\n\r\n")
				for i := 0; <-received; i++ {
					event := fmt.Sprintf("data: %d\n\n", i)
					c.write(fmt.Sprintf("%x\r\n%s\r\n", len(event), event))
				}
				return c.write("0\r\n\r\n")
			})
			c := f.connect()
			c.send(requestHead11("GET", "/events"))
			resp, err := c.begin("GET")
			if err != nil || resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
				t.Fatalf("head = %v, %v, want it before the first event", resp, err)
			}
			events := bufio.NewReader(resp.Body)
			for i := range 5 {
				received <- true
				line, err := events.ReadString('\n')
				if want := fmt.Sprintf("data: %d\n", i); err != nil || line != want {
					t.Fatalf("event %d = %q, %v, want it at once", i, line, err)
				}
				_, _ = events.ReadString('\n')
			}
			received <- false
			if rest, err := io.ReadAll(events); len(rest) > 0 || err != nil {
				t.Errorf("end = %q, %v, want a clean one", rest, err)
			}
			if got := f.proxy.store.Stats().Objects; got != 0 {
				t.Errorf("the store holds %d objects, want none", got)
			}
		})
	}
}

// Subscribers of the same stream have a fetch each.
func TestEventStreamIsNotShared(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool {
		return c.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n",
			fmt.Sprintf("1\r\n%d\r\n", c.number))
	})
	for i := range 3 {
		c := f.connect()
		c.send(requestHead11("GET", "/events"))
		resp, err := c.begin("GET")
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 1)
		if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != fmt.Sprint(i+1) {
			t.Errorf("subscriber %d got event %q, %v, want one of its own", i+1, first, err)
		}
	}
}

// A client that goes away ends a fetch which is for it alone, and keeps no memory.
func TestClientHangsUpInTheAnswer(t *testing.T) {
	for _, control := range []string{"no-store", "max-age=60"} {
		t.Run(control, func(t *testing.T) {
			ended := make(chan struct{})
			f := start(t, setup{ram: 8 << 20}, func(c *call) bool {
				defer close(ended)
				c.write("HTTP/1.1 200 OK\r\n", dated, "Cache-Control: ", control, "\r\nTransfer-Encoding: chunked\r\n\r\n")
				for c.write("100000\r\n", pattern(1<<20), "\r\n") {
				}
				return false
			})
			c := f.connect()
			c.send(requestHead11("GET", "/a"))
			if _, err := c.begin("GET"); err != nil {
				t.Fatal(err)
			}
			reset(c.conn)
			select {
			case <-ended:
			case <-time.After(patience):
				t.Fatal("the origin still sends what nobody reads")
			}
			f.finished()
			f.wait("memory to be given back", func() bool { return f.proxy.store.Stats().Bytes == 0 })
		})
	}
}

const handshake = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"

func TestTunnel(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool {
		c.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nwelcome ")
		_, _ = io.Copy(c.conn, c.br) // until the client has ended its direction
		c.write(" bye")
		return false
	})
	c := f.connect()
	c.send("GET /chat HTTP/1.1\r\nHost: www.cdn.test\r\n", handshake, "\r\n", "early ")
	resp, err := c.begin("GET")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
		"Via": "1.1 paris-1 (cdnlab)", "Cache-Status": "paris-1;fwd=bypass;fwd-status=101"} {
		if got := resp.Header.Get(name); resp.StatusCode != 101 || got != want {
			t.Errorf("%d with %s: %q, want 101 with %q", resp.StatusCode, name, got, want)
		}
	}
	expect := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c.br, got); err != nil || string(got) != want {
			t.Fatalf("the tunnel carries %q, %v, want %q", got, err, want)
		}
	}
	expect("welcome early ")
	for i := range 3 {
		c.send(fmt.Sprint("frame ", i))
		expect(fmt.Sprint("frame ", i))
	}
	_ = c.conn.(interface{ CloseWrite() error }).CloseWrite() // the connection is open
	expect(" bye")
	if !c.closed() {
		t.Errorf("the tunnel is still open")
	}
	if r := f.finished(); r.Status != 101 || r.Bytes != int64(len("welcome early frame 0frame 1frame 2 bye")) {
		t.Errorf("record = %d, %d bytes, want 101 and what was sent to the client", r.Status, r.Bytes)
	}
	seen := f.origin().asked()[0]
	for name, want := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
		if got := seen.field(name); got != want {
			t.Errorf("the origin sees %s: %q, want %q", name, got, want)
		}
	}
	f.wait("the connection upstream to end", func() bool { open, _ := f.origin().connections(); return open == 0 })
}

func TestTunnelEnds(t *testing.T) {
	tests := []struct {
		name string
		end  func(c *client, origin *call)
	}{
		{"client goes away", func(c *client, _ *call) { reset(c.conn) }},
		{"server goes away", func(_ *client, origin *call) { _ = origin.conn.Close() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			calls := make(chan *call, 1)
			f := start(t, setup{}, func(c *call) bool {
				c.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
				calls <- c
				_, _ = io.Copy(io.Discard, c.br)
				return false
			})
			c := f.connect()
			c.send("GET /chat HTTP/1.1\r\nHost: www.cdn.test\r\n", handshake, "\r\n")
			if _, err := c.begin("GET"); err != nil {
				t.Fatal(err)
			}
			tt.end(c, <-calls)
			if tt.name == "server goes away" && !c.closed() {
				t.Errorf("the client's side stays open")
			}
			_ = c.conn.Close() // as a client does that reads the end
			f.finished()
			f.wait("the connection upstream to end", func() bool { open, _ := f.origin().connections(); return open == 0 })
		})
	}
}

func TestTunnelRefused(t *testing.T) {
	tests := []struct {
		name   string
		answer script
		lines  string
		want   int
		body   string
	}{
		{"by the server", func(c *call) bool { return c.write(reply("403 Forbidden", "", "no")) }, handshake, 403, "no"},
		{"by silence", func(*call) bool { return false }, handshake, 504, ""},
		{"no upgrade of the connection", fresh, "Upgrade: websocket\r\n", 200, "body of /chat"},
		{"another protocol", fresh, "Connection: Upgrade\r\nUpgrade: irc\r\n", 200, "body of /chat"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := start(t, setup{}, tt.answer)
			c := f.connect()
			c.send("GET /chat HTTP/1.1\r\nHost: www.cdn.test\r\n", tt.lines, "\r\n")
			if a := c.read(http.MethodGet); a.status != tt.want || tt.body != "" && a.body != tt.body {
				t.Errorf("= %d %q, want %d %q", a.status, a.body, tt.want, tt.body)
			}
		})
	}
}

func TestTheHeadDoesNotWaitForTheBody(t *testing.T) {
	for _, tt := range []struct{ name, framing, half, rest string }{
		{"length", "Content-Length: 8\r\n", "half", "rest"},
		{"chunks", "Transfer-Encoding: chunked\r\n", "4\r\nhalf\r\n", "4\r\nrest\r\n0\r\n\r\n"},
		{"nothing", "Content-Length: 8\r\n", "", "halfrest"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seen := make(chan struct{})
			f := start(t, setup{}, func(c *call) bool {
				c.write("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n", tt.framing, "\r\n", tt.half)
				<-seen
				return c.write(tt.rest)
			})
			c := f.connect()
			c.send(requestHead11("GET", "/a"))
			resp, err := c.begin("GET")
			close(seen)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(resp.Body); string(body) != "halfrest" || err != nil {
				t.Errorf("body = %q, %v, want halfrest", body, err)
			}
		})
	}
}
