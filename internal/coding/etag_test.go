package coding

import (
	"testing"

	"cdnlab/internal/httpcache"
)

func TestTagFor(t *testing.T) {
	tests := []struct {
		name, etag string
		c          Coding
		want       string
	}{
		{"§8.8.3.3 strong tags of codings differ", `"abc"`, Brotli, `"abc~br"`},
		{"§8.8.3.3 gzip", `"abc"`, Gzip, `"abc~gzip"`},
		{"§8.8.3.3 zstd", `"abc"`, Zstd, `"abc~zstd"`},
		{"§8.8.1 weak stays weak", `W/"abc"`, Gzip, `W/"abc~gzip"`},
		{"identity keeps its tag", `"abc"`, Identity, `"abc"`},
		{"no tag", "", Brotli, ""},
		{"empty tag", `""`, Brotli, `"~br"`},
		{"tag without quotes", "abc", Brotli, "abc~br"},
		{"tag that has a suffix already", `"abc~br"`, Brotli, `"abc~br~br"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := TagFor(tt.etag, tt.c)
			if got != tt.want {
				t.Errorf("TagFor(%q, %v) = %q, want %q", tt.etag, tt.c, got, tt.want)
			}
			if tt.etag == "" || tt.c == Identity {
				return
			}
			if etag, c := TagOf(got); etag != tt.etag || c != tt.c {
				t.Errorf("TagOf(%q) = %q, %v, want %q, %v", got, etag, c, tt.etag, tt.c)
			}
		})
	}
}

func TestTagOfForeignTags(t *testing.T) {
	for _, tag := range []string{"", `"`, `""`, `"abc"`, `W/"abc"`, `"abc-gzip"`, `"br"`, `"~brx"`, `"~deflate"`, `"abc~BR"`, "*", "~br"} {
		if etag, c := TagOf(tag); etag != tag || c != Identity {
			t.Errorf("TagOf(%q) = %q, %v, want it back and identity", tag, etag, c)
		}
	}
}

func TestAppendTagsOf(t *testing.T) {
	tests := []struct {
		name, list string
		c          Coding
		want       string
	}{
		{"strong", `"a~br"`, Brotli, `"a"`},
		{"weak", `W/"a~br"`, Brotli, `W/"a"`},
		{"§13.1 other coding", `"a~gzip"`, Brotli, `"a~gzip"`},
		{"identity asked for", `"a~br"`, Identity, `"a~br"`},
		{"identity tag", `"a"`, Brotli, `"a"`},
		{"any", "*", Brotli, "*"},
		{"list", `"a~br", W/"b~br","c~gzip" , "d"`, Brotli, `"a", W/"b","c~gzip" , "d"`},
		{"one suffix only", `"a~br~br"`, Brotli, `"a~br"`},
		{"§8.8.3 comma in a tag", `"x~br,y~br", "b~br"`, Brotli, `"x~br,y", "b"`},
		{"§8.8.3 backslash in a tag", `"a\~br", "b~br"`, Brotli, `"a\", "b"`},
		{"empty", "", Brotli, ""},
		{"empty members", `, ,"a~br",`, Brotli, `, ,"a",`},
		{"last quote missing", `"a~br`, Brotli, `"a`},
		{"tag without quotes at the end", "b, a~br", Brotli, "b, a"},
		{"tag without quotes first", "a~br, b", Brotli, "a, b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(AppendTagsOf(nil, tt.list, tt.c)); got != tt.want {
				t.Errorf("AppendTagsOf(%q, %v) = %q, want %q", tt.list, tt.c, got, tt.want)
			}
		})
	}
}

// A client that was given an encoded response revalidates it against the identity response in the cache.
func TestConditionalRequestThroughTheCache(t *testing.T) {
	tests := []struct {
		name, stored, held, accept string
		want                       bool
	}{
		{"§13.1.2 same coding", `"a"`, TagFor(`"a"`, Brotli), "br", true},
		{"§13.1.2 same coding, weak", `W/"a"`, TagFor(`W/"a"`, Zstd), "zstd", true},
		{"§13.1.2 changed since", `"b"`, TagFor(`"a"`, Brotli), "br", false},
		{"§13.1.2 other coding now", `"a"`, TagFor(`"a"`, Brotli), "gzip", false},
		{"§13.1.2 identity now", `"a"`, TagFor(`"a"`, Gzip), "", false},
		{"§13.1.2 held before the edge encoded", `"a"`, `"a"`, "br", true},
		{"§13.1.2 tags of all variants, one matches", `"a"`, `"a~gzip", "a~br"`, "br, gzip", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mapped := AppendTagsOf(nil, tt.held, Negotiate(All, tt.accept))
			var a httpcache.Ask
			a.Reset([]byte("GET"))
			a.Add([]byte("If-None-Match"), mapped)
			m := httpcache.Meta{Status: 200, ETag: tt.stored}
			if got := httpcache.NotModified(&a, &m); got != tt.want {
				t.Errorf("%s with Accept-Encoding %q against %s (as %s): not modified = %v, want %v",
					tt.held, tt.accept, tt.stored, mapped, got, tt.want)
			}
		})
	}
}

func FuzzTags(f *testing.F) {
	f.Add(`"abc"`, byte(Brotli))
	f.Add(`W/"abc~br"`, byte(Gzip))
	f.Add(`"`, byte(Gzip))
	f.Add(`"a~zstd", "b`, byte(Zstd))
	f.Fuzz(func(t *testing.T, s string, b byte) {
		c := Coding(b % codings)
		if tag := TagFor(s, c); s != "" && c != Identity {
			if etag, of := TagOf(tag); etag != s || of != c {
				t.Errorf("TagOf(TagFor(%q, %v)) = %q, %v", s, c, etag, of)
			}
		}
		if got := AppendTagsOf(nil, s, Identity); string(got) != s {
			t.Errorf("AppendTagsOf(%q, identity) = %q, want it as it is", s, got)
		}
		if got := AppendTagsOf(nil, s, c); len(got) > len(s) {
			t.Errorf("AppendTagsOf(%q, %v) = %q, longer than it was", s, c, got)
		}
	})
}
