package stats

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"cdnlab/topology"
)

// Flow is what went between the node and one peer: a client place that asked it, or an entry that it asked.
type Flow struct {
	Peer     string `json:"peer"` // in full: "clients.tokyo", "hubs.ap"
	Count    uint64 `json:"count"`
	Bytes    uint64 `json:"bytes"` // of response bodies
	Duration uint64 `json:"us"`    // of all exchanges together, in microseconds
}

// flows counts by peer. Peers are few and appear once: readers of the map take no lock.
type flows struct {
	known atomic.Pointer[map[topology.Ref]*flow]
	mu    sync.Mutex // guards additions to known
}

type flow struct{ count, bytes, us atomic.Uint64 }

// maxFlows bounds the peers of a node, and its client places: a topology may have thousands.
const maxFlows = 1024

func (f *flows) of(peer topology.Ref) *flow {
	if known := f.known.Load(); known != nil {
		if one, ok := (*known)[peer]; ok {
			return one
		}
	}
	return f.add(peer)
}

func (f *flows) add(peer topology.Ref) *flow {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := map[topology.Ref]*flow{}
	if known := f.known.Load(); known != nil {
		if one, ok := (*known)[peer]; ok {
			return one
		}
		if len(*known) >= maxFlows {
			return new(flow) // counted nowhere
		}
		next = maps.Clone(*known)
	}
	one := new(flow)
	next[peer] = one
	f.known.Store(&next)
	return one
}

// Flow counts an exchange with a peer that is no client place, which Place counts: bytes of the response's body, and how long it took.
func (n *Node) Flow(peer topology.Ref, bytes int64, took time.Duration) {
	f := n.flows.of(peer)
	f.count.Add(1)
	f.bytes.Add(uint64(max(bytes, 0)))
	f.us.Add(uint64(max(took, 0) / time.Microsecond))
}

// snapshot lists the flows, those of client places among them.
func (f *flows) snapshot(places map[string]GroupCount) (all []Flow) {
	if known := f.known.Load(); known != nil {
		for peer, one := range *known {
			all = append(all, Flow{peer.String(), one.count.Load(), one.bytes.Load(), one.us.Load()})
		}
	}
	for name, c := range places {
		if name != otherPlace {
			all = append(all, Flow{topology.Ref{Kind: topology.KindClient, Name: name}.String(), c.TTFB.Count, c.Bytes, c.TTFB.Sum})
		}
	}
	slices.SortFunc(all, func(a, b Flow) int { return cmp.Compare(a.Peer, b.Peer) })
	return all
}
