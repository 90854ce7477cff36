package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"cdnlab/internal/place"
	"cdnlab/topology"
)

// Options says how a topology is run. The zero value runs it on the default ports, with emulation, quietly.
type Options struct {
	DataDir     string // .cdnlab
	KeyDir      string // of the files secret and token; DataDir when empty
	HTTPPort    uint16 // 8080
	DNSPort     uint16 // 8053
	AdminPort   uint16 // 7070
	GatewayPort uint16 // 3128
	NoNetem     bool   // connections are not wrapped: no latency, bandwidth or loss
	OnePort     bool   // all nodes on 127.0.0.1, each with a port of its own; where the machine owns no other address this is forced
	GeoIP       string // a GeoLite2 or DB-IP City database behind the topology's networks
	AccessLog   io.Writer
	Log         *slog.Logger
	Drain       time.Duration // how long a node waits for requests under way when it stops; 0 is 5 s
}

func (o Options) withDefaults() Options {
	if o.DataDir == "" {
		o.DataDir = ".cdnlab"
	}
	o.KeyDir = cmp.Or(o.KeyDir, o.DataDir)
	if o.AdminPort == 0 {
		o.AdminPort = 7070
	}
	if o.GatewayPort == 0 {
		o.GatewayPort = 3128
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Drain == 0 {
		o.Drain = 5 * time.Second
	}
	return o
}

// plan gives the ports of the address plan. The gateway that takes the city as user name has the first of its kind.
func (o Options) plan() topology.PlanOptions {
	p := topology.PlanOptions{HTTPPort: o.HTTPPort, DNSPort: o.DNSPort, GatewayPort: o.GatewayPort, OnePort: o.OnePort}
	if o.OnePort {
		p.GatewayPort++
	}
	return p
}

// wiring is what every node of a process is built from.
type wiring struct {
	top       *topology.Topology
	plan      *topology.Plan
	opt       Options
	dir       *dataDir
	locator   *place.Locator
	links     *links
	disks     *disks
	counters  *counters
	scrubbers *scrubbers
	secret    string
	token     string
}

// newWiring opens the data directory under the given lock and works out the addresses. The caller closes the directory.
func newWiring(t *topology.Topology, opt Options, lock string) (_ *wiring, err error) {
	opt = opt.withDefaults()
	if !opt.OnePort && !ownsLoopback() {
		opt.OnePort = true
		opt.Log.Warn("this machine owns no loopback address but 127.0.0.1: nodes get ports instead of addresses; reach them through the gateway")
	}
	w := &wiring{top: t, opt: opt, links: newLinks(t, opt.NoNetem), disks: newDisks(), counters: new(counters), scrubbers: newScrubbers()}
	if w.plan, err = t.Plan(opt.plan()); err != nil {
		return nil, err
	}
	if w.locator, err = place.New(t, w.plan, opt.GeoIP); err != nil {
		return nil, err
	}
	if w.dir, err = openDataDir(opt.DataDir, lock); err != nil {
		return nil, err
	}
	if w.secret, err = key(opt.KeyDir, "secret"); err == nil {
		w.token, err = key(opt.KeyDir, "token")
	}
	if err != nil {
		return nil, errors.Join(err, w.dir.close())
	}
	return w, nil
}

// Lab is a running CDN.
type Lab struct {
	*wiring
	state   State
	cancel  context.CancelCauseFunc
	ctx     context.Context
	stopped chan struct{}

	mu      sync.Mutex // guards running
	running map[topology.NodeName]*process
	rest    []*process // admin, gateway, resolvers

	faults faults
}

// Start runs every node of a topology in this process. When it returns nil every socket is bound: the lab is ready. It stops
// when ctx is cancelled or a node fails; Wait tells when it has.
func Start(ctx context.Context, t *topology.Topology, opt Options) (*Lab, error) {
	w, err := newWiring(t, opt, "lab")
	if err != nil {
		return nil, err
	}
	l := &Lab{wiring: w, running: map[topology.NodeName]*process{}, stopped: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	if err := l.startAll(); err != nil {
		l.cancel(err)
		l.stopAll()
		return nil, errors.Join(err, w.dir.close())
	}
	go l.finish()
	return l, nil
}

func (l *Lab) startAll() error {
	for _, n := range l.plan.Nodes {
		if err := l.startNode(n); err != nil {
			return err
		}
	}
	for _, build := range []func(*sockets) (runner, error){l.gateway, func(s *sockets) (runner, error) { return l.admin(l, s) }} {
		p, err := start(l.ctx, l.opt.Log, build, l.fail)
		if err != nil {
			return err
		}
		l.rest = append(l.rest, p)
	}
	l.state = l.wiring.state()
	return l.dir.writeState(l.state)
}

func (l *Lab) startNode(n topology.Node) error {
	p, err := start(l.ctx, l.opt.Log, func(s *sockets) (runner, error) { return l.node(n, s) }, l.fail)
	if err != nil {
		return err
	}
	l.opt.Log.Debug("node started", "node", string(n.Name), "http", n.HTTP)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running[n.Name] = p
	return nil
}

// fail stops the lab because one of its nodes ended with an error.
func (l *Lab) fail(err error) { l.cancel(err) }

// finish waits for the end and puts the data directory in order.
func (l *Lab) finish() {
	defer close(l.stopped)
	<-l.ctx.Done()
	l.endFaults()
	l.stopAll()
	if err := errors.Join(l.dir.removeState(), l.dir.close()); err != nil {
		l.opt.Log.Warn("leave data directory", "error", err)
	}
}

// stopAll stops everything at once and waits for it.
func (l *Lab) stopAll() {
	l.mu.Lock()
	all := append([]*process(nil), l.rest...)
	for _, p := range l.running {
		all = append(all, p)
	}
	l.mu.Unlock()
	for _, p := range all {
		p.cancel()
	}
	for _, p := range all {
		<-p.done
	}
}

// Wait blocks until the lab has stopped and returns why, if a node failed; nil after its context was cancelled.
func (l *Lab) Wait() error {
	<-l.stopped
	if err := context.Cause(l.ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// Stop takes a node down as if its process had ended: its sockets close, its memory is lost.
func (l *Lab) Stop(name topology.NodeName) error {
	l.mu.Lock()
	p, ok := l.running[name]
	delete(l.running, name)
	l.mu.Unlock()
	if !ok {
		return fmt.Errorf("stop node: no node %q is running", name)
	}
	p.cancel()
	<-p.done
	l.opt.Log.Debug("node stopped", "node", string(name))
	return nil
}

// Restart brings a node back that Stop took down.
func (l *Lab) Restart(name topology.NodeName) error {
	n, ok := l.plan.Node(name)
	if !ok {
		return fmt.Errorf("restart node: no node %q in the topology", name)
	}
	l.mu.Lock()
	_, up := l.running[name]
	l.mu.Unlock()
	if up {
		return fmt.Errorf("restart node: %q is running", name)
	}
	return l.startNode(n)
}

// Topology returns what the lab runs.
func (l *Lab) Topology() *topology.Topology { return l.top }

// Plan returns the addresses of the lab's nodes.
func (l *Lab) Plan() *topology.Plan { return l.plan }

// State returns what the lab left for other commands.
func (l *Lab) State() State { return l.state }

// AdminURL returns where the admin API is.
func (w *wiring) AdminURL() string { return "http://" + w.adminAddr().String() }

func (w *wiring) adminAddr() netip.AddrPort   { return at(w.top.Admin, w.opt.AdminPort) }
func (w *wiring) gatewayAddr() netip.AddrPort { return at(w.top.Gateway, w.opt.GatewayPort) }

// at is 127.0.0.1 unless the file gives an address.
func at(own netip.Addr, port uint16) netip.AddrPort {
	if !own.IsValid() {
		own = loopback
	}
	return netip.AddrPortFrom(own, port)
}

// state is what other commands are told.
func (w *wiring) state() State {
	s := State{PID: os.Getpid(), Topology: w.top.File, Zone: w.top.Zone, Admin: w.AdminURL(), DNS: w.dnsServers(), Gateway: w.gatewayAddr(),
		HTTPPort: w.plan.HTTPPort()}
	if w.opt.KeyDir != w.opt.DataDir {
		s.KeyDir = w.opt.KeyDir
	}
	return s
}

func (w *wiring) dnsServers() (servers []netip.AddrPort) {
	for _, n := range w.plan.Nodes {
		if n.Kind == topology.KindDNS {
			servers = append(servers, n.DNS)
		}
	}
	return servers
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})
