package proxy

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// hang answers nothing until the connection is closed.
func hang(c *call) bool {
	_, _ = c.br.Read(make([]byte, 1))
	return false
}

// hasty is a connection that nothing comes in time on.
type hasty struct{ net.Conn }

func (h hasty) SetReadDeadline(t time.Time) error {
	if !t.IsZero() {
		t = time.Unix(1, 0)
	}
	return h.Conn.SetReadDeadline(t)
}

// firstOnly wraps the first connection that it is given and leaves the others bare.
func firstOnly(wrap func(net.Conn) net.Conn) func(net.Conn) net.Conn {
	var others atomic.Bool
	return func(c net.Conn) net.Conn {
		if others.Swap(true) {
			return c
		}
		return wrap(c)
	}
}

func TestAHangingParentIsLeftForTheNext(t *testing.T) {
	f := start(t, setup{wrap: firstOnly(func(c net.Conn) net.Conn { return hasty{c} })}, hang, fresh)
	if a := f.get("/a"); a.status != 200 {
		t.Errorf("GET = %d %q, want the answer of the second parent", a.status, a.body)
	}
}

// full is a connection that takes nothing, and whose time limit for that passes at once.
type full struct {
	net.Conn
	until time.Time
}

func (f *full) SetWriteDeadline(t time.Time) error {
	f.until = t
	return nil
}

func (f *full) Write([]byte) (int, error) {
	if f.until.IsZero() {
		return 0, errors.New("a write without a time limit")
	}
	return 0, os.ErrDeadlineExceeded
}

func TestAParentThatTakesNoRequestIsLeftForTheNext(t *testing.T) {
	f := start(t, setup{wrap: firstOnly(func(c net.Conn) net.Conn { return &full{Conn: c} })}, fresh, fresh)
	if a := f.get("/a"); a.status != 200 || f.parents.failed("eu-1") != 1 {
		t.Errorf("GET = %d %q, want the answer of the second parent", a.status, a.body)
	}
}

func TestWhatHangsBehindATierIsNotTriedElsewhere(t *testing.T) {
	slow := func(c *call) bool {
		return c.write(reply("504 Gateway Timeout", "Cdnlab-Error: eu-1; slow\r\n", "main: no answer in time\n"))
	}
	f := start(t, setup{}, slow, fresh)
	if a := f.get("/a"); a.status != 504 || a.body != "main: no answer in time\n" {
		t.Errorf("GET = %d %q, want what the tier says", a.status, a.body)
	}
	if n := f.parents.origins[1].count(); n != 0 {
		t.Errorf("the next parent was asked %d times, want 0", n)
	}
}

func TestATierSaysThatItsParentHangs(t *testing.T) {
	f := start(t, setup{patience: 20 * time.Millisecond}, hang)
	if a := f.get("/a", "Cdnlab-Secret: "+secret); a.status != 504 || a.header.Get("Cdnlab-Error") != "paris-1; slow" {
		t.Errorf("GET = %d %q, want 504 and paris-1; slow", a.status, a.header.Get("Cdnlab-Error"))
	}
	f.parents.origins[0].setDown(true)
	if a := f.get("/b", "Cdnlab-Secret: "+secret); a.status != 504 || a.header.Get("Cdnlab-Error") != "paris-1" {
		t.Errorf("GET = %d %q, want 504 and paris-1", a.status, a.header.Get("Cdnlab-Error"))
	}
}

func TestACrowdAtWhatCannotBeFetched(t *testing.T) {
	f := start(t, setup{}, func(*call) bool { return false })
	for i := range 200 {
		if a := f.get("/a"); a.status != 504 {
			t.Fatalf("request %d = %d, want 504", i, a.status)
		}
		f.pass(10 * time.Millisecond)
	}
	if n := f.origin().count(); n > 20 {
		t.Errorf("200 requests in two seconds became %d at the origin, want at most 20", n)
	}
	f.pass(failureTime + time.Millisecond)
	before := f.origin().count()
	f.get("/b")
	if f.origin().count() == before {
		t.Error("another object was not asked for")
	}
}

func TestACrowdAtAFailingApp(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool { return c.write(reply("500 Internal Server Error", "", "oops")) })
	for _, a := range f.crowd(200, func() {}, func(int) string { return requestHead11("GET", "/a") }) {
		if a.status != 500 {
			t.Fatalf("= %d %q, want 500", a.status, a.body)
		}
	}
	if n := f.origin().count(); n > 20 {
		t.Errorf("200 clients became %d requests at the origin, want at most 20", n)
	}
}

func TestACrowdAtABodyThatBreaksOff(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool {
		return c.write("HTTP/1.1 200 OK\r\n", dated, "Cache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nhalf") && false
	})
	for i, a := range f.crowd(200, func() {}, func(int) string { return requestHead11("GET", "/a") }) {
		if a.status == 200 && a.err == nil {
			t.Fatalf("client %d took %q for a whole body", i, a.body)
		}
	}
	for range 200 {
		f.get("/a")
	}
	if n := f.origin().count(); n > 20 {
		t.Errorf("400 requests became %d at the origin, want at most 20", n)
	}
}

// A kept connection that the server closes over each request could double what it is sent.
func TestTriesOnNewConnectionsAreWithinTheBudget(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool {
		return c.number%2 == 1 && c.write(reply("200 OK", "Cache-Control: no-store\r\n", "hello"))
	})
	const requests = 300
	for i := range requests {
		f.get(fmt.Sprint("/", i))
	}
	if n := f.origin().count(); n > requests*12/10+20 {
		t.Errorf("%d requests became %d at the origin, want at most a fifth more and 20", requests, n)
	}
}

// What one client brings about is not what others get.
func TestAFailureIsNotShared(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool {
		if c.field("X-Evil") != "" {
			return c.write(reply("500 Internal Server Error", "", "oops"))
		}
		return fresh(c)
	})
	for range 10 {
		f.get("/a", "X-Evil: 1")
	}
	if a := f.get("/a"); a.status != 200 {
		t.Errorf("another client gets %d %q, want 200", a.status, a.body)
	}
}

func TestOneFailureIsForgotten(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool { return c.number > 1 && fresh(c) })
	f.get("/a")
	if a := f.get("/a"); a.status != 200 {
		t.Errorf("the next request gets %d %q, want 200", a.status, a.body)
	}
}

// Half of what the first parent is asked fails: the tries elsewhere stay within the budget, and a dead parent costs none of it.
func TestTriesStayWithinTheBudget(t *testing.T) {
	flaky := func(c *call) bool {
		if c.number%2 == 0 {
			return c.write(reply("502 Bad Gateway", "Cdnlab-Error: eu-1\r\n", "no\n"))
		}
		return c.write(reply("200 OK", "Cache-Control: no-store\r\n", "yes"))
	}
	f := start(t, setup{}, flaky, flaky, flaky)
	const clients = 2000
	for i := range clients {
		f.get(fmt.Sprint("/", i))
		f.pass(time.Millisecond)
	}
	sent := 0
	for _, o := range f.parents.origins {
		sent += o.count()
	}
	if most := clients*12/10 + 30; sent > most || sent <= clients { // one a second is allowed beyond
		t.Errorf("%d requests became %d upstream, want more, and at most %d", clients, sent, most)
	}
	f.parents.origins[0].setDown(true)
	f.parents.origins[1].setDown(true)
	answered := 0
	for i := range 100 {
		if a := f.get(fmt.Sprint("/b", i)); a.status == 200 {
			answered++
		}
	}
	if answered < 45 {
		t.Errorf("with two dead parents %d of 100 were answered, want the half that the third does", answered)
	}
}

// What one client sends may make an app hang: others who want the same do not hang with it.
func TestOthersDoNotWaitForAHangingRequest(t *testing.T) {
	f := start(t, setup{patience: 3 * time.Second}, func(c *call) bool {
		if c.field("X-Evil") != "" {
			return hang(c)
		}
		return fresh(c)
	})
	evil := f.connect()
	evil.send(requestHead11("GET", "/a", "X-Evil: 1"))
	f.wait("the app to hang", func() bool { return f.origin().count() == 1 })
	same := func(int) string { return requestHead11("GET", "/a") }
	for i, a := range f.crowd(20, func() {}, same) {
		if a.status != 200 {
			t.Errorf("client %d = %d %q, want 200", i, a.status, a.body)
		}
	}
	if n := f.origin().count(); n != 2 {
		t.Errorf("the app was asked %d times, want twice", n)
	}
	if a := evil.read("GET"); a.status != 504 {
		t.Errorf("the one who made it hang = %d, want 504", a.status)
	}
}

func TestACrowdAtAnAppThatHangs(t *testing.T) {
	f := start(t, setup{patience: 300 * time.Millisecond}, hang)
	for i, a := range f.crowd(50, func() {}, func(int) string { return requestHead11("GET", "/a") }) {
		if a.status != 504 {
			t.Errorf("client %d = %d, want 504", i, a.status)
		}
	}
	if n := f.origin().count(); n > 20 {
		t.Errorf("50 clients became %d requests at the app, want at most 20", n)
	}
}
