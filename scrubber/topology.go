package scrubber

import (
	"slices"

	"cdnlab/topology"
)

// Rules are the rules of a topology's limits.
func Rules(t *topology.Topology) (rules []Rule) {
	for _, l := range t.Limits {
		r := Rule{Name: l.Name, Match: Match{Site: l.Site, Path: l.Path}, BlockFor: l.BlockFor,
			Limit:    Limit{Algorithm: Algorithm(slices.Index(algorithmNames[:], l.Limiter)), Rate: l.Rate, Per: l.Per, Burst: l.Burst, MaxDelay: l.MaxDelay},
			Response: Response(slices.Index(responseNames[:], l.Response))}
		for _, k := range l.Key {
			r.Key = append(r.Key, Part{From: Source(slices.Index(sourceNames[:], k.From)), V4: k.V4, V6: k.V6, Header: k.Header})
		}
		for _, c := range l.Classes {
			r.Classes = append(r.Classes, Class{Name: c.Name, Prefixes: c.Paths, Cost: c.Cost})
		}
		rules = append(rules, r)
	}
	return rules
}

// sourceNames are how a topology writes the sources.
var sourceNames = [numSources]string{ByClient: "client", BySite: "site", ByClass: "class", ByHeader: "header"}
