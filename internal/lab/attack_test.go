package lab_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cdnlab/internal/lab"
)

// attack is what a hostile client sends to an edge, or a hostile app answers, over raw sockets. In raw and answers {p} is a path of
// the attack's own. Whatever it is, afterwards others get the right answers, from the app and from the cache, and the app has seen
// only requests that can be understood in one way: none for /smuggled, and nothing with the word evil in it.
type attack struct {
	name    string
	raw     string   // from one client; "" is a GET of {p}
	answers []string // of the app, one for each request that is not innocent; then, or where it is "", a plain 200
	want    []int    // statuses of the answers, one for each that comes; 5 is any 5xx, 0 any at all
	open    bool     // the connection goes on behind them; else it is closed
	broken  bool     // the last answer breaks off, so that the client can tell
	asked   int      // requests that reach the app; anyNumber
	text    string   // body of the last answer, if not ""
	lacks   string   // is nowhere in the answers
	again   string   // body that another client gets for {p}; "" is the app's plain answer
	orError bool     // or else there is an error instead of it, a 5xx
	split   int      // raw is sent in pieces of so many bytes; 0 is one piece
}

const anyNumber = -1

// attackApp answers raw requests with raw bytes.
type attackApp struct {
	ln net.Listener
	wg sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	conns   map[net.Conn]bool
	path    string   // of the attack that is on
	answers []string // still to be given to it
	asked   []string // heads and bodies of requests
	faults  []string // of requests that are not well formed
}

func newAttackApp(t *testing.T) *attackApp {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &attackApp{ln: ln, conns: map[net.Conn]bool{}}
	a.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			a.mu.Lock()
			a.conns[c] = true
			a.mu.Unlock()
			a.wg.Go(func() { a.serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		a.mu.Lock()
		for c := range a.conns {
			c.Close()
		}
		a.mu.Unlock()
		a.wg.Wait()
	})
	return a
}

// set puts an attack on and forgets the one before.
func (a *attackApp) set(path string, answers []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.path, a.answers, a.asked, a.faults = path, answers, nil, nil
}

func (a *attackApp) serve(c net.Conn) {
	defer func() {
		c.Close()
		a.mu.Lock()
		delete(a.conns, c)
		a.mu.Unlock()
	}()
	br := bufio.NewReaderSize(c, 128<<10)
	for {
		text, r, whole, err := readStrictly(br)
		if !whole && err == nil {
			return
		}
		answer, ok := a.answer(text, r, err)
		if !ok {
			return
		}
		if answer, ok = strings.CutSuffix(answer, hangUp); ok {
			_, _ = io.WriteString(c, answer)
			return
		}
		if answer, ok = strings.CutSuffix(answer, reset); ok {
			_, _ = io.WriteString(c, answer)
			_ = c.(*net.TCPConn).SetLinger(0)
			return
		}
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

// At the end of an answer they end the connection, well or badly.
const (
	hangUp = "\x00hang up"
	reset  = "\x00reset"
)

// answer notes a request and tells what to say to it.
func (a *attackApp) answer(text string, r *http.Request, err error) (string, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err != nil:
		a.faults = append(a.faults, fmt.Sprintf("%v: %q", err, text))
		return "", false
	case strings.Contains(r.URL.Path, "/innocent"):
		return plain("innocent " + r.URL.Path), true
	case !strings.HasPrefix(r.RequestURI, a.path):
		a.faults = append(a.faults, fmt.Sprintf("a request for %q: %q", r.RequestURI, text))
	case strings.Contains(text, "evil"):
		a.faults = append(a.faults, fmt.Sprintf("evil: %q", text))
	}
	a.asked = append(a.asked, text)
	answer := ""
	if len(a.answers) > 0 {
		answer, a.answers = a.answers[0], a.answers[1:]
	}
	if answer == "" {
		answer = plain("plain")
		if r.Method == http.MethodHead {
			answer = strings.TrimSuffix(answer, "plain")
		}
	}
	return strings.ReplaceAll(answer, "{p}", a.path), true
}

func plain(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// readStrictly reads a request and finds fault with whatever two servers could understand in two ways. whole says that it did not
// break off.
func readStrictly(br *bufio.Reader) (text string, r *http.Request, whole bool, err error) {
	for !strings.HasSuffix(text, "\r\n\r\n") {
		line, err := br.ReadString('\n')
		text += line
		if err != nil {
			return text, nil, false, nil
		}
		if !strings.HasSuffix(line, "\r\n") || strings.ContainsAny(strings.TrimSuffix(line, "\r\n"), "\r\n\x00") {
			return text, nil, false, fmt.Errorf("line %q", line)
		}
	}
	if r, err = http.ReadRequest(bufio.NewReader(strings.NewReader(text))); err != nil {
		return text, nil, false, err
	}
	lines := "\r\n" + strings.ToLower(text)
	framings := strings.Count(lines, "\r\ncontent-length:") + strings.Count(lines, "\r\ntransfer-encoding:")
	if framings > 1 || strings.Count(lines, "\r\nhost:") != 1 || r.Host != "www.cdn.test" {
		return text, nil, false, fmt.Errorf("%d framings, Host %q", framings, r.Host)
	}
	body, err := readBody(br, r)
	return text + body, r, err == nil, nil
}

func readBody(br *bufio.Reader, r *http.Request) (string, error) {
	if len(r.TransferEncoding) == 0 {
		body := make([]byte, r.ContentLength)
		n, err := io.ReadFull(br, body)
		return string(body[:n]), err
	}
	body, err := io.ReadAll(httputil.NewChunkedReader(br))
	for line := ""; err == nil && line != "\r\n"; {
		if line, err = br.ReadString('\n'); line != "\r\n" {
			body = append(body, line...)
		}
	}
	return string(body), err
}

// siege is a lab under attack.
type siege struct {
	*testLab
	app  *attackApp
	edge string // address
}

func newSiege(t *testing.T, sets ...string) *siege {
	app := newAttackApp(t)
	l := startLabWith(t, "tiny", lab.Options{NoNetem: true}, append([]string{"origins.main.app=http://" + app.ln.Addr().String()}, sets...)...)
	return &siege{l, app, l.edges()[0].HTTP.String()}
}

func TestAttacks(t *testing.T) {
	s := newSiege(t)
	names := map[string]bool{}
	for i, a := range attacks() {
		if names[a.name] {
			t.Errorf("two attacks are called %q", a.name)
		}
		names[a.name] = true
		t.Run(a.name, func(t *testing.T) { s.play(t, fmt.Sprintf("/%d", i), &a) })
	}
	t.Logf("%d attacks", len(names))
}

func (s *siege) dial(t *testing.T) *rawClient {
	t.Helper()
	c, err := net.DialTimeout("tcp", s.edge, 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return newRawClient(c)
}

func newRawClient(c net.Conn) *rawClient {
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return &rawClient{c, bufio.NewReaderSize(c, 4<<10)}
}

// rawClient is a client's end of a connection.
type rawClient struct {
	net.Conn
	br *bufio.Reader
}

// read reads an answer to a request of the given method and whether all of it came.
func (c *rawClient) read(method string) (*http.Response, string, error) {
	for {
		resp, err := http.ReadResponse(c.br, &http.Request{Method: method})
		if err != nil {
			return nil, "", err
		}
		if resp.StatusCode < 200 && resp.StatusCode != 101 {
			continue
		}
		body, err := io.ReadAll(resp.Body)
		return resp, string(body), err
	}
}

func (s *siege) play(t *testing.T, path string, a *attack) {
	s.app.set(path, slices.Clone(a.answers))
	c := s.dial(t)
	raw := a.raw
	if raw == "" {
		raw = getHead + "\r\n"
	}
	raw = strings.ReplaceAll(raw, "{p}", path)
	go c.sendAll(raw, a.split)
	s.readAnswers(t, c, raw, path, a)
	s.app.check(t, a)
	if resp, body, err := s.dial(t).ask("GET", path+"/innocent"); err != nil || resp.StatusCode != 200 || body != "innocent "+path+"/innocent" {
		t.Errorf("an innocent request gets %v %q, %v", resp, body, err)
	}
	s.app.set(path, nil)
	want := a.again
	if want == "" {
		want = "plain"
	}
	for range 2 {
		if resp, body, err := s.dial(t).ask("GET", path); err != nil || body != want && want != "-" || resp.Header.Get("X-Evil") != "" {
			t.Errorf("another client gets %v %q, %v, want %q", resp, body, err, want)
		}
	}
}

func (c *rawClient) sendAll(raw string, piece int) {
	if piece == 0 {
		piece = len(raw)
	}
	for ; len(raw) > 0; raw = raw[min(piece, len(raw)):] {
		if _, err := io.WriteString(c, raw[:min(piece, len(raw))]); err != nil {
			return // closed: the answers tell why
		}
	}
}

func (c *rawClient) ask(method, target string, lines ...string) (*http.Response, string, error) {
	head := method + " " + target + " HTTP/1.1\r\nHost: www.cdn.test\r\n"
	for _, l := range lines {
		head += l + "\r\n"
	}
	if _, err := io.WriteString(c, head+"\r\n"); err != nil {
		return nil, "", err
	}
	return c.read(method)
}

func (s *siege) readAnswers(t *testing.T, c *rawClient, raw, path string, a *attack) {
	t.Helper()
	method, _, _ := strings.Cut(raw, " ")
	if a.orError {
		resp, body, err := c.read(method)
		switch {
		case resp != nil && resp.StatusCode >= 500 && err == nil:
			a.open = true
		case err == nil:
			t.Errorf("%d %q looks like a whole answer", resp.StatusCode, body)
		}
		if a.open {
			return
		}
	}
	for n, want := range a.want {
		resp, body, err := c.read(method)
		last := n == len(a.want)-1
		switch {
		case resp == nil:
			t.Fatalf("answer %d: %v, want %d", n+1, err, want)
		case want != 0 && resp.StatusCode != want && resp.StatusCode/100 != want:
			t.Fatalf("answer %d is %d %q, want %d", n+1, resp.StatusCode, body, want)
		case (err != nil) != (last && a.broken):
			t.Errorf("answer %d (%d, %d bytes) ends with %v, want broken %v", n+1, resp.StatusCode, len(body), err, a.broken)
		case last && a.text != "" && body != a.text:
			t.Errorf("answer %d says %q, want %q", n+1, body, a.text)
		}
		for name, values := range resp.Header {
			if a.lacks != "" && strings.Contains(name+": "+strings.Join(values, ","), a.lacks) {
				t.Errorf("answer %d has %s: %q", n+1, name, values)
			}
		}
		if a.lacks != "" && strings.Contains(body, a.lacks) {
			t.Errorf("answer %d says %q", n+1, body)
		}
		method = http.MethodGet
	}
	if a.open {
		if resp, body, err := c.ask("GET", path+"/innocent2"); err != nil || body != "innocent "+path+"/innocent2" {
			t.Errorf("the connection does not go on: %v %q, %v", resp, body, err)
		}
		return
	}
	_ = c.SetReadDeadline(time.Now().Add(3 * time.Second))
	if resp, body, err := c.read(http.MethodGet); err == nil {
		t.Errorf("a further answer: %d %q", resp.StatusCode, body)
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Errorf("the connection stays open")
	}
}

// check judges what the app has seen.
func (a *attackApp) check(t *testing.T, at *attack) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.faults {
		t.Errorf("the app saw %s", f)
	}
	if at.asked != anyNumber && len(a.asked) != at.asked {
		t.Errorf("the app got %d requests, want %d: %s", len(a.asked), at.asked, strconv.Quote(strings.Join(a.asked, " | ")))
	}
}
