package proxy

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cdnlab/internal/httpcache"
	"cdnlab/topology"
)

// library is an origin with one large object, which it serves whole and in ranges.
type library struct {
	body    string
	etag    atomic.Pointer[string]
	lines   string
	served  atomic.Int64 // bytes
	refuses bool         // ranges
}

func newLibrary(size int) *library {
	l := &library{body: pattern(size), lines: dated + "Cache-Control: max-age=60\r\nAccept-Ranges: bytes\r\n"}
	l.publish(`"v1"`)
	return l
}

func (l *library) publish(etag string) { l.etag.Store(&etag) }

func (l *library) serve(c *call) bool {
	etag := *l.etag.Load()
	lines := l.lines + "ETag: " + etag + "\r\n"
	if c.field("If-None-Match") == etag {
		return c.write(reply("304 Not Modified", lines, ""))
	}
	if r := c.field("Range"); r != "" && !l.refuses && (c.field("If-Range") == "" || c.field("If-Range") == etag) {
		switch sel := httpcache.ParseRange(r, int64(len(l.body))); sel.Status {
		case 206:
			s := sel.Spans[0]
			l.served.Add(s.Length)
			lines += "Content-Range: " + string(httpcache.AppendContentRange(nil, s, int64(len(l.body)))) + "\r\n"
			return c.write(reply("206 Partial Content", lines, l.body[s.First:s.First+s.Length]))
		case 416:
			return c.write(reply("416 Range Not Satisfiable", fmt.Sprintf("Content-Range: bytes */%d\r\n", len(l.body)), ""))
		}
	}
	l.served.Add(int64(len(l.body)))
	return c.write(reply("200 OK", lines, l.body))
}

// settled waits until nothing is being fetched.
func (f *tier) settled() {
	f.wait("fetches to end", func() bool {
		f.proxy.flights.mu.Lock()
		defer f.proxy.flights.mu.Unlock()
		return len(f.proxy.flights.byKey) == 0
	})
}

func TestSlices(t *testing.T) {
	const size = 12<<20 + 345
	get := func(lines ...string) []string { return lines }
	type step struct {
		lines  []string
		status int
		first  int
		length int
		cache  string
		most   int64 // bytes that the origin serves for it
	}
	const slice = 1 << 20
	for name, steps := range map[string][]step{
		"a small range brings one slice":          {{get("Range: bytes=5000000-5000009"), 206, 5000000, 10, "MISS", slice}, {get("Range: bytes=5000100-5000109"), 206, 5000100, 10, "HIT", 0}},
		"a range across a border brings two":      {{get("Range: bytes=1048570-1048580"), 206, 1048570, 11, "MISS", 2 * slice}, {get("Range: bytes=0-9"), 206, 0, 10, "HIT", 0}},
		"a range from the end":                    {{get("Range: bytes=-10"), 206, size - 10, 10, "MISS", 346}, {get("Range: bytes=-20"), 206, size - 20, 20, "HIT", 0}},
		"what is missing is fetched":              {{get("Range: bytes=0-9"), 206, 0, 10, "MISS", slice}, {get("Range: bytes=2000000-2000009"), 206, 2000000, 10, "MISS", slice}},
		"an open range":                           {{get("Range: bytes=12582000-"), 206, 12582000, size - 12582000, "MISS", slice + 345}},
		"the whole is kept in slices":             {{get(), 200, 0, size, "MISS", size}, {get(), 200, 0, size, "HIT", 0}, {get("Range: bytes=7000000-7000009"), 206, 7000000, 10, "HIT", 0}},
		"a range, then the whole":                 {{get("Range: bytes=3000000-3000009"), 206, 3000000, 10, "MISS", slice}, {get(), 200, 0, size, "MISS", size - slice}, {get(), 200, 0, size, "HIT", 0}},
		"many ranges cost no more than the whole": {{get("Range: bytes=0-12000000,1-12000000,2-12000000,3-12000000"), 206, 0, 12000001, "MISS", size}},
		"beyond the end":                          {{get("Range: bytes=99999999-"), 416, 0, 0, "MISS", 0}, {get("Range: bytes=12582912-12582912"), 206, 12582912, 1, "MISS", 345}, {get("Range: bytes=12583999-"), 416, 0, 0, "HIT", 0}},
		"If-Range with another tag is the whole":  {{get("Range: bytes=0-9", `If-Range: "v0"`), 200, 0, size, "MISS", size}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLibrary(size)
			f := start(t, setup{}, l.serve)
			for _, s := range steps {
				before := l.served.Load()
				a := f.get("/film", s.lines...)
				if a.status != s.status || a.err != nil || s.status != 416 && a.body != l.body[s.first:s.first+s.length] || !strings.HasPrefix(a.header.Get("X-Cache"), s.cache) {
					t.Errorf("%q = %d, %d bytes, %v, %s; want %d, %d bytes from %d, %s", s.lines, a.status, len(a.body), a.err, a.header.Get("X-Cache"), s.status, s.length, s.first, s.cache)
				}
				f.settled()
				if got := l.served.Load() - before; got > s.most {
					t.Errorf("%q: the origin served %d bytes, want at most %d", s.lines, got, s.most)
				}
			}
		})
	}
}

func TestSmallObjectAskedForByRangeIsStoredWhole(t *testing.T) {
	l := newLibrary(5000)
	f := start(t, setup{}, l.serve)
	if a := f.get("/a", "Range: bytes=10-19"); a.status != 206 || a.body != l.body[10:20] || a.header.Get("Content-Range") != "bytes 10-19/5000" {
		t.Errorf("range = %d %q %q", a.status, a.body, a.header.Get("Content-Range"))
	}
	f.settled()
	if a := f.get("/a"); a.status != 200 || a.body != l.body || a.header.Get("X-Cache") != "HIT, paris-1" || a.header.Get("Content-Range") != "" {
		t.Errorf("whole = %d, %d bytes, %v; want a hit", a.status, len(a.body), a.header)
	}
}

func TestSlicesOfAnotherVersionAreNotMixed(t *testing.T) {
	l := newLibrary(4 << 20)
	f := start(t, setup{}, l.serve)
	f.get("/film", "Range: bytes=0-9")
	f.settled()
	l.body = strings.ToUpper(l.body)
	l.publish(`"v2"`)
	a := f.get("/film")
	if a.err == nil && a.body != l.body || strings.ContainsAny(a.body[min(len(a.body), 1<<20):], "abc") {
		t.Errorf("after the change: %d bytes of both versions pass for whole", len(a.body))
	}
	if a := f.get("/film"); a.body != l.body {
		t.Errorf("the next request has %d bytes, %v; want the new version", len(a.body), a.err)
	}
}

func TestPurgedSlicesAreFetchedAnew(t *testing.T) {
	l := newLibrary(4 << 20)
	f := start(t, setup{}, l.serve)
	f.get("/film", "Range: bytes=0-9")
	f.get("/film", "Range: bytes=2000000-2000009")
	f.settled()
	l.body = strings.ToUpper(l.body) // and the tag is the same, as it should not be
	f.purgeURL("/film")
	for _, first := range []int{2000000, 0} {
		if a := f.get("/film", fmt.Sprintf("Range: bytes=%d-%d", first, first+9)); a.body != l.body[first:first+10] {
			t.Errorf("after the purge byte %d = %q, want %q", first, a.body, l.body[first:first+10])
		}
	}
}

func TestRangesOfAWeakTagGoAsTheyAre(t *testing.T) {
	l := newLibrary(4 << 20)
	l.publish(`W/"v1"`)
	f := start(t, setup{}, l.serve)
	f.get("/film", "Range: bytes=0-9")
	for range 2 {
		before := l.served.Load()
		if a := f.get("/film", "Range: bytes=2000000-2000009"); a.status != 206 || a.body != l.body[2000000:2000010] {
			t.Errorf("= %d %q", a.status, a.body)
		}
		if got := l.served.Load() - before; got != 10 {
			t.Errorf("the origin served %d bytes, want 10", got)
		}
	}
}

func TestSlicesAreSharedByACrowd(t *testing.T) {
	l := newLibrary(12 << 20)
	f := start(t, setup{}, l.serve)
	for i, a := range f.crowd(20, func() {}, func(i int) string {
		return requestHead11("GET", "/film", fmt.Sprintf("Range: bytes=%d-%d", i, 6000000))
	}) {
		if a.status != 206 || a.body != l.body[i:6000001] {
			t.Errorf("%d: %d, %d bytes, %v", i, a.status, len(a.body), a.err)
		}
	}
	if got := l.served.Load(); got > 6<<20 {
		t.Errorf("the origin served %d bytes, want at most six slices", got)
	}
}

// TestAClientOfSeveralRangesGoesAway asks for what is not stored, with the range that is merged last in the slice that is fetched first.
func TestAClientOfSeveralRangesGoesAway(t *testing.T) {
	l := newLibrary(12 << 20)
	f := start(t, setup{admission: topology.Admission{Rule: "second-hit"}}, l.serve)
	c := f.connect()
	c.send(requestHead11("GET", "/film", "Range: bytes=0-9,5000000-9000000,10-20"))
	if resp, err := c.begin("GET"); err != nil || resp.StatusCode != 206 {
		t.Fatal(resp, err)
	}
	_ = c.conn.(*net.TCPConn).SetLinger(0) // cannot fail
	_ = c.conn.Close()                     // its rest is lost
	ended := make(chan struct{})
	go func() {
		f.stop()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the tier does not end")
	}
}
