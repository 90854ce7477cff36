package lab_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cdnlab/internal/lab"
)

// rule is one rule of HTTP caching, held against edge and hub over real sockets: requests for one path, one after another.
type rule struct {
	name  string
	steps []step
}

// outcome is where the answer to a request has to come from.
type outcome string

const (
	fetched   outcome = "the origin"
	cached    outcome = "the cache"
	validated outcome = "the cache, after the origin was asked whether it is still good"
	failed    outcome = "nowhere"
)

// step is one request: what the client sends, what the origin answers if it is asked, and what is to come of it. Header lines
// are separated by newlines; {+10} and {-10} in them are dates so many seconds from now.
type step struct {
	method string // GET by default
	path   string // besides the rule's own
	send   string // header lines; a body of three bytes goes with methods that have one

	early  string // header lines of a 103 that goes ahead of the answer
	status int    // 200 by default
	answer string // header lines; a request with the ETag or Last-Modified of the answer gets a 304
	body   string // "body N" for step N by default
	hangUp bool   // the origin closes the connection without an answer

	want  outcome
	code  int    // status that the client gets; that of the answer by default
	text  string // body that the client gets; that of the answer that came last by default; "-" for none
	has   string // header lines that the client gets; a name alone for any value
	lacks string // names that it does not get
	asked string // header lines that the origin gets; one that begins with "!" it does not get
}

// rulesOrigin answers by the step that is on.
type rulesOrigin struct {
	ln net.Listener
	wg sync.WaitGroup

	mu    sync.Mutex // guards the fields below
	step  *step
	body  string
	asked []*http.Request
	conns map[net.Conn]bool
}

func newRulesOrigin(t *testing.T) *rulesOrigin {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &rulesOrigin{ln: ln, conns: map[net.Conn]bool{}}
	o.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			o.mu.Lock()
			o.conns[c] = true
			o.mu.Unlock()
			o.wg.Go(func() { o.serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		o.mu.Lock()
		for c := range o.conns {
			c.Close()
		}
		o.mu.Unlock()
		o.wg.Wait()
	})
	return o
}

// set puts a step on and forgets what was asked before.
func (o *rulesOrigin) set(s *step, body string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.step, o.body, o.asked = s, body, nil
}

func (o *rulesOrigin) serve(c net.Conn) {
	defer c.Close()
	br := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body) // a body that breaks off is no answer's fault
		o.mu.Lock()
		s, body := o.step, o.body
		o.asked = append(o.asked, r)
		o.mu.Unlock()
		if s.hangUp {
			return
		}
		early := ""
		if s.early != "" {
			early = "HTTP/1.1 103 Early Hints\r\n" + strings.ReplaceAll(s.early, "\n", "\r\n") + "\r\n\r\n"
		}
		if _, err := io.WriteString(c, early+s.response(r, body)); err != nil {
			return
		}
	}
}

func (s *step) response(r *http.Request, body string) string {
	status, lines := s.status, strings.TrimSuffix(dates(s.answer), "\n")
	h := parseLines(lines)
	tag, modified := h.Get("ETag"), h.Get("Last-Modified")
	if tag != "" && r.Header.Get("If-None-Match") == tag || r.Header.Get("If-None-Match") == "" && modified != "" && r.Header.Get("If-Modified-Since") == modified {
		status, body = http.StatusNotModified, ""
	}
	head := fmt.Sprintf("HTTP/1.1 %d %s\r\n%s", status, http.StatusText(status), strings.ReplaceAll(lines, "\n", "\r\n"))
	if lines != "" {
		head += "\r\n"
	}
	if !h.has("Date") {
		head += "Date: " + date(0) + "\r\n"
	}
	if status != http.StatusNotModified && status != http.StatusNoContent {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	if r.Method == http.MethodHead || status == http.StatusNoContent {
		body = ""
	}
	return head + "\r\n" + body
}

func date(seconds int) string {
	return time.Now().Add(time.Duration(seconds) * time.Second).UTC().Format(http.TimeFormat)
}

var datePattern = regexp.MustCompile(`\{([+-]\d+)\}`)

func dates(lines string) string {
	return datePattern.ReplaceAllStringFunc(lines, func(s string) string {
		seconds, _ := strconv.Atoi(s[1 : len(s)-1])
		return date(seconds)
	})
}

// header is a list of lines.
type header http.Header

func parseLines(lines string) header {
	h := header{}
	for line := range strings.SplitSeq(lines, "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			http.Header(h).Add(name, strings.TrimSpace(value))
		} else if line != "" {
			http.Header(h)[http.CanonicalHeaderKey(line)] = nil
		}
	}
	return h
}

func (h header) Get(name string) string { return http.Header(h).Get(name) }

func (h header) has(name string) bool {
	_, ok := h[http.CanonicalHeaderKey(name)]
	return ok
}

func TestCachingRules(t *testing.T) {
	o := newRulesOrigin(t)
	l := startLabWith(t, "tiny", lab.Options{NoNetem: true}, "origins.main.app=http://"+o.ln.Addr().String(), "sites.www.cdn.test.cache=null")
	client := l.direct(t)
	names := map[string]bool{}
	for i, r := range cachingRules() {
		if names[r.name] {
			t.Errorf("two rules are called %q", r.name)
		}
		names[r.name] = true
		t.Run(r.name, func(t *testing.T) {
			last := ""
			for n := range r.steps {
				s := &r.steps[n]
				if got := o.play(t, l, client, fmt.Sprintf("/rule/%d%s", i, s.path), n+1, s, last); got != "" {
					last = got
				}
			}
		})
	}
	t.Logf("%d rules", len(names))
}

// play makes one request and returns the body that the origin would answer the next with from its own stock: that of this step
// if it was asked for one.
func (o *rulesOrigin) play(t *testing.T, l *testLab, client *http.Client, path string, n int, s *step, last string) string {
	t.Helper()
	if s.status == 0 {
		s.status = http.StatusOK
	}
	body := s.body
	if body == "" && s.status != http.StatusNoContent {
		body = fmt.Sprintf("body %d", n)
	}
	o.set(s, body)
	var upload io.Reader
	if s.method != "" && s.method != "HEAD" && s.method != "OPTIONS" {
		upload = strings.NewReader("abc")
	}
	req, err := http.NewRequest(s.method, "http://"+l.site+path, upload)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range parseLines(dates(s.send)) {
		req.Header[name] = values
	}
	early := ""
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		early += fmt.Sprintf("%d %s", code, h)
		return nil
	}}))
	resp, text := l.do(t, client, req)
	o.mu.Lock()
	asked := o.asked
	o.mu.Unlock()

	from := fetched
	switch {
	case s.hangUp && len(asked) > 0 && resp.StatusCode >= 500:
		from = failed
	case len(asked) == 0 || s.hangUp || s.want == cached && s.status >= 500 && resp.StatusCode < 500:
		from = cached
	case asked[0].Header.Get("If-None-Match") != req.Header.Get("If-None-Match"), asked[0].Header.Get("If-Modified-Since") != req.Header.Get("If-Modified-Since"):
		if text != body || resp.StatusCode == http.StatusNotModified {
			from = validated
		}
	}
	if from != s.want {
		t.Fatalf("step %d: the answer (%d %q) came from %s, want %s; Cache-Status: %s", n, resp.StatusCode, text, from, s.want, resp.Header.Get("Cache-Status"))
	}
	s.check(t, n, resp, asked)
	hints := ""
	if s.early != "" {
		hints = fmt.Sprintf("103 %s", textproto.MIMEHeader(parseLines(s.early)))
	}
	if early != hints {
		t.Errorf("step %d: ahead of the answer came %q, want %q", n, early, hints)
	}
	want := s.text
	switch {
	case want != "":
	case s.method == "HEAD", resp.StatusCode == http.StatusNotModified, from == failed:
		want = text
	case from == fetched:
		want, last = body, body
	default:
		want = last
	}
	if s.text == "-" {
		want = ""
	}
	if text != want {
		t.Errorf("step %d: the body is %q, want %q", n, text, want)
	}
	if from == fetched && s.method == "" {
		return body
	}
	return last
}

func (s *step) check(t *testing.T, n int, resp *http.Response, asked []*http.Request) {
	t.Helper()
	code := s.code
	if code == 0 {
		code = s.status
	}
	if resp.StatusCode != code && s.want != failed {
		t.Errorf("step %d: status %d, want %d", n, resp.StatusCode, code)
	}
	for name, values := range parseLines(dates(s.has)) {
		if got := resp.Header.Values(name); len(got) == 0 || len(values) > 0 && strings.Join(got, ", ") != strings.Join(values, ", ") {
			t.Errorf("step %d: %s is %q, want %q", n, name, got, values)
		}
	}
	for name := range parseLines(s.lacks) {
		if got, ok := resp.Header[name]; ok {
			t.Errorf("step %d: %s is %q, want none", n, name, got)
		}
	}
	for line := range strings.SplitSeq(s.asked, "\n") {
		name, not := strings.CutPrefix(line, "!")
		name, value, _ := strings.Cut(name, ":")
		if line == "" || len(asked) == 0 {
			continue
		}
		got := asked[0].Header.Get(name)
		if want := strings.TrimSpace(value); !not && (got == "" || want != "" && got != want) || not && got != "" && (want == "" || got == want) {
			t.Errorf("step %d: the origin got %s %q, want %q", n, name, got, line)
		}
	}
}
