package edge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"cdnlab/internal/proxy"
)

func sample() *proxy.Record {
	return &proxy.Record{
		Time:   time.Date(2026, 3, 4, 5, 6, 7, 89_000, time.FixedZone("", 3600)),
		Client: proxy.Client{Addr: netip.MustParseAddr("198.18.0.7"), Place: "tokyo", City: "Tokyo", Country: "JP"},
		Method: []byte("GET"), Host: []byte("www.cdn.test:8080"), Target: []byte("/a?b=c&d=%20"), Status: 200, Bytes: 1234,
		TTFB: 1500 * time.Microsecond, Total: 20 * time.Millisecond, Cache: "HIT", RequestID: []byte("00112233445566778899aabbccddeeff"),
	}
}

func TestLine(t *testing.T) {
	const whole = `{"time":"2026-03-04T04:06:07.000089Z","node":"tokyo-1","client":"198.18.0.7","place":"tokyo",` +
		`"method":"GET","host":"www.cdn.test:8080","path":"/a?b=c&d=%20","status":200,"bytes":1234,` +
		`"ttfb_ms":1.5,"total_ms":20,"cache":"HIT","request_id":"00112233445566778899aabbccddeeff"}` + "\n"
	for _, c := range []struct {
		name     string
		change   func(*proxy.Record)
		old, new string // how whole changes
	}{
		{"as documented", func(*proxy.Record) {}, "", ""},
		{"a client without a place", func(r *proxy.Record) { r.Client.Place = "" }, `"place":"tokyo",`, ``},
		{"an IPv6 client", func(r *proxy.Record) { r.Client.Addr = netip.MustParseAddr("2001:db8::1") }, "198.18.0.7", "2001:db8::1"},
		{"a peer without an address", func(r *proxy.Record) { r.Client.Addr = netip.Addr{} }, "198.18.0.7", ""},
		{"a request that was refused before it was read", func(r *proxy.Record) { r.Host, r.Target = nil, nil },
			`"host":"www.cdn.test:8080","path":"/a?b=c&d=%20"`, `"host":"","path":""`},
		{"quotes", func(r *proxy.Record) { r.Target = []byte(`/"a"\`) }, `/a?b=c&d=%20`, `/\"a\"\\`},
		{"control characters", func(r *proxy.Record) { r.Target = []byte("/\t\x00\x1f\x7f") }, `/a?b=c&d=%20`, `/\u0009\u0000\u001f` + "\x7f"},
		{"UTF-8", func(r *proxy.Record) { r.Target = []byte("/é/日/😀/\uFFFD") }, `/a?b=c&d=%20`, "/é/日/😀/\uFFFD"},
		{"not UTF-8", func(r *proxy.Record) { r.Target = []byte("/\xff\xc3(\xe2\x82") }, `/a?b=c&d=%20`, `/��(��`},
		{"what HTML would mind", func(r *proxy.Record) { r.Target = []byte("/<&>") }, `/a?b=c&d=%20`, `/<&>`},
		{"a method of the client's own", func(r *proxy.Record) { r.Method = []byte(`X"Y`) }, `GET`, `X\"Y`},
		{"less than a microsecond", func(r *proxy.Record) { r.TTFB = 999 }, `"ttfb_ms":1.5`, `"ttfb_ms":0`},
		{"one microsecond", func(r *proxy.Record) { r.TTFB = 1999 }, `"ttfb_ms":1.5`, `"ttfb_ms":0.001`},
		{"an hour, and a terabyte", func(r *proxy.Record) { r.Total, r.Bytes = time.Hour, 1<<40 },
			`"bytes":1234,"ttfb_ms":1.5,"total_ms":20`, `"bytes":1099511627776,"ttfb_ms":1.5,"total_ms":3600000`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			a := newAccessLog(&out, "tokyo-1", slog.New(slog.DiscardHandler))
			r := sample()
			c.change(r)
			a.record(r)
			a.flush()
			want := strings.Replace(whole, c.old, c.new, 1)
			if out.String() != want {
				t.Errorf("line = %s\nwant   %s", &out, want)
			}
			var v map[string]any
			if err := json.Unmarshal(out.Bytes(), &v); err != nil {
				t.Errorf("line is no JSON: %v", err)
			}
		})
	}
}

// FuzzLine holds the encoder against encoding/json.
func FuzzLine(f *testing.F) {
	f.Add([]byte("GET"), []byte("www.cdn.test"), []byte("/a?b=c"))
	f.Add([]byte("\x00\x1f\x7f\""), []byte(`\u0041\`), []byte("\xff\xed\xa0\x80\xf4\x90\x80\x80\u2028<>"))
	f.Fuzz(func(t *testing.T, method, host, target []byte) {
		var out bytes.Buffer
		a := newAccessLog(&out, "tokyo-1", slog.New(slog.DiscardHandler))
		r := sample()
		r.Method, r.Host, r.Target = method, host, target
		a.record(r)
		a.flush()
		if n := bytes.Count(out.Bytes(), []byte("\n")); n != 1 {
			t.Errorf("%d lines, want 1: %q", n, out.Bytes())
		}
		var got struct{ Method, Host, Path string }
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatalf("line %q is no JSON: %v", out.Bytes(), err)
		}
		for _, c := range []struct {
			got string
			raw []byte
		}{{got.Method, method}, {got.Host, host}, {got.Path, target}} {
			text, _ := json.Marshal(string(c.raw)) // never fails for a string
			var want string
			if err := json.Unmarshal(text, &want); err != nil {
				t.Fatal(err)
			}
			if c.got != want {
				t.Errorf("%q reads as %q, want %q", c.raw, c.got, want)
			}
		}
	})
}

// gate is a writer that can be held.
type gate struct {
	entered chan int // gets the size of each write that begins
	open    chan struct{}
	mu      sync.Mutex // guards out
	out     bytes.Buffer
	err     error
}

func (g *gate) Write(p []byte) (int, error) {
	g.entered <- len(p)
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		return 0, g.err
	}
	return g.out.Write(p)
}

// logged collects what a node logs.
type logged struct {
	mu  sync.Mutex // guards out
	out bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

// logger leaves out the time, which no test could expect.
func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

func TestSlowWriter(t *testing.T) {
	g := &gate{entered: make(chan int, 100), open: make(chan struct{})}
	var warnings logged
	a := newAccessLog(g, "tokyo-1", warnings.logger())
	stop := a.start(time.Millisecond)
	r := sample()
	a.record(r)
	size := <-g.entered // the writer is stuck
	held := maxPending/size + 1
	const lost = 1000
	for range held + lost {
		a.record(r)
	}
	a.mu.Lock()
	kept := len(a.pending)
	a.mu.Unlock()
	if want := held * size; kept != want {
		t.Errorf("%d bytes are held beside a stuck writer, want %d", kept, want)
	}
	close(g.open)
	stop()
	if got, want := bytes.Count(g.out.Bytes(), []byte("\n")), held+1; got != want {
		t.Errorf("%d lines came out, want %d", got, want)
	}
	want := `level=WARN msg="the access log is slower than the requests: lines are lost" lines=1000` + "\n"
	if got := warnings.out.String(); got != want {
		t.Errorf("logged %q, want %q", got, want)
	}
	if len(a.pending) != 0 || cap(a.pending) > maxKept || cap(a.spare) > maxKept {
		t.Errorf("%d bytes pending in %d and %d of memory when all is written", len(a.pending), cap(a.pending), cap(a.spare))
	}
}

func TestWhenLinesAreWritten(t *testing.T) {
	for _, c := range []struct {
		name  string
		every time.Duration
		path  int // length
	}{
		{"in time", time.Millisecond, 1},
		{"much of it earlier", time.Hour, flushAt},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := &gate{entered: make(chan int, 100), open: make(chan struct{})}
			close(g.open)
			a := newAccessLog(g, "tokyo-1", slog.New(slog.DiscardHandler))
			defer a.start(c.every)()
			r := sample()
			r.Target = bytes.Repeat([]byte("x"), c.path)
			a.record(r)
			<-g.entered // or the test does not end
		})
	}
}

func TestStopWritesTheRest(t *testing.T) {
	var out bytes.Buffer
	a := newAccessLog(&out, "tokyo-1", slog.New(slog.DiscardHandler))
	stop := a.start(time.Hour)
	var want []string
	for i := range 10 {
		r := sample()
		r.Target = fmt.Appendf(nil, "/%d", i)
		a.record(r)
		want = append(want, string(r.Target))
	}
	stop()
	var got []string
	for line := range strings.Lines(out.String()) {
		var v struct{ Path string }
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		got = append(got, v.Path)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("paths after stop = %v, want %v", got, want)
	}
}

func TestWriteError(t *testing.T) {
	g := &gate{entered: make(chan int, 100), open: make(chan struct{}), err: errors.New("disk full")}
	close(g.open)
	var errs logged
	a := newAccessLog(g, "tokyo-1", errs.logger())
	stop := a.start(time.Hour)
	a.record(sample())
	stop()
	if got, want := errs.out.String(), `level=ERROR msg="cannot write the access log" error="disk full"`+"\n"; got != want {
		t.Errorf("logged %q, want %q", got, want)
	}
}

func TestRecordConcurrently(t *testing.T) {
	var out bytes.Buffer
	a := newAccessLog(&out, "tokyo-1", slog.New(slog.DiscardHandler))
	stop := a.start(time.Hour)
	const workers, each = 4, 2000 // more than flushAt together
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				a.record(sample())
			}
		})
	}
	wg.Wait()
	stop()
	n := 0
	for line := range strings.Lines(out.String()) {
		if n++; !json.Valid([]byte(line)) {
			t.Fatalf("line %d is no JSON: %q", n, line)
		}
	}
	if n != workers*each {
		t.Errorf("%d lines, want %d", n, workers*each)
	}
}

// Once its buffers have grown, recording leaves no work to the collector.
func TestRecordDoesNotAllocate(t *testing.T) {
	a := newAccessLog(&bytes.Buffer{}, "tokyo-1", slog.New(slog.DiscardHandler))
	a.pending = make([]byte, 0, 1<<20)
	r := sample()
	r.Target = []byte("/é/\"quoted\"/\xff")
	if n := testing.AllocsPerRun(1000, func() { a.record(r) }); n != 0 {
		t.Errorf("record allocates %v times, want 0", n)
	}
}

func BenchmarkRecord(b *testing.B) {
	a := newAccessLog(discard{}, "tokyo-1", slog.New(slog.DiscardHandler))
	r := sample()
	b.ReportAllocs()
	for i := range b.N {
		a.record(r)
		if i%512 == 511 {
			a.flush()
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
