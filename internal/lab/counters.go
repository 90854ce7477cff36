package lab

import (
	"sync"
	"time"

	"cdnlab/internal/stats"
	"cdnlab/topology"
)

// counters are those of all nodes that this process has run: one that is restarted counts from zero again.
type counters struct {
	mu  sync.Mutex // guards all
	all []counted
}

type counted struct {
	kind  topology.Kind
	stats *stats.Node
}

// add makes the counters of a node that starts.
func (c *counters) add(n topology.Node) *stats.Node {
	s := stats.New(time.Now())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, counted{n.Kind, s})
	return s
}
