package coding

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

var encoders = []Coding{Gzip, Zstd, Brotli}

func newPool(t testing.TB, l Levels) *Pool {
	t.Helper()
	p, err := NewPool(l)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// decoder returns the library's decoder of a coding.
func decoder(t testing.TB, c Coding, r io.Reader) io.Reader {
	t.Helper()
	switch c {
	case Gzip:
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatalf("gzip: %v", err)
		}
		return z
	case Zstd:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			t.Fatalf("zstd: %v", err)
		}
		t.Cleanup(z.Close)
		return z
	case Brotli:
		return brotli.NewReader(r)
	}
	return r
}

func decode(t testing.TB, c Coding, encoded []byte) []byte {
	t.Helper()
	got, err := io.ReadAll(decoder(t, c, bytes.NewReader(encoded)))
	if err != nil {
		t.Fatalf("decode %v: %v", c, err)
	}
	return got
}

// writeInPieces writes p in pieces of random sizes.
func writeInPieces(t *testing.T, rng *rand.Rand, w io.Writer, p []byte) {
	t.Helper()
	for len(p) > 0 {
		n := min(len(p), 1+rng.IntN(1<<rng.IntN(18)))
		if wrote, err := w.Write(p[:n]); err != nil || wrote != n {
			t.Fatalf("Write of %d bytes = %d, %v", n, wrote, err)
		}
		p = p[n:]
	}
}

func TestRoundTrip(t *testing.T) {
	sizes := []int{0, 1, 2, 100, MinSize, 4095, 65_535, 65_536, 65_537, 131_072, 300_000, 1 << 20}
	p := newPool(t, Levels{})
	rng := rand.New(rand.NewPCG(1, 2))
	for _, c := range append(encoders, Identity) {
		for _, size := range sizes {
			t.Run(fmt.Sprintf("%v/%d", c, size), func(t *testing.T) {
				want := jsonSample(size)
				var whole, pieces bytes.Buffer
				w := p.NewWriter(c, &whole)
				writeInPieces(t, rng, w, want)
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				if got := decode(t, c, whole.Bytes()); !bytes.Equal(got, want) {
					t.Errorf("%d bytes came back as %d others", len(want), len(got))
				}
				w = p.NewWriter(c, &pieces)
				writeInPieces(t, rng, w, want)
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(whole.Bytes(), pieces.Bytes()) {
					t.Errorf("written in other pieces, the encoded bytes differ: a strong tag promises the same")
				}
			})
		}
	}
}

func TestRandomBytesRoundTrip(t *testing.T) {
	want := make([]byte, 200_000)
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range want {
		want[i] = byte(rng.Uint32())
	}
	p := newPool(t, Levels{})
	for _, c := range encoders {
		var b bytes.Buffer
		w := p.NewWriter(c, &b)
		writeInPieces(t, rng, w, want)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got := decode(t, c, b.Bytes()); !bytes.Equal(got, want) {
			t.Errorf("%v: %d bytes came back as %d others", c, len(want), len(got))
		}
		if b.Len() > len(want)+len(want)/100 {
			t.Errorf("%v: %d random bytes became %d", c, len(want), b.Len())
		}
	}
}

func TestFlushMakesAllSoFarDecodable(t *testing.T) {
	p := newPool(t, Levels{})
	for _, c := range append(encoders, Identity) {
		t.Run(c.String(), func(t *testing.T) {
			var b bytes.Buffer
			w := p.NewWriter(c, &b)
			var events []byte
			for i := range 12 {
				event := fmt.Appendf(nil, "event: tick\ndata: {\"n\":%d}\n\n", i)
				if i == 8 {
					event = htmlSample(150_000) // more than a block
				}
				events = append(events, event...)
				if _, err := w.Write(event); err != nil {
					t.Fatal(err)
				}
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
				got := make([]byte, len(events))
				if n, err := io.ReadFull(decoder(t, c, bytes.NewReader(b.Bytes())), got); err != nil {
					t.Fatalf("after event %d, %d of %d bytes can be decoded: %v", i, n, len(events), err)
				}
				if !bytes.Equal(got, events) {
					t.Fatalf("after event %d, the decoded bytes are others", i)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if got := decode(t, c, b.Bytes()); !bytes.Equal(got, events) {
				t.Errorf("%d bytes came back as %d others", len(events), len(got))
			}
		})
	}
}

// An empty body has an encoded form, and it is not empty: what a decoder that is given nothing does is its own affair.
func TestEmptyBody(t *testing.T) {
	p := newPool(t, Levels{})
	for _, c := range encoders {
		var b bytes.Buffer
		if err := p.NewWriter(c, &b).Close(); err != nil {
			t.Fatal(err)
		}
		if b.Len() == 0 {
			t.Errorf("%v: nothing was written", c)
		}
		if got := decode(t, c, b.Bytes()); len(got) != 0 {
			t.Errorf("%v: no bytes came back as %d", c, len(got))
		}
	}
}

func TestEncodersAreReused(t *testing.T) {
	p := newPool(t, Levels{})
	for _, c := range encoders {
		seen := map[*encoder]bool{}
		for range 50 { // under -race a sync.Pool drops some
			w := p.NewWriter(c, io.Discard)
			seen[w.encoder] = true
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if len(seen) == 50 {
			t.Errorf("%v: 50 bodies took 50 encoders", c)
		}
	}
}

// crowd is a writer that notes the most goroutines there were during a Write.
type crowd struct{ most int }

func (c *crowd) Write(p []byte) (int, error) {
	c.most = max(c.most, runtime.NumGoroutine())
	return len(p), nil
}

// Nothing is written but by the goroutine that calls, so that after Abort nothing is.
func TestNoGoroutines(t *testing.T) {
	p := newPool(t, Levels{})
	body := jsonSample(1 << 20)
	for _, c := range encoders {
		before := runtime.NumGoroutine()
		var seen crowd
		w := p.NewWriter(c, &seen)
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
		w.Abort()
		if seen.most == 0 || seen.most > before {
			t.Errorf("%v: %d goroutines while it writes, %d before", c, seen.most, before)
		}
	}
}

// What Flush says of small events.
func TestSmallEvents(t *testing.T) {
	tests := []struct {
		c      Coding
		levels Levels
		least  int // bytes for each event
		most   int
	}{
		{Gzip, Levels{}, 64, 80},
		{Gzip, Levels{Gzip: 7}, 1, 20},
		{Zstd, Levels{}, 1, 20},
		{Brotli, Levels{}, 1, 20},
	}
	for _, tt := range tests {
		var b bytes.Buffer
		w := newPool(t, tt.levels).NewWriter(tt.c, &b)
		const events = 100
		for range events {
			w.Write([]byte(priceEvent))
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if got := b.Len() / events; got < tt.least || got > tt.most {
			t.Errorf("%v at %+v: an event of %d bytes becomes %d, want %d to %d", tt.c, tt.levels, len(priceEvent), got, tt.least, tt.most)
		}
	}
}

// failing fails after some bytes.
type failing struct{ left int }

var errGone = errors.New("client has gone")

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errGone
	}
	return len(p), nil
}

func TestReuseAfterError(t *testing.T) {
	want := jsonSample(150_000)
	ways := map[string]func(*Writer) error{
		"closed":  (*Writer).Close,
		"aborted": func(w *Writer) error { w.Abort(); return errGone },
	}
	for _, c := range append(encoders, Identity) {
		for name, end := range ways {
			for _, left := range []int{0, 5, 1000} {
				t.Run(fmt.Sprintf("%v/%s after %d bytes", c, name, left), func(t *testing.T) {
					p := newPool(t, Levels{})
					w := p.NewWriter(c, &failing{left})
					e := w.encoder
					if _, err := w.Write(want); err == nil && w.Flush() == nil {
						t.Fatal("Write and Flush succeed though the client has gone")
					}
					if err := end(w); !errors.Is(err, errGone) && c != Identity {
						t.Errorf("Close = %v, want %v", err, errGone)
					}
					if e.dst != nil {
						t.Error("the idle encoder holds on to the client")
					}
					var b bytes.Buffer
					again := e.start(&b, &p.idle[c]) // under -race the pool gives it back only at times
					writeInPieces(t, rand.New(rand.NewPCG(5, 6)), again, want)
					if err := again.Close(); err != nil {
						t.Fatal(err)
					}
					if got := decode(t, c, b.Bytes()); !bytes.Equal(got, want) {
						t.Errorf("%d bytes came back as %d others", len(want), len(got))
					}
				})
			}
		}
	}
}

func TestAbortLeavesNoEnd(t *testing.T) {
	p := newPool(t, Levels{})
	for _, c := range encoders {
		var b bytes.Buffer
		w := p.NewWriter(c, &b)
		if _, err := w.Write(jsonSample(300_000)); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		w.Abort()
		if _, err := io.ReadAll(decoder(t, c, &b)); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%v: decoding what was aborted = %v, want %v", c, err, io.ErrUnexpectedEOF)
		}
	}
}

func TestClosedWriterLeavesTheEncoderAlone(t *testing.T) {
	p := newPool(t, Levels{})
	var b bytes.Buffer
	w := p.NewWriter(Gzip, &b)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w.Abort()
	size := b.Len()
	if _, err := w.Write([]byte("late")); err == nil {
		t.Error("Write after Close succeeds")
	}
	if w.Flush() == nil || w.Close() == nil {
		t.Error("Flush or Close after Close succeeds")
	}
	if b.Len() != size {
		t.Errorf("%d bytes were written after Close", b.Len()-size)
	}
}

func TestLevelsOutOfRange(t *testing.T) {
	for _, l := range []Levels{{Gzip: 10}, {Gzip: -1}, {Zstd: 5}, {Zstd: -1}, {Brotli: 12}, {Brotli: -1}} {
		if _, err := NewPool(l); err == nil {
			t.Errorf("NewPool(%+v) succeeds", l)
		}
	}
	_, err := NewPool(Levels{Gzip: 10, Brotli: 12})
	if want := "gzip level 10: want 1 to 9\nbr level 12: want 1 to 11"; err == nil || err.Error() != want {
		t.Errorf("NewPool = %v, want %s", err, want)
	}
}

func TestLevelsChangeTheSize(t *testing.T) {
	sample := htmlSample(100_000)
	levels := map[Coding][2]Levels{
		Gzip:   {{Gzip: 1}, {Gzip: 9}},
		Zstd:   {{Zstd: 1}, {Zstd: 4}},
		Brotli: {{Brotli: 1}, {Brotli: 9}},
	}
	for c, pair := range levels {
		fast, small := encodedSize(t, newPool(t, pair[0]), c, sample), encodedSize(t, newPool(t, pair[1]), c, sample)
		if small >= fast {
			t.Errorf("%v: %d bytes at %+v, %d at %+v", c, fast, pair[0], small, pair[1])
		}
	}
}

// A client refuses a zstd frame that wants a window above 8 MiB (RFC 9659 §3).
func TestZstdWindow(t *testing.T) {
	for level := 1; level <= 4; level++ {
		p := newPool(t, Levels{Zstd: level})
		var b bytes.Buffer
		w := p.NewWriter(Zstd, &b)
		if _, err := w.Write(jsonSample(1 << 20)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		var h zstd.Header
		if err := h.Decode(b.Bytes()); err != nil {
			t.Fatal(err)
		}
		if h.WindowSize == 0 || h.WindowSize > 8<<20 {
			t.Errorf("level %d wants a window of %d bytes", level, h.WindowSize)
		}
	}
}

func encodedSize(t testing.TB, p *Pool, c Coding, body []byte) int {
	t.Helper()
	var b bytes.Buffer
	w := p.NewWriter(c, &b)
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Len()
}
