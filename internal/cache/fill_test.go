package cache

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"cdnlab/internal/httpcache"
)

var errBroken = errors.New("connection reset")

// beginOf starts a fill of an announced length under the key k.
func beginOf(s *Store, length int64) *Fill {
	return s.Begin(FillConfig{Key: []byte("k"), Ask: askFor(), Admission: admitted(), Length: length, Ticket: s.Ticket()})
}

// reader joins a fill that can be joined.
func reader(t *testing.T, f *Fill, s httpcache.Span) *Reader {
	t.Helper()
	r, ok := f.Reader(s)
	if !ok {
		t.Fatalf("Reader(%v) = false, want a reader", s)
	}
	return r
}

func TestLengthOfABody(t *testing.T) {
	const longer, shorter = "body is longer", "unexpected EOF"
	tests := []struct {
		name   string
		length int64
		writes []string
		err    string // of Write or Complete; "" when stored
		read   string // before that
	}{
		{"unknown", -1, []string{"bo", "dy"}, "", "body"},
		{"as announced", 4, []string{"bo", "dy"}, "", "body"},
		{"unknown and empty", -1, nil, "", ""},
		{"announced as empty", 0, nil, "", ""},
		{"empty writes", 0, []string{"", ""}, "", ""},
		{"shorter", 5, []string{"bo", "dy"}, shorter, "body"},
		{"shorter by all", 5, nil, shorter, ""},
		{"longer at once", 3, []string{"body"}, longer, ""},
		{"longer in the end", 3, []string{"bod", "y"}, longer, "bod"},
		{"longer than nothing", 0, []string{"b"}, longer, ""},
		{"shorter and not stored", 1 << 20, []string{"body"}, shorter, "body"},
		{"longer and not stored", 10_000, []string{pattern(10_000), "y"}, longer, pattern(10_000)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := New(Config{Budget: 64 << 10})
			f := beginOf(s, tt.length)
			r := reader(t, f, All)
			var err error
			for _, p := range tt.writes {
				if _, e := f.Write([]byte(p)); e != nil {
					err = e
				}
			}
			o, e := f.Complete()
			if err == nil {
				err = e
			}
			want := tt.read
			if tt.err == "" {
				if err != nil || bodyOf(o) != tt.read || find(s, "k", askFor()) != o {
					t.Errorf("Complete() = %q, %v, want %q stored", bodyOf(o), err, tt.read)
				}
			} else {
				if err == nil || !strings.Contains(err.Error(), tt.err) || e == nil || find(s, "k", askFor()) != nil {
					t.Errorf("err = %v, Complete() = %v, want %q and nothing stored", err, e, tt.err)
				}
				want += "[" + err.Error() + "]"
				if got := s.Stats(); got.Bytes != 0 {
					t.Errorf("Stats() = %+v, want nothing reserved", got)
				}
			}
			if got := readAll(r); got != want {
				t.Errorf("Read() = %q, want %q", got, want)
			}
		})
	}
}

func TestAbortReachesReadersAsAnError(t *testing.T) {
	for _, err := range []error{errBroken, io.ErrUnexpectedEOF, nil, io.EOF, fmt.Errorf("read body: %w", io.EOF)} {
		for _, size := range []int{0, 10, 5000} { // the last one passes
			t.Run(fmt.Sprint(err, " after ", size), func(t *testing.T) {
				s := New(Config{Budget: 32 << 10, Chunk: 4 << 10})
				f := beginOf(s, -1)
				r, w := reader(t, f, All), reader(t, f, All)
				write(t, f, pattern(size))
				f.Abort(err)
				got, e := io.ReadAll(r)
				if string(got) != pattern(size) || e == nil || errors.Is(e, io.EOF) {
					t.Errorf("Read() = %d bytes, %v, want %d and an error that is not EOF", len(got), e, size)
				}
				if _, again := r.Read(make([]byte, 1)); again != e {
					t.Errorf("Read() = %v, then %v, want the same", e, again)
				}
				var b bytes.Buffer
				if n, e := w.WriteTo(&b); n != int64(size) || b.String() != pattern(size) || e == nil || errors.Is(e, io.EOF) {
					t.Errorf("WriteTo() = %d, %v, want %d and an error that is not EOF", n, e, size)
				}
				if err == errBroken && e != err {
					t.Errorf("Read() = %v, want what Abort was given: %v", e, err)
				}
				if got := s.Stats(); got.Bytes != 0 || got.Objects != 0 {
					t.Errorf("Stats() = %+v, want nothing", got)
				}
				if _, ok := f.Reader(All); ok || f.Storing() {
					t.Error("an aborted fill can be joined, want a fetch of its own")
				}
			})
		}
	}
}

func TestFillThatHasEndedStaysSo(t *testing.T) {
	ends := map[string]func(*Fill){
		"completed": func(f *Fill) { _, _ = f.Complete() },
		"aborted":   func(f *Fill) { f.Abort(errBroken) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			s := New(Config{Budget: 1 << 20})
			f := beginOf(s, 4)
			write(t, f, "body")
			end(f)
			before, held := s.Stats(), bodyOf(find(s, "k", askFor()))
			if n, err := f.Write([]byte("more")); n != 0 || err != ErrClosed {
				t.Errorf("Write() = %d, %v, want 0, %v", n, err, ErrClosed)
			}
			if o, err := f.Complete(); o != nil || err != ErrClosed {
				t.Errorf("Complete() = %v, %v, want nil, %v", o, err, ErrClosed)
			}
			f.Abort(errors.New("late"))
			if got := s.Stats(); got != before || bodyOf(find(s, "k", askFor())) != held {
				t.Errorf("Stats() = %+v, want %+v", got, before)
			}
			want := map[string]string{"completed": "body", "aborted": "none"}[name]
			got := "none"
			if r, ok := f.Reader(All); ok {
				got = readAll(r)
			}
			if got != want {
				t.Errorf("a reader that comes late gets %q, want %q", got, want)
			}
		})
	}
}

func TestWhatIsStored(t *testing.T) {
	const budget, most = 64 << 10, 8 << 10
	tests := []struct {
		name   string
		length int64
		size   int
		refuse bool // by admission
		begin  bool // Storing after Begin
		stored bool
	}{
		{"largest", most, most, false, true, true},
		{"largest, length unknown", -1, most, false, true, true},
		{"too large", most + 1, most + 1, false, false, false},
		{"too large, length unknown", -1, most + 1, false, true, false},
		{"not admitted", 10, 10, true, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := New(Config{Budget: budget})
			adm := admitted("ETag", `"1"`)
			adm.Stored = !tt.refuse
			f := s.Begin(FillConfig{Key: []byte("k"), Ask: askFor(), Admission: adm, Length: tt.length})
			if got := f.Storing(); got != tt.begin {
				t.Errorf("Storing() = %v, want %v", got, tt.begin)
			}
			if f.Length() != tt.length || f.Header() != adm.Header || f.Meta().Status != 200 {
				t.Errorf("fill = %d, %q, %d, want what it was given", f.Length(), f.Header(), f.Meta().Status)
			}
			r := reader(t, f, All)
			write(t, f, pattern(tt.size))
			o := complete(t, f)
			if (o != nil) != tt.stored || f.Storing() != tt.stored {
				t.Errorf("Complete() = %v, Storing() = %v, want %v", o, f.Storing(), tt.stored)
			}
			if got := readAll(r); got != pattern(tt.size) {
				t.Errorf("Read() = %d bytes, want the body", len(got))
			}
			if got := s.Stats(); (got.Bytes > 0) != tt.stored {
				t.Errorf("Stats() = %+v, want it empty unless stored", got)
			}
		})
	}
}

func TestMaxObject(t *testing.T) {
	for set, want := range map[int64]int64{0: 8 << 10, 100: 100, 8 << 10: 8 << 10, 1 << 30: 8 << 10, -1: 8 << 10} {
		s := New(Config{Budget: 64 << 10, MaxObject: set})
		if beginOf(s, want).Storing() == false || beginOf(s, want+1).Storing() {
			t.Errorf("MaxObject %d: want bodies of up to %d stored", set, want)
		}
	}
}

func TestReservations(t *testing.T) {
	tests := []struct {
		name   string
		length int64
		writes []int
		most   int64 // reserved
	}{
		{"nothing before the body", 50_000, nil, 0},
		{"length known: no more than that", 50_000, []int{1, 49_999}, 50_000},
		{"length unknown: starts small", -1, []int{1}, firstChunk},
		{"length unknown: at most doubles", -1, []int{5000, 5000, 5000}, 20_000},
		{"length unknown: no more than the next chunk", -1, []int{64 << 10, 1}, 64<<10 + firstChunk},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := New(Config{Budget: 1 << 20, Chunk: 64 << 10})
			f := beginOf(s, tt.length)
			written := 0
			for _, n := range tt.writes {
				write(t, f, pattern(n))
				written += n
			}
			if got := s.Stats().Bytes; got < int64(written) || got > tt.most {
				t.Errorf("reserved = %d, want %d to %d", got, written, tt.most)
			}
			f.Abort(errBroken)
			if got := s.Stats().Bytes; got != 0 {
				t.Errorf("reserved after Abort = %d, want 0", got)
			}
		})
	}
}

// Fills share half of the budget: those for which nothing is left pass, and what is stored stays.
func TestFillsLeaveHalfOfTheStoreAlone(t *testing.T) {
	s := New(Config{Budget: 64 << 10, Chunk: 4 << 10})
	for i := range 20 {
		put(t, s, fmt.Sprint(i), askFor(), admitted(), pattern(1000))
	}
	var fills []*Fill
	for range 4 {
		f := beginOf(s, -1)
		write(t, f, pattern(8<<10))
		fills = append(fills, f)
	}
	f := beginOf(s, -1)
	if _, err := f.Write([]byte("x")); err != ErrNoReaders {
		t.Errorf("Write() = %v, want %v", err, ErrNoReaders)
	}
	f = beginOf(s, -1)
	r := reader(t, f, All)
	write(t, f, "x")
	if o := complete(t, f); o != nil || readAll(r) != "x" {
		t.Errorf("Complete() = %v, want the body passed", o)
	}
	if got := s.Stats(); got.Objects != 20 {
		t.Errorf("Stats() = %+v, want the 20 objects kept", got)
	}
	for _, f := range fills {
		f.Abort(errBroken)
	}
	if o := put(t, s, "k", askFor(), admitted(), "x"); o == nil {
		t.Error("a fill after the others = not stored, want stored")
	}
}

// Who has read a body to its end finds it in the store.
func TestEndOfABodyComesAfterItsStoring(t *testing.T) {
	for range 200 {
		s := New(Config{Budget: 1 << 20})
		f := beginOf(s, -1)
		r := reader(t, f, All)
		go func() {
			_, _ = f.Write([]byte("body"))
			_, _ = f.Complete()
		}()
		if got := readAll(r); got != "body" || find(s, "k", askFor()) == nil {
			t.Fatalf("Read() = %q, and Find() = nothing, want it stored", got)
		}
	}
}

// What a fill keeps of the chunks that have passed does not grow with their number.
func TestEndlessBodyTakesNoMoreMemory(t *testing.T) {
	s := New(Config{Budget: 1 << 10, Chunk: 16})
	f := beginOf(s, -1)
	r := reader(t, f, All)
	p := make([]byte, 16)
	for range 20_000 {
		write(t, f, string(p))
		read(t, r, len(p))
	}
	if got := cap(f.chunks); got > 100 {
		t.Errorf("room for chunks = %d, want it bounded", got)
	}
}

func TestMemoryOfABodyThatIsNotStored(t *testing.T) {
	const kib = 1 << 10
	tests := []struct {
		name   string
		chunk  int
		known  bool
		window int // bytes
	}{
		{"small chunks", kib, false, passWindow * kib},
		{"small chunks, known to be too large", kib, true, passWindow * kib},
		{"large chunks", 256 * kib, false, 2 * 256 * kib},
		{"large chunks, known to be too large", 256 * kib, true, passWindow * passChunk},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := New(Config{Budget: int64(8 * 16 * tt.chunk), Chunk: tt.chunk})
				body := pattern(40 * tt.chunk)
				length := int64(-1)
				if tt.known {
					length = int64(len(body))
				}
				f := beginOf(s, length)
				r := reader(t, f, All)
				var most int
				if done, _ := pour(f, body); !waits(done) {
					t.Fatal("Write() did not wait for the reader")
				}
				got := read(t, r, 20*tt.chunk) // beyond what was to be stored
				for len(got) < len(body) {
					synctest.Wait()
					most = max(most, f.memory())
					if st := s.Stats(); st.Bytes != 0 {
						t.Fatalf("Stats() = %+v with %d bytes read, want nothing reserved any more", st, len(got))
					}
					got += read(t, r, min(tt.chunk/3+1, len(body)-len(got)))
				}
				synctest.Wait()
				if got != body || readAll(r) != "" {
					t.Errorf("Read() = %d bytes, want the body", len(got))
				}
				if most > tt.window {
					t.Errorf("memory = %d bytes, want at most %d", most, tt.window)
				}
				if st := s.Stats(); st.Bytes != 0 || f.spare != nil {
					t.Errorf("Stats() = %+v, %d spare chunks after the end, want none", st, len(f.spare))
				}
			})
		})
	}
}
