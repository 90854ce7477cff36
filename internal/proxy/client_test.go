package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// lineReader reads heads byte for byte.
type lineReader struct{ *bufio.Reader }

func newLineReader(r io.Reader) lineReader { return lineReader{bufio.NewReader(r)} }

// head reads up to the empty line and returns all of it.
func (r lineReader) head() (string, error) {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		b.WriteString(line)
		if line == "\r\n" {
			return b.String(), nil
		}
	}
}

// client is one connection to a tier.
type client struct {
	f    *tier
	conn net.Conn
	br   *bufio.Reader
}

// received is what a client gets. err says that the body broke off.
type received struct {
	proto  string
	status int
	header http.Header
	body   string
	length int64 // as announced; -1 when not
	err    error
}

func (a *received) cacheStatus() string { return a.header.Get("Cache-Status") }

// connect opens a connection, closed when the test ends.
func (f *tier) connect() *client {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.addr)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = conn.Close() }) // the test may have closed it
	_ = conn.SetDeadline(time.Now().Add(2 * patience))
	return &client{f, conn, bufio.NewReader(conn)}
}

// send writes bytes as they are.
func (c *client) send(raw ...string) {
	c.f.t.Helper()
	if _, err := io.WriteString(c.conn, strings.Join(raw, "")); err != nil {
		c.f.t.Fatalf("send %.80q: %v", raw, err)
	}
}

// begin reads the head of an answer to a request of the given method; its body is not read.
func (c *client) begin(method string) (*http.Response, error) {
	req := &http.Request{Method: method}
	for {
		resp, err := http.ReadResponse(c.br, req)
		if err != nil || resp.StatusCode >= 200 || resp.StatusCode == 101 {
			return resp, err
		}
	}
}

// read reads an answer to a request of the given method.
func (c *client) read(method string) *received {
	c.f.t.Helper()
	resp, err := c.begin(method)
	if err != nil {
		c.f.t.Fatalf("read the answer to %s: %v", method, err)
	}
	body, err := io.ReadAll(resp.Body)
	return &received{resp.Proto, resp.StatusCode, resp.Header, string(body), resp.ContentLength, err}
}

// closed reports whether the tier ends the connection without a further byte.
func (c *client) closed() bool {
	_, err := c.br.ReadByte()
	return err != nil && !TimedOut(err)
}

// do sends a request without a body to www.cdn.test and reads the answer; lines are further fields.
func (c *client) do(method, target string, lines ...string) *received {
	c.f.t.Helper()
	c.send(requestHead11(method, target, lines...))
	return c.read(method)
}

// requestHead11 builds the head of a request to www.cdn.test.
func requestHead11(method, target string, lines ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: www.cdn.test\r\n", method, target)
	for _, l := range lines {
		b.WriteString(l + "\r\n")
	}
	b.WriteString("\r\n")
	return b.String()
}

// get asks for a target on a connection of its own.
func (f *tier) get(target string, lines ...string) *received {
	f.t.Helper()
	return f.do(http.MethodGet, target, lines...)
}

func (f *tier) do(method, target string, lines ...string) *received {
	f.t.Helper()
	c := f.connect()
	defer c.conn.Close()
	return c.do(method, target, lines...)
}

// reply builds a response with a Content-Length.
func reply(status, lines, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s", status, lines, len(body), body)
}

// dated is the Date of the moment at which tiers start.
const dated = "Date: Thu, 01 Jan 2026 12:00:00 GMT\r\n"

// fresh answers everything with its target, fresh for a minute.
func fresh(c *call) bool {
	return c.write(reply("200 OK", dated+"Cache-Control: max-age=60\r\nETag: \"v1\"\r\nContent-Type: text/plain\r\n", "body of "+c.target()))
}
