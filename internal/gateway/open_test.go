package gateway

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"cdnlab/topology"
)

// raw sends a request as it stands and returns the answer with its body.
func (n *network) raw(addr, request string) (*http.Response, string) {
	n.t.Helper()
	conn := n.dial("tcp", addr)
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		n.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		n.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return resp, string(body)
}

// canary is a server that nobody may reach through the gateway.
type canary struct{ conns atomic.Int64 }

func newCanary(t *testing.T, addr string) (*canary, string) {
	t.Helper()
	ln := listen(t, addr)
	c := &canary{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			c.conns.Add(1)
			conn.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return c, ln.Addr().String()
}

func TestGatewayIsNoOpenProxy(t *testing.T) {
	n := start(t, newAuthority(t, addresses("127.3.1.1")))
	var served atomic.Int64
	n.edge("paris-1", func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		fmt.Fprintf(w, "%s %s", r.Host, r.URL)
	})
	admin, adminAddr := newCanary(t, "127.0.0.1:0")
	_, adminPort, _ := net.SplitHostPort(adminAddr)
	lab := n.node("paris-1").HTTP.Port()
	own := "Host: " + site + "\r\n"
	const sites = "its sites are www.cdn.test, img.cdn.test"
	for _, c := range []struct {
		name    string
		request string
		status  int
		body    string // a part of it
	}{
		{"a site", "GET http://www.cdn.test/a HTTP/1.1\r\n" + own, 200, "www.cdn.test /a"},
		{"another site", "GET http://img.cdn.test/a HTTP/1.1\r\nHost: img.cdn.test\r\n", 200, "img.cdn.test /a"},
		{"a site at port 80", "GET http://www.cdn.test:80/a HTTP/1.1\r\n" + own, 200, "/a"},
		{"a site at the lab's port", fmt.Sprintf("GET http://www.cdn.test:%d/a HTTP/1.1\r\n", lab) + own, 200, "/a"},
		{"a site without a path", "GET http://www.cdn.test HTTP/1.1\r\n" + own, 200, "/"},
		{"a site in capitals", "GET http://WWW.CDN.TEST/a HTTP/1.1\r\n" + own, 200, "/a"},
		{"a site with a trailing dot", "GET http://www.cdn.test./a HTTP/1.1\r\n" + own, 200, "/a"},
		{"a site by HTTP/1.0", "GET http://www.cdn.test/a HTTP/1.0\r\n", 200, "www.cdn.test /a"},
		{"a site that Host disguises", "GET http://www.cdn.test/a HTTP/1.1\r\nHost: " + adminAddr + "\r\n", 200, "www.cdn.test /a"},

		{"the admin API", "GET http://" + adminAddr + "/api/v1/status HTTP/1.1\r\nHost: " + adminAddr + "\r\n", 403, "127.0.0.1 is no site of the lab; " + sites},
		{"the admin API that Host disguises", "GET http://" + adminAddr + "/ HTTP/1.1\r\n" + own, 403, sites},
		{"the admin API at a site's name", "GET http://www.cdn.test:" + adminPort + "/ HTTP/1.1\r\n" + own, 403, "port " + adminPort + " is not open"},
		{"the admin API as a user", "GET http://www.cdn.test@" + adminAddr + "/ HTTP/1.1\r\n" + own, 400, "user name"},
		{"the admin API as a user with a password", "GET http://www.cdn.test:80@" + adminAddr + "/ HTTP/1.1\r\n" + own, 400, "user name"},
		{"a site as a host behind a user", "GET http://" + adminAddr + "@www.cdn.test/ HTTP/1.1\r\n" + own, 400, ""},
		{"a user without a name", "GET http://@www.cdn.test/ HTTP/1.1\r\n" + own, 400, ""},
		{"the admin API behind a backslash", "GET http://www.cdn.test\\@" + adminAddr + "/ HTTP/1.1\r\n" + own, 400, ""},
		{"the admin API behind an encoded slash", "GET http://www.cdn.test%2f@" + adminAddr + "/ HTTP/1.1\r\n" + own, 400, ""},
		{"the admin API without an authority", "GET http:" + adminAddr + "/ HTTP/1.1\r\n" + own, 400, ""},
		{"no host at all", "GET http:///a HTTP/1.1\r\n" + own, 400, "names no host"},
		{"the admin API by origin form", "GET /api/v1/status HTTP/1.1\r\nHost: " + adminAddr + "\r\n", 400, "forward proxy"},
		{"the admin API in the path", "GET //" + adminAddr + "/ HTTP/1.1\r\n" + own, 400, "forward proxy"},
		{"a tunnel to the admin API", "CONNECT " + adminAddr + " HTTP/1.1\r\nHost: " + adminAddr + "\r\n", 501, "CONNECT"},
		{"a tunnel to a site", "CONNECT www.cdn.test:443 HTTP/1.1\r\n" + own, 501, "CONNECT"},
		{"a tunnel by a path", "CONNECT /api/v1/status HTTP/1.1\r\n" + own, 501, "CONNECT"},

		{"the gateway itself", "GET http://" + n.proxy + "/-/health HTTP/1.1\r\n" + own, 403, sites},
		{"localhost", "GET http://localhost/ HTTP/1.1\r\n" + own, 403, sites},
		{"loopback in other words", "GET http://127.1/ HTTP/1.1\r\n" + own, 403, sites},
		{"loopback as a number", "GET http://2130706433/ HTTP/1.1\r\n" + own, 403, sites},
		{"loopback in hexadecimal", "GET http://0x7f.0.0.1/ HTTP/1.1\r\n" + own, 403, sites},
		{"this host", "GET http://0.0.0.0/ HTTP/1.1\r\n" + own, 403, sites},
		{"loopback of IPv6", "GET http://[::1]/ HTTP/1.1\r\n" + own, 403, sites},
		{"IPv4 in IPv6", "GET http://[::ffff:127.0.0.1]/ HTTP/1.1\r\n" + own, 403, sites},
		{"IPv6 with a zone", "GET http://[fe80::1%25www.cdn.test]/ HTTP/1.1\r\n" + own, 403, sites},
		{"a site in brackets", "GET http://[www.cdn.test]/ HTTP/1.1\r\n" + own, 400, ""},
		{"a site and more in brackets", "GET http://[www.cdn.test:80]/ HTTP/1.1\r\n" + own, 400, ""},
		{"an edge by its address", "GET http://127.3.1.1/a HTTP/1.1\r\n" + own, 403, sites},
		{"a cloud's metadata", "GET http://169.254.169.254/latest/meta-data/ HTTP/1.1\r\n" + own, 403, sites},
		{"a cloud's metadata by name", "GET http://metadata.google.internal/ HTTP/1.1\r\n" + own, 403, sites},
		{"a private network", "GET http://192.168.1.1/ HTTP/1.1\r\n" + own, 403, sites},
		{"the Internet", "GET http://example.org/ HTTP/1.1\r\n" + own, 403, "example.org is no site of the lab"},
		{"a name below a site", "GET http://a.www.cdn.test/ HTTP/1.1\r\n" + own, 403, sites},
		{"a name that ends like a site", "GET http://evil-www.cdn.test/ HTTP/1.1\r\n" + own, 403, sites},
		{"a site with two dots", "GET http://www.cdn.test../ HTTP/1.1\r\n" + own, 403, sites},
		{"a site behind an encoded NUL", "GET http://www.cdn.test%00.evil/ HTTP/1.1\r\n" + own, 400, ""},
		{"port 0", "GET http://www.cdn.test:0/ HTTP/1.1\r\n" + own, 403, "port 0"},
		{"port 443", "GET http://www.cdn.test:443/ HTTP/1.1\r\n" + own, 403, "port 443"},
		{"port 80 in other words", "GET http://www.cdn.test:080/ HTTP/1.1\r\n" + own, 403, "port 080"},
		{"a port past the last", "GET http://www.cdn.test:65616/ HTTP/1.1\r\n" + own, 403, "port 65616"},
		{"a port that is none", "GET http://www.cdn.test:x/ HTTP/1.1\r\n" + own, 400, ""},
		{"https", "GET https://www.cdn.test/ HTTP/1.1\r\n" + own, 501, "not https"},
		{"a file", "GET file:///etc/passwd HTTP/1.1\r\n" + own, 501, "not file"},
		{"ftp", "GET ftp://www.cdn.test/ HTTP/1.1\r\n" + own, 501, "not ftp"},
		{"two hosts", "GET http://www.cdn.test/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 400, ""},
	} {
		for _, gateway := range []string{n.proxy, n.city} {
			before := served.Load()
			resp, body := n.raw(gateway, c.request+"Connection: close\r\n\r\n")
			if resp.StatusCode != c.status || !strings.Contains(body, c.body) {
				t.Errorf("%s = %d %q, want %d with %q", c.name, resp.StatusCode, body, c.status, c.body)
			}
			if got := served.Load() - before; c.status != 200 && got != 0 {
				t.Errorf("%s reached an edge, want it refused", c.name)
			}
		}
	}
	if got := admin.conns.Load(); got != 0 {
		t.Errorf("the admin API got %d connections, want none", got)
	}
}

// TestGatewayConnectsToTheLabsNodesAlone gives answers that lead elsewhere, as a hostile zone or record would.
func TestGatewayConnectsToTheLabsNodesAlone(t *testing.T) {
	for name, rr := range map[string]string{
		"this machine":       "www.cdn.test. 60 IN A 127.0.0.1",
		"a DNS server":       "www.cdn.test. 60 IN A 127.0.0.2",
		"a cloud's metadata": "www.cdn.test. 60 IN A 169.254.169.254",
		"any address":        "www.cdn.test. 60 IN A 0.0.0.0",
		"IPv6":               "www.cdn.test. 60 IN AAAA ::1",
		"a name":             "www.cdn.test. 60 IN CNAME localhost.",
		"nothing":            "www.cdn.test. 60 IN TXT none",
	} {
		t.Run(name, func(t *testing.T) {
			n := start(t, newAuthority(t, func(_ string, q *dns.Msg) *dns.Msg {
				resp := new(dns.Msg).SetReply(q)
				resp.Answer = []dns.RR{record(rr)}
				return resp
			}))
			elsewhere, _ := newCanary(t, fmt.Sprintf("127.0.0.1:%d", n.node("paris-1").HTTP.Port()))
			resp, body := n.raw(n.city, "GET http://www.cdn.test/ HTTP/1.1\r\nHost: www.cdn.test\r\nConnection: close\r\n\r\n")
			if resp.StatusCode != 502 || !strings.Contains(body, "no server answered for www.cdn.test") {
				t.Errorf("status = %d %q, want 502", resp.StatusCode, body)
			}
			if got := elsewhere.conns.Load(); got != 0 {
				t.Errorf("%d connections went to 127.0.0.1, want none", got)
			}
		})
	}
}

func TestGatewayTakesTheCityFromCredentials(t *testing.T) {
	basic := func(user string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(user)) }
	for _, c := range []struct {
		name, credentials, city, why string
	}{
		{"none", "", "paris", ""},
		{"a place", basic("tokyo:"), "tokyo", ""},
		{"a place in capitals", basic("Tokyo:"), "tokyo", ""},
		{"a password counts for nothing", basic("tokyo:paris"), "tokyo", ""},
		{"no colon", basic("tokyo"), "tokyo", ""},
		{"an airport", basic("GRU:"), "sao-paulo", ""},
		{"a city's own spelling", basic("São Paulo:"), "sao-paulo", ""},
		{"a scheme in other capitals", "bASIC " + basic("tokyo:")[6:], "tokyo", ""},
		{"a slip", basic("tokio:"), "", `no client place "tokio" (did you mean "tokyo"?); the user name of the proxy is one of paris, sao-paulo, tokyo`},
		{"a city without clients", basic("london:"), "", `no client place "london"; the user name`},
		{"nobody", basic(":"), "", `no client place ""`},
		{"another scheme", "Bearer tokyo", "", "the proxy takes Basic credentials"},
		{"no base64", "Basic tokyo!", "", "the proxy takes Basic credentials"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAuthority(t, addresses("127.3.1.1"))
			n := start(t, a)
			n.edge("paris-1", func(w http.ResponseWriter, r *http.Request) {
				host, _, _ := net.SplitHostPort(r.RemoteAddr)
				fmt.Fprint(w, host)
			})
			from := map[string]string{}
			for _, c := range n.server.cities {
				from[c.place.Name] = c.place.Client.String()
			}
			line := ""
			if c.credentials != "" {
				line = "Proxy-Authorization: " + c.credentials + "\r\n"
			}
			resp, body := n.raw(n.proxy, "GET http://www.cdn.test/ HTTP/1.1\r\nHost: www.cdn.test\r\nConnection: close\r\n"+line+"\r\n")
			if c.city == "" {
				if resp.StatusCode != 407 || !strings.HasPrefix(resp.Header.Get("Proxy-Authenticate"), "Basic ") || !strings.Contains(body, c.why) {
					t.Errorf("answer = %d %q, want 407 with %q", resp.StatusCode, body, c.why)
				}
				return
			}
			if resp.StatusCode != 200 || body != from[c.city] {
				t.Errorf("answer = %d from %q, want 200 from %s at %s", resp.StatusCode, body, c.city, from[c.city])
			}
			asked := a.asked()
			if got, want := subnetOf(asked[len(asked)-1].msg), n.client(c.city).Networks[0].String()+"/0"; got != want {
				t.Errorf("the DNS server was asked for %s, want %s", got, want)
			}
			resp, body = n.raw(n.city, "GET http://www.cdn.test/ HTTP/1.1\r\nHost: www.cdn.test\r\nConnection: close\r\n"+line+"\r\n")
			if resp.StatusCode != 200 || body != from["paris"] {
				t.Errorf("the city's own gateway = %d from %q, want 200 from %s whatever the credentials", resp.StatusCode, body, from["paris"])
			}
		})
	}
}

func (n *network) client(name string) *topology.Client {
	n.t.Helper()
	c, ok := n.top.Client(name)
	if !ok {
		n.t.Fatalf("no client place %q", name)
	}
	return c
}

// FuzzAccepts holds what the proxy accepts to the sites of the lab.
func FuzzAccepts(f *testing.F) {
	for _, seed := range []string{"http://www.cdn.test/", "http://www.cdn.test:80/", "http://img.cdn.test.:8080/a?b", "http://www.cdn.test@127.0.0.1:7070/",
		"http://[www.cdn.test]/", "http://[::1%25www.cdn.test]/", "ws://www.cdn.test/", "http://WWW.cdn.test\\@x/", "http:www.cdn.test", "http://www.cdn.test:0/"} {
		f.Add(seed)
	}
	top, err := topology.Parse("net.yaml", []byte(networkFile), "", nil)
	if err != nil {
		f.Fatal(err)
	}
	plan, err := top.Plan(topology.PlanOptions{})
	if err != nil {
		f.Fatal(err)
	}
	p := &proxy{gateway: &Server{cfg: Config{Topology: top, Plan: plan}}}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		if _, status := p.refuse(&http.Request{Method: "GET", URL: u}); status != 0 {
			return
		}
		out := &httputil.ProxyRequest{In: &http.Request{RequestURI: target, URL: u}, Out: &http.Request{Header: http.Header{}, URL: new(*u)}}
		rewrite(out)
		if got := out.Out.URL.RequestURI(); !strings.HasPrefix(got, "/") || out.Out.URL.Host != u.Host {
			t.Errorf("%q becomes %q at %q, want a path at %q", target, got, out.Out.URL.Host, u.Host)
		}
		authority := strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(u.Host), ":80"), ":8080")
		switch strings.TrimSuffix(strings.TrimSuffix(authority, ":"), ".") {
		case "www.cdn.test", "img.cdn.test":
		default:
			t.Errorf("%q is accepted, with the host %q", target, u.Host)
		}
	})
}
