package evict_test

import (
	"fmt"

	"cdnlab/internal/evict"
)

// An owner has a Node as the first field of its entries and keeps them in a map.
func Example() {
	type entry struct {
		evict.Node
		key string
	}
	const capacity = 3
	policy, err := evict.New("sieve", evict.Config{Capacity: capacity})
	if err != nil {
		fmt.Println(err)
		return
	}
	held := map[string]*entry{}
	request := func(key string) {
		if e, ok := held[key]; ok {
			policy.Hit(&e.Node)
			fmt.Println(key, "hit")
			return
		}
		fmt.Println(key, "miss")
		for policy.Len() >= capacity {
			victim := evict.Entry[entry](policy.Victim())
			delete(held, victim.key)
			fmt.Println("  gave up", victim.key)
		}
		e := &entry{evict.Node{Size: 1}, key}
		held[key] = e
		policy.Add(&e.Node)
	}
	for _, key := range []string{"/a", "/b", "/c", "/a", "/d", "/a"} {
		request(key)
	}
	// Output:
	// /a miss
	// /b miss
	// /c miss
	// /a hit
	// /d miss
	//   gave up /b
	// /a hit
}
