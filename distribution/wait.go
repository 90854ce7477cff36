package distribution

import (
	"context"
	"strconv"
	"time"

	"cdnlab/internal/journal"
)

// Applied is what became of an event at a node.
type Applied struct {
	Node    string  `json:"node"`
	Role    string  `json:"role"`
	Applied bool    `json:"applied"`
	After   float64 `json:"after_ms"`          // from the event's entry in the journal until the origin knew; of a node that has applied it
	Heard   float64 `json:"heard_s,omitempty"` // seconds since the node was last heard of; of one that has not, 0 when it never was
	Pending bool    `json:"pending,omitempty"` // it is alive, and has not applied it yet
}

// Progress is what became of an event everywhere.
type Progress struct {
	Origin string    `json:"origin"`
	Epoch  string    `json:"epoch"`
	Seq    uint64    `json:"seq"`
	Nodes  []Applied `json:"nodes"` // in the order of the topology
	// Staleness is the longest time, in milliseconds, for which some node that is alive may still have served what was purged. It is
	// proven: by then the origin had every such node's word.
	Staleness float64 `json:"max_staleness_ms"`
}

// grace is how long a node that has left its parent may take to come back before it counts as unreachable; comeBack is how long all may
// take after a start, as they try a parent that was gone every now and then.
const (
	grace    = time.Second
	comeBack = lastPause*3/2 + grace
)

// Wait returns when every node that is alive has applied an event of the journal, or ctx ends. With pushes it also has what that event
// pushes to it.
func (r *Root) Wait(ctx context.Context, at journal.Position, from time.Time, pushes bool) Progress {
	p := r.progress(at)
	for {
		changed := r.reports.changed.wait()
		if done := r.look(&p, at, from, r.cfg.Now(), pushes); done || ctx.Err() != nil {
			return p
		}
		look := time.NewTimer(grace / 4) // silence changes nothing that would wake
		select {
		case <-changed:
		case <-look.C:
		case <-ctx.Done():
		}
		look.Stop()
	}
}

// progress is that of an event of which nothing is known yet.
func (r *Root) progress(at journal.Position) Progress {
	p := Progress{Origin: r.cfg.Node.Group, Epoch: strconv.FormatUint(uint64(at.Epoch), 16), Seq: uint64(at.Seq), Nodes: make([]Applied, len(r.below))}
	for i, n := range r.below {
		p.Nodes[i] = Applied{Node: string(n.Name), Role: n.Kind.String()}
	}
	return p
}

// look brings the progress of an event up to date; done says that no more is to come.
func (r *Root) look(p *Progress, at journal.Position, from, now time.Time, pushes bool) (done bool) {
	open := 0
	for i := range p.Nodes {
		a := &p.Nodes[i]
		if a.Pending = r.judge(a, at, from, now, pushes); a.Pending {
			open++
		}
		p.Staleness = max(p.Staleness, p.Nodes[i].After)
	}
	return open == 0 || r.journal.Position().Epoch != at.Epoch
}

// judge looks whether a node has applied an event; it returns whether that may still come.
func (r *Root) judge(a *Applied, at journal.Position, from, now time.Time, pushes bool) bool {
	if a.Applied {
		return false
	}
	n, known := r.reports.get(a.Node)
	switch {
	case known && n.At.Epoch == at.Epoch && n.At.Seq >= at.Seq && !(pushes && n.lacks(at.Seq)):
		a.Applied, a.Heard = true, 0
		a.After = milliseconds(max(0, now.Sub(from)))
		return false
	case known && !n.Gone:
		a.Heard = now.Sub(n.at).Seconds()
		return now.Sub(n.at) < silence+grace
	case known:
		a.Heard = now.Sub(n.at).Seconds()
		return now.Sub(n.gone) < grace
	}
	return now.Sub(r.started) < comeBack
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
