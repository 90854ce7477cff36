package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// run starts a prepared tier; its result comes on the channel.
func (f *tier) run(ctx context.Context) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- f.proxy.Run(ctx) }()
	return ended
}

// ends waits for Run to end well.
func (f *tier) ends(ended <-chan error) {
	f.t.Helper()
	select {
	case err := <-ended:
		if err != nil {
			f.t.Errorf("Run = %v, want nil", err)
		}
	case <-time.After(patience):
		f.t.Fatalf("Run has not ended after %s", patience)
	}
}

func TestStopBeforeStart(t *testing.T) {
	f := prepare(t, setup{drain: time.Hour}, fresh)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f.ends(f.run(ctx))
	if c, err := net.Dial("tcp", f.addr); err == nil {
		_ = c.Close() // nothing was sent
		t.Errorf("somebody still listens")
	}
}

func TestStopAtStart(t *testing.T) {
	for range 50 {
		f := prepare(t, setup{drain: time.Hour}, fresh)
		ctx, cancel := context.WithCancel(context.Background())
		ended := f.run(ctx)
		c, err := net.Dial("tcp", f.addr)
		cancel()
		if err == nil {
			_ = c.Close() // it was accepted or not; a new connection may send a request for some seconds yet
		}
		f.ends(ended)
	}
}

// brokenListener fails as a listener does whose process has run out of file descriptors.
type brokenListener struct{ net.Listener }

var errBroken = errors.New("too many open files")

func (brokenListener) Accept() (net.Conn, error) { return nil, errBroken }

func TestListenerFails(t *testing.T) {
	f := prepare(t, setup{}, fresh)
	good := f.proxy.cfg.Listener
	defer good.Close()
	f.proxy.cfg.Listener = brokenListener{good}
	if err := f.proxy.Run(t.Context()); !errors.Is(err, errBroken) || !strings.HasPrefix(err.Error(), "serve HTTP: ") {
		t.Errorf("Run = %v, want serve HTTP: %v", err, errBroken)
	}
}

func TestListenerIsClosedByAnother(t *testing.T) {
	f := prepare(t, setup{}, fresh)
	_ = f.proxy.cfg.Listener.Close() // it is open
	err := f.proxy.Run(t.Context())
	if err == nil || strings.Contains(err.Error(), "nil") {
		t.Errorf("Run = %v, want an error that says what has failed", err)
	}
}

// Requests under way are answered whole, connections without one end at once, and no new ones are taken.
func TestDrain(t *testing.T) {
	gate := make(chan struct{})
	f := prepare(t, setup{drain: time.Hour}, func(c *call) bool {
		if c.target() != "/slow" {
			return fresh(c)
		}
		c.write("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n")
		<-gate
		return c.write("6\r\n, done\r\n0\r\n\r\n")
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := f.run(ctx)
	idle, busy, old := f.connect(), f.connect(), f.connect()
	if a := idle.do("GET", "/a"); a.status != 200 {
		t.Fatalf("GET = %d, want 200", a.status)
	}
	busy.send(requestHead11("GET", "/slow"))
	resp, err := busy.begin("GET")
	if err != nil {
		t.Fatal(err)
	}
	old.send("GET /slow HTTP/1.0\r\nHost: www.cdn.test\r\n\r\n")
	oldResp, err := old.begin("GET")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if !idle.closed() {
		t.Errorf("an idle connection outlives the stop")
	}
	f.wait("new connections to be refused", func() bool {
		c, err := net.Dial("tcp", f.addr)
		if err == nil {
			_ = c.Close() // nothing was sent
		}
		return err != nil
	})
	close(gate)
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "begun, done" {
		t.Errorf("request under way = %q, %v, want all of it", body, err)
	}
	if body, err := io.ReadAll(oldResp.Body); err != nil || string(body) != "begun, done" {
		t.Errorf("request under way in HTTP/1.0 = %q, %v, want all of it", body, err)
	}
	if !busy.closed() {
		t.Errorf("a connection outlives its last request")
	}
	f.ends(ended)
}

// What does not end by itself is broken off when the time for it is over.
func TestDrainIsOver(t *testing.T) {
	tests := []struct {
		name   string
		answer script
		raw    string
		seen   string // by the client before the stop
	}{
		{"no answer comes", nil, requestHead11("GET", "/a"), ""},
		{"no answer to a POST comes", nil, "POST /a HTTP/1.1\r\nHost: www.cdn.test\r\nContent-Length: 2\r\n\r\nhi", ""},
		{"the client does not send on", nil, "POST /a HTTP/1.1\r\nHost: www.cdn.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", ""},
		{"a stored body does not go on", func(c *call) bool {
			return c.write("HTTP/1.1 200 OK\r\n", dated, "Cache-Control: max-age=60\r\nContent-Length: 100\r\n\r\nhalf")
		}, requestHead11("GET", "/a"), "HTTP/1.1 200 OK\r\n"},
		{"a body does not go on", func(c *call) bool {
			return c.write("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
		}, requestHead11("GET", "/a"), "HTTP/1.1 200 OK\r\n"},
		{"a body for HTTP/1.0 does not go on", func(c *call) bool {
			return c.write("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
		}, "GET /a HTTP/1.0\r\nHost: www.cdn.test\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
		{"a tunnel", func(c *call) bool {
			return c.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		}, "GET /chat HTTP/1.1\r\nHost: www.cdn.test\r\n" + handshake + "\r\n", "HTTP/1.1 101 Switching Protocols\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := prepare(t, setup{drain: 10 * time.Millisecond}, func(c *call) bool {
				if tt.answer != nil {
					tt.answer(c)
				}
				_, _ = io.Copy(io.Discard, c.br) // until the tier hangs up
				return false
			})
			ctx, cancel := context.WithCancel(context.Background())
			ended := f.run(ctx)
			c := f.connect()
			c.send(tt.raw)
			f.wait("the request to arrive", func() bool { return f.origin().count() == 1 })
			if seen, err := c.br.Peek(len(tt.seen)); err != nil || string(seen) != tt.seen {
				t.Fatalf("before the stop the client sees %q, %v, want %q", seen, err, tt.seen)
			}
			cancel()
			f.ends(ended)
			f.finished()
			if got, err := io.ReadAll(c.br); err == nil && strings.HasSuffix(string(got), "0\r\n\r\n") {
				t.Errorf("the client took %q for a whole answer", got)
			}
			f.wait("the connection upstream to end", func() bool { open, _ := f.origin().connections(); return open == 0 })
		})
	}
}

// A tunnel has no end to wait for: the time for requests under way is not spent on it.
func TestTunnelDoesNotHoldUpTheStop(t *testing.T) {
	f := prepare(t, setup{drain: time.Hour}, func(c *call) bool {
		c.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(io.Discard, c.br)
		return false
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := f.run(ctx)
	c := f.connect()
	c.send("GET /chat HTTP/1.1\r\nHost: www.cdn.test\r\n", handshake, "\r\n")
	if _, err := c.begin("GET"); err != nil {
		t.Fatal(err)
	}
	cancel()
	f.ends(ended)
	if !c.closed() {
		t.Errorf("the tunnel outlives the stop")
	}
}

// Those who wait for another's fetch are told of the stop.
func TestFollowersAtTheStop(t *testing.T) {
	f := prepare(t, setup{drain: 10 * time.Millisecond}, func(c *call) bool {
		_, _ = io.Copy(io.Discard, c.br)
		return false
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := f.run(ctx)
	var clients []*client
	for range 20 {
		c := f.connect()
		c.send(requestHead11("GET", "/a"))
		clients = append(clients, c)
	}
	f.wait("the request to arrive", func() bool { return f.origin().count() == 1 })
	cancel()
	f.ends(ended)
	for _, c := range clients {
		if _, err := io.ReadAll(c.br); TimedOut(err) {
			t.Errorf("a client still waits")
		}
	}
}

// A body that arrives for the cache alone does not hold up the stop.
func TestFillAtTheStop(t *testing.T) {
	f := prepare(t, setup{drain: time.Hour}, func(c *call) bool {
		c.write("HTTP/1.1 200 OK\r\n", dated, "Cache-Control: max-age=60\r\nContent-Length: 100000\r\n\r\n", pattern(50000))
		_, _ = io.Copy(io.Discard, c.br)
		return false
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := f.run(ctx)
	c := f.connect()
	if a := c.do("GET", "/a", "Range: bytes=0-9"); a.body != pattern(10) {
		t.Fatalf("= %d %q, want the first bytes", a.status, a.body)
	}
	cancel()
	f.ends(ended)
	if got := f.proxy.store.Stats(); got.Objects != 0 || got.Bytes != 0 {
		t.Errorf("the store holds %+v, want nothing", got)
	}
}

func TestAConnectionWithoutARequestIsNone(t *testing.T) {
	for name, c := range map[string]struct {
		sent string
		want uint64
	}{
		"nothing came":  {"", 0},
		"a head began":  {"GET /a HTTP/1.1\r\nHost: www.c", 1},
		"a word of one": {"G", 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := prepare(t, setup{}, fresh)
			front := f.proxy.front(t.Context())
			near, far := net.Pipe()
			f.proxy.conns.changed(far, fasthttp.StateNew) // ServeConn does not tell
			defer f.proxy.conns.stop()
			served := make(chan error, 1)
			go func() { served <- front.ServeConn(far) }()
			if c.sent != "" {
				if _, err := io.WriteString(near, c.sent); err != nil {
					t.Fatal(err)
				}
			}
			read := make(chan struct{})
			var answer []byte
			var err error
			go func() {
				defer close(read)
				answer, err = io.ReadAll(near)
			}()
			k := f.proxy.conns.find(far)
			for p := k.phase.Load(); p == phaseNew || p == phaseHead; p = k.phase.Load() {
				f.proxy.conns.sweep()
			}
			<-served
			<-read
			if got := strings.HasPrefix(string(answer), "HTTP/1.1 408 "); err != nil || got != (c.want > 0) || !got && len(answer) > 0 {
				t.Errorf("answer %q, %v, want %d of 408", answer, err, c.want)
			}
			for _, field := range []string{"Date", "Content-Type", "Content-Length"} {
				if n := strings.Count(string(answer), "\r\n"+field+": "); uint64(n) != c.want {
					t.Errorf("%d of %s in %q, want %d", n, field, answer, c.want)
				}
			}
			if n := f.stats.Snapshot().Total(); n != c.want {
				t.Errorf("%d requests were counted, want %d", n, c.want)
			}
		})
	}
}
