package lab_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// servedPromptly asks for something again and again until done is closed: others are served within 2 s whatever goes on.
func (s *siege) servedPromptly(t *testing.T, done <-chan struct{}) {
	for n := 0; ; n++ {
		began := time.Now()
		c := s.dialFrom(t, "127.7.7.7")
		if resp, body, err := c.ask("GET", fmt.Sprintf("/innocent/%d", n)); err != nil || resp.StatusCode != 200 {
			t.Errorf("an innocent client gets %v %q, %v", resp, body, err)
		}
		c.Close()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("an innocent client waited %s", took)
		}
		select {
		case <-done:
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *siege) dialFrom(t *testing.T, addr string) *rawClient {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}, Timeout: 5 * time.Second}
	c, err := d.Dial("tcp", s.edge)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return newRawClient(c)
}

// TestSlowClients has clients that begin and do not go on: each is dropped in time, and meanwhile others are served.
func TestSlowClients(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as clients may")
	}
	s := newSiege(t)
	done := make(chan struct{})
	var others, slow sync.WaitGroup
	others.Go(func() { s.servedPromptly(t, done) })
	for name, raw := range map[string]string{
		"nothing": "", "half a request line": "GET /", "a head without end": "GET / HTTP/1.1\r\nHost: www.cdn.test\r\n", "half a line": "GET / HTTP/1.1\r\nHost: www.cd",
		"an empty line": "\r\n", "a line that does not end": "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 8000),
	} {
		for drip := range 2 {
			slow.Go(func() { s.dropsSlow(t, fmt.Sprintf("%s, drip %d", name, drip), raw, drip == 1) })
		}
	}
	slow.Wait()
	close(done)
	others.Wait()
}

func (s *siege) dropsSlow(t *testing.T, name, raw string, drip bool) {
	began := time.Now()
	c, err := net.Dial("tcp", s.edge)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	_, _ = io.WriteString(c, raw)
	gone := make(chan struct{})
	if drip && raw != "" {
		go func() {
			for {
				select {
				case <-gone:
					return
				case <-time.After(time.Second):
					_, _ = io.WriteString(c, "x")
				}
			}
		}()
	}
	_ = c.SetReadDeadline(began.Add(25 * time.Second))
	_, err = io.Copy(io.Discard, c)
	close(gone)
	if ne, ok := err.(net.Error); ok && ne.Timeout() || time.Since(began) > 17*time.Second {
		t.Errorf("%s: still open after %s", name, time.Since(began))
	}
}

// TestManyConnections has one address open as many connections as it likes, to send nothing and half a head on them.
func TestManyConnections(t *testing.T) {
	s := newSiege(t)
	done := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() { s.servedPromptly(t, done) })
	for n := range 3000 {
		c := s.dialFrom(t, "127.7.7.8")
		if n%2 == 0 {
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: www.cdn.test\r\n")
		}
	}
	close(done)
	others.Wait()
}

// TestSlowReadersHoldNoMemory has a thousand clients ask for the same large object, which none of them reads.
func TestSlowReadersHoldNoMemory(t *testing.T) {
	const size, readers = 10 << 20, 1000
	for _, control := range []string{"max-age=60", "no-store"} {
		t.Run(control, func(t *testing.T) {
			s := newSiege(t)
			n := readers
			if control == "no-store" {
				n = 50 // each has its own from the app
			}
			object := fmt.Sprintf("HTTP/1.1 200 OK\r\nCache-Control: %s\r\nContent-Length: %d\r\n\r\n%s", control, size, strings.Repeat("x", size))
			answers := make([]string, 2*n)
			for i := range answers {
				answers[i] = object
			}
			s.app.set("/large", answers)
			if control == "max-age=60" {
				if _, body, err := s.dial(t).ask("GET", "/large"); err != nil || len(body) != size {
					t.Fatalf("%d bytes, %v", len(body), err)
				}
			}
			before := heap()
			done := make(chan struct{})
			var others sync.WaitGroup
			others.Go(func() { s.servedPromptly(t, done) })
			for range n {
				c := s.dialFrom(t, "127.7.7.9")
				_ = c.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
				_, _ = io.WriteString(c, "GET /large HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n")
				if _, err := c.br.Peek(12); err != nil {
					t.Fatal(err)
				}
			}
			if grown := heap() - before; grown > 256<<20 {
				t.Errorf("%d slow readers hold %d MiB", n, grown>>20)
			}
			close(done)
			others.Wait()
		})
	}
}

// heap is the live memory of this process, in bytes.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestLateBytes has an app send a second answer when the first has long been read: nobody gets it.
func TestLateBytes(t *testing.T) {
	s := newSiege(t)
	for n := range 20 {
		path := fmt.Sprintf("/late/%d", n)
		s.app.set(path, []string{strings.Replace(plain("plain"), "max-age=60", "no-store", 1)})
		if _, body, err := s.dial(t).ask("GET", path); err != nil || body != "plain" {
			t.Fatalf("%q, %v", body, err)
		}
		s.app.shout(evilReply)
		for range 5 {
			if resp, body, err := s.dial(t).ask("GET", path+"/innocent"); err != nil || resp.StatusCode != 200 || strings.Contains(body, "evil") {
				t.Fatalf("an innocent client gets %v %q, %v", resp, body, err)
			}
		}
	}
}

// shout writes on every connection that there is.
func (a *attackApp) shout(raw string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for c := range a.conns {
		_, _ = io.WriteString(c, raw)
	}
}
