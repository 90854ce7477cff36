package origin

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func TestEventsArriveOneByOne(t *testing.T) {
	sources := map[string]chan string{"/events": make(chan string), "/known-length": make(chan string)}
	l := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/known-length" {
			w.Header().Set("Content-Length", "6")
		} else {
			w.Header().Set("Content-Type", "text/event-stream")
		}
		for {
			select {
			case event, ok := <-sources[r.URL.Path]:
				if !ok {
					return
				}
				_, _ = io.WriteString(w, event)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
	for target, next := range sources {
		go func() { next <- "a\n" }()
		resp, err := l.client.Get("http://" + testSite + target)
		if err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(resp.Body)
		for _, event := range []string{"b\n", "c\n"} {
			if line, err := r.ReadString('\n'); err != nil || line == "" {
				t.Fatalf("%s: %q, %v", target, line, err)
			}
			next <- event // only once the one before has arrived
		}
		if line, err := r.ReadString('\n'); err != nil || line != "c\n" {
			t.Errorf("%s: last event %q, %v", target, line, err)
		}
		close(next)
		_ = resp.Body.Close()
	}
}

// An app may answer what has come of a body while the rest is on its way.
func TestBodiesGoBothWaysAtOnce(t *testing.T) {
	l := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex() // never fails with HTTP/1
		for lines := bufio.NewScanner(r.Body); lines.Scan(); {
			fmt.Fprintf(w, "%s!\n", lines.Text())
			_ = control.Flush()
		}
	})
	for name, length := range map[string]int64{"chunked": -1, "known length": 12} {
		body, client := io.Pipe()
		r, err := http.NewRequest(http.MethodPost, "http://"+testSite+"/", body)
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = length
		go func() { _, _ = io.WriteString(client, "word\n") }()
		resp, err := l.client.Do(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		answers := bufio.NewReader(resp.Body)
		for _, next := range []string{"more\n", "x\n"} {
			if line, err := answers.ReadString('\n'); err != nil || !strings.HasSuffix(line, "!\n") {
				t.Fatalf("%s: %q, %v, want the word back", name, line, err)
			}
			_, _ = io.WriteString(client, next) // only once the one before is back
		}
		_ = client.Close()
		if rest, err := io.ReadAll(answers); err != nil || string(rest) != "x!\n" {
			t.Errorf("%s: the last answer = %q, %v", name, rest, err)
		}
		_ = resp.Body.Close()
	}
}

// An app that answers a short upload without reading it leaves the connection to the next request.
func TestAnUnreadBodyIsNoObstacle(t *testing.T) {
	l := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost { // net/http would read the body first
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
				_, _ = io.Copy(io.Discard, c) // until the origin closes it
				_ = c.Close()
			}
			return
		}
		_, _ = io.WriteString(w, "next")
	})
	conn, err := net.Dial("tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	br := bufio.NewReader(conn)
	for i := range 50 {
		for _, framed := range []string{"Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"} {
			cut := len(framed) - i%10
			for _, piece := range []string{"POST / HTTP/1.1\r\nHost: " + testSite + "\r\n" + framed[:cut], framed[cut:] + "GET / HTTP/1.1\r\nHost: " + testSite + "\r\n\r\n"} {
				if _, err := io.WriteString(conn, piece); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Duration(i%3) * time.Millisecond) // so that each end is met at work at times
			}
			if resp, err := http.ReadResponse(br, nil); err != nil || resp.StatusCode != 403 {
				t.Fatalf("POST %d: %v, %v", i, resp, err)
			}
			resp, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatalf("GET behind POST %d: %v", i, err)
			}
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "next" {
				t.Fatalf("GET behind POST %d = %q, %v", i, body, err)
			}
		}
	}
}

func TestInterimResponsesPass(t *testing.T) {
	l := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "done")
	})
	var hints []string
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		hints = append(hints, fmt.Sprint(code, " ", h.Get("Link")))
		return nil
	}}
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, "http://"+testSite+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	a := l.send(r)
	if a.status != 200 || a.body != "done" || len(hints) != 1 || hints[0] != "103 </style.css>; rel=preload" {
		t.Errorf("answer %d %q after %q", a.status, a.body, hints)
	}
}

func TestWebSocketsAreTunnelled(t *testing.T) {
	l := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"echo"}})
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			kind, message, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), kind, message); err != nil {
				return
			}
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	dial := func() *websocket.Conn {
		c, resp, err := websocket.Dial(ctx, "ws://"+testSite+"/echo", &websocket.DialOptions{HTTPClient: &http.Client{Transport: l.client.Transport}, Subprotocols: []string{"echo"}})
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 101 || c.Subprotocol() != "echo" {
			t.Errorf("upgrade = %d, protocol %q", resp.StatusCode, c.Subprotocol())
		}
		return c
	}
	c := dial()
	for _, message := range []string{"hello", "", strings.Repeat("long ", 5000)} {
		if err := c.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(ctx); err != nil || string(got) != message {
			t.Fatalf("echo of %d bytes = %d bytes, %v", len(message), len(got), err)
		}
	}
	if err := c.Close(websocket.StatusNormalClosure, "bye"); err != nil {
		t.Errorf("close = %v", err)
	}
	// A tunnel that is still open ends with the server.
	c = dial()
	defer c.CloseNow()
	if err := l.stop(); err != nil {
		t.Errorf("Run = %v", err)
	}
	if _, _, err := c.Read(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("the tunnel outlives its server: %v", err)
	}
	if got := l.stats.Snapshot(); got.Status["1xx"] != 2 {
		t.Errorf("counted %v, want two switched protocols", got.Status)
	}
}

func TestLargeBodiesTakeNoMemory(t *testing.T) {
	const size = 100 << 20
	want := sha256.New()
	if _, err := io.Copy(want, &patternReader{key: 5, end: size}); err != nil {
		t.Fatal(err)
	}
	l := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			sum := sha256.New()
			n, _ := io.Copy(sum, r.Body)
			fmt.Fprintf(w, "%d %x", n, sum.Sum(nil))
			return
		}
		_, _ = io.Copy(w, &patternReader{key: 5, end: size})
	})
	peak := peakHeap(t, func() {
		resp, err := l.client.Get("http://" + testSite + "/")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		got := sha256.New()
		if n, err := io.Copy(got, resp.Body); err != nil || n != size || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
			t.Errorf("download of %d bytes, %v, hash %x; want %d and %x", n, err, got.Sum(nil), size, want.Sum(nil))
		}
		l.do(http.MethodPost, "/", &patternReader{key: 5, end: size}).
			want(t, "upload", 200, fmt.Sprintf("%d %s", size, hex.EncodeToString(want.Sum(nil))))
	})
	if peak > 16<<20 {
		t.Errorf("the heap grew by %d MiB", peak>>20)
	}
}

// peakHeap returns by how much the heap grew at most while f ran.
func peakHeap(t *testing.T, f func()) uint64 {
	t.Helper()
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before, peak := m.HeapAlloc, m.HeapAlloc
	done := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc)
			}
		}
	}()
	f()
	close(done)
	<-watched
	return peak - before
}

func TestAClientThatLeavesIsNotWaitedFor(t *testing.T) {
	arrived, left := make(chan struct{}), make(chan struct{})
	l := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(left)
	})
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+testSite+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-arrived
		cancel()
	}()
	if _, err := l.client.Do(r); err == nil {
		t.Error("an answer came")
	}
	select {
	case <-left:
	case <-time.After(30 * time.Second):
		t.Error("the app was not told that its client left")
	}
}
