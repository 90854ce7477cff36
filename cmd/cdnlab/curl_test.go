package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestCurlFlags sends requests through a gateway that answers what it got.
func TestCurlFlags(t *testing.T) {
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/moved" {
			w.Header().Set("Location", "http://www.cdn.test/target")
			w.WriteHeader(http.StatusFound)
			return
		}
		w.Header().Set("X-Answer", "yes")
		fmt.Fprintf(w, "%s %s host=%s type=%s agent=%s tag=%s encoding=%s body=%s\n", r.Method, r.RequestURI, r.Host,
			r.Header.Get("Content-Type"), r.Header.Get("User-Agent"), strings.Join(r.Header["X-Tag"], "+"), r.Header.Get("Accept-Encoding"), body)
	}))
	defer gateway.Close()
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, []byte("from file"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, flags, url string
		want             string // on standard output
	}{
		{"plain", "", "www.cdn.test/a?b=c", "GET http://www.cdn.test/a?b=c host=www.cdn.test type= agent=cdnlab tag= encoding= body=\n"},
		{"no path", "", "http://www.cdn.test", "GET http://www.cdn.test/ host="},
		{"-X", "-X PURGE", "www.cdn.test/a", "PURGE http://www.cdn.test/a "},
		{"-H twice", "-H X-Tag:1 -H X-Tag:2", "www.cdn.test/a", " tag=1+2 "},
		{"-H replaces", "-H user-agent:mine", "www.cdn.test/a", " agent=mine "},
		{"-H Host", "-H Host:other.test", "www.cdn.test/a", "GET http://other.test/a host=other.test "},
		{"-d", "-d a=1", "www.cdn.test/a", "POST http://www.cdn.test/a host=www.cdn.test type=application/x-www-form-urlencoded agent=cdnlab tag= encoding= body=a=1\n"},
		{"-d empty", "-d=", "www.cdn.test/a", "POST http://www.cdn.test/a "},
		{"-d with type", "-d {} -H Content-Type:application/json", "www.cdn.test/a", "type=application/json "},
		{"-d from a file", "-d @" + file, "www.cdn.test/a", "body=from file\n"},
		{"-d from standard input", "-d @-", "www.cdn.test/a", "body=from stdin\n"},
		{"-d with -X", "-d a -X PUT", "www.cdn.test/a", "PUT http://www.cdn.test/a "},
		{"-i", "-i", "www.cdn.test/a", "HTTP/1.1 200 OK\n"},
		{"-I", "-I", "www.cdn.test/a", "X-Answer: yes\n"},
		{"redirect", "-i", "www.cdn.test/moved", "HTTP/1.1 302 Found\n"},
		{"redirect with -L", "-L", "www.cdn.test/moved", "GET http://www.cdn.test/target "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var f curlFlags
			flags := pflag.NewFlagSet("curl", pflag.ContinueOnError)
			f.add(flags)
			if err := flags.Parse(strings.Fields(tt.flags)); err != nil {
				t.Fatal(err)
			}
			target, err := siteURL(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			var stdout bytes.Buffer
			a := &app{stdin: strings.NewReader("from stdin"), stdout: &stdout, stderr: io.Discard}
			if err := a.curl(t.Context(), target, strings.TrimPrefix(gateway.URL, "http://"), f, flags.Changed("data")); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(stdout.String(), tt.want) {
				t.Errorf("curl %s %s printed\n%s\nwant in it\n%s", tt.flags, tt.url, stdout.String(), tt.want)
			}
		})
	}
}
