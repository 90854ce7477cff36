package proxy

import (
	"bytes"
	"io"
	"mime"
	multiparts "mime/multipart"
	"strconv"
	"strings"
	"testing"
)

// sized answers with as many bytes as the target says, in a pattern that tells every offset from its neighbours.
func sized(c *call) bool {
	n, _ := strconv.Atoi(strings.TrimLeft(c.target(), "/"))
	return c.write(reply("200 OK", dated+"Cache-Control: max-age=60\r\nETag: \"v1\"\r\nContent-Type: text/plain\r\nContent-Language: fr\r\n", pattern(n)))
}

// pattern returns n bytes.
func pattern(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + (i^i>>8^i>>16)%23)
	}
	return string(b)
}

func TestRanges(t *testing.T) {
	const size = 3<<20 + 10 // four chunks of the cache
	whole := pattern(size)
	tests := []struct {
		name, value  string
		lines        []string
		status       int
		contentRange string
		body         string
	}{
		{"first bytes", "bytes=0-4", nil, 206, "bytes 0-4/3145738", whole[:5]},
		{"last bytes", "bytes=-3", nil, 206, "bytes 3145735-3145737/3145738", whole[size-3:]},
		{"open end", "bytes=3145730-", nil, 206, "bytes 3145730-3145737/3145738", whole[3145730:]},
		{"across chunks", "bytes=1048570-2097160", nil, 206, "bytes 1048570-2097160/3145738", whole[1048570:2097161]},
		{"past the end", "bytes=3145737-9999999", nil, 206, "bytes 3145737-3145737/3145738", whole[size-1:]},
		{"beyond the end", "bytes=3145738-", nil, 416, "bytes */3145738", ""},
		{"other unit", "lines=1-2", nil, 200, "", whole},
		{"backwards", "bytes=5-4", nil, 200, "", whole},
		{"If-Range holds", "bytes=0-4", []string{`If-Range: "v1"`}, 206, "bytes 0-4/3145738", whole[:5]},
		{"If-Range does not hold", "bytes=0-4", []string{`If-Range: "v2"`}, 200, "", whole},
		{"a precondition comes first", "bytes=0-4", []string{`If-None-Match: "v1"`}, 304, "", ""},
	}
	f := start(t, setup{}, sized)
	f.get("/" + strconv.Itoa(size))
	c := f.connect()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f.in(t)
			a := c.do("GET", "/"+strconv.Itoa(size), append(tt.lines, "Range: "+tt.value)...)
			if a.status != tt.status || a.header.Get("Content-Range") != tt.contentRange || a.body != tt.body || a.err != nil {
				t.Errorf("Range %s = %d %q, %d bytes, %v; want %d %q, %d bytes", tt.value, a.status, a.header.Get("Content-Range"), len(a.body),
					a.err, tt.status, tt.contentRange, len(tt.body))
			}
			if a.header.Get("X-Cache") != "HIT, paris-1" {
				t.Errorf("X-Cache = %q, want a hit", a.header.Get("X-Cache"))
			}
			if got := a.header.Get("Content-Language"); (got == "fr") != (a.status < 300) {
				t.Errorf("a %d has Content-Language %q", a.status, got)
			}
		})
	}
	if n := f.origin().count(); n != 1 {
		t.Errorf("the origin was asked %d times, want 1", n)
	}
}

func TestSeveralRanges(t *testing.T) {
	const size = 2 << 20
	whole := pattern(size)
	f := start(t, setup{}, sized)
	f.get("/" + strconv.Itoa(size))
	a := f.get("/"+strconv.Itoa(size), "Range: bytes=0-1, 1048570-1048580, -2")
	kind, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil || a.status != 206 || kind != "multipart/byteranges" || a.length != int64(len(a.body)) {
		t.Fatalf("several ranges = %d %v, %d bytes, want 206 multipart/byteranges", a.status, a.header, len(a.body))
	}
	want := []struct{ contentRange, body string }{
		{"bytes 0-1/2097152", whole[:2]},
		{"bytes 1048570-1048580/2097152", whole[1048570:1048581]},
		{"bytes 2097150-2097151/2097152", whole[size-2:]},
	}
	parts := multiparts.NewReader(strings.NewReader(a.body), params["boundary"])
	for _, w := range want {
		p, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(p)
		if string(body) != w.body || p.Header.Get("Content-Range") != w.contentRange || p.Header.Get("Content-Type") != "text/plain" {
			t.Errorf("part = %v %q, want %s %q", p.Header, body, w.contentRange, w.body)
		}
	}
	if _, err := parts.NextRawPart(); err != io.EOF {
		t.Errorf("after the last part: %v, want EOF", err)
	}
}

// An origin without ranges answers with the whole: that fills the cache, and the range is served as soon as its own bytes are here.
func TestRangeWhileTheBodyArrives(t *testing.T) {
	const size = 256 << 10
	whole := pattern(size)
	rest := make(chan struct{})
	f := start(t, setup{}, func(c *call) bool {
		full := reply("200 OK", dated+"Cache-Control: max-age=60\r\n", whole)
		c.write(full[:len(full)-size/2])
		<-rest
		return c.write(full[len(full)-size/2:])
	})
	c := f.connect()
	a := c.do("GET", "/a", "Range: bytes=100-199") // its answer comes although the rest does not
	if a.status != 206 || a.body != whole[100:200] || a.header.Get("Content-Range") != "bytes 100-199/262144" {
		t.Errorf("range of a miss = %d %q, want 206 and 100 bytes", a.status, a.header.Get("Content-Range"))
	}
	if got := f.origin().asked()[0].field("Range"); got != "bytes=0-1048575" {
		t.Errorf("the origin was asked for %s, want a slice", got)
	}
	close(rest)
	f.wait("the body to be stored", func() bool { return f.get("/a").header.Get("X-Cache") == "HIT, paris-1" })
	if a := f.get("/a"); a.body != whole {
		t.Errorf("stored body has %d bytes, want those of the origin", len(a.body))
	}
}

// What may not be stored is not fetched whole for the sake of a small range.
func TestRangeOfWhatIsNotStored(t *testing.T) {
	whole := pattern(100000)
	f := start(t, setup{}, func(c *call) bool {
		if r := c.field("Range"); r != "" {
			return c.write(reply("206 Partial Content", "Cache-Control: no-store\r\nContent-Range: bytes 10-19/100000\r\n", whole[10:20]))
		}
		return c.write(reply("200 OK", "Cache-Control: no-store\r\n", whole))
	})
	a := f.get("/a", "Range: bytes=10-19")
	if a.status != 206 || a.body != whole[10:20] || a.header.Get("Content-Range") != "bytes 10-19/100000" {
		t.Errorf("= %d %q, %d bytes, want the origin's 206", a.status, a.header.Get("Content-Range"), len(a.body))
	}
	f.get("/a", "Range: bytes=10-19")
	if n := f.origin().count(); n != 3 { // the second request knows
		t.Errorf("the origin was asked %d times, want 3", n)
	}
}

func TestRangeFromOriginPassesThroughUnchanged(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool {
		return c.write(reply("206 Partial Content", "Cache-Control: max-age=60\r\nContent-Range: bytes 0-1/5\r\n", "he"))
	})
	for range 2 {
		if a := f.get("/a", "Range: bytes=0-1", "Cache-Control: no-store"); a.status != 206 || a.body != "he" {
			t.Errorf("= %d %q, want 206 he", a.status, a.body)
		}
	}
	if n := f.origin().count(); n != 2 {
		t.Errorf("the origin was asked %d times, want 2", n)
	}
	if !bytes.Contains([]byte(f.origin().asked()[0].head), []byte("Range: bytes=0-1")) {
		t.Errorf("the origin did not see the range: %q", f.origin().asked()[0].head)
	}
}

func TestContentRangeOfAWholeAnswer(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool {
		return c.write(reply("200 OK", dated+"Cache-Control: max-age=60\r\nContent-Range: bytes 0-1/100\r\n", "hello"))
	})
	f.get("/a")
	a := f.get("/a", "Range: bytes=1-2")
	if got := a.header.Values("Content-Range"); a.status != 206 || a.body != "el" || len(got) != 1 || got[0] != "bytes 1-2/5" {
		t.Errorf("= %d %q with Content-Range %q, want 206 \"el\" with bytes 1-2/5 alone", a.status, a.body, got)
	}
}
