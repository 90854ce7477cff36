package topology_test

import (
	"fmt"

	"cdnlab/topology"
)

func Example() {
	t, err := topology.Preset("three-continents", []string{"edges.tokyo.ram=64MiB"})
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := t.Plan(topology.PlanOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	tokyo := topology.Ref{Kind: topology.KindEdge, Name: "tokyo"}
	mumbai := topology.Ref{Kind: topology.KindClient, Name: "mumbai"}
	fmt.Println("servers of tokyo:", plan.Group(tokyo)[0].HTTP, plan.Group(tokyo)[1].HTTP)
	fmt.Println("they fetch from:", t.Parents("tokyo", "main"))
	fmt.Println("from mumbai to tokyo:", t.Path(mumbai, tokyo).RTT)
	// Output:
	// servers of tokyo: 127.3.7.1:8080 127.3.7.2:8080
	// they fetch from: [hubs.ap hubs.eu hubs.na origins.main]
	// from mumbai to tokyo: 101.4ms
}

func ExampleParse() {
	_, err := topology.Parse("net.yaml", []byte(`
origins: { main: { at: Ashburn } }
hubs:    { frankfurt: {} }
edges:
  paris: { parent: fra, ram: 64 }
`), "", nil)
	fmt.Println(err)
	// Output:
	// net.yaml:5:20: edges.paris.parent: unknown hub or origin "fra" (did you mean "frankfurt"?)
	// net.yaml:5:30: edges.paris.ram: "64" has no unit; write 64B, 64KiB, 64MiB, 64GiB, 64TiB, 64KB, 64MB, 64GB or 64TB
}
