package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"cdnlab/internal/httpcache"
)

// head parses a complete head.
func head(raw string) (responseHead, error) {
	return readHead(bufio.NewReaderSize(strings.NewReader(raw), maxResponseHead))
}

func TestReadHead(t *testing.T) {
	tests := []struct {
		name, raw string
		want      responseHead
	}{
		{"plain", "HTTP/1.1 200 OK\r\nA: b\r\n\r\n", responseHead{status: 200, http10: false, header: "A: b\r\n"}},
		{"no fields", "HTTP/1.1 204 No Content\r\n\r\n", responseHead{status: 204, http10: false, header: ""}},
		{"no reason", "HTTP/1.1 200 \r\n\r\n", responseHead{status: 200, http10: false, header: ""}},
		{"no space either", "HTTP/1.1 200\r\n\r\n", responseHead{status: 200, http10: false, header: ""}},
		{"HTTP/1.0", "HTTP/1.0 404 Not Found\r\n\r\n", responseHead{status: 404, http10: true, header: ""}},
		{"order, case and repetition stay", "HTTP/1.1 200 OK\r\nb: 1\r\nA: 2\r\nB: 3\r\n\r\n", responseHead{status: 200, http10: false, header: "b: 1\r\nA: 2\r\nB: 3\r\n"}},
		{"space around values goes", "HTTP/1.1 200 OK\r\nA: \t b c \t\r\nD:e\r\nF:\r\n\r\n", responseHead{status: 200, http10: false, header: "A: b c\r\nD: e\r\nF: \r\n"}},
		{"colons and bytes past ASCII in values", "HTTP/1.1 200 OK\r\nA: b:\xe9\r\n\r\n", responseHead{status: 200, http10: false, header: "A: b:\xe9\r\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{"at once": strings.NewReader(tt.raw + "body"), "byte by byte": iotest.OneByteReader(strings.NewReader(tt.raw + "body"))} {
				br := bufio.NewReaderSize(r, maxResponseHead)
				got, err := readHead(br)
				if err != nil || got != tt.want {
					t.Errorf("readHead(%q) %s = %+v, %v, want %+v", tt.raw, how, got, err, tt.want)
				}
				if rest, _ := io.ReadAll(br); string(rest) != "body" {
					t.Errorf("readHead(%q) %s leaves %q, want body", tt.raw, how, rest)
				}
			}
		})
	}
}

func TestReadHeadRefuses(t *testing.T) {
	for name, raw := range map[string]string{
		"lower case":            "http/1.1 200 OK\r\n\r\n",
		"HTTP/2":                "HTTP/2.0 200 OK\r\n\r\n",
		"HTTP/1.2":              "HTTP/1.2 200 OK\r\n\r\n",
		"two digits":            "HTTP/1.1 20 OK\r\n\r\n",
		"four digits":           "HTTP/1.1 2000 OK\r\n\r\n",
		"status below 100":      "HTTP/1.1 099 OK\r\n\r\n",
		"no number":             "HTTP/1.1 2x0 OK\r\n\r\n",
		"two spaces":            "HTTP/1.1  200 OK\r\n\r\n",
		"control in the reason": "HTTP/1.1 200 O\x01K\r\n\r\n",
		"empty line first":      "\r\nHTTP/1.1 200 OK\r\n\r\n",
		"no colon":              "HTTP/1.1 200 OK\r\nAb\r\n\r\n",
		"empty name":            "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
		"space in a name":       "HTTP/1.1 200 OK\r\nA B: c\r\n\r\n",
		"space before a colon":  "HTTP/1.1 200 OK\r\nA : c\r\n\r\n",
		"folded line":           "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
		"folded with a tab":     "HTTP/1.1 200 OK\r\nA: b\r\n\tc: d\r\n\r\n",
		"bare CR":               "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
		"bare LF":               "HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n",
		"NUL":                   "HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n",
		"DEL":                   "HTTP/1.1 200 OK\r\nA: b\x7f\r\n\r\n",
		"cut":                   "HTTP/1.1 200 OK\r\nA: b\r\n",
		"nothing":               "",
	} {
		if got, err := head(raw); err == nil {
			t.Errorf("%s: readHead(%q) = %+v, want an error", name, raw, got)
		}
	}
}

// fed feeds a connection's reader from memory.
type fed struct{ net.Conn }

func (fed) SetReadDeadline(time.Time) error { return nil }

// respond reads a whole response to a GET, or HEAD, out of memory.
func respond(raw []byte, isHead bool) (responseHead, string, *body, error) {
	c := &upConn{Conn: fed{}, br: bufio.NewReaderSize(bytes.NewReader(raw), maxResponseHead)}
	h, err := readHead(c.br)
	if err != nil {
		return h, "", nil, err
	}
	b := new(body)
	if err := b.init(c, &h, isHead); err != nil {
		return h, "", nil, err
	}
	var got strings.Builder
	_, err = b.WriteTo(&got)
	return h, got.String(), b, err
}

func TestBodyFraming(t *testing.T) {
	tests := []struct {
		name, raw string
		head      bool
		length    int64
		want      string
		rest      string
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhix", false, 2, "hi", "x"},
		{"the same length twice", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\ncontent-length: 2\r\n\r\nhix", false, 2, "hi", "x"},
		{"length 0", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nx", false, 0, "", "x"},
		{"leading zeros", "HTTP/1.1 200 OK\r\nContent-Length: 002\r\n\r\nhix", false, 2, "hi", "x"},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\nh\r\n01\r\ni\r\n0\r\n\r\nx", false, -1, "hi", "x"},
		{"chunk extension and trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\nA: b\r\nC: d\r\n\r\nx", false, -1, "hi", "x"},
		{"end of the connection", "HTTP/1.1 200 OK\r\n\r\nhi", false, -1, "hi", ""},
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx", true, 0, "", "x"},
		{"HEAD of chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx", true, 0, "", "x"},
		{"304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nx", false, 0, "", "x"},
		{"204", "HTTP/1.1 204 No Content\r\n\r\nx", false, 0, "", "x"},
	}
	for _, tt := range tests {
		_, got, b, err := respond([]byte(tt.raw), tt.head)
		if err != nil || got != tt.want || b.length != tt.length || !b.done || b.failed {
			t.Errorf("%s: body = %q, %+v, %v, want %q of length %d", tt.name, got, b, err, tt.want, tt.length)
			continue
		}
		if rest, _ := io.ReadAll(b.conn.br); string(rest) != tt.rest {
			t.Errorf("%s: %q is left, want %q", tt.name, rest, tt.rest)
		}
	}
}

func TestTrailerIsBounded(t *testing.T) {
	raw := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("A: b\r\n", maxTrailer/6+1) + "\r\n"
	if _, _, _, err := respond([]byte(raw), false); err == nil {
		t.Error("a trailer of 16 KiB is taken, want an error")
	}
}

// Of what the strict reader takes for whole, another reader takes the same. It holds what it was given in memory at most once.
func FuzzResponse(f *testing.F) {
	for _, raw := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: 1\r\n\r\n",
		"HTTP/1.0 200 OK\r\n\r\nhello",
		"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
		"HTTP/1.1 200\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
	} {
		f.Add([]byte(raw), false)
		f.Add([]byte(raw), true)
	}
	f.Fuzz(func(t *testing.T, raw []byte, isHead bool) {
		h, got, b, err := respond(raw, isHead)
		if b != nil && (b.done == b.failed || b.done != (err == nil) || b.n != int64(len(got))) {
			t.Fatalf("%q = %d bytes, %v: done %v, failed %v, counted %d", raw, len(got), err, b.done, b.failed, b.n)
		}
		if err != nil {
			return
		}
		if b.length >= 0 && int64(len(got)) != b.length {
			t.Fatalf("%q: body has %d bytes, its length says %d", raw, len(got), b.length)
		}
		for name, value := range h.header.All() {
			if !validName(name) || !validValue(value) {
				t.Fatalf("%q: field %q: %q", raw, name, value)
			}
		}
		method := http.MethodGet
		if isHead {
			method = http.MethodHead
		}
		std, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), &http.Request{Method: method})
		if err != nil {
			return // stricter still in places
		}
		defer std.Body.Close()
		want, err := io.ReadAll(std.Body)
		if err != nil {
			return
		}
		if string(want) != got || std.StatusCode != h.status {
			t.Fatalf("%q = %d %q, net/http reads %d %q", raw, h.status, got, std.StatusCode, want)
		}
	})
}

// The fields of a request are taken apart without fault whatever they are, and none that two could read in two ways passes.
func FuzzReadFields(f *testing.F) {
	for _, raw := range []string{
		"Host: www.cdn.test\r\nContent-Length: 5\r\n\r\n",
		"Host: a\r\nTransfer-Encoding: chunked\r\nConnection: close, X-A\r\n\r\n",
		"A: b\r\n c: d\r\n\r\n", "A: b\nC: d\r\n\r\n", "CDN-Loop: paris-1.cdnlab; a=b\r\n\r\n", ": \r\n",
	} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := &request{}
		r.ask.Reset([]byte("GET"))
		if bad := r.readFields(raw, secret, "paris-1.cdnlab"); bad != nil {
			if bad.status < 400 || bad.sentence == "" {
				t.Fatalf("readFields(%q) refuses with %+v", raw, bad)
			}
			return
		}
		for name := range r.ask.Forward() {
			if strings.ContainsAny(name, " \r\n:") || name == "" || httpcache.HopByHop(name) {
				t.Fatalf("readFields(%q) passes the name %q", raw, name)
			}
		}
	})
}

func TestErrorsAreToldPlainly(t *testing.T) {
	tests := []struct {
		err  error
		want string
	}{
		{dialError{&net.OpError{Op: "dial", Err: errors.New("connection refused")}}, "cannot connect: connection refused"},
		{dialError{&net.OpError{Op: "dial", Err: timeout{}}}, "no connection within 3s"},
		{&net.OpError{Op: "read", Err: timeout{}}, "no answer in time"},
		{&net.OpError{Op: "read", Err: errors.New("connection reset by peer")}, "connection reset by peer"},
		{io.EOF, "hung up without an answer"},
		{dialError{errClosed}, "cannot connect: the node is stopping"},
	}
	for _, tt := range tests {
		if got := plainly(tt.err); got != tt.want {
			t.Errorf("plainly(%v) = %q, want %q", tt.err, got, tt.want)
		}
	}
}

type timeout struct{}

func (timeout) Error() string   { return "i/o timeout" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return false }
