package coding

import (
	"testing"

	"cdnlab/internal/httpcache"
)

func TestRefuse(t *testing.T) {
	const ct, cc = "Content-Type", "Cache-Control"
	page := []string{ct, "text/html; charset=utf-8"}
	with := func(pairs ...string) []string { return append(pairs, page...) }
	tests := []struct {
		name   string
		status int
		length int64
		header []string
		want   Reason
	}{
		{"page", 200, 5000, page, ""},
		{"error page", 404, 5000, page, ""},
		{"page of unknown length", 200, -1, page, ""},
		{"event stream", 200, -1, []string{ct, "text/event-stream"}, ""},
		{"no type", 200, 5000, nil, Type},
		{"image", 200, 5000, []string{ct, "image/png"}, Type},
		{"as small as may be", 200, MinSize, page, ""},
		{"too small", 200, MinSize - 1, page, Small},
		{"empty", 200, 0, page, Small},

		{"RFC 9110 §15.3.7 part", 206, 5000, page, Status},
		{"RFC 9110 §14.4 range in another status", 200, 5000, with("Content-Range", "bytes 0-4999/9000"), Status},
		{"RFC 9110 §15.4.5 not modified", 304, -1, page, Status},
		{"RFC 9110 §15.3.5 no content", 204, -1, page, Status},
		{"RFC 9110 §15.3.6 reset content", 205, -1, page, Status},
		{"RFC 9110 §15.2 interim", 103, -1, page, Status},

		{"RFC 9110 §8.4 encoded", 200, 5000, with("Content-Encoding", "gzip"), Encoded},
		{"RFC 9110 §8.4 encoded with what we do not know", 200, 5000, with("content-encoding", "dcb"), Encoded},
		{"RFC 9110 §8.4 encoded twice", 200, 5000, with("Content-Encoding", "identity", "Content-Encoding", "br"), Encoded},
		{"RFC 9110 §8.4 list", 200, 5000, with("Content-Encoding", "identity, gzip"), Encoded},
		{"RFC 9110 §8.4.1 identity is no coding", 200, 5000, with("Content-Encoding", "Identity"), ""},
		{"RFC 9110 §8.4 empty", 200, 5000, with("Content-Encoding", ""), ""},

		{"RFC 9111 §5.2.2.6 no-transform", 200, 5000, with(cc, "no-transform"), NoTransform},
		{"RFC 9111 §5.2.2.6 among others", 200, 5000, with(cc, "max-age=60,\tNo-Transform , public"), NoTransform},
		{"RFC 9111 §5.2.2.6 second line", 200, 5000, with(cc, "public", cc, "no-transform"), NoTransform},
		{"RFC 9111 §5.2 with an argument", 200, 5000, with(cc, "no-transform=1"), NoTransform},
		{"other directives", 200, 5000, with(cc, "public, no-transforms, max-age=60"), ""},

		{"RFC 9530 §2 digest of the content", 200, 5000, with("Content-Digest", "sha-256=:AA==:"), Digest},
		{"RFC 9530 §3 digest of the representation", 200, 5000, with("repr-digest", "sha-256=:AA==:"), Digest},
		{"RFC 3230 digest", 200, 5000, with("Digest", "sha-256=AA=="), Digest},
		{"RFC 1864 digest", 200, 5000, with("Content-MD5", "AA=="), Digest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Response{tt.status, httpcache.MakeHeader(tt.header...), tt.length}
			if got := r.Refuse(MinSize); got != tt.want {
				t.Errorf("%+v.Refuse(%d) = %q, want %q", r, MinSize, got, tt.want)
			}
		})
	}
}

func TestRefuseMinSize(t *testing.T) {
	r := Response{200, httpcache.MakeHeader("Content-Type", "text/css"), 100}
	for minSize, want := range map[int64]Reason{0: "", 100: "", 101: Small} {
		if got := r.Refuse(minSize); got != want {
			t.Errorf("100 bytes: Refuse(%d) = %q, want %q", minSize, got, want)
		}
	}
}

func TestCompressible(t *testing.T) {
	tests := []struct {
		contentType string
		want        bool
	}{
		{"text/html", true},
		{"text/html; charset=utf-8", true},
		{"text/css;charset=utf-8", true},
		{" Text/Plain ;", true},
		{"text/event-stream", true},
		{"text/x-anything", true},
		{"application/json", true},
		{"APPLICATION/JSON", true},
		{"application/problem+json", true},
		{"application/vnd.api+JSON; charset=utf-8", true},
		{"application/geo+json-seq", true},
		{"application/xml", true},
		{"application/rss+xml", true},
		{"image/svg+xml", true},
		{"application/javascript", true},
		{"application/x-javascript", true},
		{"application/wasm", true},
		{"application/vnd.apple.mpegurl", true},
		{"font/ttf", true},
		{"font/otf", true},
		{"application/vnd.ms-fontobject", true},
		{"image/x-icon", true},
		{"image/vnd.microsoft.icon", true},
		{"image/bmp", true},

		{"font/woff2", false},
		{"font/woff", false},
		{"image/png", false},
		{"image/jpeg", false},
		{"image/webp", false},
		{"image/avif", false},
		{"video/mp4", false},
		{"video/mp2t", false},
		{"audio/mpeg", false},
		{"application/zip", false},
		{"application/gzip", false},
		{"application/epub+zip", false},
		{"application/pdf", false},
		{"application/octet-stream", false},
		{"application/grpc", false},
		{"multipart/byteranges; boundary=text/html", false},
		{"application/octet-stream; name=a+json", false},
		{"application/jsonx", false},
		{"json/application", false},
		{"text", false},
		{"text/", false},
		{"", false},
	}
	for _, tt := range tests {
		if got := Compressible(tt.contentType); got != tt.want {
			t.Errorf("Compressible(%q) = %v, want %v", tt.contentType, got, tt.want)
		}
	}
}

func TestRefuseDoesNotAllocate(t *testing.T) {
	r := Response{200, httpcache.MakeHeader("Content-Type", "text/html", "Cache-Control", "public, max-age=60"), 5000}
	if n := testing.AllocsPerRun(100, func() { r.Refuse(MinSize) }); n != 0 {
		t.Errorf("Refuse allocates %v times, want 0", n)
	}
}

func FuzzCompressible(f *testing.F) {
	for _, s := range []string{"text/html", "application/ld+json", "font/woff2", "/", "+json", "image/svg+xml; x=y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want := Compressible(s)
		if got := Compressible(s + "; q=a/b+json"); got != want {
			t.Errorf("Compressible(%q) = %v, with a parameter %v", s, want, got)
		}
		upper := []byte(s)
		for i, c := range upper {
			if 'a' <= c && c <= 'z' {
				upper[i] = c - 'a' + 'A'
			}
		}
		if got := Compressible(string(upper)); got != want {
			t.Errorf("Compressible(%q) = %v, in upper case %v", s, want, got)
		}
	})
}
