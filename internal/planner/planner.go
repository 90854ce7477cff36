package planner

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// What the policy goes by.
const (
	// DefaultFloor is the Config's Floor if it gives none. In the tests' flash crowds up to 27 % of what it pushes is in vain.
	DefaultFloor = 0.5

	// seen is how many requests all regions together must have had for an object: of fewer, most are chance.
	seen = 4

	// doubt is how many requests for an object a region should have had until its own count tells more than what all had does:
	// 63 % of what it is expected to have.
	doubt = 4

	// crowd is how many requests for a site it takes until where they came from tells as much about where the next will come
	// from as the regions' Weight does. To a region that a crowd never reaches it bounds what is pushed.
	crowd = 1000

	// What was pushed stays while it is asked for half as often as Floor says, and gives way to what saves half as much again.
	keep   = 0.5
	margin = 1.5
)

// Key names an object.
type Key struct{ Site, Path string }

// Object is what can be pushed: a version of an object, and its size in bytes.
type Object struct {
	Key
	Version string
	Size    int64
}

// Region is a hub or a PoP: what it wants, has and may get.
type Region struct {
	Name string

	// Requests it had lately for the objects that it was asked for most: decayed counts, less their error, as internal/popular
	// keeps them. The plan expects as many again.
	Requests map[Key]float64

	// Weight is its part of the audience of all sites, in any unit, say the clients near it. By it content gets to a region
	// where a crowd is yet to come; with none, only to where requests for the site came from.
	Weight float64

	Cached map[Key]string // the versions that it came to have by requests, as far as is known
	Pinned map[Key]string // the versions that were pushed to it, or are on the way

	Space int64         // bytes that may be pinned
	Pace  int64         // bytes a second that may be pushed
	Since time.Duration // its last push; an object that takes longer at Pace waits
}

// Config is what an operator may choose.
type Config struct {
	// Floor is how many requests a region must be expected to have, in as long as its counts look back, before an object is
	// pushed to it; DefaultFloor if 0. A higher one pushes less in vain and later.
	Floor float64
}

// Push is an object to be pushed to a region.
type Push struct {
	Region string
	Object
	Expected float64 // requests that it will save
}

// Unpin is an object in a region that was pushed and is not wanted there any longer, or not in this version.
type Unpin struct {
	Region string
	Key
}

// Plan is what to do now, pushes in the order of what they save per byte. The push of a new version takes the place of the old
// one, which is not unpinned besides.
type Plan struct {
	Push  []Push
	Unpin []Unpin
}

// Planner decides what is pushed where. It holds no state: the same input makes the same plan.
type Planner struct{ floor float64 }

// New returns a planner, or what is wrong with the config.
func New(c Config) (*Planner, error) {
	if !(c.Floor >= 0) {
		return nil, fmt.Errorf("floor is %v: it must not be negative", c.Floor)
	}
	return &Planner{cmp.Or(c.Floor, DefaultFloor)}, nil
}

// Plan decides for all regions what of the objects there are is pushed to them, and what of their pins they give up. Of an
// object that is listed twice the last counts.
func (p *Planner) Plan(objects []Object, regions []Region) Plan {
	current := make(map[Key]Object, len(objects))
	for _, o := range objects {
		current[o.Key] = o
	}
	var plan Plan
	d := demandOf(regions)
	for i := range regions {
		p.region(&plan, d, current, &regions[i])
	}
	slices.SortFunc(plan.Push, func(a, b Push) int {
		return cmp.Or(cmp.Compare(b.perByte(), a.perByte()), cmp.Compare(a.Region, b.Region), compareKeys(a.Key, b.Key))
	})
	slices.SortFunc(plan.Unpin, func(a, b Unpin) int {
		return cmp.Or(cmp.Compare(a.Region, b.Region), compareKeys(a.Key, b.Key))
	})
	return plan
}

func (p Push) perByte() float64 { return p.Expected / float64(max(p.Size, 1)) }

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.Path, b.Path))
}

// candidate is an object that a region is to have, if it gets a place.
type candidate struct {
	Push
	weight float64 // what it saves per byte, and more if it was pushed before
	there  bool    // in this version
	cost   int64   // bytes to push
}

// region plans for one region: what is wanted gets a place in the order of its weight, as long as Space and Pace last.
func (p *Planner) region(plan *Plan, d demand, current map[Key]Object, r *Region) {
	space, pace := r.Space, int64(min(max(0, float64(r.Pace)*r.Since.Seconds()), 1<<62))
	kept := map[Key]bool{}
	for _, c := range p.candidates(d, current, r) {
		if c.Size > space || c.cost > pace {
			continue
		}
		space -= c.Size
		pace -= c.cost
		kept[c.Key] = true
		if !c.there {
			plan.Push = append(plan.Push, c.Push)
		}
	}
	for k := range r.Pinned {
		if !kept[k] {
			plan.Unpin = append(plan.Unpin, Unpin{r.Name, k})
		}
	}
}

func (p *Planner) candidates(d demand, current map[Key]Object, r *Region) []candidate {
	var all []candidate
	for k := range d.objects {
		o, exists := current[k]
		pin, pinned := r.Pinned[k]
		own, cached := r.Cached[k]
		there := pinned && pin == o.Version
		if !exists || o.Size < 0 || !there && cached && own == o.Version {
			continue
		}
		c := candidate{Push: Push{r.Name, o, d.expected(k, r)}, there: there, cost: o.Size}
		floor := p.floor
		c.weight = c.perByte()
		if pinned { // in this version or an older
			floor *= keep
			c.weight *= margin
		}
		if there {
			c.cost = 0
		}
		if c.Expected >= floor && (pinned || d.objects[k] >= seen) {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), compareKeys(a.Key, b.Key))
	})
	return all
}

// demand is what all regions ask for, without what none does.
type demand struct {
	objects map[Key]float64
	sites   map[string]float64
	regions map[siteIn]float64 // requests by site and region
	weights float64
}

type siteIn struct{ site, region string }

func demandOf(regions []Region) demand {
	d := demand{objects: map[Key]float64{}, sites: map[string]float64{}, regions: map[siteIn]float64{}}
	for _, r := range slices.SortedFunc(slices.Values(regions), func(a, b Region) int { return cmp.Compare(a.Name, b.Name) }) {
		d.weights += positive(r.Weight)
		for _, k := range slices.SortedFunc(maps.Keys(r.Requests), compareKeys) { // sums of floats hang on their order
			if n := positive(r.Requests[k]); n > 0 {
				d.objects[k] += n
				d.sites[k.Site] += n
				d.regions[siteIn{k.Site, r.Name}] += n
			}
		}
	}
	return d
}

// positive is n, or 0 where n is no count.
func positive(n float64) float64 {
	if n > 0 && n <= math.MaxFloat64 {
		return n
	}
	return 0
}

// share is the part of the requests for a site that is expected from a region.
func (d demand) share(site string, r *Region) float64 {
	n, all := d.regions[siteIn{site, r.Name}], d.sites[site]
	if d.weights > 0 {
		n += crowd * positive(r.Weight) / d.weights
		all += crowd
	}
	return n / all
}

// expected is how many requests a region will have for an object: its share of what all regions had, or as many as it had itself.
// The more of its requests for the site should have been for the object if it wanted what all want, the more its own count tells.
func (d demand) expected(k Key, r *Region) float64 {
	n := d.objects[k]
	due := n * d.regions[siteIn{k.Site, r.Name}] / d.sites[k.Site]
	guess := math.Exp(-due / doubt)
	return guess*n*d.share(k.Site, r) + (1-guess)*positive(r.Requests[k])
}
