package proxy

import (
	"fmt"
	"strings"
	"testing"

	"cdnlab/internal/journal"
)

// settling answers a POST with what a GET brings from then on, as RFC 9110 §9.3.3 has it.
func settling(c *call, body string) bool {
	body = fmt.Sprintf("answer %d %s", c.number, body)
	lines := dated + "Cache-Control: max-age=600\r\nSurrogate-Key: k\r\nLocation: /made\r\nContent-Location: " + c.target() + "\r\n"
	if c.target() == "/chunked" {
		return c.write("HTTP/1.1 200 OK\r\n", lines, "Transfer-Encoding: chunked\r\n\r\n", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body))
	}
	return c.write(reply("200 OK", lines, body))
}

func TestWhatAPostBringsIsStored(t *testing.T) {
	for name, tt := range map[string]struct {
		set    setup
		target string
		size   int
		lines  []string
		stored bool
	}{
		"short":                           {setup{}, "/a", 10, nil, true},
		"none":                            {setup{}, "/a", 0, nil, true},
		"in several pieces":               {setup{}, "/a", 3 << 20, nil, true},
		"in chunks":                       {setup{}, "/chunked", 3 << 20, nil, true},
		"too large for the store":         {setup{ram: 1 << 20}, "/a", 300_000, nil, false},
		"too large, as turns out":         {setup{ram: 1 << 20}, "/chunked", 300_000, nil, false},
		"to a request that sets it apart": {setup{}, "/a", 10, []string{"Connection: X-A", "X-A: 1"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, tt.set, func(c *call) bool { return settling(c, pattern(tt.size)) })
			f.get(tt.target)
			f.finished()
			got := f.do("POST", tt.target, append(tt.lines, "Content-Length: 0")...)
			calls := f.origin().count() // what outgrows the store before its first reader comes is asked for twice
			want := fmt.Sprintf("answer %d %s", calls, pattern(tt.size))
			if got.body != want || got.err != nil {
				t.Fatalf("POST brings %d bytes, %v, want %d", len(got.body), got.err, len(want))
			} else if said := strings.Contains(got.cacheStatus(), ";stored"); tt.target == "/a" && said != tt.stored {
				t.Errorf("POST is answered with %s; stored: want %t", got.cacheStatus(), tt.stored)
			}
			f.finished()
			got = f.get(tt.target)
			if asked := f.origin().count(); (got.body == want) != tt.stored || (asked == calls) != tt.stored {
				t.Errorf("then GET brings %.12q, and the origin was asked %d times; stored: want %t", got.body, asked, tt.stored)
			}
		})
	}
}

func TestAPostThatAPurgeOvertakesIsNotStored(t *testing.T) {
	const www = "www.cdn.test"
	for name, tt := range map[string]struct {
		purge journal.Event
		want  string
	}{
		"URL":         {journal.Event{Scope: journal.ScopeURL, Site: www, Value: "/a"}, "answer 2 "},
		"prefix":      {journal.Event{Scope: journal.ScopePrefix, Site: www, Value: "/"}, "answer 2 "},
		"key":         {journal.Event{Scope: journal.ScopeKey, Value: "k"}, "answer 2 "},
		"all":         {journal.Event{Scope: journal.ScopeAll}, "answer 2 "},
		"another URL": {journal.Event{Scope: journal.ScopeURL, Site: www, Value: "/b"}, "answer 1 "},
	} {
		t.Run(name, func(t *testing.T) {
			came, answer := make(chan bool), make(chan bool)
			f := start(t, setup{}, func(c *call) bool {
				if c.number == 1 {
					close(came)
					<-answer
				}
				return settling(c, "")
			})
			post := f.connect()
			post.send(requestHead11("POST", "/a", "Content-Length: 0"))
			<-came
			f.purge(tt.purge)
			close(answer)
			if got := post.read("POST"); got.body != "answer 1 " {
				t.Fatalf("POST brings %q", got.body)
			}
			f.finished()
			if got := f.get("/a"); got.body != tt.want {
				t.Errorf("then GET brings %q, want %q", got.body, tt.want)
			}
		})
	}
}

func TestAPostThatBreaksOffIsNotStored(t *testing.T) {
	for _, tt := range broken {
		t.Run(tt.name, func(t *testing.T) {
			f := start(t, setup{}, func(c *call) bool {
				if c.number > 1 {
					return settling(c, "")
				}
				c.write("HTTP/1.1 200 OK\r\n", dated, "Cache-Control: max-age=60\r\nContent-Location: /a\r\n", tt.framing, "\r\n", tt.body)
				return false
			})
			c := f.connect()
			c.send(requestHead11("POST", "/a", "Content-Length: 0"))
			if resp, err := c.begin("POST"); err == nil {
				_ = resp.Body.Close()
			}
			f.finished()
			if got := f.get("/a"); got.body != "answer 2 " {
				t.Errorf("then %q is stored", got.body)
			}
		})
	}
}

func TestPostsAtOnceAreNotStored(t *testing.T) {
	came, answer := make(chan bool), make(chan bool)
	f := start(t, setup{}, func(c *call) bool {
		if c.number <= 2 {
			came <- true
			<-answer
		}
		return settling(c, "")
	})
	var posts [2]*client
	for i := range posts {
		posts[i] = f.connect()
		posts[i].send(requestHead11("POST", "/a", "Content-Length: 0"))
		<-came
	}
	for _, c := range posts {
		answer <- true
		c.read("POST")
		f.finished()
	}
	if got := f.get("/a"); got.body != "answer 3 " {
		t.Errorf("then %q is stored, which may be the older of two", got.body)
	}
}
