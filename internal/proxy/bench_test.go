package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"cdnlab/topology"
)

// hitRequest is a request as browsers make it.
const hitRequest = "GET /a?b=c HTTP/1.1\r\nHost: www.cdn.test:8080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0)\r\nAccept: text/html,*/*;q=0.8\r\n" +
	"Accept-Language: en\r\nAccept-Encoding: gzip, br\r\nConnection: keep-alive\r\nCookie: session=0123456789abcdef\r\n\r\n"

// requestContext returns a request as fasthttp hands it over.
func requestContext(t testing.TB, p *Server, raw string) *fasthttp.RequestCtx {
	t.Helper()
	var req fasthttp.Request
	if err := req.Header.Read(bufio.NewReader(&stringReader{raw})); err != nil {
		t.Fatal(err)
	}
	rc := &fasthttp.RequestCtx{}
	rc.Init(&req, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}, nil)
	p.conns.changed(rc.Conn(), fasthttp.StateNew)
	t.Cleanup(func() { p.conns.remove(rc.Conn()) })
	return rc
}

type stringReader struct{ left string }

func (r *stringReader) Read(p []byte) (int, error) {
	if r.left == "" {
		return 0, io.EOF
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// hits are the ways to be answered out of the cache that cost no allocation.
var hits = []struct {
	name, raw string
	status    int
}{
	{"browser", hitRequest, 200},
	{"plain", "GET /a?b=c HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", 200},
	{"another tier", "GET /a?b=c HTTP/1.1\r\nHost: www.cdn.test\r\nCDN-Loop: tokyo-1.cdnlab\r\nVia: 1.1 tokyo-1 (cdnlab)\r\nX-Forwarded-For: 198.18.2.9\r\n" +
		"X-Request-Id: 0123456789abcdef0123456789abcdef\r\nCdnlab-Secret: " + secret + "\r\n\r\n", 200},
	{"HEAD", "HEAD /a?b=c HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", 200},
	{"not modified", "GET /a?b=c HTTP/1.1\r\nHost: www.cdn.test\r\nIf-None-Match: \"v1\"\r\n\r\n", 304},
}

// stored returns a tier that has /a?b=c in its cache.
func stored(t testing.TB, set setup) *tier {
	f := start(t, set, func(c *call) bool {
		return c.write(reply("200 OK", dated+"Cache-Control: max-age=60\r\nETag: \"v1\"\r\nContent-Type: text/plain\r\nX-RateLimit-Limit: 9\r\n", pattern(1024)))
	})
	if a := f.get("/a?b=c"); a.status != 200 {
		t.Fatalf("GET = %d, want 200", a.status)
	}
	f.finished()
	return f
}

// BenchmarkHit is the handler's part of a hit.
func BenchmarkHit(b *testing.B) { benchmarkHits(b, setup{}) }

// BenchmarkHitOfMany is that of hits of 10,000 objects in no order, which are not in the processor's cache, with a copy of the response.
func BenchmarkHitOfMany(b *testing.B) {
	f := stored(b, setup{})
	targets := make([]string, 10_000)
	for i := range targets {
		targets[i] = fmt.Sprint("/a?b=", i)
		if a := f.get(targets[i]); a.status != 200 {
			b.Fatalf("GET = %d, want 200", a.status)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	rng.Shuffle(len(targets), func(i, j int) { targets[i], targets[j] = targets[j], targets[i] })
	rc := requestContext(b, f.proxy, hitRequest)
	sent := make([]byte, 0, 4096)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		rc.Request.Header.SetRequestURI(targets[i%len(targets)])
		rc.Response.Reset()
		f.proxy.serve(context.Background(), rc)
		sent = append(rc.Response.Header.AppendBytes(sent[:0]), rc.Response.Body()...)
	}
}

// BenchmarkHitLimited is that of a hit of which a guard speaks.
func BenchmarkHitLimited(b *testing.B) { benchmarkHits(b, setup{guard: &doorman{lines: limitLines}}) }

func benchmarkHits(b *testing.B, set setup) {
	f := stored(b, set)
	for _, tt := range hits {
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				rc := requestContext(b, f.proxy, tt.raw)
				for pb.Next() {
					rc.Response.Reset()
					f.proxy.serve(context.Background(), rc)
				}
			})
		})
	}
}

// BenchmarkHitOnTheWire is a whole hit over TCP; the client reads and writes bytes alone.
func BenchmarkHitOnTheWire(b *testing.B) {
	f := stored(b, setup{})
	c := f.connect()
	c.send(hitRequest)
	head, err := lineReader{c.br}.head()
	if err != nil {
		b.Fatal(err)
	}
	answer := make([]byte, len(head)+1024) // the clock stands still: each is as long
	if _, err := io.ReadFull(c.br, answer[len(head):]); err != nil {
		b.Fatal(err)
	}
	raw := []byte(hitRequest)
	b.ReportAllocs()
	b.SetBytes(int64(len(answer)))
	for b.Loop() {
		if _, err := c.conn.Write(raw); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c.br, answer); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMiss is a whole miss over TCP: the fetch, its storing, the answer.
func BenchmarkMiss(b *testing.B) {
	f := start(b, setup{}, fresh)
	c := f.connect()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		if a := c.do(http.MethodGet, fmt.Sprint("/", n)); a.status != 200 {
			b.Fatalf("GET = %d, want 200", a.status)
		}
	}
}

// BenchmarkFetch is the handler's part of a miss; what is upstream answers out of memory.
func BenchmarkFetch(b *testing.B) {
	f := prepare(b, setup{}, fresh)
	f.parents.origins[0].wrap = nil
	answer := []byte(reply("200 OK", dated+"Content-Type: application/octet-stream\r\nCache-Control: max-age=3600\r\nETag: \"1024-m64-1-4711-1\"\r\n"+
		"Last-Modified: Thu, 25 Dec 2025 12:00:00 GMT\r\n", pattern(1024)))
	f.parents.upstreams[0].dial = func(context.Context, topology.Node) (net.Conn, error) { return &memory{answer: answer}, nil }
	const fields = " HTTP/1.1\r\nHost: www.cdn.test:8080\r\n\r\n"
	var requests []*fasthttp.RequestCtx
	for i := range 64 {
		requests = append(requests, requestContext(b, f.proxy, fmt.Sprint("GET /", i, fields)))
	}
	b.ReportAllocs()
	var target []byte
	n := 0
	for b.Loop() {
		n++
		rc := requests[n%len(requests)]
		target = strconv.AppendInt(append(target[:0], "/s/1024/m64-1-4711-"...), int64(n), 10)
		rc.Request.Header.SetRequestURIBytes(target)
		rc.Response.Reset()
		f.proxy.serve(context.Background(), rc)
		if rc.Response.StatusCode() != http.StatusOK {
			b.Fatalf("= %d, want 200", rc.Response.StatusCode())
		}
	}
}

// memory is a connection to a server that answers each request alike.
type memory struct {
	net.Conn
	answer, left []byte
}

func (m *memory) Write(p []byte) (int, error) {
	m.left = m.answer
	return len(p), nil
}

func (m *memory) Read(p []byte) (int, error) {
	n := copy(p, m.left)
	m.left = m.left[n:]
	return n, nil
}

func (m *memory) Close() error                     { return nil }
func (m *memory) SetReadDeadline(time.Time) error  { return nil }
func (m *memory) SetWriteDeadline(time.Time) error { return nil }
