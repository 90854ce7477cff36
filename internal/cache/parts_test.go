package cache

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unsafe"

	"cdnlab/internal/httpcache"
)

func TestObjectIsTwoLinesOfTheProcessorsCache(t *testing.T) {
	if got := unsafe.Sizeof(Object{}); got != 128 {
		t.Errorf("an Object is %d bytes, want 128", got)
	}
	if got := unsafe.Offsetof(Object{}.node); got != 0 {
		t.Errorf("the node is at %d, want it first, where evict.Entry expects it", got)
	}
}

// usual is the Meta of a response as most are.
func usual() httpcache.Meta {
	arrived := time.Date(2026, 5, 6, 7, 8, 9, 123456789, time.UTC)
	return httpcache.Meta{
		ResponseTime: arrived.UnixNano(), Date: arrived.Truncate(time.Second).UnixNano() - int64(2*time.Second),
		LastModified: time.Date(1999, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano(), InitialAge: 100*time.Second + 1234567, Lifetime: time.Hour,
		StaleWhileRevalidate: time.Minute, StaleIfError: 24 * time.Hour, ETag: `"tag"`, Status: 200, Source: httpcache.SourceMaxAge,
	}
}

func TestMetaComesBackAsItWas(t *testing.T) {
	header := httpcache.MakeHeader("Cache-Control", "max-age=3600", "ETag", `"tag"`)
	tests := []struct {
		name   string
		change func(*httpcache.Meta)
		rare   bool // the object needs more memory for it
	}{
		{"as most are", func(*httpcache.Meta) {}, false},
		{"nothing stated", func(m *httpcache.Meta) { *m = httpcache.Meta{} }, false},
		{"a heuristic lifetime", func(m *httpcache.Meta) { m.Source, m.Lifetime = httpcache.SourceHeuristic, 12345*time.Second/10 }, false},
		{"the longest lifetime", func(m *httpcache.Meta) { m.Lifetime = 1 << 31 * time.Second }, false},
		{"from tomorrow", func(m *httpcache.Meta) { m.Date += int64(24 * time.Hour) }, false},
		{"no entity tag", func(m *httpcache.Meta) { m.ETag = "" }, false},
		{"every flag", func(m *httpcache.Meta) {
			m.NoCache, m.MustRevalidate, m.Encodable, m.Limits, m.Immutable = true, true, true, true, true
		}, false},
		{"varies", func(m *httpcache.Meta) { m.Vary = "accept" }, true},
		{"a lifetime to the nanosecond", func(m *httpcache.Meta) { m.Lifetime++ }, true},
		{"a date to the nanosecond", func(m *httpcache.Meta) { m.Date++ }, true},
		{"a date of another age", func(m *httpcache.Meta) { m.Date = 0 }, false},
		{"a date of yet another age", func(m *httpcache.Meta) { m.Date = -1 << 62 }, true},
		{"modified before 1970", func(m *httpcache.Meta) { m.LastModified = -int64(time.Hour) }, true},
		{"modified after 2106", func(m *httpcache.Meta) { m.LastModified = 1 << 32 * int64(time.Second) }, true},
		{"an entity tag that is not in the header", func(m *httpcache.Meta) { m.ETag = `"other"` }, true},
		{"a grace to the nanosecond", func(m *httpcache.Meta) { m.StaleIfError++ }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := usual()
			tt.change(&m)
			ks := newKinds(1 << 20)
			p := parts{key: "k", header: header, meta: m}
			o := p.build(ks)
			if got := o.Meta(); got != m {
				t.Errorf("Meta() = %+v, want %+v", got, m)
			}
			if isRare := o.rare.Load() != nil; isRare != tt.rare {
				t.Errorf("needs more memory: %v, want %v", isRare, tt.rare)
			}
			p = o.parts()
			if again := p.build(ks); again.Meta() != m || again.Header() != header || again.key() != "k" {
				t.Errorf("taken apart and built again = %+v, %q, want the same", again.Meta(), again.Header())
			}
		})
	}
}

// fullKinds knows so many kinds that no other is shared.
func fullKinds() *kinds {
	ks := newKinds(0)
	for i := range ks.most {
		p := parts{key: "k", header: httpcache.MakeHeader("Cache-Control", fmt.Sprint("max-age=", i))}
		p.build(ks)
	}
	return ks
}

func TestHeaderComesBackAsItWas(t *testing.T) {
	long := strings.Repeat("x", 70_000)
	tests := []struct {
		name   string
		header httpcache.Header
	}{
		{"none", ""},
		{"values that responses share", httpcache.MakeHeader("Cache-Control", "max-age=60", "content-type", "text/html", "VARY", "Accept")},
		{"values of its own", httpcache.MakeHeader("ETag", `"a"`, "X", "", "Date", "Thu, 26 Nov 2026 09:51:31 GMT")},
		{"some of each, repeated", httpcache.MakeHeader("Server", "a", "ETag", `"a"`, "Server", "b", "Set-Cookie", "c=d", "Set-Cookie", "e=f")},
		{"a value of its own that is empty and last", httpcache.MakeHeader("ETag", `"a"`, "X", "")},
		{"one long value", httpcache.MakeHeader("X", long, "ETag", `"a"`)},
		{"one long value that responses share", httpcache.MakeHeader("Server", long, "ETag", `"a"`)},
		{"a long name", httpcache.MakeHeader(long, "a")},
		{"no lines", "what is this"},
		{"no end", "A: b\r\nC: d"},
		{"a NUL", "A: b\x00c\r\nD: e\r\n"},
		{"a NUL alone", "\x00"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, ks := range []*kinds{newKinds(1 << 20), fullKinds()} {
				p := parts{key: "key", header: tt.header, meta: httpcache.Meta{ETag: tt.header.Get("ETag")}}
				o := p.build(ks)
				if got := o.Header(); got != tt.header {
					t.Errorf("Header() = %.100q, want %.100q", got, tt.header)
				}
				buf := []byte("used before, and long enough for some")
				if got, used := o.HeaderIn(buf); got != tt.header || string(used) != string(tt.header) {
					t.Errorf("HeaderIn() = %.100q in %.100q, want %.100q", got, used, tt.header)
				}
				if got := o.Meta().ETag; got != tt.header.Get("ETag") || o.key() != "key" {
					t.Errorf("ETag = %.100q, key = %q", got, o.key())
				}
			}
		})
	}
}

func FuzzHeader(f *testing.F) {
	f.Add("A: b\r\nServer: c\r\nETag: \"d\"\r\n", "d")
	ks := newKinds(1 << 20)
	f.Fuzz(func(t *testing.T, header, etag string) {
		p := parts{key: "key", header: httpcache.Header(header), meta: httpcache.Meta{ETag: etag}}
		if o := p.build(ks); string(o.Header()) != header || o.Meta() != p.meta {
			t.Errorf("%q, %q comes back as %q, %+v", header, etag, o.Header(), o.Meta())
		}
	})
}

func TestResponsesOfOneKindShareWhatTheyHaveInCommon(t *testing.T) {
	ks := newKinds(1 << 20)
	object := func(cacheControl, etag string, status uint16) *Object {
		h := httpcache.MakeHeader("Content-Type", "text/html", "Cache-Control", cacheControl, "ETag", etag)
		p := parts{key: "k", header: h, meta: httpcache.Meta{Status: status, ETag: etag}}
		return p.build(ks)
	}
	first := object("max-age=60", `"a"`, 200)
	tests := []struct {
		name   string
		o      *Object
		shares bool
	}{
		{"another entity tag", object("max-age=60", `"b"`, 200), true},
		{"another lifetime", object("max-age=61", `"a"`, 200), false},
		{"another status", object("max-age=60", `"a"`, 404), false},
	}
	for _, tt := range tests {
		if shares := tt.o.kind == first.kind; shares != tt.shares {
			t.Errorf("%s: shares = %v, want %v", tt.name, shares, tt.shares)
		}
	}
	if got := int(first.textSize); got != len(`k"a"`) {
		t.Errorf("an object keeps %d bytes, want its key and its entity tag", got)
	}
}

func TestKindsAreFewForTheirObjects(t *testing.T) {
	ks := newKinds(0)
	build := func(i int) *Object {
		p := parts{key: "k", header: httpcache.MakeHeader("Cache-Control", fmt.Sprint("max-age=", i))}
		return p.build(ks)
	}
	shared := 0
	for i := range 10_000 {
		if o := build(i); o.kind.skeleton != whole {
			shared++
		}
		if len(ks.known) > leastKinds+1 { // one is that of responses which share nothing
			t.Fatalf("%d kinds are known, want at most %d", len(ks.known), leastKinds+1)
		}
	}
	if most := 10_000/askedPerKind + leastKinds; shared > most || shared < leastKinds {
		t.Errorf("%d of 10000 kinds are kept for sharing, want up to %d", shared, most)
	}
	if a, b := build(10_000), build(10_001); a.kind != b.kind || a.kind.skeleton != whole {
		t.Errorf("two that share nothing are of the kinds %+v, %+v, want one for both", a.kind, b.kind)
	}
}
