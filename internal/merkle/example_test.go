package merkle_test

import (
	"fmt"

	"cdnlab/internal/merkle"
)

func Example() {
	var hub, edge merkle.Tree
	for i := range 1000 {
		object := fmt.Sprintf("www.cdn.test /video/%d.mp4", i)
		for _, tree := range []*merkle.Tree{&hub, &edge} {
			if err := tree.Set(object, "sha256:4f2a"); err != nil {
				fmt.Println(err)
			}
		}
	}
	edge.Delete("www.cdn.test /video/7.mp4") // lost with a disk

	ask := func(request []byte) ([]byte, error) { return hub.Answer(nil, request) } // the wire
	found, stats, err := merkle.Diff(&edge, ask, 1000)
	if err != nil {
		fmt.Println(err)
	}
	for _, d := range found {
		fmt.Printf("%s: here %q, at the hub %q\n", d.Key, d.Local, d.Remote)
	}
	fmt.Println(stats.RoundTrips, "round trips,", stats.Sent+stats.Received < 3000)
	// Output:
	// www.cdn.test /video/7.mp4: here "", at the hub "sha256:4f2a"
	// 3 round trips, true
}
