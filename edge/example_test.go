package edge_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"cdnlab/edge"
	"cdnlab/internal/place"
	"cdnlab/internal/stats"
	"cdnlab/topology"
)

// An edge whose hub is out of order: it fetches from the origin, and the second time from its cache.
func Example() {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprintf(w, "hello %s\n", r.Header.Get("CDN-Client-City"))
	}))
	defer origin.Close()
	top, err := topology.Preset("tiny", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := top.Plan(topology.PlanOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	locator, err := place.New(top, plan, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	node, _ := plan.Node("paris-1")
	server, err := edge.New(edge.Config{
		Node: node, Topology: top, Plan: plan, Listener: ln, Locator: locator, Stats: stats.New(time.Now()), Log: slog.New(slog.DiscardHandler),
		Dial: func(ctx context.Context, to topology.Node) (net.Conn, error) {
			if to.Kind != topology.KindOrigin {
				return nil, fmt.Errorf("%s is out of order", to.Name)
			}
			var d net.Dialer
			return d.DialContext(ctx, "tcp", origin.Listener.Addr().String())
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- server.Run(ctx) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 2 {
		req, _ := http.NewRequest(http.MethodGet, "http://"+ln.Addr().String()+"/hello.txt", nil)
		req.Host = "www.cdn.test"
		resp, err := client.Do(req)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Print(resp.Header.Get("X-Cache"), ": ")
		_, _ = io.Copy(os.Stdout, resp.Body)
		resp.Body.Close()
	}
	cancel()
	fmt.Println("ended with", <-ended)
	// Output:
	// MISS, paris-1: hello Paris
	// HIT, paris-1: hello Paris
	// ended with <nil>
}
