package proxy

import (
	"net/http"
	"strings"
	"testing"
)

const hints = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nX-Hint: 1\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n"

// hinting answers with an interim response before the final one.
func hinting(c *call) bool { return c.write(hints) && fresh(c) }

func TestInterimResponsesPassAndAreNotStored(t *testing.T) {
	f := start(t, setup{}, hinting)
	first := f.connect()
	first.send(requestHead11("GET", "/a"))
	interim, err := http.ReadResponse(first.br, nil)
	if err != nil || interim.StatusCode != 103 || interim.Header.Get("Link") != "</style.css>; rel=preload" || interim.Header.Get("X-Hint") != "1" {
		t.Fatalf("first comes %+v, %v, want the interim response", interim, err)
	}
	if interim.Header.Get("X-Hop") != "" || interim.Header.Get("Connection") != "" {
		t.Errorf("interim fields %v, want none that were for one hop", interim.Header)
	}
	got := first.read("GET")
	if got.status != 200 || got.header.Get("X-Hint") != "" || got.body != "body of /a" {
		t.Errorf("then comes %+v, want the final response with none of the interim fields", got)
	}
	second := f.connect()
	second.send(requestHead11("GET", "/a"))
	resp, err := http.ReadResponse(second.br, nil)
	if err != nil || resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("X-Cache"), "HIT") || resp.Header.Get("X-Hint") != "" {
		t.Errorf("out of the store comes %+v, %v, want the final response alone", resp, err)
	}
}

func TestInterimResponsesAreNotForHTTP10(t *testing.T) {
	f := start(t, setup{}, hinting)
	c := f.connect()
	c.send("GET /a HTTP/1.0\r\nHost: www.cdn.test\r\n\r\n")
	if resp, err := http.ReadResponse(c.br, nil); err != nil || resp.StatusCode != 200 {
		t.Errorf("answer = %+v, %v, want 200 alone", resp, err)
	}
}

func TestInterimResponsesPassWithWhatIsNotCached(t *testing.T) {
	f := start(t, setup{}, hinting)
	c := f.connect()
	c.send(requestHead11("POST", "/a", "Content-Length: 2"), "ab")
	if resp, err := http.ReadResponse(c.br, nil); err != nil || resp.StatusCode != 103 {
		t.Fatalf("first comes %+v, %v, want 103", resp, err)
	}
	if got := c.read("POST"); got.status != 200 {
		t.Errorf("then comes %d, want 200", got.status)
	}
}

func TestARefreshHasNobodyToHint(t *testing.T) {
	f := start(t, setup{}, func(c *call) bool {
		return c.write(hints) && c.write(reply("200 OK", dated+"Cache-Control: max-age=1, stale-while-revalidate=60\r\nETag: \"v1\"\r\n", "x"))
	})
	c := f.connect()
	c.send(requestHead11("GET", "/a"))
	c.read("GET") // skips interim ones
	f.pass(5e9)
	c.send(requestHead11("GET", "/a"))
	if resp, err := http.ReadResponse(c.br, nil); err != nil || resp.StatusCode != 200 {
		t.Errorf("the stale answer = %+v, %v, want 200 alone", resp, err)
	}
	f.wait("the refresh", func() bool { return f.origin().count() == 2 })
}
