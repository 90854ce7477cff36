package gateway

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"cdnlab/topology"
)

// breaking serves an edge that reads a request from each connection, sends the reply and hangs up. It counts the requests.
func (n *network) breaking(name topology.NodeName, reply string) *atomic.Int64 {
	n.t.Helper()
	var requests atomic.Int64
	ln := listen(n.t, n.node(name).HTTP.String())
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				r, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, r.Body) // the gateway may have gone
				requests.Add(1)
				_, _ = io.WriteString(conn, reply)
			})
		}
	})
	n.t.Cleanup(func() { ln.Close(); n.stop(); conns.Wait() })
	return &requests
}

// through sends a request as it stands to the gateway of paris and returns the answer's status, and how its body ended.
func (n *network) through(request string) (status int, err error) {
	n.t.Helper()
	conn := n.dial("tcp", n.city)
	defer conn.Close()
	if !strings.Contains(request, "\r\n\r\n") {
		request += "\r\n"
	}
	if _, err := io.WriteString(conn, request); err != nil {
		n.t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		n.t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

const target = " http://www.cdn.test/a HTTP/1.1\r\nHost: www.cdn.test\r\n"

func TestTriesTheNextServer(t *testing.T) {
	const (
		silent = ""
		torn   = "HTTP/1.1 200 OK\r\nContent-Le"
		half   = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
	)
	for _, c := range []struct {
		name    string
		request string
		first   string // what the first server sends before it hangs up
		status  int
		second  int64 // requests that the second server gets
	}{
		{"GET", "GET" + target, silent, 200, 1},
		{"HEAD", "HEAD" + target, silent, 200, 1},
		{"GET, torn in the head", "GET" + target, torn, 200, 1},
		{"GET, answered by nonsense", "GET" + target, "what?\r\n\r\n", 200, 1},
		{"GET, cut in the body", "GET" + target, half, 200, 0},
		{"GET with a body", "GET" + target + "Content-Length: 2\r\n\r\nab", silent, 502, 0},
		{"GET that upgrades", "GET" + target + "Connection: Upgrade\r\nUpgrade: websocket\r\n", silent, 502, 0},
		{"POST", "POST" + target + "Content-Length: 2\r\n\r\nab", silent, 502, 0},
		{"POST, torn in the head", "POST" + target + "Content-Length: 2\r\n\r\nab", torn, 502, 0},
		{"POST without a body", "POST" + target + "Content-Length: 0\r\n", silent, 502, 0},
		{"POST with a key that makes it idempotent", "POST" + target + "Idempotency-Key: 1\r\nContent-Length: 0\r\n", silent, 502, 0},
		{"PUT", "PUT" + target + "Content-Length: 2\r\n\r\nab", silent, 502, 0},
		{"DELETE", "DELETE" + target, silent, 502, 0},
		{"OPTIONS", "OPTIONS" + target, silent, 502, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := start(t, newAuthority(t, addresses("127.3.1.1", "127.3.1.2")))
			first := n.breaking("paris-1", c.first)
			var second atomic.Int64
			n.edge("paris-2", func(http.ResponseWriter, *http.Request) { second.Add(1) })
			status, err := n.through(c.request)
			if status != c.status || (err != nil) != (c.first == half) {
				t.Errorf("answer = %d, %v, want %d", status, err, c.status)
			}
			if got := first.Load(); got != 1 {
				t.Errorf("the first server got %d requests, want 1", got)
			}
			if got := second.Load(); got != c.second {
				t.Errorf("the second server got %d requests, want %d", got, c.second)
			}
		})
	}
}

func TestTriesTheNextAddress(t *testing.T) {
	for _, request := range []string{"GET" + target, "POST" + target + "Content-Length: 2\r\n\r\nab", "DELETE" + target} {
		n := start(t, newAuthority(t, addresses("127.3.1.1", "127.3.1.2")))
		var served atomic.Int64
		n.edge("paris-2", func(http.ResponseWriter, *http.Request) { served.Add(1) })
		if status, err := n.through(request); status != 200 || err != nil || served.Load() != 1 {
			t.Errorf("%q with the first address dead = %d, %v, %d times, want 200 once", request, status, err, served.Load())
		}
	}
}

func TestGivesUp(t *testing.T) {
	t.Run("after three tries", func(t *testing.T) {
		n := start(t, newAuthority(t, addresses("127.3.1.1", "127.3.1.2")))
		first, second := n.breaking("paris-1", ""), n.breaking("paris-2", "")
		if status, _ := n.through("GET" + target); status != 502 || first.Load() != 2 || second.Load() != 1 {
			t.Errorf("answer = %d after %d and %d requests, want 502 after 2 and 1", status, first.Load(), second.Load())
		}
	})
	t.Run("without a server", func(t *testing.T) {
		if status, _ := start(t, newAuthority(t, addresses("127.3.1.1"))).through("POST" + target + "Content-Length: 0\r\n"); status != 502 {
			t.Errorf("answer = %d, want 502", status)
		}
	})
	t.Run("without DNS", func(t *testing.T) {
		silent := newAuthority(t, func(string, *dns.Msg) *dns.Msg { return nil })
		if status, _ := start(t, silent).through("GET" + target); status != 504 {
			t.Errorf("answer = %d, want 504", status)
		}
	})
}

func TestKeepsConnections(t *testing.T) {
	a := newAuthority(t, addresses("127.3.1.1"))
	n := start(t, a)
	var opened sync.Map
	edge := n.edge("paris-1", func(_ http.ResponseWriter, r *http.Request) { opened.Store(r.RemoteAddr, true) })
	began := time.Now()
	for range 10 {
		if status, err := n.through("GET" + target); status != 200 || err != nil {
			t.Fatalf("answer = %d, %v, want 200", status, err)
		}
		if status, err := n.through("POST" + target + "Content-Length: 2\r\n\r\nab"); status != 200 || err != nil {
			t.Fatalf("answer = %d, %v, want 200", status, err)
		}
	}
	conns := 0
	opened.Range(func(_, _ any) bool { conns++; return true })
	if asked, atMost := len(a.asked()), 1+int(time.Since(began)/lookAgain); conns != 1 || asked > atMost {
		t.Errorf("20 requests took %d connections and %d queries, want 1 and %d at most", conns, asked, atMost)
	}
	edge.SetKeepAlivesEnabled(false) // closes the kept connection
	for range 3 {
		if status, err := n.through("GET" + target); status != 200 || err != nil {
			t.Errorf("answer = %d, %v after the kept connection has ended, want 200", status, err)
		}
	}
}

// TestKeptConnectionsFollowTheDNS changes the answer while a connection to the server before is kept.
func TestKeptConnectionsFollowTheDNS(t *testing.T) {
	var now atomic.Pointer[string]
	first, second := "127.3.1.1", "127.3.1.2"
	now.Store(&first)
	n := start(t, newAuthority(t, func(network string, q *dns.Msg) *dns.Msg { return addresses(*now.Load())(network, q) }))
	var served [2]atomic.Int64
	for i, name := range []topology.NodeName{"paris-1", "paris-2"} {
		n.edge(name, func(http.ResponseWriter, *http.Request) { served[i].Add(1) })
	}
	get := func() {
		t.Helper()
		if status, err := n.through("GET" + target); status != 200 || err != nil {
			t.Fatalf("answer = %d, %v, want 200", status, err)
		}
	}
	get()
	now.Store(&second)
	for began := time.Now(); served[1].Load() == 0; time.Sleep(lookAgain / 10) {
		if get(); time.Since(began) > patience {
			t.Fatalf("the server before still gets all requests, %d of them", served[0].Load())
		}
	}
	before := served[0].Load()
	get()
	if got := served[0].Load(); before == 0 || got != before {
		t.Errorf("the server before got %d requests, and %d when the other had one, want some and no more", before, got)
	}
}

// TestAnAnswerOutlivesTheDNS stops the DNS server once it has answered.
func TestAnAnswerOutlivesTheDNS(t *testing.T) {
	a := newAuthority(t, addresses("127.3.1.1"))
	n := start(t, a)
	n.edge("paris-1", func(http.ResponseWriter, *http.Request) {})
	for i := range 2 {
		if status, err := n.through("GET" + target); status != 200 || err != nil {
			t.Fatalf("answer %d = %d, %v, want 200", i, status, err)
		}
		if i == 0 {
			a.stop()
			c := n.server.find("paris")
			c.mu.Lock()
			known := c.known[site]
			known.until = time.Now()
			c.known[site] = known
			c.mu.Unlock()
		}
	}
	c := n.server.find("paris")
	c.mu.Lock()
	c.known[site] = answer{servers: c.known[site].servers, came: time.Now().Add(-staleAnswer)}
	c.mu.Unlock()
	if status, _ := n.through("GET" + target); status < 500 {
		t.Errorf("answer = %d with an answer that is too old, want an error", status)
	}
}

// TestAConnectionStaysWithItsServer turns the answer round while a client keeps its connection to the gateway.
func TestAConnectionStaysWithItsServer(t *testing.T) {
	var asked atomic.Int64
	turn := [][]string{{"127.3.1.1", "127.3.1.2"}, {"127.3.1.2", "127.3.1.1"}}
	n := start(t, newAuthority(t, func(network string, q *dns.Msg) *dns.Msg {
		return addresses(turn[min(1, asked.Add(1)-1)]...)(network, q)
	}))
	var served [2]atomic.Int64
	for i, name := range []topology.NodeName{"paris-1", "paris-2"} {
		n.edge(name, func(http.ResponseWriter, *http.Request) { served[i].Add(1) })
	}
	conn := n.dial("tcp", n.city)
	br := bufio.NewReader(conn)
	for began := time.Now(); asked.Load() < 2; time.Sleep(lookAgain / 10) {
		if _, err := io.WriteString(conn, "GET"+target+"\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(br, nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("answer = %v, %v, want 200", resp, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body) // empty
		if time.Since(began) > patience {
			t.Fatal("the gateway did not ask again")
		}
	}
	if served[1].Load() != 0 {
		t.Errorf("the connection went to the second server %d times, want none", served[1].Load())
	}
	if status, err := n.through("GET" + target); status != 200 || err != nil || served[1].Load() != 1 {
		t.Errorf("another connection = %d, %v, and the second server got %d requests, want 1", status, err, served[1].Load())
	}
}

// TestLeavesTheBodyUnsentThatNobodyWants has an edge refuse an upload by its head.
func TestLeavesTheBodyUnsentThatNobodyWants(t *testing.T) {
	n := start(t, newAuthority(t, addresses("127.3.1.1")))
	n.edge("paris-1", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refused" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.Copy(w, r.Body)
	})
	head := func(path string) string {
		return "PUT http://www.cdn.test" + path + " HTTP/1.1\r\nHost: www.cdn.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
	}
	t.Run("refused", func(t *testing.T) {
		if status, _ := n.through(head("/refused")); status != 401 {
			t.Errorf("answer = %d, want 401 without 100 before it", status)
		}
	})
	t.Run("wanted", func(t *testing.T) {
		conn := n.dial("tcp", n.city)
		if _, err := io.WriteString(conn, head("/wanted")); err != nil {
			t.Fatal(err)
		}
		br := bufio.NewReader(conn)
		resp, err := http.ReadResponse(br, nil)
		if err != nil || resp.StatusCode != 100 {
			t.Fatalf("answer = %v, %v, want 100", resp, err)
		}
		if _, err := io.WriteString(conn, "hello"); err != nil {
			t.Fatal(err)
		}
		for resp.StatusCode == 100 { // the edge's and the gateway's own
			if resp, err = http.ReadResponse(br, nil); err != nil {
				t.Fatal(err)
			}
		}
		if body, err := io.ReadAll(resp.Body); string(body) != "hello" || err != nil {
			t.Errorf("answer = %d %q, %v, want the body", resp.StatusCode, body, err)
		}
	})
}
