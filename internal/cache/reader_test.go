package cache

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cdnlab/internal/httpcache"
)

// readAll returns the rest of a body, and the error in brackets if it did not end.
func readAll(r io.Reader) string {
	b, err := io.ReadAll(r)
	if err != nil {
		return string(b) + "[" + err.Error() + "]"
	}
	return string(b)
}

// read returns the next n bytes.
func read(t *testing.T, r *Reader, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		t.Fatalf("Read(%d bytes) = %v, want no error", n, err)
	}
	return string(b)
}

// passing is a store whose fills hold at most four chunks of 1 KiB once they pass, and a body too large to be stored.
func passing() (s *Store, body string) {
	return New(Config{Budget: 8 << 10, Chunk: 1 << 10, MaxObject: 1 << 10, Patience: time.Minute}), pattern(50_000)
}

// pour writes a body in pieces and ends it in a goroutine of its own; done is closed behind it, and what Write said is then in err.
func pour(f *Fill, body string) (done chan struct{}, err *error) {
	done, err = make(chan struct{}), new(error)
	go func() {
		defer close(done)
		for len(body) > 0 {
			n := min(len(body), 700)
			if _, *err = f.Write([]byte(body[:n])); *err != nil {
				f.Abort(*err)
				return
			}
			body = body[n:]
		}
		_, *err = f.Complete()
	}()
	return done, err
}

// waits reports whether what done stands for cannot go on until somebody else does something.
func waits(done chan struct{}) bool {
	synctest.Wait()
	select {
	case <-done:
		return false
	default:
		return true
	}
}

func TestReadersAtDifferentOffsets(t *testing.T) {
	body := pattern(10_000)
	spans := []struct {
		name string
		span httpcache.Span
		want string
	}{
		{"all", All, body},
		{"first byte", httpcache.Span{First: 0, Length: 1}, body[:1]},
		{"across chunks", httpcache.Span{First: 1000, Length: 5000}, body[1000:6000]},
		{"last byte", httpcache.Span{First: 9999, Length: 1}, body[9999:]},
		{"beyond the end", httpcache.Span{First: 9000, Length: 5000}, body[9000:]},
		{"after the end", httpcache.Span{First: 10_000, Length: 1}, ""},
		{"nothing", httpcache.Span{First: 10, Length: 0}, ""},
	}
	joins := []int{0, 1, 1024, 5000, 10_000} // bytes written by then
	for _, tt := range spans {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := New(Config{Budget: 1 << 20, Chunk: 1 << 10})
				f := beginOf(s, -1)
				got := make([]string, 2*len(joins))
				written := 0
				for i, at := range joins {
					write(t, f, body[written:at])
					written = at
					r, w := reader(t, f, tt.span), reader(t, f, tt.span)
					go func() { got[2*i] = readAll(r) }()
					go func() {
						var b bytes.Buffer
						_, _ = w.WriteTo(&b)
						got[2*i+1] = b.String()
					}()
					synctest.Wait()
				}
				complete(t, f)
				synctest.Wait()
				for i, g := range got {
					if g != tt.want {
						t.Errorf("reader that joined at %d read %d bytes, want %d", joins[i/2], len(g), len(tt.want))
					}
				}
			})
		})
	}
}

func TestReaderWaitsForBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := beginOf(New(Config{Budget: 1 << 20}), -1)
		r := reader(t, f, All)
		var got string
		done := make(chan struct{})
		go func() { got = read(t, r, 4); close(done) }()
		for _, piece := range []string{"", "b", "od"} {
			write(t, f, piece)
			if !waits(done) {
				t.Fatalf("Read(4 bytes) = %q before they came", got)
			}
		}
		write(t, f, "y")
		if waits(done) || got != "body" {
			t.Errorf("Read() = %q, want %q", got, "body")
		}
	})
}

func TestCloseEndsAReaderThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Budget: 1 << 20})
		f := beginOf(s, -1)
		r := reader(t, f, All)
		var err error
		done := make(chan struct{})
		go func() { _, err = r.Read(make([]byte, 1)); close(done) }()
		synctest.Wait()
		if e := r.Close(); e != nil || r.Close() != nil {
			t.Errorf("Close() = %v, want nil, again too", e)
		}
		if waits(done) || err != ErrClosed {
			t.Errorf("Read() = %v, want %v", err, ErrClosed)
		}
		write(t, f, "body") // the fill goes on for the store
		if complete(t, f) == nil {
			t.Error("Complete() = not stored, want stored without readers")
		}
	})
}

// stuck takes what it is given only when the test says so, and then looks at it again.
type stuck struct {
	first chan struct{} // closed with the first bytes
	free  chan struct{}
	got   []byte
	moved bool // the bytes changed while they were held
	err   error
}

func (w *stuck) Write(p []byte) (int, error) {
	before := string(p)
	if w.got == nil {
		close(w.first)
	}
	<-w.free
	w.moved = w.moved || string(p) != before
	w.got = append(w.got, p...)
	return len(p), w.err
}

func TestClientThatIsGoneDoesNotEndTheFill(t *testing.T) {
	s := New(Config{Budget: 1 << 20, Chunk: 1 << 10})
	f := beginOf(s, -1)
	other, r := reader(t, f, All), reader(t, f, All)
	body := pattern(5000)
	write(t, f, body)
	w := &stuck{first: make(chan struct{}), free: make(chan struct{}), err: errBroken}
	close(w.free)
	if n, err := r.WriteTo(w); n != 1<<10 || err != errBroken {
		t.Errorf("WriteTo() = %d, %v, want %d, %v", n, err, 1<<10, errBroken)
	}
	_ = r.Close()
	if o := complete(t, f); bodyOf(o) != body || readAll(other) != body {
		t.Error("the others' body is not whole")
	}
}

// memory returns what a fill holds at present.
func (f *Fill) memory() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, c := range slices.Concat(f.spare, f.chunks) {
		n += cap(c)
	}
	return n
}

func TestSlowReaderHoldsUpABodyThatIsNotStored(t *testing.T) {
	for _, length := range []int64{-1, 50_000} {
		synctest.Test(t, func(t *testing.T) {
			s, body := passing()
			f := beginOf(s, length)
			r := reader(t, f, All)
			done, err := pour(f, body)
			got := ""
			for len(got) < len(body) {
				left := len(body) - len(got)
				if left > 6<<10 && !waits(done) {
					t.Fatalf("Write() = %v with %d bytes unread, want it to wait for its reader", *err, left)
				}
				if m := f.memory(); m > passWindow<<10 {
					t.Fatalf("memory = %d bytes, want at most a window", m)
				}
				if len(got) > 20_000 && len(got) < 21_000 {
					time.Sleep(time.Hour) // in the bubble's time; nobody else is held up
				}
				got += read(t, r, min(left, 700))
				synctest.Wait()
			}
			if waits(done) || *err != nil || got != body || readAll(r) != "" {
				t.Errorf("Complete() = %v, want the whole body", *err)
			}
			if st := s.Stats(); st.Bytes != 0 || st.Objects != 0 {
				t.Errorf("Stats() = %+v, want nothing", st)
			}
		})
	}
}

func TestSlowReaderAmongOthers(t *testing.T) {
	tests := []struct {
		name    string
		slow    func(t *testing.T, r *Reader) // after the store has begun to wait for it
		want    error                         // what it gets afterwards; nil: the body
		elapsed time.Duration
	}{
		{"reads nothing for the patience of the store", func(*testing.T, *Reader) { time.Sleep(2 * time.Minute) }, ErrLagging, 2 * time.Minute},
		{"reads on in time, and again", func(t *testing.T, r *Reader) {
			for range 100 {
				time.Sleep(59 * time.Second)
				read(t, r, 500)
			}
		}, nil, 5900 * time.Second},
		{"leaves", func(_ *testing.T, r *Reader) { _ = r.Close() }, ErrClosed, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, body := passing()
				f := beginOf(s, -1)
				slow, fast := reader(t, f, All), reader(t, f, All)
				start := time.Now()
				done, err := pour(f, body)
				var got string
				go func() { got = readAll(fast) }()
				if !waits(done) {
					t.Fatal("Write() did not wait for the slow reader")
				}
				tt.slow(t, slow)
				if tt.want != nil && waits(done) {
					t.Fatalf("Write() still waits after %v", time.Since(start))
				}
				if e := time.Since(start); e != tt.elapsed {
					t.Errorf("elapsed = %v, want %v", e, tt.elapsed)
				}
				rest, e := io.ReadAll(slow)
				if e != tt.want || tt.want == nil && string(rest) != body[len(body)-len(rest):] {
					t.Errorf("slow Read() = %d bytes, %v, want %v", len(rest), e, tt.want)
				}
				synctest.Wait()
				if *err != nil || got != body {
					t.Errorf("fast Read() = %d bytes, Complete() = %v, want the whole body", len(got), *err)
				}
				if m := f.memory(); m > passWindow<<10 {
					t.Errorf("memory = %d bytes, want at most a window", m)
				}
				if err := slow.Close(); err != nil {
					t.Errorf("Close() = %v, want nil", err)
				}
			})
		})
	}
}

// Nobody is cut off for holding up upstream alone.
func TestReadersThatAreAllSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, body := passing()
		f := beginOf(s, -1)
		a, b := reader(t, f, All), reader(t, f, All)
		done, err := pour(f, body)
		time.Sleep(time.Hour)
		if !waits(done) {
			t.Fatalf("Write() = %v, want it to wait", *err)
		}
		var got string
		go func() { got = readAll(a) }() // holds up nobody from now on, and is held up by b
		time.Sleep(time.Minute)
		if waits(done) || got != body {
			t.Errorf("Read() = %d bytes, %v, want all", len(got), *err)
		}
		if _, err := b.Read(make([]byte, 1)); err != ErrLagging {
			t.Errorf("Read() = %v, want %v", err, ErrLagging)
		}
	})
}

func TestAllReadersLeave(t *testing.T) {
	tests := []struct {
		name string
		max  int64 // object
		err  error
	}{
		{"stored: it goes on", 0, nil},
		{"not stored: it ends", 1 << 10, ErrNoReaders},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := New(Config{Budget: 1 << 20, Chunk: 1 << 10, MaxObject: tt.max})
				body := pattern(50_000)
				f := beginOf(s, -1)
				a, b := reader(t, f, All), reader(t, f, All)
				done, err := pour(f, body)
				synctest.Wait()
				_, _ = read(t, a, 10), read(t, b, 1500)
				_ = a.Close()
				if !waits(done) != (tt.err == nil) {
					t.Fatalf("Write() = %v while one reader is left", *err)
				}
				_ = b.Close()
				if waits(done) || *err != tt.err {
					t.Errorf("Write() = %v, want %v", *err, tt.err)
				}
				if o := find(s, "k", askFor()); (bodyOf(o) == body) != (tt.err == nil) || s.reserved != 0 {
					t.Errorf("Find() = %v, %d bytes reserved, want it stored: %v", o, s.reserved, tt.err == nil)
				}
			})
		})
	}
}

func TestJoiningABodyThatIsNotStored(t *testing.T) {
	s, body := passing()
	f := beginOf(s, int64(len(body)))
	if _, err := f.Write([]byte("x")); err != ErrNoReaders {
		t.Errorf("Write() = %v before there is a reader, want %v", err, ErrNoReaders)
	}
	r := reader(t, f, All)
	if _, ok := f.Reader(All); ok {
		t.Error("Reader() = true beside the first reader, want false")
	}
	_ = r.Close()
	if _, ok := f.Reader(All); ok {
		t.Error("Reader() = true after the first reader, want false")
	}
}

// Bytes that a writer still holds stay as they are, even when their reader was closed meanwhile and the fill goes on.
func TestBytesInUseAreNotWrittenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, body := passing()
		f := beginOf(s, -1)
		held, other := reader(t, f, All), reader(t, f, All)
		w := &stuck{first: make(chan struct{}), free: make(chan struct{})}
		done, perr := pour(f, body)
		var werr error
		gone := make(chan struct{})
		go func() { _, werr = held.WriteTo(w); close(gone) }()
		<-w.first
		_ = held.Close()
		if got := readAll(other); got != body {
			t.Errorf("Read() = %d bytes, want all", len(got))
		}
		<-done
		close(w.free)
		<-gone
		if w.moved || !strings.HasPrefix(body, string(w.got)) || !errors.Is(werr, ErrClosed) || *perr != nil {
			t.Errorf("WriteTo() = %v, %d bytes, changed: %v, want a piece of the body and %v", werr, len(w.got), w.moved, ErrClosed)
		}
	})
}
