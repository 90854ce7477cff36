package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// inside is a connection with a socket inside, as an emulated network makes it.
type inside struct{ net.Conn }

func (i inside) NetConn() net.Conn { return i.Conn }

// connections upstream, by what they are.
var kinds = map[string]func(net.Conn) net.Conn{"bare": nil, "wrapped": func(c net.Conn) net.Conn { return inside{c} }}

func TestWhatComesUnaskedIsNoAnswer(t *testing.T) {
	for kind, wrap := range kinds {
		for _, method := range []string{"GET", "DELETE"} {
			t.Run(kind+" "+method, func(t *testing.T) {
				f := start(t, setup{wrap: wrap}, fresh)
				f.get("/a")
				f.finished()
				f.origin().asked()[0].write(reply("200 OK", dated+"Cache-Control: max-age=60\r\n", "unasked"))
				if a := f.do(method, "/b"); a.status != 200 || a.body != "body of /b" {
					t.Errorf("%s = %d %q, want the answer to it", method, a.status, a.body)
				}
				if _, ever := f.origin().connections(); ever != 2 {
					t.Errorf("%d connections were opened, want a second one in place of the spoilt one", ever)
				}
			})
		}
	}
}

func TestAConnectionIsUsedAgain(t *testing.T) {
	for kind, wrap := range kinds {
		f := start(t, setup{wrap: wrap}, fresh)
		for i := range 5 {
			for _, method := range []string{"GET", "DELETE"} {
				if a := f.do(method, fmt.Sprint("/", i)); a.status != 200 || a.body != fmt.Sprint("body of /", i) {
					t.Errorf("%s: %s = %d %q", kind, method, a.status, a.body)
				}
				f.finished()
			}
		}
		if _, ever := f.origin().connections(); ever != 1 {
			t.Errorf("%s: %d connections were opened, want 1", kind, ever)
		}
	}
}

// pair returns both ends of a connection.
func pair(t *testing.T) (near *upConn, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	return newUpConn(c), far
}

func TestAskSendsWhatTheSocketHasNoRoomFor(t *testing.T) {
	near, far := pair(t)
	request := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	asked := make(chan error, 1)
	go func() { asked <- near.ask(request) }()
	got := make([]byte, len(request))
	if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, request) {
		t.Fatalf("the server got %d bytes that are the request: %v, %v", len(got), bytes.Equal(got, request), err)
	}
	if err := <-asked; err != nil {
		t.Errorf("ask = %v, want nil", err)
	}
}

func TestAskEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		before func(near *upConn, far net.Conn) error
		want   error
	}{
		"with the answer": {func(_ *upConn, far net.Conn) error {
			go func() {
				_, _ = far.Read(make([]byte, 64))
				_, _ = far.Write([]byte("HTTP/1.1 200 OK"))
			}()
			return nil
		}, nil},
		"with the deadline": {func(near *upConn, _ net.Conn) error { return near.limit(time.Now(), time.Millisecond) }, os.ErrDeadlineExceeded},
		"when it is closed": {func(near *upConn, _ net.Conn) error { return near.Close() }, net.ErrClosed},
		"at once, sending nothing, when the server has ended an idle connection": {func(near *upConn, far net.Conn) error {
			near.used = true
			return far.Close()
		}, errSpoilt},
	} {
		near, far := pair(t)
		if err := tt.before(near, far); err != nil {
			t.Fatal(err)
		}
		if err := near.ask([]byte("GET / HTTP/1.1\r\n\r\n")); !errors.Is(err, tt.want) {
			t.Errorf("%s: ask = %v, want %v", name, err, tt.want)
		}
	}
}

func TestAnIdleConnectionOutlivesItsDeadline(t *testing.T) {
	near, far := pair(t)
	if err := near.limit(time.Now().Add(-time.Hour), time.Minute); err != nil {
		t.Fatal(err)
	}
	if !near.alive() {
		t.Error("a connection whose last exchange had a deadline counts as closed")
	}
	if err := far.Close(); err != nil {
		t.Fatal(err)
	}
	if near.alive() {
		t.Error("a connection that its peer has closed counts as alive")
	}
}

// timed notes the read deadline that it is given.
type timed struct {
	net.Conn
	set time.Time
}

func (c *timed) SetReadDeadline(t time.Time) error {
	c.set = t
	return nil
}

func TestADeadlineStaysWhileItIsNearEnough(t *testing.T) {
	start := time.Unix(1e9, 0)
	const limit = 32 * time.Second
	tests := []struct {
		name  string
		after time.Duration // since the deadline was set
		limit time.Duration
		want  time.Duration // to the deadline
	}{
		{"at once", 0, limit, limit + time.Second},
		{"a moment later", 400 * time.Millisecond, limit, limit + 600*time.Millisecond},
		{"never too early", 1001 * time.Millisecond, limit, limit + time.Second},
		{"when a shorter limit is asked for", 0, limit / 2, limit/2 + time.Second/2},
		{"when a longer limit is asked for", 0, 2 * limit, 2*limit + 2*time.Second},
		{"when it is past", time.Hour, limit, limit + time.Second},
	}
	for _, tt := range tests {
		conn := &timed{}
		c := newUpConn(conn)
		now := start.Add(tt.after)
		if err := errors.Join(c.limit(start, limit), c.limit(now, tt.limit)); err != nil {
			t.Fatal(err)
		}
		if got := conn.set.Sub(now); got != tt.want {
			t.Errorf("%s: %s to the deadline, want %s", tt.name, got, tt.want)
		}
	}
}
