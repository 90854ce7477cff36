package regional_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"cdnlab/regional"
	"cdnlab/topology"
)

const fetched = "eu-1;fwd=uri-miss;fwd-status=200;stored"

func TestMissThenHit(t *testing.T) {
	f := start(t, source, 0)
	f.want("first", f.get("/obj/a", asEdge()), 200, fetched, "main 1")
	f.now.Add(int64(7 * time.Second))
	a := f.get("/obj/a", asEdge())
	f.want("second", a, 200, "eu-1;hit;ttl=53", "main 1")
	if got := a.header.Get("Age"); got != "7" {
		t.Errorf("Age = %q, want 7", got)
	}
	if got := a.header.Get("X-Cache"); got != "" {
		t.Errorf("X-Cache = %q towards an edge, want none: the edge writes its own", got)
	}
}

func TestEachSiteComesFromItsOrigin(t *testing.T) {
	f := start(t, source, 0)
	other := asEdge()
	other.Set("Host", "other.cdn.test")
	f.want("www", f.get("/obj/a", asEdge()), 200, fetched, "main 1")
	f.want("other", f.get("/obj/a", other), 200, fetched, "other 2")
	f.kill("other")
	f.want("www beside a dead origin", f.get("/obj/b", asEdge()), 200, fetched, "main 3")
	if a := f.get("/obj/b", other); a.status != 504 || !strings.Contains(a.body, "other: cannot connect: other is dead") {
		t.Errorf("site of a dead origin = %d %q, want 504 and the origin named: no other origin can stand in", a.status, a.body)
	}
}

func TestConcurrentMissesAskOnce(t *testing.T) {
	f := start(t, source, 0)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if a, err := f.try("/obj/a", asEdge()); err != nil || a.body != "main 1" {
				t.Errorf("answer = %v, %v, want that of the one call", a, err)
			}
		})
	}
	wg.Wait()
	if got := f.calls.Load(); got != 1 {
		t.Errorf("the origin was asked %d times, want once", got)
	}
}

func TestOriginDiesAndReturns(t *testing.T) {
	f := start(t, source, 0)
	f.get("/obj/a", asEdge())
	f.kill("main")
	const dead = "eu-1 has no answer for http://www.cdn.test%s: main: cannot connect: main is dead"
	f.want("fresh", f.get("/obj/a", asEdge()), 200, "eu-1;hit;ttl=60", "main 1")
	a := f.get("/obj/b", asEdge())
	f.want("not stored", a, 504, "eu-1;fwd=uri-miss", fmt.Sprintf(dead, "/obj/b"))
	if got := a.header.Get("Cdnlab-Error"); got != "eu-1" {
		t.Errorf("Cdnlab-Error = %q towards an edge, want eu-1", got)
	}
	if got := f.get("/obj/b", nil).header.Get("Cdnlab-Error"); got != "" {
		t.Errorf("Cdnlab-Error = %q towards a stranger, want none", got)
	}
	f.now.Add(int64(2 * time.Minute))
	f.want("stale", f.get("/obj/a", asEdge()), 200, `eu-1;fwd=stale;detail="served stale: `+fmt.Sprintf(dead, "/obj/a")+`"`, "main 1")
	f.startOrigin("main")
	f.want("back, and asked at once", f.get("/obj/b", asEdge()), 200, fetched, "main 2")
}

func TestWhatTheOriginIsTold(t *testing.T) {
	f := start(t, source, 0)
	with := func(s string) http.Header {
		h := asEdge()
		h.Set("Cdnlab-Secret", s)
		return h
	}
	fields := []string{"X-Forwarded-For", "Cdn-Client-City", "Cdn-Client-Country", "X-Forwarded-Proto"}
	for i, c := range []struct {
		name   string
		header http.Header
		want   string
	}{
		{"an edge", asEdge(), "198.18.0.7 Tokyo JP https"},
		{"somebody with another secret", with("of the lag"), "127.0.0.1   http"},
		{"somebody without a secret", with(""), "127.0.0.1   http"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.get(fmt.Sprintf("/obj/%d", i), c.header)
			var got []string
			for _, name := range fields {
				got = append(got, f.told().Get(name))
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%v = %q, want %q", fields, strings.Join(got, " "), c.want)
			}
			if got, want := strings.Join(f.told()["Via"], ", "), "1.1 paris-1 (cdnlab), 1.1 eu-1 (cdnlab)"; got != want {
				t.Errorf("Via = %q, want %q", got, want)
			}
			if got, want := strings.Join(f.told()["Cdn-Loop"], ", "), "paris-1.cdnlab, eu-1.cdnlab"; got != want {
				t.Errorf("CDN-Loop = %q, want %q", got, want)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	f := start(t, source, 0)
	for length, want := range map[int]int{22 << 10: 200, 25 << 10: 431} { // an edge takes 16 KiB and adds to it
		h := asEdge()
		h.Set("X-Long", strings.Repeat("x", length))
		if a := f.get("/obj/a", h); a.status != want {
			t.Errorf("a header of %d bytes got %d, want %d", length, a.status, want)
		}
	}
	tight := start(t, strings.Replace(source, "at: Frankfurt", "at: Frankfurt, ram: 100B", 1), 0)
	for range 2 {
		if a := tight.get("/obj/a", asEdge()); !strings.Contains(a.header.Get("Cache-Status"), "fwd=uri-miss") {
			t.Errorf("Cache-Status = %q with no room to store, want a miss each time", a.header.Get("Cache-Status"))
		}
	}
}

func TestStopWaitsForRequests(t *testing.T) {
	for name, drain := range map[string]time.Duration{"within the drain limit": patience, "no longer": 0} {
		t.Run(name, func(t *testing.T) {
			f := start(t, source, drain)
			answered := make(chan bool, 1)
			go func() {
				a, err := f.try("/held/a", asEdge())
				answered <- err == nil && a.status == 200
			}()
			f.wait("the origin to be asked", func() bool { return f.calls.Load() == 1 })
			stopped := make(chan struct{})
			go func() {
				f.stop()
				close(stopped)
			}()
			f.wait("the hub to refuse connections", func() bool {
				c, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
				if err == nil {
					_ = c.Close() // nothing was sent
				}
				return err != nil
			})
			if drain > 0 {
				close(f.held)
			}
			if got, want := <-answered, drain > 0; got != want {
				t.Errorf("with a drain limit of %s the request under way was answered: %t, want %t", drain, got, want)
			}
			<-stopped
		})
	}
}

func TestNewRefusesAnUnknownHub(t *testing.T) {
	top, err := topology.Parse("net.yaml", []byte(source), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = regional.New(regional.Config{Node: topology.Node{Name: "us-1", Group: "us"}, Topology: top})
	if want := `start hub us-1: the topology has no hub "us"`; err == nil || err.Error() != want {
		t.Errorf("New = %v, want %s", err, want)
	}
}
