package regional_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	"cdnlab/internal/stats"
	"cdnlab/regional"
	"cdnlab/topology"
)

// A hub in front of an origin that is asked once, however often the hub is.
func Example() {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, "hello")
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
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	node, _ := plan.Node("eu-1")
	hub, err := regional.New(regional.Config{
		Node: node, Topology: top, Plan: plan, Listener: ln, Stats: stats.New(time.Now()), Log: slog.New(slog.DiscardHandler),
		Dial: func(ctx context.Context, _ topology.Node) (net.Conn, error) { // the origin is not at its planned address
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
	go func() { ended <- hub.Run(ctx) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 2 {
		req, _ := http.NewRequest(http.MethodGet, "http://"+ln.Addr().String()+"/hello.txt", nil)
		req.Host = "www.cdn.test"
		resp, err := client.Do(req)
		if err != nil {
			fmt.Println(err)
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Printf("%s: %s\n", resp.Header.Get("X-Cache"), body)
	}
	cancel()
	fmt.Println("ended with", <-ended)
	// Output:
	// MISS, eu-1: hello
	// HIT, eu-1: hello
	// ended with <nil>
}
