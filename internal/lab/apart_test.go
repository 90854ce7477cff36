package lab_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"cdnlab/internal/lab"
	"cdnlab/topology"
)

// apartLab is a lab whose admin API and gateway have addresses of their own, as they have in containers: the places share
// the gateway's, so that it has to say for whom it speaks.
func apartLab(t *testing.T, opt lab.Options, sets ...string) *testLab {
	return startLabWith(t, "tiny", opt, append([]string{"addresses.admin=127.9.5.1", "addresses.gateway=127.9.5.2",
		"clients.tokyo.networks=[198.18.7.0/24]", "clients.paris.networks=[198.18.8.0/24]", "fallback=tokyo"}, sets...)...)
}

func TestAGatewayWithAnAddressSaysWhoItsClientsAre(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]http.Header{}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen[r.URL.Path] = r.Header
	}))
	defer app.Close()
	l := apartLab(t, lab.Options{NoNetem: true}, "origins.main.app="+app.URL)
	for name, addr := range map[string]string{"paris": "198.18.8.7", "tokyo": "198.18.7.7"} {
		place, _ := l.Plan().Place(name)
		req, err := http.NewRequest("GET", "http://"+l.site+"/"+name, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", "192.0.2.1") // the client's own word counts for nothing
		resp, err := l.client(t, place).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		mu.Lock()
		got := seen["/"+name]
		mu.Unlock()
		if got.Get("X-Forwarded-For") != addr || !strings.EqualFold(got.Get("CDN-Client-City"), name) {
			t.Errorf("the origin sees a client in %s as %q in %q, want %s", name, got.Get("X-Forwarded-For"), got.Get("CDN-Client-City"), addr)
		}
	}
}

func TestAnEdgeBelievesNobodyButTheGateway(t *testing.T) {
	seen := make(chan string, 1)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen <- r.Header.Get("X-Forwarded-For") }))
	defer app.Close()
	l := apartLab(t, lab.Options{NoNetem: true}, "origins.main.app="+app.URL)
	req, err := http.NewRequest("GET", "http://"+l.edges()[0].HTTP.String()+"/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = l.site
	req.Header.Set("X-Forwarded-For", "198.18.8.7")
	resp, err := newClient(t, &http.Transport{}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := <-seen; got == "198.18.8.7" {
		t.Errorf("a client that says it is %s is believed", got)
	}
}

// TestTheGatewayPutsTheLastMile compares a place that is far with one that is near. The edge knows the gateway's address, which
// no network holds, so that it does not put the fallback place's distance on top.
func TestTheGatewayPutsTheLastMile(t *testing.T) {
	l := apartLab(t, lab.Options{})
	far := l.Topology().Path(topology.Ref{Kind: topology.KindClient, Name: "tokyo"}, topology.Ref{Kind: topology.KindEdge, Name: "paris"}).RTT
	took := func(name string) time.Duration {
		place, _ := l.Plan().Place(name)
		client := l.client(t, place)
		least := time.Hour
		for range 20 {
			began := time.Now()
			resp, err := client.Get("http://" + l.site + "/hello.txt")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if least = min(least, time.Since(began)); name == "paris" && least < far {
				break
			}
			if name == "tokyo" {
				break
			}
		}
		return least
	}
	if got := took("tokyo"); got < far {
		t.Errorf("from tokyo it takes %v, want at least the RTT of %v", got, far)
	}
	if got := took("paris"); got >= far {
		t.Errorf("from paris it takes %v, as if it were tokyo at %v", got, far)
	}
}

func TestTheAdminAPIAnswersUnderItsAddress(t *testing.T) {
	l := apartLab(t, lab.Options{NoNetem: true})
	admin := l.AdminURL()
	if !strings.HasPrefix(admin, "http://127.9.5.1:") || l.State().Admin != admin {
		t.Fatalf("the admin API is at %s, and by lab.json at %s, want 127.9.5.1", admin, l.State().Admin)
	}
	for host, want := range map[string]int{"": 200, "127.0.0.1:7070": 200, "127.9.5.3": 403, "mgmt": 403} {
		req, err := http.NewRequest("GET", admin+"/api/v1/topology", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := newClient(t, &http.Transport{}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("with Host %q it answers %d, want %d", host, resp.StatusCode, want)
		}
	}
	e, err := l.Explain(context.Background(), "http://"+l.site+"/hello.txt", "paris")
	if err != nil || e.Status != 200 || len(e.Tiers) == 0 {
		t.Errorf("Explain = %+v, %v, want status 200 and tiers", e, err)
	}
}
