package origin

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cdnlab/topology"
)

func TestSamples(t *testing.T) {
	l := start(t, topology.Origin{})
	for _, row := range sampleTable {
		a := l.do(http.MethodHead, row.path, nil)
		if a.status != 200 || a.header.Get("Cache-Control") != row.cacheControl || a.header.Get("ETag") == "" || a.header.Get("Content-Length") == "0" {
			t.Errorf("HEAD %s = %d %v", row.path, a.status, a.header)
		}
		if row.size > 0 && a.header.Get("Content-Length") != fmt.Sprint(row.size) {
			t.Errorf("HEAD %s has length %s, want %d", row.path, a.header.Get("Content-Length"), row.size)
		}
	}
	a := l.get("/")
	a.want(t, "GET /", 200, "through a CDN")
	if got := a.header.Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("Content-Type of / = %q", got)
	}
	for _, line := range strings.Split(a.body, `href="`)[1:] {
		target, _, _ := strings.Cut(line, `"`)
		if got := l.do(http.MethodHead, target, nil); got.status != 200 {
			t.Errorf("the index links %s, which answers %d", target, got.status)
		}
	}
	if a := l.get("/launch.mp4"); len(a.body) != 8<<20 || a.body[:100] == a.body[100:200] {
		t.Errorf("GET /launch.mp4 has %d bytes", len(a.body))
	}
	// An object replaces a sample; deleting it leaves nothing, and rolling back brings it back.
	l.put("/hello.txt", "mine").want(t, "PUT over a sample", 201, `"version":1`)
	l.get("/hello.txt").want(t, "GET", 200, "mine")
	l.at("img.cdn.test", http.MethodGet, "/hello.txt", nil).want(t, "GET on another site", 200, "Hello from the origin")
	l.do(http.MethodDelete, "/hello.txt", nil, withToken).want(t, "DELETE", 204, "")
	l.get("/hello.txt").want(t, "GET of a deleted object", 404, "no such object")
	l.do(http.MethodDelete, "/style.css", nil, withToken).want(t, "DELETE of a sample", 204, "")
	l.get("/style.css").want(t, "GET of a deleted sample", 404, "no such object")
	l.do(http.MethodDelete, "/style.css", nil, withToken).want(t, "DELETE of a deleted sample", 404, "no such object")
}

func TestAnObjectIsServedAsStored(t *testing.T) {
	l := start(t, topology.Origin{}, func(c *Config) { c.Now = func() time.Time { return noon } })
	body := strings.Repeat("0123456789", 10_000)
	p := l.put("/a/b%20c.css", body, "Cache-Control: max-age=5", "Content-Language: fr", "Surrogate-Key: k1 k2", "X-Other: dropped", "Cookie: dropped")
	p.want(t, "PUT", 201, `"path":"/a/b c.css"`)
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(body)))
	if !strings.Contains(p.body, sum) || p.header.Get("ETag") != `"`+sum[:32]+`"` {
		t.Errorf("PUT tells %s, ETag %s; the SHA-256 is %s", p.body, p.header.Get("ETag"), sum)
	}
	a := l.get("/a/b%20c.css")
	if a.status != 200 || a.body != body {
		t.Errorf("GET = %d with %d bytes", a.status, len(a.body))
	}
	for name, want := range map[string]string{
		"Content-Type": "text/css; charset=utf-8", "Cache-Control": "max-age=5", "Content-Language": "fr", "Surrogate-Key": "k1 k2",
		"Last-Modified": noon.Format(http.TimeFormat), "Etag": p.header.Get("ETag"), "Accept-Ranges": "bytes", "Content-Length": "100000",
		"X-Other": "", "Cookie": "", "Server": "",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if _, err := http.ParseTime(a.header.Get("Date")); err != nil {
		t.Errorf("Date = %q", a.header.Get("Date"))
	}
	l.get("/%61/b%20c.css").want(t, "the same path in another spelling", 200, "0123456789")
	l.put("/a/b%20c.css", "x", "Content-Type: text/x-own").want(t, "PUT again", 200, `"version":2`)
	if got := l.get("/a/b%20c.css").header; got.Get("Content-Type") != "text/x-own" || got.Get("Content-Language") != "" {
		t.Errorf("the new version has the headers %v", got)
	}
}

func TestConditionsAndRangesOnTheWire(t *testing.T) {
	l := start(t, topology.Origin{})
	l.put("/f", "0123456789", "Cache-Control: max-age=5")
	tag := l.get("/f").header.Get("ETag")

	a := l.get("/f", "If-None-Match: "+tag)
	a.want(t, "If-None-Match", 304, "")
	if a.header.Get("ETag") != tag || a.header.Get("Cache-Control") != "max-age=5" || a.header.Get("Content-Length") != "" {
		t.Errorf("304 with %v", a.header)
	}
	a = l.get("/f", "Range: bytes=2-4")
	a.want(t, "Range", 206, "234")
	if a.header.Get("Content-Range") != "bytes 2-4/10" || a.header.Get("Content-Length") != "3" || len(a.body) != 3 {
		t.Errorf("206 with %v, body %q", a.header, a.body)
	}
	a = l.get("/f", "Range: bytes=10-")
	a.want(t, "Range past the end", 416, "the size is 10")
	if a.header.Get("Content-Range") != "bytes */10" || a.header.Get("Cache-Control") != "" {
		t.Errorf("416 with %v", a.header)
	}
	l.get("/f", "Range: bytes=2-4", `If-Range: "old"`).want(t, "If-Range of another version", 200, "0123456789")
	l.get("/f", `If-Match: "old"`).want(t, "If-Match", 412, "If-Match")
	if a := l.do(http.MethodHead, "/f", nil, "Range: bytes=2-4"); a.status != 200 || a.header.Get("Content-Length") != "10" {
		t.Errorf("HEAD with Range = %d %v", a.status, a.header)
	}
	a = l.get("/launch.mp4", "Range: bytes=5000000-5000009")
	whole := l.get("/launch.mp4")
	if a.status != 206 || a.body != whole.body[5000000:5000010] {
		t.Errorf("a range of a pattern = %d %x, want %x", a.status, a.body, whole.body[5000000:5000010])
	}
	l.put("/f", "new", `If-None-Match: *`).want(t, "PUT If-None-Match: *", 412, "If-None-Match")
	l.put("/f", "new", "If-Match: "+tag).want(t, "PUT If-Match", 200, `"version":2`)
	l.put("/f", "new", "If-Match: "+tag).want(t, "PUT If-Match of an older version", 412, "If-Match")
}

func TestWritingTakesTheToken(t *testing.T) {
	l := start(t, topology.Origin{})
	for _, method := range []string{http.MethodPut, http.MethodDelete} {
		l.do(method, "/x", strings.NewReader("a")).want(t, method+" without token", 401, "needs the lab's token")
		l.do(method, "/x", strings.NewReader("a"), "Authorization: Bearer wrong").want(t, method+" with another token", 401, "does not carry")
		l.do(method, "/x", strings.NewReader("a"), "Cdnlab-Secret: "+testSecret).want(t, method+" through a tier", 401, "needs the lab's token")
	}
	a := l.do(http.MethodPut, "/x", nil)
	if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer") {
		t.Errorf("WWW-Authenticate = %q", got)
	}
	l.get("/x").want(t, "nothing was stored", 404, "")
	l.put("/x/", "a").want(t, "PUT of a path that ends in /", 400, "names no object")
	l.put("/dynamic/x", "a").want(t, "PUT below /dynamic/", 400, "no /dynamic/x")
	l.put("/synthetic/1B/x", "a").want(t, "PUT below /synthetic/", 400, "choose another path")
	l.put("/a%2f..%2fb", "a").want(t, "PUT with dots", 400, "segment")
	l.put("/x", "a", "Content-Range: bytes 0-0/5").want(t, "PUT of a part", 400, "Content-Range")
	l.do(http.MethodPost, "/x", nil, withToken).want(t, "POST", 405, "GET, HEAD, PUT, DELETE")
	if a := l.do(http.MethodOptions, "/x", nil); a.status != 204 || a.header.Get("Allow") != siteMethods {
		t.Errorf("OPTIONS = %d, Allow %q", a.status, a.header.Get("Allow"))
	}
}

func TestAnUploadWaitsForPermission(t *testing.T) {
	l := start(t, topology.Origin{})
	const head = "PUT /x HTTP/1.1\r\nHost: " + testSite + "\r\nContent-Length: 5\r\nExpect: 100-continue\r\n"
	if got := l.raw(head + "\r\n"); got != "HTTP/1.1 401 Unauthorized" {
		t.Errorf("upload without token = %q, want 401 before the body", got)
	}
	if got := l.raw(head + withToken + "\r\nConnection: close\r\n\r\nhello"); got != "HTTP/1.1 100 Continue" {
		t.Errorf("upload with token = %q, want 100", got)
	}
	l.get("/x").want(t, "the object", 200, "hello")
}

func TestBrokenUploadsLeaveNothing(t *testing.T) {
	l := start(t, topology.Origin{}, func(c *Config) { c.MaxObject = 100_000 })
	for name, body := range map[string]string{
		"length longer than the body":   "Content-Length: 50000\r\n\r\nshort",
		"length longer, a long body":    "Content-Length: 50000\r\n\r\n" + strings.Repeat("x", 40000),
		"chunked without an end":        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"chunked, cut inside a chunk":   "Transfer-Encoding: chunked\r\n\r\n50\r\nhello",
		"chunked with a bad size":       "Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
		"chunked, a bad end of a chunk": "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", l.addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, "PUT /broken HTTP/1.1\r\nHost: %s\r\n%s\r\n%s", testSite, withToken, body); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(conn)
		_ = conn.Close()
		if bytes.HasPrefix(got, []byte("HTTP/1.1 2")) {
			t.Errorf("%s: %.60q", name, got)
		}
		l.get("/broken").want(t, name, 404, "no such object")
	}
	l.put("/large", strings.Repeat("x", 100_001)).want(t, "past the limit", 413, "100000 bytes at most")
	l.do(http.MethodPut, "/large", io.LimitReader(patternOf(1), 100_001), withToken).want(t, "past the limit, chunked", 413, "100000 bytes at most")
	l.get("/large").want(t, "what was too large", 404, "")
	l.do(http.MethodPut, "/fits", io.LimitReader(patternOf(1), 100_000), withToken).want(t, "at the limit, chunked", 201, `"size":100000`)
}

// A client that sends all before it reads hears why its upload was refused: a reset would take the answer away.
func TestARefusedUploadHearsWhy(t *testing.T) {
	const size = 4 << 20
	l := start(t, topology.Origin{}, func(c *Config) { c.MaxObject = 100_000 })
	for name, c := range map[string]struct{ head, want string }{
		"too large":          {"Host: " + testSite + "\r\n" + withToken + "\r\nContent-Length: 4194304", "413"},
		"too large, chunked": {"Host: " + testSite + "\r\n" + withToken + "\r\nTransfer-Encoding: chunked", "413"},
		"without the token":  {"Host: " + testSite + "\r\nContent-Length: 4194304", "401"},
		"for no site":        {"Host: nowhere.test\r\nContent-Length: 4194304", "404"},
		"to end with it":     {"Host: " + testSite + "\r\nConnection: close\r\nContent-Length: 200000", "401"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", l.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			head := "PUT /large HTTP/1.1\r\n" + c.head + "\r\n\r\n"
			if strings.Contains(head, "chunked") {
				head += "400000\r\n"
			}
			if _, err := io.WriteString(conn, head); err != nil {
				t.Fatal(err)
			}
			piece := make([]byte, 256<<10)
			for range size / len(piece) {
				if _, err := conn.Write(piece); err != nil {
					t.Fatalf("the connection was closed over the upload: %v", err)
				}
				time.Sleep(time.Millisecond) // slower than the answer comes
			}
			got, err := io.ReadAll(conn)
			if !strings.HasPrefix(string(got), "HTTP/1.1 "+c.want) || err != nil {
				t.Errorf("= %.60q, %v, want %s", got, err, c.want)
			}
		})
	}
}

func TestAFullDiskIsSaid(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("mounting a small tmpfs takes root: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	l := start(t, topology.Origin{}, func(c *Config) { c.DataDir = dir })
	l.put("/big", strings.Repeat("x", 512<<10)).want(t, "PUT on a full disk", 507, "disk of the object store is full")
	l.get("/big").want(t, "GET", 404, "")
	l.put("/small", "x").want(t, "PUT of what fits", 201, "")
	if err := l.stop(); err != nil {
		t.Error(err)
	}
}

func TestGuardedPaths(t *testing.T) {
	now := noon
	l := start(t, topology.Origin{}, func(c *Config) { c.Now = func() time.Time { return now } })
	for _, p := range []string{"/secret/a", "/secret/open/a", "/paid/a", "/secret/own"} {
		l.put(p, "content of "+p, "Cache-Control: public, max-age=60, s-maxage=600", "CDN-Cache-Control: max-age=600", "Surrogate-Control: max-age=600").want(t, "PUT "+p, 201, "")
	}
	l.put("/secret/bare", "bare").want(t, "PUT", 201, "")
	guarded := func(what string, a answer, cacheControl string) {
		t.Helper()
		if got := a.header.Values("Cache-Control"); len(got) != 1 || got[0] != cacheControl {
			t.Errorf("%s: Cache-Control = %q, want %q alone", what, got, cacheControl)
		}
		for _, name := range []string{"CDN-Cache-Control", "Surrogate-Control"} {
			if got := a.header.Get(name); got != "" {
				t.Errorf("%s: %s = %q, which overrides Cache-Control at a CDN", what, name, got)
			}
		}
	}
	for _, target := range []string{"/secret/a", "/secret%2Fa", "/%73ecret/a", "/secret/missing", "/secret/"} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			a := l.do(method, target, nil)
			if a.status != 401 {
				t.Errorf("%s %s = %d, want 401", method, target, a.status)
			}
			guarded(method+" "+target, a, "private, no-store")
		}
	}
	a := l.get("/secret/a", withToken)
	a.want(t, "GET with token", 200, "content of /secret/a")
	guarded("with token", a, "private, max-age=60")
	guarded("without a header of its own", l.get("/secret/bare", withToken), "private, no-store")
	guarded("404", l.get("/secret/missing", withToken), "private, no-store")
	guarded("304", l.get("/secret/a", withToken, "If-None-Match: "+a.header.Get("ETag")), "private, max-age=60")
	l.get("/secret/a", "If-None-Match: "+a.header.Get("ETag")).want(t, "a 304 tells nothing without the token", 401, "")
	l.get("/secret/a", "Cdnlab-Secret: "+testSecret).want(t, "through a tier, without token", 401, "")
	if got := l.get("/secret/open/a").header.Get("CDN-Cache-Control"); got != "max-age=600" {
		t.Errorf("CDN-Cache-Control below a public prefix = %q", got)
	}
	l.get("/dynamic/closed", withToken).want(t, "dynamic content is guarded too", 400, "")
	l.get("/dynamic/closed").want(t, "dynamic content is guarded too", 401, "")

	var signed struct{ URL string }
	l.api(http.MethodPost, apiSign, url.Values{"path": {"/paid/a"}, "for": {"1h"}}, nil, &signed)
	u, err := url.Parse(signed.URL)
	if err != nil || u.Hostname() != testSite {
		t.Fatalf("signed URL = %q, %v", signed.URL, err)
	}
	a = l.get(u.RequestURI())
	a.want(t, "GET of the signed URL", 200, "content of /paid/a")
	guarded("signed", a, "private, max-age=60")
	l.at("img.cdn.test", http.MethodGet, u.RequestURI(), nil).want(t, "the same on an open site", 404, "")
	l.get(strings.Replace(u.RequestURI(), "/a?", "/b?", 1)).want(t, "another path", 403, "signature")
	l.get("/paid/a").want(t, "unsigned", 403, "signed URLs only")
	l.do(http.MethodPut, u.RequestURI(), strings.NewReader("x")).want(t, "PUT of a signed URL", 401, "needs the lab's token")
	now = now.Add(time.Hour)
	l.get(u.RequestURI()).want(t, "an hour later", 403, "expired at")
}

func TestSyntheticObjects(t *testing.T) {
	l := start(t, topology.Origin{})
	a := l.get("/synthetic/64KiB/7")
	if a.status != 200 || len(a.body) != 64<<10 {
		t.Fatalf("GET = %d with %d bytes", a.status, len(a.body))
	}
	if a.header.Get("Cache-Control") != "" || a.header.Get("Last-Modified") != "" || !strings.HasPrefix(a.header.Get("ETag"), `"`) {
		t.Errorf("headers %v: want a strong ETag and nothing about freshness", a.header)
	}
	if again := l.get("/synthetic/64KiB/7?x=1"); again.body != a.body || again.header.Get("ETag") != a.header.Get("ETag") {
		t.Error("the same object twice differs")
	}
	if other := l.get("/synthetic/64KiB/8"); other.body == a.body || other.header.Get("ETag") == a.header.Get("ETag") {
		t.Error("two IDs give one object")
	}
	for _, r := range [][2]int{{0, 0}, {1, 20}, {7, 8}, {65530, 65535}, {0, 65535}} {
		part := l.get("/synthetic/64KiB/7", fmt.Sprintf("Range: bytes=%d-%d", r[0], r[1]))
		if part.status != 206 || part.body != a.body[r[0]:r[1]+1] {
			t.Errorf("range %v = %d, which is another content", r, part.status)
		}
	}
	l.get("/synthetic/64KiB/7", "If-None-Match: "+a.header.Get("ETag")).want(t, "If-None-Match", 304, "")
	if got := l.do(http.MethodHead, "/synthetic/1GiB/x", nil).header.Get("Content-Length"); got != "1073741824" {
		t.Errorf("Content-Length of 1GiB = %s", got)
	}
	if got := len(l.get("/synthetic/0B/x").body); got != 0 {
		t.Errorf("0B has %d bytes", got)
	}
	for _, bad := range []string{"/synthetic/", "/synthetic/1KiB", "/synthetic/1KiB/", "/synthetic/x/1", "/synthetic/-1B/1", "/synthetic/2GiB/1", "/synthetic//1", "/synthetic/1.5MiB/1"} {
		if a := l.get(bad); a.status != 400 {
			t.Errorf("GET %s = %d %s, want 400", bad, a.status, a.body)
		}
	}
	other := start(t, topology.Origin{}, func(c *Config) { c.Topology.Seed = 8 })
	if other.get("/synthetic/64KiB/7").body == a.body {
		t.Error("another seed gives the same content")
	}
}

func TestAnUploadUnderWayEndsWellWhileTheServerStops(t *testing.T) {
	cfg := testConfig(t, testTopology(topology.Origin{}))
	cfg.Drain = time.Minute
	l := run(t, cfg)
	conn, err := net.Dial("tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	half := strings.Repeat("x", 20_000)
	if _, err := fmt.Fprintf(conn, "PUT /x HTTP/1.1\r\nHost: %s\r\n%s\r\nContent-Length: 40000\r\n\r\n%s", testSite, withToken, half); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cfg.DataDir, "objects")
	waitFor(t, func() bool { return len(files(t, filepath.Join(dir, "tmp"))) == 1 })
	stopped := make(chan error, 1)
	go func() { stopped <- l.stop() }()
	waitFor(t, func() bool {
		probe, err := net.Dial("tcp", l.addr)
		if err == nil {
			_ = probe.Close()
		}
		return err != nil
	})
	if _, err := io.WriteString(conn, half); err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(conn)
	if !bytes.HasPrefix(got, []byte("HTTP/1.1 201 ")) {
		t.Errorf("the upload = %.60q, want 201", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run = %v", err)
	}
	if v, ok := openTestStore(t, dir, io.Discard).current(testSite, "/x"); !ok || v.Size != 40_000 {
		t.Errorf("stored: %+v, %v", v, ok)
	}
}

func TestWhatOutlastsTheDrainIsBrokenOff(t *testing.T) {
	for name, target := range map[string]string{"a handler that waits": "/dynamic/delay/1m", "a client that does not read": "/large.bin"} {
		t.Run(name, func(t *testing.T) {
			var clock atomic.Int64
			l := start(t, topology.Origin{}, func(c *Config) {
				c.Drain = 20 * time.Millisecond
				c.Now = func() time.Time { clock.Add(1); return time.Now() }
			})
			before := clock.Load()
			conn, err := net.Dial("tcp", l.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, testSite); err != nil {
				t.Fatal(err)
			}
			waitFor(t, func() bool { return clock.Load() > before }) // the request is being served
			if err := l.stop(); err != nil {                         // fails the test when Run does not return
				t.Errorf("Run = %v", err)
			}
			if got, _ := io.ReadAll(conn); bytes.Contains(got, []byte("status 200 after")) || len(got) > 64<<20 {
				t.Errorf("answer of %d bytes = %.100q", len(got), got)
			}
		})
	}
}

// waitFor waits until cond holds.
func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline.C:
			t.Fatal("waited 30 s in vain")
		case <-tick.C:
		}
	}
}
