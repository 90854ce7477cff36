package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"time"

	"cdnlab/internal/experiment"
	"cdnlab/internal/stats"
	"cdnlab/mgmt"
	"cdnlab/topology"
)

// StartExperiment starts a network for an experiment: on ports that are free, with a data directory that is gone afterwards.
func StartExperiment(log *slog.Logger) experiment.Starter {
	return func(ctx context.Context, t *topology.Topology, noNetem bool) (experiment.Lab, error) {
		dir, err := os.MkdirTemp("", "cdnlab-run-")
		if err != nil {
			return nil, fmt.Errorf("make data directory: %w", err)
		}
		ports, err := freePorts(4)
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
		ctx, cancel := context.WithCancel(ctx)
		l, err := Start(ctx, t, Options{DataDir: dir, HTTPPort: ports[0], DNSPort: ports[1], AdminPort: ports[2], GatewayPort: ports[3],
			NoNetem: noNetem, Log: log, Drain: time.Second})
		if err != nil {
			cancel()
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
		return &experimentLab{Lab: l, dir: dir, cancel: cancel}, nil
	}
}

// freePorts finds ports that no loopback address uses, below those that the kernel gives to outgoing connections, of which an
// experiment makes many. It begins anywhere, so that experiments beside each other do not meet.
func freePorts(n int) (ports []uint16, err error) {
	const lowest, highest = 10_000, 32_000
	start := rand.IntN(highest - lowest)
	for i := 0; len(ports) < n && i < highest-lowest; i++ {
		port := lowest + (start+i)%(highest-lowest)
		at := fmt.Sprintf(":%d", port)
		tcp, err := net.Listen("tcp", at)
		if err != nil {
			continue
		}
		udp, err := net.ListenPacket("udp", at)
		_ = tcp.Close() // nothing came in
		if err != nil {
			continue
		}
		_ = udp.Close() // as above
		ports = append(ports, uint16(port))
	}
	if len(ports) < n {
		return nil, fmt.Errorf("find free ports: there are none from %d to %d", lowest, highest)
	}
	return ports, nil
}

// experimentLab is a lab under an experiment.
type experimentLab struct {
	*Lab
	dir    string
	cancel context.CancelFunc
}

// Counters implements experiment.Lab.
func (l *experimentLab) Counters() (c experiment.Counters) {
	l.counters.mu.Lock()
	defer l.counters.mu.Unlock()
	for _, n := range l.counters.all {
		switch n.kind {
		case topology.KindHub:
			s := n.stats.Snapshot()
			c.HubRequests += s.Total()
			c.HubHits += s.Requests[stats.Hit.String()] + s.Requests[stats.Stale.String()]
		case topology.KindOrigin:
			c.OriginRequests += n.stats.Snapshot().Total()
		}
	}
	return c
}

// Impair implements experiment.Lab.
func (l *experimentLab) Impair(target string, what topology.Impairment, length time.Duration) error {
	_, err := l.impair(&fault{Fault: mgmt.Fault{FaultSpec: mgmt.FaultSpec{Target: target}}}, what, length)
	return err
}

// Stop implements experiment.Lab.
func (l *experimentLab) Stop() error {
	l.cancel()
	return errors.Join(l.Wait(), os.RemoveAll(l.dir))
}
