package mgmt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"cdnlab/internal/stats"
	"cdnlab/topology"
)

const (
	nodeTimeout = time.Second
	atOnce      = 32 // nodes asked at the same time
	maxStats    = 1 << 20
)

func (s *Server) getStatus(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, s.collect(r.Context()))
}

// collect asks every node for its figures; one that does not answer in time is down.
func (s *Server) collect(ctx context.Context) Status {
	snapshots, problems := s.snapshots(ctx)
	return summarize(s.cfg.Topology.Name, s.cfg.Plan.Nodes, snapshots, problems)
}

// samples reads every node; of one that does not answer the reading before stands.
func (s *Server) samples(ctx context.Context, before *watched) []sample {
	snapshots, problems := s.snapshots(ctx)
	all := make([]sample, len(snapshots))
	for i := range all {
		all[i] = sample{snapshots[i], problems[i]}
		if problems[i] != nil && before != nil {
			all[i].Snapshot = before.samples[i].Snapshot
		}
	}
	return all
}

func (s *Server) snapshots(ctx context.Context) ([]stats.Snapshot, []error) {
	nodes := s.cfg.Plan.Nodes
	snapshots := make([]stats.Snapshot, len(nodes))
	problems := make([]error, len(nodes))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, n := range nodes {
		group.Go(func() error {
			snapshots[i], problems[i] = s.snapshot(ctx, n)
			return nil
		})
	}
	_ = group.Wait() // problems holds them
	return snapshots, problems
}

func (s *Server) snapshot(ctx context.Context, n topology.Node) (stats.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, nodeTimeout)
	defer cancel()
	var snap stats.Snapshot
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.HTTP.String()+"/-/stats", nil)
	if err != nil {
		return snap, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return snap, reason(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return snap, fmt.Errorf("GET %s: %s", req.URL, resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxStats)).Decode(&snap); err != nil {
		return snap, fmt.Errorf("GET %s: %w", req.URL, err)
	}
	return snap, nil
}

// reason says why a node gave no answer without its address, which stands beside.
func reason(ctx context.Context, err error) error {
	var op *net.OpError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("no answer within %s", nodeTimeout)
	case errors.As(err, &op):
		return op.Err
	}
	return err
}

// tiers in the order in which people think of them.
var tiers = []topology.Kind{topology.KindEdge, topology.KindHub, topology.KindOrigin, topology.KindDNS}

func summarize(name string, nodes []topology.Node, snapshots []stats.Snapshot, problems []error) Status {
	status := Status{Name: name}
	sums := map[topology.Kind]*tally{}
	counts := map[topology.Kind]*TierStatus{}
	for i, n := range nodes {
		if sums[n.Kind] == nil {
			sums[n.Kind], counts[n.Kind] = &tally{}, &TierStatus{Role: n.Kind.String()}
		}
		node := NodeStatus{Name: string(n.Name), Role: n.Kind.String(), City: n.At.City, Address: n.HTTP.String(), Up: problems[i] == nil}
		counts[n.Kind].Nodes++
		if node.Up {
			counts[n.Kind].Up++
			var one tally
			one.add(snapshots[i])
			node.Figures = one.figures()
			sums[n.Kind].add(snapshots[i])
		} else {
			node.Problem = problems[i].Error()
		}
		status.Nodes = append(status.Nodes, node)
	}
	var fetched uint64
	for _, kind := range tiers {
		if counts[kind] == nil {
			continue
		}
		counts[kind].Figures = sums[kind].figures()
		status.Tiers = append(status.Tiers, *counts[kind])
		fetched += sums[kind].originFetch
	}
	if edges := sums[topology.KindEdge]; edges != nil && edges.requests > 0 {
		status.OriginOffload = ratio(edges.requests-min(fetched, edges.requests), edges.requests)
	}
	return status
}
