package proxy

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/valyala/fasthttp"
)

// decoded undoes a content coding.
func decoded(t *testing.T, coding, body string) string {
	t.Helper()
	var r io.Reader = strings.NewReader(body)
	var err error
	switch coding {
	case "gzip":
		r, err = gzip.NewReader(r)
	case "zstd":
		var z *zstd.Decoder
		z, err = zstd.NewReader(r)
		r = z
	case "br":
		r = brotli.NewReader(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

// page is an origin with a text of some kilobytes.
func page(lines string) script {
	return func(c *call) bool {
		return c.write(reply("200 OK", dated+"Cache-Control: max-age=60\r\nETag: \"v1\"\r\nAccept-Ranges: bytes\r\n"+lines, pattern(20000)))
	}
}

const html = "Content-Type: text/html\r\n"

func TestEncoding(t *testing.T) {
	whole := pattern(20000)
	for name, tt := range map[string]struct {
		lines, cache string // of the origin, of the site
		ask          []string
		status       int
		coding, etag string
		vary         bool
	}{
		"gzip":                     {html, "", []string{"Accept-Encoding: gzip"}, 200, "gzip", `"v1~gzip"`, true},
		"zstd":                     {html, "", []string{"Accept-Encoding: zstd, gzip"}, 200, "zstd", `"v1~zstd"`, true},
		"br":                       {html, "", []string{"Accept-Encoding: gzip, deflate, br, zstd"}, 200, "br", `"v1~br"`, true},
		"what the client prefers":  {html, "", []string{"Accept-Encoding: br;q=0.5, gzip"}, 200, "gzip", `"v1~gzip"`, true},
		"what it forbids":          {html, "", []string{"Accept-Encoding: gzip;q=0"}, 200, "", `"v1"`, true},
		"nothing asked for":        {html, "", nil, 200, "", `"v1"`, true},
		"a range":                  {html, "", []string{"Accept-Encoding: gzip", "Range: bytes=0-9"}, 206, "", `"v1"`, true},
		"a picture":                {"Content-Type: image/png\r\n", "", []string{"Accept-Encoding: gzip"}, 200, "", `"v1"`, false},
		"encoded by the origin":    {html + "Content-Encoding: x-own\r\n", "", []string{"Accept-Encoding: gzip"}, 200, "x-own", `"v1"`, false},
		"no-transform":             {html + "Cache-Control: no-transform\r\n", "", []string{"Accept-Encoding: gzip"}, 200, "", `"v1"`, false},
		"off":                      {html, "compress: off", []string{"Accept-Encoding: gzip"}, 200, "", `"v1"`, false},
		"the client has it":        {html, "", []string{"Accept-Encoding: gzip", `If-None-Match: "v1~gzip"`}, 304, "", `"v1~gzip"`, true},
		"the client has another":   {html, "", []string{"Accept-Encoding: br", `If-None-Match: "v1~gzip"`}, 200, "br", `"v1~br"`, true},
		"the client has the plain": {html, "", []string{`If-None-Match: "v1"`}, 304, "", `"v1"`, true},
	} {
		t.Run(name, func(t *testing.T) {
			set := setup{encode: true, cache: tt.cache}
			f := start(t, set, page(tt.lines))
			f.get("/a")
			f.settled()
			for range 2 { // made, then kept
				a := f.get("/a", tt.ask...)
				if a.status != tt.status || a.header.Get("Content-Encoding") != tt.coding && a.status == 200 || a.header.Get("ETag") != tt.etag || strings.Contains(a.header.Get("Vary"), "Accept-Encoding") != tt.vary {
					t.Errorf("= %d %v, want %d %q %s, Vary: %t", a.status, a.header, tt.status, tt.coding, tt.etag, tt.vary)
				}
				if a.status != 200 {
					continue
				}
				if plain := decoded(t, a.header.Get("Content-Encoding"), a.body); plain != whole || tt.coding != "" && tt.coding != "x-own" && len(a.body) >= len(whole) {
					t.Errorf("%d bytes decode to %d, want the %d of the origin", len(a.body), len(plain), len(whole))
				}
				if head := f.do("HEAD", "/a", tt.ask...); head.header.Get("ETag") != tt.etag || head.header.Get("Content-Length") != fmt.Sprint(len(a.body)) {
					t.Errorf("HEAD has %v, want the head of GET", head.header)
				}
			}
			if n := f.origin().count(); n != 1 {
				t.Errorf("the origin was asked %d times, want 1", n)
			}
		})
	}
}

func TestOnlyEdgesEncode(t *testing.T) {
	f := start(t, setup{}, page(html))
	f.get("/a")
	f.settled()
	if a := f.get("/a", "Accept-Encoding: gzip"); a.header.Get("Content-Encoding") != "" || a.header.Get("Vary") != "" {
		t.Errorf("a tier that does not encode answers with %v", a.header)
	}
	f = start(t, setup{encode: true}, page(html))
	f.get("/a")
	f.settled()
	if a := f.get("/a", "Accept-Encoding: gzip", "Cdnlab-Secret: "+secret); a.header.Get("Content-Encoding") != "" {
		t.Errorf("a node of the lab gets %v", a.header)
	}
}

func TestEncodedBodiesGoWithTheirObject(t *testing.T) {
	f := start(t, setup{encode: true}, page(html))
	f.get("/a")
	f.settled()
	before := f.proxy.store.Stats().Bytes
	f.get("/a", "Accept-Encoding: gzip")
	if got := f.proxy.store.Stats().Bytes; got <= before {
		t.Errorf("the store holds %d bytes with an encoded body, %d without", got, before)
	}
	f.purgeURL("/a")
	if got := f.proxy.store.Stats(); got.Bytes != 0 {
		t.Errorf("after the purge the store holds %+v", got)
	}
}

func TestAnEncodedHitAllocatesNothing(t *testing.T) {
	f := start(t, setup{encode: true}, page(html))
	f.get("/a")
	f.settled()
	rc := requestContext(t, f.proxy, "GET /a HTTP/1.1\r\nHost: www.cdn.test\r\nAccept-Encoding: gzip, br\r\n\r\n")
	serve := func() {
		rc.Response.Reset()
		f.proxy.serve(context.Background(), rc)
	}
	serve()
	if n := testing.AllocsPerRun(100, serve); n != 0 {
		t.Errorf("an encoded hit allocates %v times, want 0", n)
	}
	if got := string(rc.Response.Header.Peek(fasthttp.HeaderContentEncoding)); got == "" && !bytes.Contains(rc.Response.Header.Header(), []byte("Content-Encoding: br")) {
		t.Errorf("the response is %s", rc.Response.Header.Header())
	}
}
