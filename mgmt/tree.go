package mgmt

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"cdnlab/topology"
)

// Paths at an origin, the root of its distribution tree (package distribution).
const (
	treeAppend = "/-/tree/append"
	treeState  = "/-/tree/state"
)

// Progress is what became of an event of an origin's journal (distribution.Progress).
type Progress struct {
	Origin    string        `json:"origin"`
	Epoch     string        `json:"epoch"`
	Seq       uint64        `json:"seq"`
	Nodes     []AppliedNode `json:"nodes"`
	Staleness float64       `json:"max_staleness_ms"`
}

// AppliedNode is what became of an event at a hub or an edge.
type AppliedNode struct {
	Node    string  `json:"node"`
	Role    string  `json:"role"`
	Applied bool    `json:"applied"`
	After   float64 `json:"after_ms"`          // until the origin knew that it was applied
	Heard   float64 `json:"heard_s,omitempty"` // of a node that has not: seconds since it was last heard of
	Pending bool    `json:"pending,omitempty"` // it is alive, and has not yet
}

// Tree is how far the nodes below an origin are (distribution.State).
type Tree struct {
	Origin  string     `json:"origin"`
	Epoch   string     `json:"epoch"`
	Seq     uint64     `json:"seq"`
	Horizon uint64     `json:"horizon"` // events up to it cannot be replayed
	Nodes   []TreeNode `json:"nodes"`
	Error   string     `json:"error,omitempty"` // why nothing is known
}

// Trees is the answer of GET /api/v1/tree.
type Trees struct {
	Trees []Tree `json:"trees"` // one for each origin
}

// TreeNode is how far a hub or an edge is.
type TreeNode struct {
	Node      string  `json:"node"`
	Role      string  `json:"role"`
	Parent    string  `json:"parent,omitempty"` // that it follows
	Up        bool    `json:"up"`               // it follows one
	Seq       uint64  `json:"seq"`
	Lag       uint64  `json:"lag"`         // events that it has not applied
	Pending   int     `json:"pending"`     // objects that are being pushed to it
	Received  int64   `json:"received"`    // bytes of what was pushed to it
	Staleness float64 `json:"staleness_s"` // it has applied everything of so many seconds ago; -1 when it was never heard of
}

// appendEvent writes an event into the journal of an origin, for which that may take so long, and waits until it is applied everywhere.
func (s *Server) appendEvent(ctx context.Context, origin string, event url.Values, wait, takes time.Duration) (p Progress, err error) {
	event = maps.Clone(event) // it may be for other origins, too
	event.Set("wait", wait.String())
	return p, s.askTree(ctx, origin, treeAppend+"?"+event.Encode(), wait+takes, &p)
}

// askTree asks an origin for something of its tree that takes so long.
func (s *Server) askTree(ctx context.Context, origin, target string, takes time.Duration, into any) error {
	n, ok := s.cfg.Plan.Node(topology.NodeName(origin))
	if !ok {
		return fmt.Errorf("no origin %q", origin)
	}
	ctx, cancel := context.WithTimeout(ctx, takes+2*nodeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.HTTP.String()+target, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Cdnlab-Secret", s.cfg.Secret)
	resp, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("the origin %s does not answer: %w", origin, reason(ctx, err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // the status alone will do
		return fmt.Errorf("the origin %s answered %d: %s", origin, resp.StatusCode, strings.TrimSpace(string(said)))
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

func (s *Server) getTree(w http.ResponseWriter, r *http.Request) {
	trees := make([]Tree, len(s.cfg.Topology.Origins))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i := range trees {
		group.Go(func() error {
			origin := s.cfg.Topology.Origins[i].Name
			if err := s.askTree(r.Context(), origin, treeState, 0, &trees[i]); err != nil {
				trees[i] = Tree{Origin: origin, Nodes: []TreeNode{}, Error: err.Error()}
			}
			return nil
		})
	}
	_ = group.Wait() // trees hold the errors
	writeJSON(w, http.StatusOK, Trees{trees})
}
