package proxy

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"cdnlab/topology"
)

const (
	firstTime = `;detail="asked for the first time: the cache takes it at the second request"`
	fromAfar  = `;detail="the tier above had to fetch it as well: the cache takes what is stored there"`
	tooLong   = `;detail="longer than the 1000 bytes that the cache takes"`
	byChance  = `;detail="left out by chance: the cache takes 0 % of what it fetches"`
)

var (
	secondHit = topology.Admission{Rule: "second-hit"}
	copyDown  = topology.Admission{Rule: "leave-copy-down"}
	upTo1000  = topology.Admission{Rule: "size", Size: 1000}
	never     = topology.Admission{Rule: "probability"}
)

func TestAdmission(t *testing.T) {
	const miss, hit, stored = "paris-1;fwd=uri-miss;fwd-status=200", "paris-1;hit;ttl=60", ";stored"
	for _, tt := range []struct {
		admission topology.Admission
		target    string
		want      [3]string // members of Cache-Status of three requests
	}{
		{topology.Admission{}, "/1/2000", [3]string{miss + stored, hit, hit}},
		{topology.Admission{Rule: "always"}, "/1/2000", [3]string{miss + stored, hit, hit}},
		{secondHit, "/1/2000", [3]string{miss + firstTime, miss + stored, hit}},
		{copyDown, "/1/2000", [3]string{miss + fromAfar, miss + fromAfar, miss + fromAfar}},
		{upTo1000, "/1/2000", [3]string{miss + tooLong, miss + tooLong, miss + tooLong}},
		{upTo1000, "/1/1000", [3]string{miss + stored, hit, hit}},
		{never, "/1/2000", [3]string{miss + byChance, miss + byChance, miss + byChance}},
		{topology.Admission{Rule: "probability", Probability: 1}, "/1/2000", [3]string{miss + stored, hit, hit}},
	} {
		t.Run(tt.admission.Rule+tt.target, func(t *testing.T) {
			f := start(t, setup{admission: tt.admission}, numbered)
			var n, size int
			_, _ = fmt.Sscanf(tt.target, "/%d/%d", &n, &size)
			for i, want := range tt.want {
				a := f.get(tt.target)
				if a.cacheStatus() != want || a.body != bodyOf(tt.target, size) {
					t.Errorf("request %d: %d bytes, %s; want %s", i+1, len(a.body), a.cacheStatus(), want)
				}
			}
		})
	}
}

// A copy comes one tier down for each request: what the tier above had to fetch is not stored.
func TestLeaveCopyDown(t *testing.T) {
	for member, want := range map[string]string{
		"eu-1;fwd=uri-miss;fwd-status=200;stored":                       "MISS",
		"eu-1;hit;ttl=60":                                               "HIT",
		"eu-1;hit":                                                      "HIT",
		"eu-1;fwd=stale;fwd-status=304":                                 "HIT",
		"eu-1;fwd=uri-miss;collapsed":                                   "HIT",
		"app;hit, eu-1;fwd=uri-miss;fwd-status=200":                     "MISS",
		"app;fwd=miss, eu-1;hit;ttl=60":                                 "HIT",
		`eu-1;fwd=uri-miss;fwd-status=200;detail="x;collapsed, eu;hit"`: "MISS",
		"other;hit": "MISS",
		"eu-1;hits": "MISS",
		"HIT":       "MISS",
	} {
		f := start(t, setup{admission: copyDown}, func(c *call) bool {
			return c.write(reply("200 OK", dated+"Cache-Control: max-age=60\r\nCache-Status: "+member+"\r\n", "x"))
		})
		f.get("/a")
		if got := f.get("/a").header.Get("X-Cache"); got != want+", paris-1" {
			t.Errorf("the hub says %s: the next request is a %s, want a %s", member, got, want)
		}
	}
}

func TestAnOriginHasWhatItSends(t *testing.T) {
	f := start(t, setup{admission: copyDown}, fresh, fresh, fresh)
	f.parents.upstreams = f.parents.upstreams[2:] // main
	f.get("/a")
	if got := f.get("/a").header.Get("X-Cache"); got != "HIT, paris-1" {
		t.Errorf("the second request is a %s, want a hit", got)
	}
}

func TestANewVersionIsAdmitted(t *testing.T) {
	f := start(t, setup{ram: 1 << 20, admission: secondHit}, func(c *call) bool {
		return c.write(reply("200 OK", fmt.Sprintf("Date: %s\r\nCache-Control: max-age=60\r\nETag: \"%d\"\r\n", c.field("X-Date"), c.number), fmt.Sprint(c.number)))
	})
	date := func() string { return "X-Date: " + f.clock().Format("Mon, 02 Jan 2006 15:04:05 GMT") }
	f.get("/a", date())
	f.get("/a", date())
	c := f.connect()
	for i := range 2049 { // so many others make the filter forget it
		c.do("GET", fmt.Sprint("/", i), date())
	}
	f.pass(patience * 4)
	if got := f.get("/a", date()); got.body != "2052" || !strings.HasSuffix(got.cacheStatus(), ";stored") {
		t.Errorf("a new version of what is stored: %q, %s; want it to be stored", got.body, got.cacheStatus())
	}
}

// Of a crowd at a cold object two go upstream: the first, and the second, which the cache takes for all others.
func TestACrowdAtTheSecondRequest(t *testing.T) {
	const clients = 500
	gate := make(chan struct{})
	f := start(t, setup{admission: secondHit}, gated(gate, fresh))
	for i, a := range f.crowd(clients, func() { close(gate) }, func(int) string { return requestHead11("GET", "/a") }) {
		if a.status != 200 || a.err != nil {
			t.Fatalf("client %d = %d, %v, want 200", i, a.status, a.err)
		}
	}
	if n := f.origin().count(); n != 2 {
		t.Errorf("the origin was asked %d times, want twice", n)
	}
}

// Requests for what the cache does not take are upstream all at the same time: the origin answers none of the later ones
// before the last has come.
func TestWhatIsNotAdmittedDoesNotQueue(t *testing.T) {
	const clients = 50
	for _, lines := range [][]string{nil, {"Range: bytes=5-9"}} {
		for _, tt := range []struct {
			admission topology.Admission
			control   string
		}{{upTo1000, "max-age=60"}, {never, "max-age=60"}, {copyDown, "max-age=60"}, {topology.Admission{}, "private"}} {
			t.Run(fmt.Sprint(tt.control, tt.admission.Rule, lines), func(t *testing.T) {
				admission, head := tt.admission, dated+"Cache-Control: "+tt.control+"\r\nETag: \"v\"\r\n"
				gate, all, known := make(chan struct{}), make(chan struct{}), 1
				if admission == copyDown { // whether it is taken the next time shows only then
					known = 2
				}
				body := pattern(2000 + 1<<20*len(lines)) // ranges are of something in slices
				f := start(t, setup{admission: admission}, func(c *call) bool {
					switch {
					case c.number < known:
					case c.number == known:
						<-gate
					case c.number == clients+known-1:
						close(all)
					default:
						<-all
					}
					if r := c.field("Range"); r != "" {
						return c.write(reply("206 Partial Content", head+"Content-Range: bytes "+partOf(r, len(body))+"\r\n", cut(body, r)))
					}
					return c.write(reply("200 OK", head, body))
				})
				for range known - 1 {
					f.get("/a", lines...)
				}
				want := body
				if lines != nil {
					want = body[5:10]
				}
				for i, a := range f.crowd(clients, func() { close(gate) }, func(int) string { return requestHead11("GET", "/a", lines...) }) {
					if a.body != want || a.err != nil {
						t.Fatalf("client %d = %d, %d bytes, %v", i, a.status, len(a.body), a.err)
					}
				}
			})
		}
	}
}

// partOf returns what Content-Range says to a request for one range, and cut the bytes.
func partOf(asked string, size int) string {
	var first, last int
	_, _ = fmt.Sscanf(asked, "bytes=%d-%d", &first, &last)
	return fmt.Sprintf("%d-%d/%d", first, min(last, size-1), size)
}

func cut(body, asked string) string {
	var first, last int
	_, _ = fmt.Sscanf(asked, "bytes=%d-%d", &first, &last)
	return body[first:min(last+1, len(body))]
}

func TestWhatIsNotAdmittedStreams(t *testing.T) {
	half, more := strings.Repeat("a", 100_000), strings.Repeat("b", 1000)
	came := make(chan struct{})
	f := start(t, setup{admission: secondHit}, func(c *call) bool {
		c.write("HTTP/1.1 200 OK\r\n", dated, "Cache-Control: max-age=60\r\nContent-Length: 101000\r\n\r\n", half)
		<-came
		return c.write(more)
	})
	c := f.connect()
	c.send(requestHead11("GET", "/a"))
	resp, err := c.begin("GET")
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 90_000) // what is more may wait in a buffer
	if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != half[:len(b)] {
		t.Fatalf("the beginning: %v", err)
	}
	close(came)
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != half[len(b):]+more {
		t.Errorf("the rest: %d bytes, %v", len(rest), err)
	}
}

func TestRangesOfWhatIsNotAdmitted(t *testing.T) {
	const size, slice = 12<<20 + 345, 1 << 20
	type step struct {
		rang          string
		first, length int
		status        string // what Cache-Status ends with
		requests      int
		most          int64 // bytes that the origin serves for it
	}
	for name, tt := range map[string]struct {
		admission topology.Admission
		lame      bool // the origin knows no ranges
		steps     []step
	}{
		"second-hit": {secondHit, false, []step{
			{"bytes=5000000-5000009", 5000000, 10, "fwd-status=206" + firstTime, 1, slice},
			{"bytes=5000000-5000009", 5000000, 10, "fwd-status=206;stored", 1, slice},
			{"bytes=5000100-5000109", 5000100, 10, ";hit;ttl=60", 0, 0},
		}},
		"across a border": {secondHit, false, []step{
			{"bytes=1048570-1048580", 1048570, 11, firstTime, 2, 2 * slice},
			{"bytes=1048570-1048580", 1048570, 11, ";stored", 2, 2 * slice},
			{"bytes=0-9", 0, 10, ";hit;ttl=60", 0, 0},
		}},
		"from the end":  {secondHit, false, []step{{"bytes=-10", size - 10, 10, firstTime, 2, 346}}},
		"what is large": {upTo1000, false, []step{{"bytes=10-19", 10, 10, tooLong, 1, slice}, {"bytes=10-19", 10, 10, "fwd-status=206;detail=\"a response of this status is about one request and never stored\"", 1, 10}}},
		"the whole":     {secondHit, false, []step{{"", 0, size, firstTime, 1, size}, {"", 0, size, ";stored", 1, size}, {"", 0, size, ";hit;ttl=60", 0, 0}}},
		"an origin that knows no ranges": {secondHit, true, []step{
			{"bytes=10-19", 0, size, firstTime, 2, 2 * size},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLibrary(size)
			l.refuses = tt.lame
			f := start(t, setup{admission: tt.admission}, l.serve)
			for i, s := range tt.steps {
				served, asked := l.served.Load(), f.origin().count()
				var lines []string
				if s.rang != "" {
					lines = []string{"Range: " + s.rang}
				}
				a := f.get("/film", lines...)
				if a.body != l.body[s.first:s.first+s.length] || !strings.HasSuffix(a.cacheStatus(), s.status) {
					t.Errorf("step %d = %d, %d bytes, %v, %s; want %d bytes from %d and %s", i+1, a.status, len(a.body), a.err, a.cacheStatus(), s.length, s.first, s.status)
				}
				f.settled()
				if got, n := l.served.Load()-served, f.origin().count()-asked; got > s.most || n != s.requests {
					t.Errorf("step %d: the origin served %d bytes in %d requests, want at most %d in %d", i+1, got, n, s.most, s.requests)
				}
			}
		})
	}
}

// Nobody has asked for what is pushed, and it is stored.
func TestWhatIsPushedIsAdmitted(t *testing.T) {
	for _, admission := range []topology.Admission{secondHit, copyDown, never} {
		for _, size := range []int{2000, 9 << 20} {
			l := newLibrary(size)
			f := start(t, setup{ram: 256 << 20, admission: admission}, l.serve)
			for i, p := range piecesOf(l.body, `"v1"`) {
				if _, err := f.proxy.Pull(t.Context(), p); err != nil {
					t.Fatalf("%s: piece %d of %d bytes: %v", admission.Rule, i, size, err)
				}
			}
			f.settled()
			if a := f.get("/film"); !strings.HasPrefix(a.header.Get("X-Cache"), "HIT") || a.body != l.body {
				t.Errorf("%s: a client gets %s and %d bytes, want a hit", admission.Rule, a.header.Get("X-Cache"), len(a.body))
			}
		}
	}
}
