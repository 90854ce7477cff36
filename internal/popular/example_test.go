package popular_test

import (
	"fmt"
	"time"

	"cdnlab/internal/popular"
)

func Example() {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	edge, err := popular.New(1000, time.Minute)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 240 {
		now = now.Add(time.Second)
		edge.Observe([]byte("/hello.txt"), 1200, now)
	}
	message := edge.Append(nil, now) // to the hub

	hub, err := popular.New(1000, time.Minute) // a new one each time
	if err != nil {
		fmt.Println(err)
		return
	}
	latest, err := popular.Decode(message, now)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := hub.Merge(latest, now); err != nil {
		fmt.Println(err)
		return
	}
	for _, object := range hub.Top(10, now) {
		fmt.Printf("%s: %.0f requests lately, about %.1f a second\n", object.Key, object.Count, hub.PerSecond(object.Count))
	}
	// Output:
	// /hello.txt: 82 requests lately, about 0.9 a second
}
