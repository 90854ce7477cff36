package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// What a qualified directive names is for the request that brought it (RFC 9111 §5.2.2.4).
func TestFieldsForOneRequest(t *testing.T) {
	for _, coding := range []string{"", "gzip"} {
		t.Run("in "+coding, func(t *testing.T) {
			f := start(t, setup{encode: true}, func(c *call) bool {
				lines := dated + html + fmt.Sprintf("Cache-Control: max-age=60, no-cache=\"X-A\"\r\nETag: \"v1\"\r\nX-A: %d\r\n", c.number)
				if strings.Contains(c.head, "If-None-Match") {
					return c.write("HTTP/1.1 304 Not Modified\r\n" + strings.Replace(lines, "12:00", "12:05", 1) + "\r\n")
				}
				return c.write(reply("200 OK", lines, pattern(2000)))
			})
			for i, want := range []string{"1", "", "2", ""} {
				if i == 2 {
					f.pass(5 * time.Minute)
				}
				a := f.get("/a", "Accept-Encoding: "+coding)
				f.settled()
				if got := a.header.Get("X-A"); got != want || decoded(t, a.header.Get("Content-Encoding"), a.body) != pattern(2000) {
					t.Errorf("answer %d has X-A %q, want %q: %d %v", i+1, got, want, a.status, a.header)
				}
				if i > 0 && a.header.Get("Content-Encoding") != coding {
					t.Errorf("answer %d is in %q, want %q", i+1, a.header.Get("Content-Encoding"), coding)
				}
			}
		})
	}
}
