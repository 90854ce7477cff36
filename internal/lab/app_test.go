package lab_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// newApp is a small application of the kind that a user puts behind the CDN. events is what its event stream waits for
// before each event.
func newApp(t *testing.T, events <-chan string) *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/headers", func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Host", "X-Forwarded-For", "X-Forwarded-Proto", "CDN-Client-City", "CDN-Client-Country", "X-Custom", "Cookie", "Accept-Language"} {
			value := strings.Join(r.Header.Values(name), "|")
			if name == "Host" {
				value = r.Host
			}
			fmt.Fprintf(w, "%s: %s\n", name, value)
		}
		for name := range r.Header {
			if strings.HasPrefix(strings.ToLower(name), "cdnlab") {
				fmt.Fprintf(w, "leaked %s\n", name)
			}
		}
	})
	mux.HandleFunc("/cookies", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "1", Path: "/"})
		http.SetCookie(w, &http.Cookie{Name: "b", Value: "2", HttpOnly: true})
		w.Header().Add("X-Twice", "one")
		w.Header().Add("X-Twice", "two")
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Method", r.Method)
		w.Header().Set("X-Transfer", strings.Join(r.TransferEncoding, ","))
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		body, _ := io.ReadAll(r.Body) // net/http's server reads no further once it has begun to answer
		_, _ = w.Write(body)
	})
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/landing?x=1", http.StatusFound)
	})
	mux.HandleFunc("/chunked", func(w http.ResponseWriter, r *http.Request) {
		for i := range 5 {
			fmt.Fprintf(w, "part %d\n", i)
			w.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		for e := range events {
			fmt.Fprintf(w, "data: %s\n\n", e)
			w.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("/big", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Length", strconv.Itoa(bigSize))
		writeBig(w)
	})
	mux.HandleFunc("/sum", func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		n, _ := io.Copy(h, r.Body)
		fmt.Fprintf(w, "%d %x", n, h.Sum(nil))
	})
	mux.HandleFunc("/error", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		http.Error(w, "the app's own words", http.StatusServiceUnavailable)
	})
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(1 << 20)
		for {
			kind, msg, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, msg) != nil {
				return
			}
		}
	})
	app := httptest.NewServer(mux)
	t.Cleanup(app.Close)
	return app
}

const bigSize = 100 << 20

// writeBig writes bigSize bytes that repeat no period a cache or a copy loop could hide behind.
func writeBig(w io.Writer) {
	block := make([]byte, 64<<10)
	for i := 0; i < bigSize; i += len(block) {
		for j := 0; j < len(block); j += 8 {
			n := uint64(i+j) * 0x9E3779B97F4A7C15
			for k := range 8 {
				block[j+k] = byte(n >> (8 * k))
			}
		}
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

func TestAnAppBehindTheCDNSeesAndSendsWhatItWouldWithoutIt(t *testing.T) {
	events := make(chan string)
	app := newApp(t, events)
	l := startLab(t, "tiny", "origins.main.app="+app.URL)
	client := l.client(t, l.place)
	base := "http://www.cdn.test"

	t.Run("headers and place", func(t *testing.T) {
		req, _ := http.NewRequest("GET", base+"/headers", nil)
		req.Header.Set("X-Custom", "ä value")
		req.Header.Set("Cookie", "a=1; b=2")
		req.Header.Set("Accept-Language", "fr")
		req.Header.Set("X-Forwarded-For", "6.6.6.6")
		_, body := l.do(t, client, req)
		for _, want := range []string{"Host: www.cdn.test\n", "X-Custom: ä value\n", "Cookie: a=1; b=2\n", "Accept-Language: fr\n", "X-Forwarded-For: 198.18.", "CDN-Client-City: ", "X-Forwarded-Proto: http\n"} {
			if !strings.Contains(body, want) {
				t.Errorf("the app saw\n%swithout %q", body, want)
			}
		}
		if strings.Contains(body, "6.6.6.6") || strings.Contains(body, "leaked") {
			t.Errorf("the app saw\n%s: a client's claim, or a header of the lab's own", body)
		}
	})
	t.Run("cookies and repeated headers stay separate", func(t *testing.T) {
		resp, _ := l.get(t, client, base+"/cookies")
		if got := resp.Header.Values("Set-Cookie"); !slices.Equal(got, []string{"a=1; Path=/", "b=2; HttpOnly"}) {
			t.Errorf("Set-Cookie = %q", got)
		}
		if got := resp.Header.Values("X-Twice"); !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("X-Twice = %q", got)
		}
		if !strings.Contains(resp.Header.Get("Cache-Status"), "detail") {
			t.Errorf("Cache-Status %q gives no reason for not storing", resp.Header.Get("Cache-Status"))
		}
	})
	t.Run("methods and bodies", func(t *testing.T) {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
			payload := bytes.Repeat([]byte(method+"\x00\xff"), 50_000)
			for _, chunked := range []bool{false, true} {
				var body io.Reader = bytes.NewReader(payload)
				if chunked {
					body = io.MultiReader(body) // hides the length
				}
				req, _ := http.NewRequest(method, base+"/echo", body)
				req.Header.Set("Content-Type", "application/x-test")
				resp, got := l.do(t, client, req)
				if resp.Header.Get("X-Method") != method || resp.Header.Get("Content-Type") != "application/x-test" || got != string(payload) {
					t.Errorf("%s (chunked %v): method %q, type %q, %d bytes of %d", method, chunked, resp.Header.Get("X-Method"), resp.Header.Get("Content-Type"), len(got), len(payload))
				}
			}
		}
	})
	t.Run("redirects are not followed nor rewritten", func(t *testing.T) {
		resp, _ := l.get(t, client, base+"/redirect")
		if resp.StatusCode != 302 || resp.Header.Get("Location") != "/landing?x=1" {
			t.Errorf("redirect: %d to %q", resp.StatusCode, resp.Header.Get("Location"))
		}
	})
	t.Run("chunked", func(t *testing.T) {
		if _, body := l.get(t, client, base+"/chunked"); body != "part 0\npart 1\npart 2\npart 3\npart 4\n" {
			t.Errorf("chunked body = %q", body)
		}
	})
	t.Run("its own errors", func(t *testing.T) {
		resp, body := l.get(t, client, base+"/error")
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "7" || body != "the app's own words\n" {
			t.Errorf("error: %d, Retry-After %q, %q", resp.StatusCode, resp.Header.Get("Retry-After"), body)
		}
	})
	t.Run("server-sent events arrive one by one", func(t *testing.T) {
		req, _ := http.NewRequest("GET", base+"/events", nil)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		lines := bufio.NewReader(resp.Body)
		for i := range 5 {
			events <- strconv.Itoa(i) // the next event exists only once the last one was read
			line, err := lines.ReadString('\n')
			if _, blank := lines.ReadString('\n'); err != nil || blank != nil || line != fmt.Sprintf("data: %d\n", i) {
				t.Fatalf("event %d = %q, %v", i, line, err)
			}
		}
		close(events)
	})
	t.Run("WebSocket", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		c, _, err := websocket.Dial(ctx, "ws://www.cdn.test/ws", &websocket.DialOptions{HTTPClient: l.direct(t)})
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		c.SetReadLimit(1 << 20)
		for _, size := range []int{1, 1000, 200_000} {
			msg := []byte(rand.Text() + strings.Repeat("x", size))
			if err := c.Write(ctx, websocket.MessageBinary, msg); err != nil {
				t.Fatal(err)
			}
			if _, got, err := c.Read(ctx); err != nil || !bytes.Equal(got, msg) {
				t.Fatalf("echo of %d bytes: %d bytes, %v", len(msg), len(got), err)
			}
		}
	})
	t.Run("100 MB down and up in flat memory", func(t *testing.T) {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		want := sha256.New()
		writeBig(want)
		resp, err := client.Get(base + "/big")
		if err != nil {
			t.Fatal(err)
		}
		got := sha256.New()
		peak := &peakWriter{}
		n, err := io.Copy(io.MultiWriter(got, peak), resp.Body)
		_ = resp.Body.Close()
		if err != nil || n != bigSize || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
			t.Fatalf("download: %d bytes, %v, right sum %v", n, err, bytes.Equal(got.Sum(nil), want.Sum(nil)))
		}
		reader, writer := io.Pipe()
		go func() {
			writeBig(writer)
			_ = writer.Close()
		}()
		req, _ := http.NewRequest("POST", base+"/sum", reader)
		if _, body := l.do(t, client, req); body != fmt.Sprintf("%d %s", bigSize, hex.EncodeToString(want.Sum(nil))) {
			t.Errorf("upload: the app got %q", body)
		}
		runtime.ReadMemStats(&after)
		if limit := before.HeapAlloc + 40<<20; peak.most > limit {
			t.Errorf("heap grew from %d to %d MiB while 100 MiB passed", before.HeapAlloc>>20, peak.most>>20)
		}
	})
}

// peakWriter looks at the heap now and then while something is copied through it.
type peakWriter struct {
	n, next int
	most    uint64
}

func (p *peakWriter) Write(b []byte) (int, error) {
	if p.n += len(b); p.n >= p.next {
		p.next = p.n + 8<<20
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		p.most = max(p.most, m.HeapAlloc)
	}
	return len(b), nil
}
