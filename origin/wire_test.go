package origin

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/iotest"
)

// incoming is a connection that brings what it is given and takes anything.
type incoming struct {
	net.Conn
	r io.Reader
}

func (c incoming) Read(p []byte) (int, error)  { return c.r.Read(p) }
func (c incoming) Write(p []byte) (int, error) { return len(p), nil }

// pass returns what a wire lets through of an answer to a GET.
func pass(r io.Reader) ([]byte, error) {
	w := newWire(incoming{r: r})
	w.begin(false, false)
	_, _ = w.Write([]byte("GET"))
	return io.ReadAll(w)
}

func TestWireEndsWithTheAnswer(t *testing.T) {
	const length, chunked = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\nT: 1\r\n\r\n"
	for _, tt := range []struct {
		name, raw, want string
		ok              bool
	}{
		{"length", length, length, true},
		{"chunks", chunked, chunked, true},
		{"interim", "HTTP/1.1 103 Early Hints\r\n\r\n" + length, "HTTP/1.1 103 Early Hints\r\n\r\n" + length, true},
		{"until the end", "HTTP/1.1 200 OK\r\n\r\na\nb", "HTTP/1.1 200 OK\r\n\r\na\nb", true},
		{"more behind a length", length + "HTTP/1.1 200 OK\r\n", length, false},
		{"more behind chunks", chunked + "\r\n", chunked, false},
		{"more behind a 204", "HTTP/1.1 204 No Content\r\n\r\nx", "HTTP/1.1 204 No Content\r\n\r\n", false},
		{"bare LF", "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", "", false},
		{"folded line", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "", false},
		{"two framings", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", false},
		{"unasked switch", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "", false},
		{"bare LF behind a size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nhi\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2", false},
	} {
		for how, r := range map[string]io.Reader{"at once": bytes.NewReader([]byte(tt.raw)), "byte by byte": iotest.OneByteReader(bytes.NewReader([]byte(tt.raw)))} {
			if got, err := pass(r); string(got) != tt.want || (err == nil) != tt.ok {
				t.Errorf("%s, %s: %q, %v, want %q and all is well %v", tt.name, how, got, err, tt.want, tt.ok)
			}
		}
	}
}

func TestWireTakesNothingBeforeARequest(t *testing.T) {
	w := newWire(incoming{r: bytes.NewReader([]byte("HTTP/1.1 200 OK\r\n\r\n"))})
	if got, err := io.ReadAll(w); err != errUnsolicited || len(got) > 0 {
		t.Errorf("an idle wire brings %q, %v, want %v", got, err, errUnsolicited)
	}
	w.begin(false, false)
	if _, err := w.Write([]byte("GET")); err == nil {
		t.Error("a request goes out on a wire that is at fault")
	}
}

// However an answer comes in pieces, the same is let through; and net/http reads of it what it would of the whole.
func FuzzWire(f *testing.F) {
	for _, raw := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\nT: 1\r\n\r\nx",
		"HTTP/1.1 204 No Content\r\n\r\nx", "HTTP/1.1 200 OK\r\n\r\nhi", "HTTP/1.1 103 A\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		whole, err := pass(bytes.NewReader(raw))
		parts, perr := pass(iotest.OneByteReader(bytes.NewReader(raw)))
		if !bytes.Equal(whole, parts) || (err == nil) != (perr == nil) {
			t.Fatalf("%q lets %q (%v) through, byte by byte %q (%v)", raw, whole, err, parts, perr)
		}
		if !bytes.HasPrefix(raw, whole) {
			t.Fatalf("%q became %q", raw, whole)
		}
		if err != nil || len(whole) == 0 {
			return
		}
		br := bufio.NewReader(bytes.NewReader(raw))
		resp, herr := http.ReadResponse(br, nil)
		if herr != nil || resp.StatusCode < 200 {
			return // stricter still in places
		}
		if _, herr = io.Copy(io.Discard, resp.Body); herr == nil && br.Buffered() > 0 {
			t.Fatalf("%q is whole, and net/http leaves %d bytes", raw, br.Buffered())
		}
	})
}

// TestWireSendsNothingBehindAnEarlyAnswer has the bytes lie in the socket, where no reader has seen them yet.
func TestWireSendsNothingBehindAnEarlyAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	app, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	w := newWire(c)
	if _, err := app.Write([]byte("HTTP/1.1 200 OK\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	w.begin(false, false)
	if _, err := w.Write([]byte("GET")); err != errUnsolicited {
		t.Errorf("a request goes out behind an answer: %v, want %v", err, errUnsolicited)
	}
	if got, err := io.ReadAll(w); err != errUnsolicited || len(got) > 0 {
		t.Errorf("the wire brings %q, %v, want %v", got, err, errUnsolicited)
	}
}
