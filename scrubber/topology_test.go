package scrubber

import (
	"reflect"
	"testing"
	"time"

	"cdnlab/topology"
)

func TestRulesOfATopology(t *testing.T) {
	file := `
origins: { main: { at: Ashburn } }
edges: { paris: {} }
limits:
`
	for _, a := range algorithmNames {
		file += "  " + a + ": { rate: 7/m, limiter: " + a + " }\n"
	}
	file += "  all: { rate: 10/s, limiter: token-bucket, burst: 20, key: [client/24/48, site, class, 'header:X-Key'], site: www.cdn.test, path: /a, response: block, block_for: 5s, classes: { c: { paths: [/a/b], cost: 2 } } }\n" +
		"  late: { rate: 1/s, response: delay, max_delay: 2s }\n"
	top, err := topology.Parse("x.yaml", []byte(file), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	rules := Rules(top)
	for i, a := range algorithmNames {
		if rules[i].Algorithm != Algorithm(i) || rules[i].Rate != 7 || rules[i].Per != time.Minute {
			t.Errorf("%s became %+v", a, rules[i])
		}
	}
	want := []Rule{
		{Name: "all", Match: Match{"www.cdn.test", "/a"}, Limit: Limit{Algorithm: TokenBucket, Rate: 10, Per: time.Second, Burst: 20},
			Key:     []Part{{From: ByClient, V4: 24, V6: 48}, {From: BySite}, {From: ByClass}, {From: ByHeader, Header: "X-Key"}},
			Classes: []Class{{"c", []string{"/a/b"}, 2}}, Response: Block, BlockFor: 5 * time.Second},
		{Name: "late", Limit: Limit{Rate: 1, Per: time.Second, MaxDelay: 2 * time.Second}, Key: []Part{{From: ByClient}}, Response: Delay},
	}
	if got := rules[numAlgorithms:]; !reflect.DeepEqual(got, want) {
		t.Errorf("Rules = %+v, want %+v", got, want)
	}
	if _, err := New(Config{Rules: rules}); err != nil {
		t.Errorf("New of them: %v", err)
	}
}
