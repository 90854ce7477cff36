package distribution

import (
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"cdnlab/topology"
)

// How long a parent that failed is left alone: doubled with every further failure, up to a bound.
const (
	firstPause = 500 * time.Millisecond
	lastPause  = 8 * time.Second
)

// candidate is a parent that may be followed, with what is known of it.
type candidate struct {
	node     topology.Node
	failures int
	until    time.Time // left alone before
}

// candidates lists whom a node may follow for the journal of an origin, best first: the servers of its hub, in an order that spreads
// the nodes over them, then those of the other hubs from near to far, then the origin. Hubs follow the origin alone.
func candidates(t *topology.Topology, p *topology.Plan, node topology.Node, origin string) []candidate {
	refs := []topology.Ref{{Kind: topology.KindOrigin, Name: origin}}
	if node.Kind == topology.KindEdge {
		refs = t.Parents(node.Group, origin)
	}
	var list []candidate
	for _, ref := range refs {
		servers := slices.Clone(p.Group(ref))
		slices.SortFunc(servers, func(a, b topology.Node) int {
			if x, y := weight(node, a), weight(node, b); x != y {
				if x > y {
					return -1
				}
				return 1
			}
			return strings.Compare(string(a.Name), string(b.Name))
		})
		for _, s := range servers {
			list = append(list, candidate{node: s})
		}
	}
	return list
}

// weight orders servers for a node (rendezvous hashing, Thaler and Ravishankar 1998).
func weight(node, server topology.Node) uint64 {
	return xxhash.Sum64String(string(node.Name) + "\x00" + string(server.Name))
}

// choose returns the best candidate that may be tried now. When there is none it returns -1, and how long that lasts.
func choose(list []candidate, now time.Time) (i int, wait time.Duration) {
	wait = lastPause
	for i := range list {
		left := list[i].until.Sub(now)
		if left <= 0 {
			return i, 0
		}
		wait = min(wait, left)
	}
	return -1, wait
}

// better returns the best candidate that is to be preferred to the one that is followed and may be tried now; -1 when there is none.
// To one that is deaf, as it knows nothing new of the journal, any other is to be preferred.
func better(list []candidate, current int, deaf bool, now time.Time) int {
	for i := range list {
		if i == current && !deaf {
			break
		}
		if i != current && !now.Before(list[i].until) {
			return i
		}
	}
	return -1
}

// failed notes a failure. spread, from 0 to 1, tells nodes apart that have lost the same parent, so that they do not all come back at once.
func (c *candidate) failed(now time.Time, spread float64) {
	pause := min(firstPause<<min(c.failures, 10), lastPause)
	c.until = now.Add(pause/2 + time.Duration(spread*float64(pause)))
	c.failures++
}

// followed notes that the candidate has kept its word for a while.
func (c *candidate) followed() { c.failures, c.until = 0, time.Time{} }
