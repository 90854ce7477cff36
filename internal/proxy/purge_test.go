package proxy

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// tagging answers everything with surrogate keys that its path names: /x/y has x and y.
func tagging(c *call) bool {
	tags := strings.ReplaceAll(strings.Trim(c.target(), "/"), "/", " ")
	return c.write(reply("200 OK", dated+"Cache-Control: max-age=600\r\nETag: \"v1\"\r\nSurrogate-Key: "+tags+"\r\n", "body of "+c.target()))
}

// order sends a purge as a node of the lab does and returns the status.
func (f *tier) order(method, query string) (status int, body string) {
	f.t.Helper()
	c := f.connect()
	defer c.conn.Close()
	c.send(fmt.Sprintf("%s /-/purge?%s HTTP/1.1\r\nHost: %s\r\n%s: %s\r\nContent-Length: 0\r\n\r\n", method, query, f.proxy.cfg.Node.HTTP.Addr(), secretHeader, secret))
	got := c.read(method)
	return got.status, got.body
}

func TestPurgeAtANode(t *testing.T) {
	paths := []string{"/img/a", "/img/b", "/doc/a"}
	for _, tt := range []struct {
		query string
		soft  bool
		gone  string // paths that are no longer served as they were
	}{
		{"url=http://www.cdn.test/img/a", false, "/img/a"},
		{"url=https://WWW.cdn.test:8080/img/a", false, "/img/a"},
		{"url=www.cdn.test/img", false, ""},
		{"prefix=www.cdn.test/img/", false, "/img/a /img/b"},
		{"prefix=http://www.cdn.test", false, "/img/a /img/b /doc/a"},
		{"key=a", false, "/img/a /doc/a"},
		{"key=none", false, ""},
		{"all=true", false, "/img/a /img/b /doc/a"},
		{"url=http://www.cdn.test/img/a", true, "/img/a"},
		{"prefix=www.cdn.test/img/", true, "/img/a /img/b"},
		{"key=a", true, "/img/a /doc/a"},
		{"all=true", true, "/img/a /img/b /doc/a"},
	} {
		t.Run(fmt.Sprint(tt.query, " soft=", tt.soft), func(t *testing.T) {
			f := start(t, setup{}, tagging)
			for _, p := range paths {
				f.get(p)
			}
			f.pass(5e9)
			if status, body := f.order("POST", fmt.Sprint(tt.query, "&soft=", tt.soft)); status != 204 {
				t.Fatalf("the purge is answered %d %q, want 204", status, body)
			}
			f.pass(5e9)
			for _, p := range paths {
				before := f.origin().count()
				got := f.get(p)
				asked := f.origin().count() > before
				gone := strings.Contains(" "+tt.gone+" ", " "+p+" ")
				validated := gone && asked && f.origin().asked()[before].field("If-None-Match") == `"v1"`
				if asked != gone || validated != (gone && tt.soft) || got.status != 200 {
					t.Errorf("%s: the origin was asked %v, to validate %v, want %v and %v; %d %s", p, asked, validated, gone, gone && tt.soft, got.status, got.cacheStatus())
				}
			}
		})
	}
}

func TestWhatIsNoPurge(t *testing.T) {
	f := start(t, setup{}, fresh)
	for query, want := range map[string]int{
		"":                               400,
		"url=a&key=b":                    400,
		"%zz":                            400,
		"url=http://other.test/a":        404,
		"prefix=" + url.QueryEscape("/"): 404,
	} {
		if status, body := f.order("POST", query); status != want {
			t.Errorf("purge with %q is answered %d %q, want %d", query, status, body, want)
		}
	}
	if status, _ := f.order("GET", "all=true"); status != 405 {
		t.Errorf("GET is answered %d, want 405", status)
	}
	f.get("/a")
	own := f.proxy.cfg.Node.HTTP.Addr()
	for name, head := range map[string]string{
		"without the secret":    fmt.Sprintf("POST /-/purge?all=true HTTP/1.1\r\nHost: %s\r\n", own),
		"with another":          fmt.Sprintf("POST /-/purge?all=true HTTP/1.1\r\nHost: %s\r\n%s: x\r\n", own, secretHeader),
		"at the host of a site": fmt.Sprintf("POST /-/purge?all=true HTTP/1.1\r\nHost: www.cdn.test\r\n%s: %s\r\n", secretHeader, secret),
	} {
		c := f.connect()
		c.send(head, "Content-Length: 0\r\n\r\n")
		got := c.read("POST")
		if hit := f.get("/a"); !strings.HasPrefix(hit.header.Get("X-Cache"), "HIT") {
			t.Errorf("%s the store is emptied (%d)", name, got.status)
		}
	}
}

func TestAPurgeIsNoRequestOfAClient(t *testing.T) {
	f := start(t, setup{}, fresh)
	f.order("POST", "all=true")
	f.get("/a")
	if s := f.stats.Snapshot(); s.Total() != 1 {
		t.Errorf("%d requests are counted, want the client's one", s.Total())
	}
}

// TestAFetchThatAPurgeOvertakesIsNotShared has a purge come while the origin is answering.
func TestAFetchThatAPurgeOvertakesIsNotShared(t *testing.T) {
	came, answer := make(chan bool), make(chan bool)
	f := start(t, setup{}, func(c *call) bool {
		if c.number == 1 {
			close(came)
			<-answer
		}
		return c.write(reply("200 OK", dated+"Cache-Control: max-age=600\r\nSurrogate-Key: k\r\n", fmt.Sprint("answer ", c.number)))
	})
	first := f.connect()
	first.send(requestHead11("GET", "/a"))
	<-came
	if status, _ := f.order("POST", "key=k"); status != 204 {
		t.Fatalf("the purge is answered %d", status)
	}
	if got := f.get("/a"); got.body != "answer 2" {
		t.Errorf("who asks after the purge gets %q, want what the origin says now", got.body)
	}
	close(answer)
	if got := first.read("GET"); got.body != "answer 1" {
		t.Errorf("who asked before the purge gets %q", got.body)
	}
	if got := f.get("/a"); got.body != "answer 2" {
		t.Errorf("then %q is stored, want what came after the purge", got.body)
	}
}
