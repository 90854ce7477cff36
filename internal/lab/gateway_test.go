package lab_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestTheGatewayIsNoOpenProxy tries to reach through it what is not the lab's.
func TestTheGatewayIsNoOpenProxy(t *testing.T) {
	l := startLab(t, "tiny")
	state := l.State()
	own := fmt.Sprintf("Host: %s\r\n", l.site)
	admin := strings.TrimPrefix(state.Admin, "http://")
	for _, gateway := range []string{state.Gateway.String(), l.place.Gateway.String()} {
		for name, c := range map[string]struct {
			request string
			status  int
		}{
			"the site":                             {"GET http://" + l.site + "/hello.txt HTTP/1.1\r\n" + own, 200},
			"the site at port 80":                  {"GET http://" + l.site + ":80/hello.txt HTTP/1.1\r\n" + own, 200},
			"the site in capitals":                 {"GET http://" + strings.ToUpper(l.site) + "/hello.txt HTTP/1.1\r\n" + own, 200},
			"the target counts, not Host":          {"GET http://" + l.site + "/hello.txt HTTP/1.1\r\nHost: example.org\r\n", 200},
			"another host":                         {"GET http://example.org/ HTTP/1.1\r\n" + own, 403},
			"another host that Host disguises":     {"GET http://" + admin + "/api/v1/status HTTP/1.1\r\n" + own, 403},
			"this machine by name":                 {"GET http://localhost:" + fmt.Sprint(state.HTTPPort) + "/ HTTP/1.1\r\n" + own, 403},
			"this machine by address":              {"GET http://127.0.0.1/ HTTP/1.1\r\n" + own, 403},
			"this machine by another spelling":     {"GET http://0x7f000001/ HTTP/1.1\r\n" + own, 403},
			"this machine by IPv6":                 {"GET http://[::1]/ HTTP/1.1\r\n" + own, 403},
			"an edge by its address":               {"GET http://127.3.1.1/hello.txt HTTP/1.1\r\n" + own, 403},
			"a cloud's metadata":                   {"GET http://169.254.169.254/latest/meta-data/ HTTP/1.1\r\n" + own, 403},
			"the site at the admin API's port":     {"GET http://" + l.site + ":" + admin[strings.LastIndex(admin, ":")+1:] + "/ HTTP/1.1\r\n" + own, 403},
			"the site at another port":             {"GET http://" + l.site + ":22/ HTTP/1.1\r\n" + own, 403},
			"a name below the site":                {"GET http://x." + l.site + "/ HTTP/1.1\r\n" + own, 403},
			"the site as a user name":              {"GET http://" + l.site + "@example.org/ HTTP/1.1\r\n" + own, 400},
			"a user name before the site":          {"GET http://example.org@" + l.site + "/ HTTP/1.1\r\n" + own, 400},
			"https":                                {"GET https://" + l.site + "/ HTTP/1.1\r\n" + own, 501},
			"a tunnel to the site":                 {"CONNECT " + l.site + ":80 HTTP/1.1\r\n" + own, 501},
			"a tunnel elsewhere":                   {"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n", 501},
			"no proxy's request":                   {"GET / HTTP/1.1\r\n" + own, 400},
			"no proxy's request for the admin API": {"GET /api/v1/status HTTP/1.1\r\nHost: " + admin + "\r\n", 400},
		} {
			conn, err := net.DialTimeout("tcp", gateway, 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Fprintf(conn, "%sConnection: close\r\n\r\n", c.request); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else {
				resp.Body.Close()
				if resp.StatusCode != c.status {
					t.Errorf("%s by %s: %d, want %d", name, gateway, resp.StatusCode, c.status)
				}
			}
			conn.Close()
		}
	}
}

func TestTheGatewaysUserNameIsTheCity(t *testing.T) {
	l := startLab(t, "three-continents")
	for user, want := range map[string]string{"tokyo:": "tokyo", "Tokyo:secret": "tokyo", "NRT:": "tokyo", "são paulo:": "sao-paulo", "atlantis:": ""} {
		req, err := http.NewRequest("GET", "http://"+l.site+"/hello.txt", nil)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", l.State().Gateway.String())
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user)))
		if err := req.WriteProxy(conn); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		conn.Close()
		_, server, _ := strings.Cut(resp.Header.Get("X-Cache"), ", ")
		switch {
		case want == "" && (resp.StatusCode != 407 || !strings.HasPrefix(resp.Header.Get("Proxy-Authenticate"), "Basic ")):
			t.Errorf("%s: %s, want to be asked for a city", user, resp.Status)
		case want != "" && !strings.HasPrefix(server, want+"-"):
			t.Errorf("%s was served by %q, want %s", user, server, want)
		}
	}
}
