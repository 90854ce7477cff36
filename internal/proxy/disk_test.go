package proxy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// files are those of a cache's objects.
func files(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "objects", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// numbered answers each target with a body of its own, of the length that its last part says.
func numbered(c *call) bool {
	var n, size int
	if _, err := fmt.Sscanf(c.target(), "/%d/%d", &n, &size); err != nil {
		return c.write(reply("404 Not Found", "", ""))
	}
	return c.write(reply("200 OK", dated+"Cache-Control: max-age=60\r\nContent-Type: text/plain\r\n", bodyOf(c.target(), size)))
}

func bodyOf(target string, size int) string {
	return strings.Repeat(target+";", size/(len(target)+1)+1)[:size]
}

func TestHitsFromDisk(t *testing.T) {
	dir := t.TempDir()
	set := setup{ram: 16 << 20, dir: dir, encode: true}
	f := start(t, set, numbered)
	var targets []string
	for i := range 60 {
		targets = append(targets, fmt.Sprintf("/%d/%d", i, []int{100, 250_000, 700_000, 1_600_000}[i%4]))
	}
	check := func(want string) {
		t.Helper()
		for _, target := range targets {
			var n, size int
			_, _ = fmt.Sscanf(target, "/%d/%d", &n, &size)
			body := bodyOf(target, size)
			a := f.get(target)
			if a.status != 200 || a.body != body || a.err != nil || a.header.Get("X-Cache") != want {
				t.Errorf("%s = %d, %d bytes, %v, %s; want %s", target, a.status, len(a.body), a.err, a.header.Get("X-Cache"), want)
			}
			if want[0] != 'H' {
				continue
			}
			part := fmt.Sprintf("bytes=%d-%d", size/2, size-2)
			if a := f.get(target, "Range: "+part); a.status != 206 || a.body != body[size/2:size-1] || a.header.Get("X-Cache") != want {
				t.Errorf("%s of %s = %d, %d bytes, %s", part, target, a.status, len(a.body), a.header.Get("X-Cache"))
			}
			if a := f.get(target, "Range: bytes=0-9,-10"); a.status != 206 || !strings.Contains(a.body, body[size-10:]) {
				t.Errorf("two ranges of %s = %d, %.300q", target, a.status, a.body)
			}
			if a := f.do("HEAD", target); a.status != 200 || a.header.Get("Content-Length") != fmt.Sprint(size) {
				t.Errorf("HEAD %s = %d, %v", target, a.status, a.header)
			}
		}
	}
	check("MISS, paris-1")
	check("HIT, paris-1")
	if a := f.get(targets[3], "Accept-Encoding: gzip"); a.header.Get("Content-Encoding") != "gzip" || a.header.Get("X-Cache") != "HIT, paris-1" {
		t.Errorf("encoded from disk: %v", a.header)
	}
	f.stop()
	f = start(t, set, numbered)
	check("HIT, paris-1")
	f.stop()

	for i, path := range files(t, dir) {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		raw[i*len(raw)/len(targets)] ^= 1
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f = start(t, set, numbered)
	check("MISS, paris-1")
	check("HIT, paris-1")
}

func TestAFileThatGoesWhileItIsServed(t *testing.T) {
	dir := t.TempDir()
	set := setup{ram: 16 << 20, dir: dir}
	f := start(t, set, numbered)
	const target = "/1/1600000"
	f.get(target)
	f.stop()
	f = start(t, set, numbered)
	for _, want := range []string{"HIT, paris-1", "MISS, paris-1", "HIT, paris-1"} {
		if a := f.get(target); a.body != bodyOf(target, 1_600_000) || a.header.Get("X-Cache") != want {
			t.Errorf("%d, %d bytes, %s, want %s", a.status, len(a.body), a.header.Get("X-Cache"), want)
		}
		if want[0] == 'H' {
			for _, path := range files(t, dir) {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func TestSlicesFromDisk(t *testing.T) {
	const size = 12<<20 + 345
	dir := t.TempDir()
	set := setup{ram: 16 << 20, dir: dir}
	l := newLibrary(size)
	f := start(t, set, l.serve)
	if a := f.get("/film"); a.body != l.body {
		t.Fatalf("%d bytes", len(a.body))
	}
	f.settled()
	for range 2 {
		f.stop()
		served := l.served.Load()
		f = start(t, set, l.serve)
		if a := f.get("/film", "Range: bytes=3000000-9999999"); a.status != 206 || a.body != l.body[3000000:10000000] || a.header.Get("X-Cache") != "HIT, paris-1" {
			t.Errorf("range = %d, %d bytes, %s", a.status, len(a.body), a.header.Get("X-Cache"))
		}
		if a := f.get("/film"); a.body != l.body || a.header.Get("X-Cache") != "HIT, paris-1" {
			t.Errorf("whole = %d, %d bytes, %s", a.status, len(a.body), a.header.Get("X-Cache"))
		}
		if n := l.served.Load() - served; n > 0 {
			t.Errorf("the origin served %d bytes", n)
		}
	}
	f.stop()
	var hit string
	for _, path := range files(t, dir) {
		if info, err := os.Stat(path); err == nil && info.Size() > 1<<20 {
			hit = path
		}
	}
	if err := os.Truncate(hit, 1000); err != nil {
		t.Fatal(err)
	}
	served := l.served.Load()
	f = start(t, set, l.serve)
	if a := f.get("/film"); a.body != l.body || a.err != nil {
		t.Errorf("with a damaged slice: %d bytes, %v", len(a.body), a.err)
	}
	if n := l.served.Load() - served; n != 1<<20 {
		t.Errorf("the origin served %d bytes for one slice", n)
	}
}

func TestAPurgeOutlivesARestart(t *testing.T) {
	set := setup{ram: 16 << 20, dir: t.TempDir()}
	f := start(t, set, numbered)
	f.get("/1/10")
	f.get("/2/10")
	f.purgeURL("/1/10")
	f.stop()
	f = start(t, set, numbered)
	for target, want := range map[string]string{"/1/10": "MISS, paris-1", "/2/10": "HIT, paris-1"} {
		if a := f.get(target); a.header.Get("X-Cache") != want {
			t.Errorf("%s: %s, want %s", target, a.header.Get("X-Cache"), want)
		}
	}
}
