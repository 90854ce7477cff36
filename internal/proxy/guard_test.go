package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// doorman is a Guard that decides as it is told.
type doorman struct {
	lines string
	pass  atomic.Pointer[Pass] // nil lets pass
	asked atomic.Int64
}

// limitLines are those of a guard with a limit.
const limitLines = "RateLimit-Policy: \"few\";q=3;w=1\r\nRateLimit: \"few\";r=2;t=1\r\nX-RateLimit-Limit: 3\r\nX-RateLimit-Remaining: 2\r\n"

// Client implements Guard.
func (d *doorman) Client(peer netip.Addr, _ []string) netip.Addr { return peer }

// Check implements Guard. It has nothing to say of paths under /free.
func (d *doorman) Check(_ time.Time, v *Visit, lines []byte) (Pass, []byte) {
	if strings.HasPrefix(string(v.Path), "/free") {
		return Pass{}, lines
	}
	lines = append(lines, d.lines...)
	d.asked.Add(1)
	if p := d.pass.Load(); p != nil {
		return *p, lines
	}
	return Pass{}, lines
}

func TestGuardReplacesFieldsOfTheOrigin(t *testing.T) {
	const origins = "ratelimit: \"origins\";r=7;t=7\r\nRateLimit: \"again\";r=8;t=8\r\nX-RateLimit-Limit: 70\r\nX-RateLimit-Used: 63\r\nRetry-After: 9\r\n"
	door := &doorman{lines: limitLines}
	f := start(t, setup{guard: door}, func(c *call) bool {
		if c.field("If-None-Match") != "" {
			return c.write("HTTP/1.1 304 Not Modified\r\n", dated, "Cache-Control: max-age=60\r\nETag: \"v1\"\r\n", origins, "\r\n")
		}
		caching := "Cache-Control: max-age=60\r\nETag: \"v1\"\r\n"
		if strings.HasSuffix(c.target(), "/no-store") {
			caching = "Cache-Control: no-store\r\n"
		}
		return c.write(reply("200 OK", dated+caching+origins, "hello"))
	})
	check := func(what string, a *received, status int, cached, limit, used string) {
		t.Helper()
		h := a.header
		got := strings.Join(h.Values("RateLimit"), "|")
		if a.status != status || h.Get("X-Cache") != cached+", paris-1" || got != limit || strings.Join(h.Values("X-RateLimit-Used"), "|") != used {
			t.Errorf("%s = %d %s with RateLimit %s and X-RateLimit-Used %s, want %d %s with %s and %s",
				what, a.status, h.Get("X-Cache"), got, h.Values("X-RateLimit-Used"), status, cached, limit, used)
		}
		if after := h.Get("Retry-After"); after != "9" {
			t.Errorf("%s has Retry-After %q, which the guard does not replace, want 9", what, after)
		}
	}
	const own, theirs = `"few";r=2;t=1`, `"origins";r=7;t=7|"again";r=8;t=8`
	check("a miss", f.get("/a"), 200, "MISS", own, "")
	check("a hit", f.get("/a"), 200, "HIT", own, "")
	door.lines = strings.ReplaceAll(limitLines, "r=2", "r=1")
	check("a later hit", f.get("/a"), 200, "HIT", `"few";r=1;t=1`, "")
	door.lines = limitLines
	check("a part", f.get("/a", "Range: bytes=1-2"), 206, "HIT", own, "")
	check("not modified", f.get("/a", `If-None-Match: "v1"`), 304, "HIT", own, "")
	check("a HEAD", f.do(http.MethodHead, "/a"), 200, "HIT", own, "")
	check("a pass", f.get("/no-store"), 200, "MISS", own, "")
	check("a POST", f.do(http.MethodPost, "/no-store"), 200, "PASS", own, "")

	door.lines = ""
	check("a hit without a rule, of what was stored with one", f.get("/a"), 200, "HIT", theirs, "63")
	door.lines = limitLines
	check("a miss without a rule", f.get("/free/a"), 200, "MISS", theirs, "63")
	check("a hit without a rule", f.get("/free/a"), 200, "HIT", theirs, "63")
	check("a pass without a rule", f.get("/free/no-store"), 200, "MISS", theirs, "63")
	if got := f.get("/a", "Cdnlab-Secret: "+secret).header.Values("RateLimit"); strings.Join(got, "|") != theirs {
		t.Errorf("another tier gets RateLimit %q, want the origin's", got)
	}
	f.pass(2 * time.Minute)
	check("a validated response", f.get("/a"), 200, "REVALIDATED", own, "")
}

// held starts a tier whose guard holds every request back for a time, and counts the ends of that. stop begins its stop, which
// f.stop waits for.
func held(t *testing.T, set setup, d time.Duration, s script) (f *tier, door *doorman, done *atomic.Int64, stop func()) {
	t.Helper()
	door, done = &doorman{lines: limitLines}, new(atomic.Int64)
	door.pass.Store(&Pass{Delay: d, Done: func() { done.Add(1) }})
	set.guard = door
	f = prepare(t, set, s)
	ctx, cancel := context.WithCancel(context.Background())
	ended := f.run(ctx)
	f.stop = sync.OnceFunc(func() { f.ends(ended) })
	t.Cleanup(func() {
		cancel()
		f.stop()
	})
	return f, door, done, cancel
}

func TestHeldRequestPassesInItsTurn(t *testing.T) {
	const d = 20 * time.Millisecond
	f, _, done, _ := held(t, setup{}, d, func(c *call) bool {
		_, _ = io.CopyN(io.Discard, c.br, 5) // of the POST
		return fresh(c)
	})
	c := f.connect()
	began := time.Now()
	c.send("POST /a HTTP/1.1\r\nHost: www.cdn.test\r\nContent-Length: 5\r\n\r\nhe", "llo")
	if a := c.read("POST"); a.status != 200 || time.Since(began) < d {
		t.Errorf("POST = %d after %v, want 200 after at least %v", a.status, time.Since(began), d)
	}
	began = time.Now()
	c.send(requestHead11("POST", "/b", "Content-Length: 5"), "hello", requestHead11("POST", "/c", "Content-Length: 5"), "hello")
	for range 2 {
		if a := c.read("POST"); a.status != 200 {
			t.Errorf("one of two that came together = %d, want 200", a.status)
		}
	}
	if took := time.Since(began); took < 2*d || done.Load() != 3 {
		t.Errorf("two took %v and %d holds have ended, want at least %v and 3", took, done.Load(), 2*d)
	}
}

// Nothing is done for a client that no longer waits for its turn.
func TestHeldRequestOfAClientThatIsGone(t *testing.T) {
	for name, leave := range map[string]func(*net.TCPConn) error{
		"closed": (*net.TCPConn).Close,
		"half":   (*net.TCPConn).CloseWrite,
		"reset": func(c *net.TCPConn) error {
			return errors.Join(c.SetLinger(0), c.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, door, done, _ := held(t, setup{drain: time.Hour}, time.Hour, fresh)
			c := f.connect()
			c.send(requestHead11("GET", "/a"))
			f.wait("the guard to be asked", func() bool { return door.asked.Load() == 1 })
			if err := leave(c.conn.(*net.TCPConn)); err != nil {
				t.Fatal(err)
			}
			if r := f.finished(); r.Status != 499 || r.Cache != "LIMITED" || done.Load() != 1 {
				t.Errorf("finished as %d %s with %d holds ended, want 499 LIMITED and 1", r.Status, r.Cache, done.Load())
			}
			if n := f.origin().count(); n != 0 {
				t.Errorf("the origin was asked %d times, want 0", n)
			}
		})
	}
}

// A request that is held back has not begun: the stop does not spend its time on it.
func TestHeldRequestAtTheStop(t *testing.T) {
	f, door, done, stop := held(t, setup{drain: time.Hour}, time.Hour, fresh)
	c := f.connect()
	c.send(requestHead11("GET", "/a"))
	f.wait("the guard to be asked", func() bool { return door.asked.Load() == 1 })
	stop()
	if a := c.read("GET"); a.status != 503 || a.header.Get("X-Cache") != "ERROR, paris-1" {
		t.Errorf("GET = %d %s, want 503 ERROR", a.status, a.header.Get("X-Cache"))
	}
	if !c.closed() {
		t.Errorf("the connection outlives the stop")
	}
	f.stop()
	if done.Load() != 1 || f.origin().count() != 0 {
		t.Errorf("%d holds have ended and the origin was asked %d times, want 1 and 0", done.Load(), f.origin().count())
	}
}
