package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"cdnlab/internal/proxy"
	"cdnlab/mgmt"
	"cdnlab/scrubber"
	"cdnlab/topology"
)

// maxHeld is how many requests an edge server holds back at the same time, each with a connection and a goroutine.
const maxHeld = 10_000

// scrubbers are the limits of each edge server. They outlive a restart of their server: a block list is the lab's.
type scrubbers struct {
	epoch time.Time // of their instants
	mu    sync.Mutex
	of    map[topology.NodeName]*scrubber.Limits // guarded by mu
	names []topology.NodeName                    // of the servers in of, in order of their start
}

func newScrubbers() *scrubbers {
	return &scrubbers{epoch: time.Now(), of: map[topology.NodeName]*scrubber.Limits{}}
}

// guard returns the limits of an edge server as it asks them.
func (s *scrubbers) guard(n topology.NodeName, t *topology.Topology) (proxy.Guard, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.of[n]
	if !ok {
		var err error
		if l, err = scrubber.New(scrubber.Config{Rules: scrubber.Rules(t), Trusted: trusted(t), MaxHeld: maxHeld}); err != nil {
			return nil, err
		}
		s.of[n], s.names = l, append(s.names, n)
	}
	return &guard{l, s.epoch}, nil
}

// trusted are the proxies whose X-Forwarded-For edges believe: the file's, and a gateway with an address of its own.
func trusted(t *topology.Topology) []netip.Prefix {
	if !t.Gateway.IsValid() {
		return t.TrustedProxies
	}
	return append(slices.Clone(t.TrustedProxies), netip.PrefixFrom(t.Gateway, t.Gateway.BitLen()))
}

// guard is a Limits as an edge asks it.
type guard struct {
	limits *scrubber.Limits
	epoch  time.Time
}

// Client implements proxy.Guard.
func (g *guard) Client(peer netip.Addr, forwarded []string) netip.Addr {
	return g.limits.Client(peer, forwarded)
}

// Check implements proxy.Guard.
func (g *guard) Check(now time.Time, v *proxy.Visit, lines []byte) (proxy.Pass, []byte) {
	d := g.limits.Check(int64(now.Sub(g.epoch)), scrubber.Request{Client: v.Client, Site: v.Site, Path: v.Path, Header: v.Header})
	if d.Rule != "" {
		d.Fields(func(name string, value []byte) {
			lines = append(append(append(append(lines, name...), ": "...), value...), "\r\n"...)
		})
	}
	p := proxy.Pass{Status: d.Status(), Delay: d.Delay}
	switch {
	case d.OK && d.Delay > 0:
		p.Done = g.limits.Release
	case d.OK:
	case d.Crowded:
		p.Why = fmt.Sprintf("%s would have to wait for its turn by the limit %s, and too many requests wait here", v.Client, d.Rule)
	case d.Blocked && d.Rule == scrubber.Manual:
		p.Why = fmt.Sprintf("%s is blocked here", v.Client)
	case d.Blocked:
		p.Why = fmt.Sprintf("%s is blocked for a while: it went over the limit %s", v.Client, d.Rule)
	default:
		p.Why = fmt.Sprintf("%s has made more requests than the limit %s allows", v.Client, d.Rule)
	}
	return p, lines
}

// all returns the limits of every edge server that runs here.
func (s *scrubbers) all() (names []topology.NodeName, limits []*scrubber.Limits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.names {
		limits = append(limits, s.of[n])
	}
	return slices.Clone(s.names), limits
}

// Scrub implements mgmt.Lab.
func (l *Lab) Scrub() mgmt.Scrub {
	now := time.Now()
	out := mgmt.Scrub{Limits: []mgmt.LimitCount{}, Blocked: []mgmt.Blocked{}}
	names, all := l.scrubbers.all()
	at := int64(now.Sub(l.scrubbers.epoch))
	for i, limits := range all {
		for _, c := range limits.Counts() {
			out.Limits = append(out.Limits, mgmt.LimitCount{Node: string(names[i]), Limit: c.Rule, Passed: c.Passed, Delayed: c.Delayed,
				Refused: c.Refused, Blocks: c.Blocks, Listed: c.Listed})
		}
		for _, e := range limits.Blocked(at) {
			b := mgmt.Blocked{Prefix: e.Prefix, By: e.By}
			if left := e.Left(at); left != scrubber.Never {
				until := now.Add(left)
				b.Until = &until
			}
			j := slices.IndexFunc(out.Blocked, func(o mgmt.Blocked) bool { return o.Prefix == b.Prefix && o.By == b.By })
			if j < 0 {
				j = len(out.Blocked)
				out.Blocked = append(out.Blocked, b)
			}
			out.Blocked[j].Nodes = append(out.Blocked[j].Nodes, string(names[i]))
		}
	}
	return out
}

// Block implements mgmt.Lab.
func (l *Lab) Block(p netip.Prefix, ttl time.Duration) error {
	_, all := l.scrubbers.all()
	for _, limits := range all {
		if err := limits.Block(int64(time.Since(l.scrubbers.epoch)), p, ttl); err != nil {
			return err
		}
	}
	return nil
}

// Unblock implements mgmt.Lab.
func (l *Lab) Unblock(p netip.Prefix) (was bool) {
	_, all := l.scrubbers.all()
	for _, limits := range all {
		was = limits.Unblock(int64(time.Since(l.scrubbers.epoch)), p) || was
	}
	return was
}
