package dnsredirect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"cdnlab/topology"
)

// mode is how an edge of the test behaves to a health check.
type mode string

const (
	healthy   mode = "answers 200"
	failing   mode = "answers 500"
	refusing  mode = "refuses connections"
	resetting mode = "resets connections"
	hanging   mode = "accepts and says nothing"
	blackhole mode = "lets connecting hang"
	babbling  mode = "answers something else"
	halting   mode = "stops in the middle of its answer"
)

// edges plays all edge servers over pipes: a dial that lab would make to a real one.
type edges struct {
	mu   sync.Mutex // guards how, seen
	how  map[topology.NodeName]mode
	seen map[topology.NodeName]string // the last request
	wg   sync.WaitGroup
}

func (e *edges) set(n topology.NodeName, m mode) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.how[n] = m
}

func (e *edges) dial(ctx context.Context, to topology.Node) (net.Conn, error) {
	e.mu.Lock()
	how := e.how[to.Name]
	e.mu.Unlock()
	switch how {
	case refusing:
		return nil, errors.New("connection refused")
	case blackhole:
		<-ctx.Done()
		return nil, ctx.Err()
	}
	here, there := net.Pipe()
	e.wg.Go(func() { e.serve(there, to.Name, how) })
	return here, nil
}

func (e *edges) serve(c net.Conn, name topology.NodeName, how mode) {
	defer c.Close()
	buf := make([]byte, 1024)
	if how == resetting {
		return
	}
	n, err := c.Read(buf)
	if err != nil {
		return
	}
	e.mu.Lock()
	e.seen[name] = string(buf[:n])
	e.mu.Unlock()
	switch how {
	case failing:
		fmt.Fprint(c, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
	case babbling:
		fmt.Fprint(c, "SSH-2.0-OpenSSH\r\n\r\n")
	case halting:
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\no")
		_, _ = c.Read(buf)
	case hanging:
		_, _ = c.Read(buf) // until the other side gives up
	default:
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
	}
}

// until asks for a site from Paris until the answer is the wanted one.
func (r *running) until(t *testing.T, want string) time.Duration {
	t.Helper()
	began, got := time.Now(), ""
	for tick := time.NewTicker(5 * time.Millisecond); time.Since(began) < 30*time.Second; <-tick.C {
		q := withSubnet(queryFor("www.cdn.test.", dns.TypeA), "198.18.1.0/24")
		if got = exchange(t, "udp", r.udp, q).Answer[0].(*dns.A).A.String(); got == want {
			return time.Since(began)
		}
	}
	t.Fatalf("the answer is still %s, want %s", got, want)
	return 0
}

func TestEdgeLeavesAndReturnsInEveryModeOfFailure(t *testing.T) {
	for _, how := range []mode{failing, refusing, resetting, hanging, blackhole, babbling, halting} {
		t.Run(string(how), func(t *testing.T) {
			t.Parallel()
			e := &edges{how: map[topology.NodeName]mode{}, seen: map[topology.NodeName]string{}}
			t.Cleanup(e.wg.Wait) // after the server's end, which run sees to: no dial starts one more meanwhile
			s := run(t, func(c *Config) {
				c.Topology.DNS.Health.Off = false
				c.Topology.Edges = c.Topology.Edges[1:] // Tokyo and New York, which is next to the clients of Paris
				c.Dial = e.dial
			})
			s.until(t, "127.3.3.1")
			e.set("new-york-1", how)
			s.until(t, "127.3.2.1")
			e.set("new-york-1", healthy)
			s.until(t, "127.3.3.1")
			e.mu.Lock()
			defer e.mu.Unlock()
			if want := "GET /-/health HTTP/1.1\r\nHost: 127.3.3.1:8080\r\nConnection: close\r\n\r\n"; e.seen["new-york-1"] != want {
				t.Errorf("the check asked %q, want %q", e.seen["new-york-1"], want)
			}
		})
	}
}

func TestHealthOffTakesAllForHealthy(t *testing.T) {
	s := run(t, func(c *Config) {
		c.Dial = func(context.Context, topology.Node) (net.Conn, error) {
			t.Error("a health check was made")
			return nil, errors.New("no")
		}
	})
	s.until(t, "127.3.1.1")
}

// Checks come in batches, which are spread over the interval, and end with their server however long they may take.
func TestChecksComeInBatches(t *testing.T) {
	const total, interval = 3*batch - 1, 300 * ms
	var mu sync.Mutex // guards first
	var first []time.Duration
	all, began := make(chan struct{}), time.Now()
	s := run(t, func(c *Config) {
		c.Topology.DNS.Health = topology.Health{Interval: interval, Timeout: time.Hour, Fall: 3, Rise: 2}
		c.Topology.Edges = nil
		for i := range total {
			name := fmt.Sprintf("e%d", i)
			c.Topology.Edges = append(c.Topology.Edges, topology.Edge{Name: name, At: tokyoAt})
			c.Plan.Nodes = append(c.Plan.Nodes, topology.Node{Name: topology.NodeName(name + "-1"), Kind: topology.KindEdge, Group: name, Public: addrs("192.0.2.1")})
		}
		c.Dial = func(ctx context.Context, _ topology.Node) (net.Conn, error) {
			mu.Lock()
			first = append(first, time.Since(began))
			if len(first) == total {
				close(all)
			}
			mu.Unlock()
			<-ctx.Done()
			return nil, ctx.Err()
		}
	})
	<-all
	if err := s.stop(); err != nil { // hangs when a check outlives its server
		t.Error(err)
	}
	for i, at := range first {
		if want := time.Duration(i/batch) * interval / 3; at < want {
			t.Errorf("check %d began after %v, want %v at the earliest", i, at, want)
		}
	}
}
