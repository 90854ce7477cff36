package planner

import (
	"fmt"
	"testing"
)

func BenchmarkPlan(b *testing.B) {
	p := planner(b, 0)
	var objects []Object
	for i := range 1000 {
		objects = append(objects, object(fmt.Sprintf("/%d", i), "v1", int64(100+i*7919%10_000)))
	}
	var regions []Region
	for i := range 9 {
		r := region(fmt.Sprintf("region-%d", i), "", space(1<<20), pace(1<<20))
		for j := range 500 {
			o := objects[(j+i*50)%len(objects)]
			r.Requests[o.Key] = 1000 / float64(1+j)
			if j%3 == 0 {
				r.Pinned[o.Key] = "v1"
			}
		}
		regions = append(regions, r)
	}
	b.ReportAllocs()
	for b.Loop() {
		p.Plan(objects, regions)
	}
}
