package planner_test

import (
	"fmt"
	"time"

	"cdnlab/internal/planner"
)

func Example() {
	hello := planner.Key{Site: "www.cdn.test", Path: "/hello.txt"}
	film := planner.Key{Site: "www.cdn.test", Path: "/film.mp4"}
	objects := []planner.Object{{Key: hello, Version: "2", Size: 1200}, {Key: film, Version: "1", Size: 8 << 20}}
	regions := []planner.Region{
		{
			Name: "paris", Weight: 3, Space: 1 << 20, Pace: 1 << 20, Since: time.Second,
			Requests: map[planner.Key]float64{hello: 80, film: 300}, // internal/popular
			Cached:   map[planner.Key]string{hello: "1", film: "1"},
		},
		{
			Name: "tokyo", Weight: 2, Space: 1 << 20, Pace: 1 << 20, Since: time.Second,
			Pinned: map[planner.Key]string{{Site: "www.cdn.test", Path: "/yesterday.html"}: "1"},
		},
	}
	p, err := planner.New(planner.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	plan := p.Plan(objects, regions)
	for _, c := range plan.Push {
		fmt.Printf("push %s of version %s to %s\n", c.Path, c.Version, c.Region)
	}
	for _, c := range plan.Unpin {
		fmt.Printf("unpin %s in %s\n", c.Path, c.Region)
	}
	// Output:
	// push /hello.txt of version 2 to paris
	// push /hello.txt of version 2 to tokyo
	// unpin /yesterday.html in tokyo
}
