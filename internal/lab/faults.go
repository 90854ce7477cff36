package lab

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"cdnlab/internal/netem"
	"cdnlab/mgmt"
	"cdnlab/topology"
)

// faults are what has been made to go wrong in a lab. What several of them do to the same thing adds up.
type faults struct {
	mu     sync.Mutex // held while faults begin and end, so that they do so one after another; guards the fields below
	closed bool
	last   int
	active map[int]*fault
}

// fault is one fault, taken apart.
type fault struct {
	mgmt.Fault
	number   int
	down     bool // ends the servers that it hits
	network  netem.Fault
	slowDisk time.Duration
	nodes    []topology.Node // that it hits, or
	link     *[2]topology.Ref
	end      *time.Timer
}

// longest is how long a fault may add to a turn or to an access to a disk.
const longest = time.Minute

// AddFault makes something go wrong, until RemoveFault or for the time that the spec says.
func (l *Lab) AddFault(spec mgmt.FaultSpec) (mgmt.Fault, error) {
	what, length, err := readFault(spec)
	if err != nil {
		return mgmt.Fault{}, err
	}
	return l.impair(&fault{Fault: mgmt.Fault{FaultSpec: spec}}, what, length)
}

// impair makes a fault hold that says what it is aimed at.
func (l *Lab) impair(f *fault, what topology.Impairment, length time.Duration) (mgmt.Fault, error) {
	if err := l.aim(f, what); err != nil {
		return mgmt.Fault{}, err
	}
	fs := &l.faults
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.closed {
		return mgmt.Fault{}, errors.New("the lab is stopping")
	}
	fs.last++
	f.number, f.ID, f.Since = fs.last, fmt.Sprintf("f%d", fs.last), time.Now()
	if fs.active == nil {
		fs.active = map[int]*fault{}
	}
	fs.active[f.number] = f
	if length > 0 {
		until := f.Since.Add(length)
		f.Until = &until
		f.end = time.AfterFunc(length, func() {
			if err := l.endFault(f.number); err != nil && !errors.Is(err, mgmt.ErrNoFault) {
				l.opt.Log.Error("end fault", "fault", f.ID, "error", err)
			}
		})
	}
	l.opt.Log.Info("fault begins", "fault", f.ID, "target", f.Target)
	if err := l.applyLocked(f); err != nil {
		delete(fs.active, f.number)
		if f.end != nil {
			f.end.Stop()
		}
		return mgmt.Fault{}, errors.Join(err, l.applyLocked(f))
	}
	return f.Fault, nil
}

// RemoveFault ends a fault.
func (l *Lab) RemoveFault(id string) error {
	var number int
	if _, err := fmt.Sscanf(id, "f%d", &number); err != nil || fmt.Sprintf("f%d", number) != id {
		return mgmt.ErrNoFault
	}
	return l.endFault(number)
}

func (l *Lab) endFault(number int) error {
	fs := &l.faults
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f, ok := fs.active[number]
	if !ok || fs.closed {
		return mgmt.ErrNoFault
	}
	delete(fs.active, number)
	if f.end != nil {
		f.end.Stop()
	}
	l.opt.Log.Info("fault ends", "fault", f.ID, "target", f.Target)
	return l.applyLocked(f)
}

// Faults returns the faults that hold, the oldest first.
func (l *Lab) Faults() []mgmt.Fault {
	fs := &l.faults
	fs.mu.Lock()
	defer fs.mu.Unlock()
	all := []mgmt.Fault{}
	for _, number := range slices.Sorted(maps.Keys(fs.active)) {
		all = append(all, fs.active[number].Fault)
	}
	return all
}

// endFaults lets no fault begin or end any more.
func (l *Lab) endFaults() {
	l.faults.mu.Lock()
	defer l.faults.mu.Unlock()
	l.faults.closed = true
	for _, f := range l.faults.active {
		if f.end != nil {
			f.end.Stop()
		}
	}
}

// applyLocked brings what a fault hits into the state that all active faults make together.
func (l *Lab) applyLocked(f *fault) error {
	if f.link != nil {
		sum := netem.Fault{}
		for _, other := range l.faults.active {
			if other.link != nil && *other.link == *f.link {
				sum = sum.And(other.network)
			}
		}
		l.links.between(f.link[0], f.link[1]).Break(sum)
		l.links.between(f.link[1], f.link[0]).Break(sum)
		return nil
	}
	var errs []error
	for _, n := range f.nodes {
		errs = append(errs, l.applyNodeLocked(n))
	}
	return errors.Join(errs...)
}

func (l *Lab) applyNodeLocked(n topology.Node) error {
	var sum netem.Fault
	var slow time.Duration
	down := false
	for _, f := range l.faults.active {
		if slices.ContainsFunc(f.nodes, func(hit topology.Node) bool { return hit.Name == n.Name }) {
			sum, slow, down = sum.And(f.network), slow+f.slowDisk, down || f.down
		}
	}
	l.disks.node(n.Name).Store(int64(slow))
	l.mu.Lock()
	_, up := l.running[n.Name]
	l.mu.Unlock()
	switch {
	case down && up:
		l.links.port(n.Name).Break(netem.Fault{Reset: true}) // a process that ends takes its connections with it
		err := l.Stop(n.Name)
		l.links.port(n.Name).Break(sum)
		return err
	case !down && !up:
		l.links.port(n.Name).Break(sum)
		return l.Restart(n.Name)
	}
	l.links.port(n.Name).Break(sum)
	return nil
}

// readFault takes a spec apart. Its errors say what would be right.
func readFault(spec mgmt.FaultSpec) (what topology.Impairment, length time.Duration, err error) {
	what = topology.Impairment{Down: spec.Down, Reset: spec.Reset}
	for _, q := range []struct {
		name, text string
		read       func(string) error
	}{
		{"latency", spec.Latency, readDuration(&what.Latency)},
		{"jitter", spec.Jitter, readDuration(&what.Jitter)},
		{"slow-disk", spec.SlowDisk, readDuration(&what.SlowDisk)},
		{"loss", spec.Loss, func(s string) (err error) { what.Loss, err = topology.ParseShare(s); return err }},
		{"bandwidth", spec.Bandwidth, func(s string) (err error) { what.Bandwidth, err = topology.ParseBandwidth(s); return err }},
		{"for", spec.For, func(s string) (err error) { length, err = topology.ParseDuration(s); return err }},
	} {
		if q.text == "" {
			continue
		}
		if err := q.read(q.text); err != nil {
			return what, 0, fmt.Errorf("%s: %w", q.name, err)
		}
	}
	switch {
	case spec.For != "" && length <= 0:
		return what, 0, errors.New("for: a fault lasts longer than 0; leave it out for one that holds until it is removed")
	case spec.Bandwidth != "" && what.Bandwidth < 1000:
		return what, 0, errors.New("bandwidth: at least 1kbps; to let nothing through, take the target down")
	}
	return what, length, nil
}

func readDuration(into *time.Duration) func(string) error {
	return func(text string) error {
		d, err := topology.ParseDuration(text)
		if err == nil && d > longest {
			err = fmt.Errorf("%s is too much; it is at most %s", text, longest)
		}
		*into = d
		return err
	}
}

// aim finds what a fault hits, and whether it can be hit so.
func (l *Lab) aim(f *fault, what topology.Impairment) error {
	target, err := l.top.Target(f.Target)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	if err := target.Takes(what); err != nil {
		return err
	}
	f.network = netem.Fault{Latency: what.Latency, Jitter: what.Jitter, Loss: what.Loss, Bandwidth: int64(what.Bandwidth), Reset: what.Reset}
	f.slowDisk = what.SlowDisk
	if target.IsLink() {
		f.network.Down = what.Down
		f.link, f.Link = &target.Link, []string{target.Link[0].String(), target.Link[1].String()}
		return l.emulated(f)
	}
	f.down = what.Down
	for _, name := range target.Servers {
		n, _ := l.plan.Node(name) // the plan has all servers of the topology
		f.nodes, f.Nodes = append(f.nodes, n), append(f.Nodes, string(name))
	}
	return l.emulated(f)
}

// emulated reports whether the fault can be had at all: without emulation there is nothing on a connection to do it.
func (l *Lab) emulated(f *fault) error {
	if l.opt.NoNetem && f.network != (netem.Fault{}) {
		return errors.New("this lab runs with --no-netem: servers can be down or have slow disks, connections are left alone")
	}
	return nil
}

// alone is the lab as a process of mgmt alone sees it: the nodes run elsewhere.
type alone struct{ *wiring }

var errElsewhere = errors.New("the nodes of this lab are processes of their own: stop them, or disconnect them, where they run")

// Faults implements mgmt.Lab.
func (alone) Faults() []mgmt.Fault { return []mgmt.Fault{} }

// AddFault implements mgmt.Lab.
func (alone) AddFault(mgmt.FaultSpec) (mgmt.Fault, error) { return mgmt.Fault{}, errElsewhere }

// Scrub implements mgmt.Lab.
func (alone) Scrub() mgmt.Scrub {
	return mgmt.Scrub{Limits: []mgmt.LimitCount{}, Blocked: []mgmt.Blocked{}}
}

// Block implements mgmt.Lab.
func (alone) Block(netip.Prefix, time.Duration) error { return errElsewhere }

// Unblock implements mgmt.Lab.
func (alone) Unblock(netip.Prefix) bool { return false }

// RemoveFault implements mgmt.Lab.
func (alone) RemoveFault(string) error { return mgmt.ErrNoFault }
