package origin

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestObjectsSurviveReopening(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "objects")
	s := openTestStore(t, dir, io.Discard)
	header := []Field{{"Content-Type", "text/plain"}, {"X-Note", "a"}, {"X-Note", "b"}}
	v, created, err := s.put(upload{site: testSite, path: "/a", header: header, body: strings.NewReader("one"), size: -1})
	if err != nil || !created || v.Number != 1 || v.Size != 3 {
		t.Fatalf("put = %+v, created %v, %v", v, created, err)
	}
	mustPut(t, s, "/a", "two")
	mustPut(t, s, "/€/b", "")
	if _, err := s.remove(testSite, "/€/b", false, conditions{}); err != nil {
		t.Fatal(err)
	}
	before := s.versions(testSite, "/a")
	s = openTestStore(t, dir, io.Discard)
	if got := s.versions(testSite, "/a"); fmt.Sprint(got) != fmt.Sprint(before) {
		t.Errorf("after reopening versions = %v, want %v", got, before)
	}
	if got := s.versions(testSite, "/a")[1].Header; !slices.Equal(got, header) {
		t.Errorf("headers = %v, want %v", got, header)
	}
	if got := bodyOf(t, s, "/a", 0) + bodyOf(t, s, "/a", 1); got != "twoone" {
		t.Errorf("bodies = %q", got)
	}
	if got := bodyOf(t, s, "/€/b", 0); got != errNoObject.Error() {
		t.Errorf("a deleted object = %q after reopening", got)
	}
	if v := mustPut(t, s, "/€/b", "x"); v.Number != 3 {
		t.Errorf("version after put, delete, reopen, put = %d, want 3", v.Number)
	}
}

func TestDamageIsReportedAndSkipped(t *testing.T) {
	hash := hashOf(testSite, "/a")
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, s *store)
		log    string
		body   string // of the current version afterwards
		next   uint64 // the number that the next version gets
	}{
		{"nothing", func(*testing.T, *store) {}, "", "two", 3},
		{"a record with a flipped bit", func(t *testing.T, s *store) { flip(t, s.recordFile(hash, 2), 12) }, "checksum", "one", 3},
		{"a record cut short", func(t *testing.T, s *store) { truncate(t, s.recordFile(hash, 2), 20) }, "checksum", "one", 3},
		{"an empty record", func(t *testing.T, s *store) { truncate(t, s.recordFile(hash, 2), 0) }, "checksum", "one", 3},
		{"a body cut short", func(t *testing.T, s *store) { truncate(t, s.bodyFile(hash, 2), 1) }, "1 bytes instead of 3", "one", 3},
		{"a body lost", func(t *testing.T, s *store) { s.discard(s.bodyFile(hash, 2)) }, "no such file", "one", 3},
		{"a record under another's name", func(t *testing.T, s *store) { move(t, s.recordFile(hash, 2), s.recordFile(hash, 7)) }, "belongs to another", "one", 8},
		{"all records", func(t *testing.T, s *store) { flip(t, s.recordFile(hash, 1), 3); flip(t, s.recordFile(hash, 2), 3) }, "checksum", "no such object", 3},
		{"foreign files", func(t *testing.T, s *store) {
			for _, name := range []string{"README", hash + ".x.json", hash + ".01.json", hash + ".json", hash + ".9999999999999999999.json"} {
				if err := os.WriteFile(filepath.Join(s.dir, name), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}, "", "two", 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "objects")
			s := openTestStore(t, dir, io.Discard)
			mustPut(t, s, "/a", "one")
			mustPut(t, s, "/a", "two")
			mustPut(t, s, "/b", "other")
			c.damage(t, s)
			var log bytes.Buffer
			s = openTestStore(t, dir, &log)
			if c.log != "" && !strings.Contains(log.String(), c.log) || c.log == "" && log.Len() > 0 && c.name == "nothing" {
				t.Errorf("log = %q, want %q", &log, c.log)
			}
			if got := bodyOf(t, s, "/a", 0); got != c.body {
				t.Errorf("current = %q, want %q", got, c.body)
			}
			if got := bodyOf(t, s, "/b", 0); got != "other" {
				t.Errorf("its neighbour = %q", got)
			}
			if v := mustPut(t, s, "/a", "new"); v.Number != c.next {
				t.Errorf("the next version is %d, want %d", v.Number, c.next)
			}
		})
	}
}

func flip(t *testing.T, file string, at int) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 1
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, file string, size int64) {
	t.Helper()
	if err := os.Truncate(file, size); err != nil {
		t.Fatal(err)
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func TestLeftoversOfACrashAreRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "objects")
	s := openTestStore(t, dir, io.Discard)
	mustPut(t, s, "/a", "one")
	orphan := s.bodyFile(hashOf(testSite, "/b"), 1)
	for _, f := range []string{filepath.Join(s.tmpDir(), "body-1"), orphan, s.bodyFile(hashOf(testSite, "/a"), 2)} {
		if err := os.WriteFile(f, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = openTestStore(t, dir, io.Discard)
	if got := files(t, dir); len(got) != 2 || len(files(t, s.tmpDir())) != 0 {
		t.Errorf("files after open = %v and %v in tmp, want those of one version", got, files(t, s.tmpDir()))
	}
	if got := bodyOf(t, s, "/a", 0); got != "one" {
		t.Errorf("object = %q", got)
	}
}

func FuzzRecord(f *testing.F) {
	r := record{Site: testSite, Path: "/a", Version: Version{Number: 2, Size: 3, SHA256: strings.Repeat("ab", 32), Header: []Field{{"X-A", "b"}}, Modified: noon, Body: 1}}
	good, err := r.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("{}\n"))
	f.Add([]byte(`{"site":"a","path":"/../x","version":1}`))
	f.Add([]byte(`{"site":"a","path":"/x","version":1,"body":1,"size":-1,"sha256":"00"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		// Most inputs fail at the checksum, so the line alone is given one, too.
		line, _, _ := bytes.Cut(data, []byte("\n"))
		for _, in := range [][]byte{data, withSum(line)} {
			got, err := decodeRecord(in)
			if err != nil {
				continue
			}
			if !got.Deleted && len(got.ETag()) != 34 {
				t.Errorf("ETag of %q = %q", in, got.ETag())
			}
			again, err := got.encode()
			if err != nil {
				t.Fatal(err)
			}
			if twice, err := decodeRecord(again); err != nil || twice.Path != got.Path || twice.Number != got.Number || twice.Body != got.Body {
				t.Errorf("decode(encode(%+v)) = %+v, %v", got, twice, err)
			}
		}
	})
}
