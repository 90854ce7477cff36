package lab

import (
	"sync"
	"sync/atomic"
	"time"

	"cdnlab/topology"
)

// disks holds how much longer each node's disk takes than the machine's own.
type disks struct {
	mu    sync.Mutex // guards later
	later map[topology.NodeName]*atomic.Int64
}

func newDisks() *disks { return &disks{later: map[topology.NodeName]*atomic.Int64{}} }

func (d *disks) node(n topology.NodeName) *atomic.Int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	l, ok := d.later[n]
	if !ok {
		l = new(atomic.Int64)
		d.later[n] = l
	}
	return l
}

// of returns what a node calls before each access to its disk.
func (d *disks) of(n topology.NodeName) func() {
	later := d.node(n)
	return func() {
		if t := later.Load(); t > 0 {
			time.Sleep(time.Duration(t))
		}
	}
}
