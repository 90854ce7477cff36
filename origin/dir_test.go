package origin

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cdnlab/topology"
)

// tree writes files below a new directory and returns it.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, body := range files {
		writeFile(t, filepath.Join(dir, name), body)
	}
	return dir
}

func writeFile(t *testing.T, file, body string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(body), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func age(t *testing.T, file string, d time.Duration) {
	t.Helper()
	at := time.Now().Add(-d)
	if err := os.Chtimes(file, at, at); err != nil {
		t.Fatal(err)
	}
}

func TestDirectoryServesFiles(t *testing.T) {
	dir := tree(t, map[string]string{"index.html": "<h1>home", "a/index.html": "<h1>a", "a/b.css": "body{}", "with space/ü.bin": "bin", "empty.txt": "", "bare/x.txt": "x",
		".well-known/acme": "token"})
	for _, f := range []string{"index.html", "a/b.css"} {
		age(t, filepath.Join(dir, f), time.Hour)
	}
	l := start(t, topology.Origin{Kind: topology.Dir, Dir: dir})
	for _, c := range []struct {
		target, contentType, body string
	}{
		{"/", "text/html; charset=utf-8", "<h1>home"},
		{"/index.html", "text/html; charset=utf-8", "<h1>home"},
		{"/a/", "text/html; charset=utf-8", "<h1>a"},
		{"/a/b.css", "text/css; charset=utf-8", "body{}"},
		{"/a%2Fb.css?v=1", "text/css; charset=utf-8", "body{}"},
		{"/with%20space/%C3%BC.bin", "application/octet-stream", "bin"},
		{"/empty.txt", "text/plain; charset=utf-8", ""},
		{"/.well-known/acme", "application/octet-stream", "token"},
	} {
		a := l.get(c.target)
		if a.status != 200 || a.body != c.body || a.header.Get("Content-Type") != c.contentType || a.header.Get("Content-Length") != fmt.Sprint(len(c.body)) {
			t.Errorf("GET %s = %d %q %v", c.target, a.status, a.body, a.header)
		}
		if a.header.Get("Cache-Control") != "" {
			t.Errorf("GET %s says Cache-Control: %s; that is the site's to say", c.target, a.header.Get("Cache-Control"))
		}
	}
	a := l.get("/a?x=1")
	a.want(t, "a directory without slash", 301, "/a/?x=1")
	if got := a.header.Get("Location"); got != "/a/?x=1" {
		t.Errorf("Location = %q", got)
	}
	l.get("/bare/").want(t, "a directory without index", 404, "no such file")
	l.do(http.MethodPut, "/x", strings.NewReader("x"), withToken).want(t, "PUT", 405, "GET, HEAD")
	if got := l.do(http.MethodOptions, "/", nil); got.status != 204 || got.header.Get("Allow") != dirMethods {
		t.Errorf("OPTIONS = %d, Allow %q", got.status, got.header.Get("Allow"))
	}

	a = l.get("/a/b.css")
	tag, modified := a.header.Get("ETag"), a.header.Get("Last-Modified")
	if !strings.HasPrefix(tag, `"`) {
		t.Errorf("ETag of a file that has been there for an hour = %s, want a strong one", tag)
	}
	l.get("/a/b.css", "If-None-Match: "+tag).want(t, "If-None-Match", 304, "")
	l.get("/a/b.css", "If-Modified-Since: "+modified).want(t, "If-Modified-Since", 304, "")
	l.get("/a/b.css", "Range: bytes=1-2", "If-Range: "+tag).want(t, "Range", 206, "od")
	l.get("/a/b.css", "Range: bytes=99-").want(t, "Range past the end", 416, "")
	if a := l.do(http.MethodHead, "/a/b.css", nil); a.status != 200 || a.header.Get("Content-Length") != "6" || a.body != "" {
		t.Errorf("HEAD = %d %v", a.status, a.header)
	}
	writeFile(t, filepath.Join(dir, "a/b.css"), "body {}")
	if got := l.get("/a/b.css"); got.body != "body {}" || !strings.HasPrefix(got.header.Get("ETag"), "W/") {
		t.Errorf("after a change = %q with ETag %s, want a weak one at first", got.body, got.header.Get("ETag"))
	}
}

func TestNothingLeavesTheDirectory(t *testing.T) {
	parent := tree(t, map[string]string{"secret.txt": "SECRET", "www/ok.txt": "ok", "www/.env": "SECRET", "www/.git/config": "SECRET", "www/a/.hidden/x": "SECRET",
		"www/a/.well-known/x": "SECRET", "www/sub/ok.txt": "ok"})
	dir := filepath.Join(parent, "www")
	for name, to := range map[string]string{
		"out-relative": "../secret.txt", "out-absolute": filepath.Join(parent, "secret.txt"), "out-dir": "..", "sub/out": "../../secret.txt",
		"passwd": "/etc/passwd", "root": "/", "in": "sub/ok.txt", "dev": "/dev/zero", "loop": "loop",
	} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	l := start(t, topology.Origin{Kind: topology.Dir, Dir: dir})
	l.get("/in").want(t, "a link that stays inside", 200, "ok")
	for _, target := range []string{
		"/../secret.txt", "/a/../../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/%2e%2e%2fsecret.txt", "/.%2e/secret.txt",
		"/..%5csecret.txt", "/..%252fsecret.txt", "/a/..;/secret.txt", "/./ok.txt", "//secret.txt", "//etc/passwd", "/%2fetc/passwd", "/%2f%2fetc/passwd",
		"/..%c0%afsecret.txt", "/ok.txt%00.html", "/ok.txt/", "/ok.txt/..", "/C:/secret.txt", "/..", "/.", "/%2e",
		"/out-relative", "/out-absolute", "/out-dir/secret.txt", "/sub/out", "/passwd", "/root/etc/passwd", "/dev", "/loop", "/pipe",
		"/.env", "/%2eenv", "/.git/config", "/.git/", "/a/.hidden/x", "/a/.well-known/x", "/.well-known/../ok.txt",
		"/" + strings.Repeat("a/", 400) + "x", "/" + strings.Repeat("x", 300),
	} {
		line := l.raw("GET " + target + " HTTP/1.1\r\nHost: " + testSite + "\r\nConnection: close\r\n\r\n")
		if line != "HTTP/1.1 404 Not Found" && line != "HTTP/1.1 400 Bad Request" {
			t.Errorf("GET %s = %q, want 404 or 400", target, line)
		}
		a := l.send(&http.Request{Method: "GET", URL: opaque(target), Host: testSite, Header: http.Header{}})
		if strings.Contains(a.body, "SECRET") || strings.Contains(a.body, "root:") {
			t.Errorf("GET %s gives away a file: %q", target, a.body)
		}
	}
}

func TestAFileThatChangesWhileServedBreaksTheTransfer(t *testing.T) {
	const size = 32 << 20 // more than the sockets buffer
	for _, c := range []struct {
		name   string
		change func(t *testing.T, file string)
		whole  bool
	}{
		{"unchanged", func(*testing.T, string) {}, true},
		{"cut short", func(t *testing.T, file string) { truncate(t, file, size/2) }, false},
		{"rewritten in place", func(t *testing.T, file string) {
			f, err := os.OpenFile(file, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.WriteAt([]byte("new"), size-3)
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"grown", func(t *testing.T, file string) {
			f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.WriteString("more")
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"replaced by another file", func(t *testing.T, file string) {
			writeFile(t, file+".new", "new")
			move(t, file+".new", file)
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := tree(t, map[string]string{"f": strings.Repeat("x", size)})
			age(t, filepath.Join(dir, "f"), time.Hour)
			l := start(t, topology.Origin{Kind: topology.Dir, Dir: dir})
			conn, err := net.Dial("tcp", l.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := fmt.Fprintf(conn, "GET /f HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", testSite); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(conn)
			resp, err := http.ReadResponse(r, nil)
			if err != nil || resp.ContentLength != size {
				t.Fatalf("response %v, %v", resp, err)
			}
			defer resp.Body.Close()
			c.change(t, filepath.Join(dir, "f"))
			n, err := io.Copy(io.Discard, resp.Body)
			if whole := err == nil && n == size; whole != c.whole {
				t.Errorf("%d bytes of %d, %v; want whole: %v", n, size, err, c.whole)
			}
		})
	}
}

// opaque is a URL whose target goes out as it is written.
func opaque(target string) *url.URL {
	if strings.HasPrefix(target, "//") {
		target = "//" + testSite + target // in absolute form: Go takes two slashes for a host
	}
	return &url.URL{Scheme: "http", Host: testSite, Opaque: target}
}
