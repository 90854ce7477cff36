package scrubber_test

import (
	"fmt"
	"net/netip"
	"time"

	"cdnlab/scrubber"
)

func Example() {
	limits, err := scrubber.New(scrubber.Config{
		Rules: []scrubber.Rule{{
			Name:    "api",
			Match:   scrubber.Match{Path: "/api/"},
			Limit:   scrubber.Limit{Algorithm: scrubber.TokenBucket, Rate: 2, Per: time.Second, Burst: 10},
			Classes: []scrubber.Class{{Name: "search", Prefixes: []string{"/api/search"}, Cost: 5}},
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	q := scrubber.Request{Client: netip.MustParseAddr("192.0.2.7"), Site: "www.cdn.test", Path: []byte("/api/search?q=cdn")}
	for range 3 {
		d := limits.Check(0, q)
		fmt.Println(d.OK, d.Status())
		d.Fields(func(name string, value []byte) { fmt.Printf("  %s: %s\n", name, value) })
	}
	// Output:
	// true 0
	//   RateLimit-Policy: "api";q=10;w=5
	//   RateLimit: "api";r=5;t=3
	//   X-RateLimit-Limit: 10
	//   X-RateLimit-Remaining: 5
	//   X-RateLimit-Reset: 3
	// true 0
	//   RateLimit-Policy: "api";q=10;w=5
	//   RateLimit: "api";r=0;t=5
	//   X-RateLimit-Limit: 10
	//   X-RateLimit-Remaining: 0
	//   X-RateLimit-Reset: 5
	// false 429
	//   RateLimit-Policy: "api";q=10;w=5
	//   RateLimit: "api";r=0;t=3
	//   X-RateLimit-Limit: 10
	//   X-RateLimit-Remaining: 0
	//   X-RateLimit-Reset: 3
	//   Retry-After: 3
}

func ExampleLimiter() {
	l, err := scrubber.NewLimiter(scrubber.Limit{Algorithm: scrubber.LeakyBucket, Rate: 10, Per: time.Second, Burst: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 4 {
		v := l.Take(0, 1)
		fmt.Println(v.OK, v.Delay, v.RetryAfter)
	}
	// Output:
	// true 0s 0s
	// true 100ms 0s
	// true 200ms 0s
	// false 0s 100ms
}
