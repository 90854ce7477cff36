package proxy

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestCheckLines(t *testing.T) {
	for _, c := range []struct {
		name, raw string
		status    int
	}{
		{"a whole head", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0},
		{"half a head", "GET / HTTP/1.1\r\nHo", 0},
		{"half a line end", "GET / HTTP/1.1\r", 0},
		{"a body with bare LF", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na\nb", 0},
		{"an empty line first", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\n", 0},
		{"bare LF behind the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
		{"bare LF behind a field", "GET / HTTP/1.1\r\nHost: a\n\r\n", 400},
		{"bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
		{"bare LF everywhere", "GET / HTTP/1.1\nHost: a\n\n", 400},
		{"bare LF first", "\nGET / HTTP/1.1\r\n\r\n", 400},
		{"an endless request line", "GET /" + strings.Repeat("x", maxRequestLine), 414},
		{"an endless field", "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", maxRequestLine), 0},
	} {
		why := checkLines([]byte(c.raw))
		if why == nil != (c.status == 0) || why != nil && why.status != c.status {
			t.Errorf("%s: %+v, want %d", c.name, why, c.status)
		}
	}
}

func FuzzCheckLines(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	f.Add([]byte("GET / HTTP/1.1\nHost: a\n\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if why := checkLines(raw); why != nil && (why.status < 400 || why.sentence == "") {
			t.Errorf("checkLines(%q) refuses with %+v", raw, why)
		}
	})
}

// openTestDoor returns a door on loopback, and what it lets in.
func openTestDoor(t *testing.T, most int, known func(netip.Addr) bool) (*door, <-chan net.Conn) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := openDoor(ln, most, known)
	in := make(chan net.Conn, 16)
	go func() {
		defer close(in)
		for c, err := d.Accept(); err == nil; c, err = d.Accept() {
			in <- c
		}
	}()
	t.Cleanup(func() {
		_ = d.Close() // of loopback: never fails
		for c := range in {
			c.Close()
		}
	})
	return d, in
}

func knock(t *testing.T, d *door, from, raw string) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := dialer.Dial("tcp", d.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDoorAnswersWhatIsNoHead(t *testing.T) {
	d, in := openTestDoor(t, 0, nil)
	c := knock(t, d, "127.0.0.1", "GET / HTTP/1.1\nHost: a\n\n")
	if answer, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 "+http.StatusText(400)+"\r\n") {
		t.Errorf("answer %q, %v; want 400 and the end", answer, err)
	}
	knock(t, d, "127.0.0.1", "GET / HTTP/1.1\r\n")
	got := <-in
	if _, bare := got.(*net.TCPConn); !bare {
		t.Errorf("the connection is a %T, want a bare socket", got)
	}
	got.Close()
}

func TestDoorLimitsConnectionsOfAnAddress(t *testing.T) {
	d, in := openTestDoor(t, 2, func(a netip.Addr) bool { return a == netip.MustParseAddr("127.9.9.9") })
	first := knock(t, d, "127.0.0.2", "GET")
	inside := <-in
	knock(t, d, "127.0.0.2", "GET")
	<-in
	if _, err := knock(t, d, "127.0.0.2", "").Read(make([]byte, 1)); err == nil {
		t.Error("a third connection is let in")
	}
	for range 4 {
		knock(t, d, "127.9.9.9", "GET")
		<-in
	}
	knock(t, d, "127.0.0.3", "GET")
	<-in
	first.Close()
	inside.Close()
	d.leave(inside)
	knock(t, d, "127.0.0.2", "GET")
	<-in
}

func TestDoorClosesWhatWaits(t *testing.T) {
	d, _ := openTestDoor(t, 0, nil)
	c := knock(t, d, "127.0.0.1", "")
	for met := false; !met; time.Sleep(time.Millisecond) {
		d.mu.Lock()
		met = len(d.waiting) == 1
		d.mu.Unlock()
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open")
	}
}
