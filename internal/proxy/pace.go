package proxy

import (
	"golang.org/x/time/rate"

	"cdnlab/topology"
)

// Bounds of what is pushed: how many bytes may come at once, and of one read. When many bodies share a slow link the silence in each is as
// long as the reads of all others take, which is to stay well below bodyStall.
const (
	pushBurst = 256 << 10
	pushPiece = 16 << 10
)

// PushLimits makes the limiters of what is pushed to a node. The links to the places that it fetches from have one each, of the bytes
// that come across; where the bandwidth has no bound it is nil. The servers of a place share the links of that.
func PushLimits(t *topology.Topology, p *topology.Plan, node topology.Node) func(parent topology.Node) *rate.Limiter {
	own := topology.Ref{Kind: node.Kind, Name: node.Group}
	servers := len(p.Group(own))
	made := map[topology.Ref]*rate.Limiter{}
	return func(parent topology.Node) *rate.Limiter {
		ref := topology.Ref{Kind: parent.Kind, Name: parent.Group}
		limit, ok := made[ref]
		if r := t.PushRate(own, ref); !ok && r > 0 {
			limit = rate.NewLimiter(rate.Limit(float64(r)/float64(servers)), pushBurst)
			made[ref] = limit
		}
		return limit
	}
}
