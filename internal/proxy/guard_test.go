package proxy

import (
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// doorman is a Guard that decides as it is told.
type doorman struct {
	lines string
	pass  atomic.Pointer[Pass] // nil lets pass
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
	if p := d.pass.Load(); p != nil {
		return *p, lines
	}
	return Pass{}, lines
}

// Replaces implements Guard.
func (d *doorman) Replaces(name string) bool {
	return strings.EqualFold(name, "RateLimit") || len(name) > 2 && strings.EqualFold(name[:2], "X-")
}

// What the guard says takes the place of what the origin says of its own limit, in every kind of answer; where it says nothing
// the origin's stays, also out of the cache that the same response went into.
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
