package cache

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"unsafe"

	"cdnlab/internal/httpcache"
)

// askFor returns a GET with the fields of names and values in turn.
func askFor(pairs ...string) *httpcache.Ask {
	var a httpcache.Ask
	a.Reset([]byte("GET"))
	for i := 0; i < len(pairs); i += 2 {
		a.Add([]byte(pairs[i]), []byte(pairs[i+1]))
	}
	return &a
}

// admitted returns the admission of a 200 with the fields of names and values in turn.
func admitted(pairs ...string) httpcache.Admission {
	h := httpcache.MakeHeader(pairs...)
	return httpcache.Admission{Stored: true, Header: h, Meta: httpcache.Meta{Status: 200, Vary: httpcache.ParseVary(h)}}
}

// begin starts a fill of unknown length with a fresh ticket.
func begin(s *Store, key string, a *httpcache.Ask, adm httpcache.Admission) *Fill {
	return s.Begin(FillConfig{Key: []byte(key), Ask: a, Admission: adm, Length: -1, Ticket: s.Ticket()})
}

// put stores a whole response of known length; nil when the store did not take it.
func put(t *testing.T, s *Store, key string, a *httpcache.Ask, adm httpcache.Admission, body string) *Object {
	t.Helper()
	f := s.Begin(FillConfig{Key: []byte(key), Ask: a, Admission: adm, Length: int64(len(body)), Ticket: s.Ticket()})
	write(t, f, body)
	return complete(t, f)
}

func write(t *testing.T, f *Fill, body string) {
	t.Helper()
	if n, err := f.Write([]byte(body)); n != len(body) || err != nil {
		t.Fatalf("Write(%d bytes) = %d, %v, want all", len(body), n, err)
	}
}

func complete(t *testing.T, f *Fill) *Object {
	t.Helper()
	o, err := f.Complete()
	if err != nil {
		t.Fatalf("Complete() = %v, want no error", err)
	}
	return o
}

func find(s *Store, key string, a *httpcache.Ask) *Object {
	o, _ := s.Find([]byte(key), a)
	return o
}

func bodyOf(o *Object) string {
	if o == nil {
		return "nothing"
	}
	b, err := io.ReadAll(o.Body(All))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// pattern returns n bytes of which no two near ones at a distance of a chunk are alike.
func pattern(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>8*7 ^ i*31)
	}
	return string(b)
}

func TestFindGivesTheReason(t *testing.T) {
	s := New(Config{Budget: 1 << 20})
	put(t, s, "plain", askFor(), admitted(), "p")
	put(t, s, "varies", askFor("Accept", "a"), admitted("Vary", "Accept"), "v")
	tests := []struct {
		name, key, accept string
		body              string
		fwd               httpcache.Fwd
	}{
		{"stored", "plain", "a", "p", httpcache.FwdNone},
		{"nothing under the key", "other", "a", "nothing", httpcache.FwdURIMiss},
		{"a prefix of a key is another key", "plai", "a", "nothing", httpcache.FwdURIMiss},
		{"stored variant", "varies", "a", "v", httpcache.FwdNone},
		{"another variant", "varies", "b", "nothing", httpcache.FwdVaryMiss},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o, fwd := s.Find([]byte(tt.key), askFor("Accept", tt.accept))
			if bodyOf(o) != tt.body || fwd != tt.fwd {
				t.Errorf("Find(%q) = %q, %v, want %q, %v", tt.key, bodyOf(o), fwd, tt.body, tt.fwd)
			}
		})
	}
}

func TestObjectKeepsWhatTheFillWasGiven(t *testing.T) {
	s := New(Config{Budget: 1 << 20, Chunk: 1000})
	for _, size := range []int{0, 1, 999, 1000, 1001, 2000, 4096, 10_001} {
		t.Run(fmt.Sprint(size, " bytes"), func(t *testing.T) {
			body := pattern(size)
			put(t, s, "k", askFor(), admitted("ETag", `"x"`), body)
			o := find(s, "k", askFor())
			if bodyOf(o) != body || o.Size() != int64(size) || o.Header().Get("ETag") != `"x"` || o.Meta().Status != 200 {
				t.Errorf("Find() = %d bytes, %q, status %d, want what was written", len(bodyOf(o)), o.Header(), o.Meta().Status)
			}
			if stored := o.Stored(); stored.Size != int64(size) || *stored.Meta != o.Meta() || stored.Header != o.Header() {
				t.Errorf("Stored() = %v, want the object's own", stored)
			}
			if whole, ok := o.Bytes(); ok != (size <= 1000) || ok && string(whole) != body {
				t.Errorf("Bytes() = %d bytes, %v, want the body if it is in one chunk", len(whole), ok)
			}
		})
	}
}

func TestBodyOfASpan(t *testing.T) {
	s := New(Config{Budget: 1 << 20, Chunk: 100})
	body := pattern(400)
	put(t, s, "k", askFor(), admitted(), body)
	o := find(s, "k", askFor())
	tests := []struct {
		name string
		span httpcache.Span
		want string
	}{
		{"all", All, body},
		{"first byte", httpcache.Span{First: 0, Length: 1}, body[:1]},
		{"last byte", httpcache.Span{First: 399, Length: 1}, body[399:]},
		{"a whole chunk", httpcache.Span{First: 100, Length: 100}, body[100:200]},
		{"across chunks", httpcache.Span{First: 99, Length: 202}, body[99:301]},
		{"beyond the end", httpcache.Span{First: 300, Length: 1000}, body[300:]},
		{"after the end", httpcache.Span{First: 400, Length: 1}, ""},
		{"nothing", httpcache.Span{First: 10, Length: 0}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var written bytes.Buffer
			n, err := o.Body(tt.span).WriteTo(&written)
			if written.String() != tt.want || n != int64(len(tt.want)) || err != nil {
				t.Errorf("WriteTo() = %d, %v and %q, want %q", n, err, written.String(), tt.want)
			}
			r := o.Body(tt.span)
			read, err := io.ReadAll(io.MultiReader(io.LimitReader(r, 3), r)) // pieces that fit no chunk
			if string(read) != tt.want || err != nil {
				t.Errorf("Read() = %q, %v, want %q", read, err, tt.want)
			}
			if err := r.Close(); err != nil {
				t.Errorf("Close() = %v, want nil", err)
			}
		})
	}
}

func TestLeastRecentlyUsedGoesFirst(t *testing.T) {
	const each = Overhead + 100 + 1 // one-byte keys
	s := New(Config{Budget: 8 * each, MaxObject: 100})
	for i := range 8 {
		put(t, s, string(rune('a'+i)), askFor(), admitted(), pattern(100))
	}
	find(s, "a", askFor()) // b is the oldest now
	put(t, s, "z", askFor(), admitted(), pattern(100))
	held := ""
	for _, key := range "abcdefghz" {
		if find(s, string(key), askFor()) != nil {
			held += string(key)
		}
	}
	if held != "acdefghz" {
		t.Errorf("held = %q, want %q", held, "acdefghz")
	}
	want := Stats{Objects: 8, Bytes: 8 * each, Budget: 8 * each, Evictions: 1}
	if got := s.Stats(); got != want {
		t.Errorf("Stats() = %+v, want %+v", got, want)
	}
}

func TestHeldObjectOutlivesTheStore(t *testing.T) {
	s := New(Config{Budget: 1 << 16, Chunk: 100})
	body := pattern(1000)
	put(t, s, "k", askFor(), admitted(), body)
	o := find(s, "k", askFor())
	for i := range 200 {
		put(t, s, fmt.Sprint(i), askFor(), admitted(), pattern(1000+i))
	}
	if find(s, "k", askFor()) != nil {
		t.Fatal("Find(k) = an object, want it evicted")
	}
	if bodyOf(o) != body {
		t.Error("the body of an evicted object changed")
	}
}

func TestStoreAgainReplaces(t *testing.T) {
	s := New(Config{Budget: 1 << 20})
	put(t, s, "k", askFor(), admitted(), pattern(5000))
	put(t, s, "k", askFor(), admitted(), "new")
	if got := bodyOf(find(s, "k", askFor())); got != "new" {
		t.Errorf("Find() = %q, want %q", got, "new")
	}
	if got := s.Stats(); got.Objects != 1 || got.Bytes > Overhead+100 {
		t.Errorf("Stats() = %+v, want one small object", got)
	}
}

func TestDeleteAndClear(t *testing.T) {
	tests := []struct {
		name  string
		purge func(*Store)
		left  string // of the keys a and v
	}{
		{"delete", func(s *Store) { s.Purge(Purge{Value: "a"}, 0) }, "v"},
		{"delete of a key that varies takes all variants", func(s *Store) { s.Purge(Purge{Value: "v"}, 0) }, "a"},
		{"delete of nothing", func(s *Store) { s.Purge(Purge{Value: "x"}, 0) }, "av"},
		{"clear", func(s *Store) { s.Purge(Purge{Scope: ScopeAll}, 0) }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := New(Config{Budget: 1 << 20})
			put(t, s, "a", askFor(), admitted(), "a")
			for _, accept := range []string{"1", "2"} {
				put(t, s, "v", askFor("Accept", accept), admitted("Vary", "Accept"), accept)
			}
			tt.purge(s)
			left := ""
			if find(s, "a", askFor()) != nil {
				left = "a"
			}
			if o := find(s, "v", askFor("Accept", "1")); o != nil && find(s, "v", askFor("Accept", "2")) != nil {
				left += "v"
			}
			if left != tt.left {
				t.Errorf("left = %q, want %q", left, tt.left)
			}
			if st := s.Stats(); left == "" && (st.Bytes != 0 || st.Objects != 0) {
				t.Errorf("Stats() = %+v, want an empty store", st)
			}
		})
	}
}

func TestAccountedBytes(t *testing.T) {
	const more = int64(unsafe.Sizeof(rare{}))
	tests := []struct {
		name    string
		length  int64
		body    int
		vary    string
		objects int
		want    int64
	}{
		{"length known", 100, 100, "", 1, Overhead + 1 + 100},
		{"length unknown: the unused memory is given back", -1, 100, "", 1, Overhead + 1 + 100},
		{"length unknown: less unused memory too", -1, 4000, "", 1, Overhead + 1 + 4000},
		{"several chunks", -1, 25_000, "", 1, Overhead + 1 + 25_000 + 2*24 + more},
		{"a variant has its marker", 100, 100, "A", 2, 2*(Overhead+more) + 1 + 64 + 1 + 1 + 100 + 2*len64("k\x0012345678=x\n") + 16},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// What is accounted is also what is needed: with a byte less there is no room.
			for _, budget := range []int64{1 << 20, tt.want, tt.want - 1} {
				s := New(Config{Budget: 1 << 20, Chunk: 10_000})
				var adm httpcache.Admission
				if adm = admitted(); tt.vary != "" {
					adm = admitted("Vary", tt.vary)
				}
				f := s.Begin(FillConfig{Key: []byte("k"), Ask: askFor("A", "x"), Admission: adm, Length: tt.length})
				write(t, f, pattern(tt.body))
				s.cfg.Budget = budget
				stored := complete(t, f) != nil
				if fits := budget >= tt.want; stored != fits {
					t.Errorf("Complete() with a budget of %d stored = %v, want %v", budget, stored, fits)
				}
				if st := s.Stats(); stored && (st.Bytes != tt.want || st.Objects != tt.objects) || st.Bytes > budget {
					t.Errorf("Stats() = %+v, want %d objects of %d bytes", st, tt.objects, tt.want)
				}
			}
		})
	}
}

func len64(s string) int64 { return int64(len(s)) }
