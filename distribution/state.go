package distribution

import (
	"strconv"
	"time"
)

// State is how far the nodes of a tree are.
type State struct {
	Origin  string      `json:"origin"`
	Epoch   string      `json:"epoch"`
	Seq     uint64      `json:"seq"`
	Horizon uint64      `json:"horizon"` // events up to it cannot be replayed
	Nodes   []NodeState `json:"nodes"`
}

// NodeState is how far a node is.
type NodeState struct {
	Node      string  `json:"node"`
	Role      string  `json:"role"`
	Parent    string  `json:"parent,omitempty"` // that it follows
	Up        bool    `json:"up"`               // it follows one
	Seq       uint64  `json:"seq"`
	Lag       uint64  `json:"lag"`         // events that it has not applied, as far as is known
	Pending   int     `json:"pending"`     // objects that are being pushed to it
	Received  int64   `json:"received"`    // bytes of what was pushed to it
	Staleness float64 `json:"staleness_s"` // it has applied everything of so many seconds ago; -1 when it has never been heard of
}

// State returns how far the nodes are.
func (r *Root) State() State {
	at := r.journal.Position()
	s := State{Origin: r.cfg.Node.Group, Epoch: strconv.FormatUint(uint64(at.Epoch), 16), Seq: uint64(at.Seq), Horizon: uint64(r.journal.Horizon())}
	now := r.cfg.Now()
	for _, n := range r.below {
		st := NodeState{Node: string(n.Name), Role: n.Kind.String(), Staleness: -1}
		if rep, ok := r.reports.get(st.Node); ok {
			st.Parent, st.Up = rep.Via, !rep.Gone
			st.Pending, st.Received = rep.Pending, rep.Received
			if rep.At.Epoch == at.Epoch {
				st.Seq = uint64(rep.At.Seq)
			}
			st.Lag = max(uint64(at.Seq), st.Seq) - st.Seq
			if rep.Beat > 0 {
				st.Staleness = max(0, now.Sub(time.Unix(0, rep.Beat)).Seconds())
			}
		}
		s.Nodes = append(s.Nodes, st)
	}
	return s
}
