package origin

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestPathsAreDecodedOnce(t *testing.T) {
	for _, c := range []struct{ raw, want, fault string }{
		{"/", "/", ""},
		{"/a/b.txt", "/a/b.txt", ""},
		{"/a%2Fb.txt", "/a/b.txt", ""},
		{"/%61/b", "/a/b", ""},
		{"/a+b", "/a+b", ""},
		{"/a%252Fb", "/a%2Fb", ""},
		{"/%E2%82%AC", "/€", ""},
		{"//a//b", "//a//b", ""},
		{"/a...b/..c", "/a...b/..c", ""},
		{"", "", "starts with /"},
		{"a", "", "starts with /"},
		{"/a%", "", "invalid URL escape"},
		{"/a%zz", "", "invalid URL escape"},
		{"/../etc/passwd", "", `segment is ".."`},
		{"/a/%2e%2e/b", "", `segment is ".."`},
		{"/a/..%2fb", "", `segment is ".."`},
		{"/./a", "", `segment is "."`},
		{"/a/.", "", `segment is "."`},
		{"/a%00b", "", "control characters"},
		{"/a%0d%0ab", "", "control characters"},
		{"/%ff", "", "not UTF-8"},
		{"/" + strings.Repeat("a", maxPath), "", "bytes"},
	} {
		got, err := parsePath(c.raw)
		if c.fault == "" && (err != nil || got != c.want) || c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)) {
			t.Errorf("parsePath(%q) = %q, %v; want %q, fault %q", c.raw, got, err, c.want, c.fault)
		}
	}
}

func TestTargets(t *testing.T) {
	for _, c := range []struct {
		uri, header string
		want        target
		fault       bool
	}{
		{"/a?b=c#d", "WWW.test:8080", target{"www.test", "/a", "b=c"}, false},
		{"//evil/a", "www.test", target{"www.test", "//evil/a", ""}, false},
		{"/a#b?c", "www.test", target{"www.test", "/a", ""}, false},
		{"http://Other.test:1/a?q", "www.test", target{"other.test", "/a", "q"}, false},
		{"HTTPS://other.test", "www.test", target{"other.test", "/", ""}, false},
		{"http://other.test?q", "www.test", target{"other.test", "/", "q"}, false},
		{"/", "[::1]:8080", target{"::1", "/", ""}, false},
		{"*", "www.test", target{}, true},
		{"ftp://a/b", "www.test", target{}, true},
		{"www.test:443", "www.test", target{}, true},
	} {
		got, err := parseTarget(c.uri, c.header)
		if got != c.want || (err != nil) != c.fault {
			t.Errorf("parseTarget(%q, %q) = %+v, %v; want %+v", c.uri, c.header, got, err, c.want)
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/", "/a/b", "/%2e%2e/x", "/a%2Fb", "/%ff", "/€", "//", "/a\\..\\b", "/.git/config", "/..."} {
		f.Add(seed)
	}
	s := &store{dir: "/data/objects"}
	f.Fuzz(func(t *testing.T, raw string) {
		path, err := parsePath(raw)
		if err != nil {
			return
		}
		if again, err := parsePath(escapePath(path)); err != nil || again != path {
			t.Errorf("parsePath(escapePath(%q)) = %q, %v", path, again, err)
		}
		if file := s.bodyFile(hashOf("site", path), 1); filepath.Dir(filepath.Clean(file)) != s.dir {
			t.Errorf("%q is stored at %s", path, file)
		}
		if name, ok := relativeName(path); ok && !filepath.IsLocal(name) {
			t.Errorf("relativeName(%q) = %q leaves the directory", path, name)
		}
	})
}
