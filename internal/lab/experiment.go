package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
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
		return &experimentLab{Lab: l, dir: dir, cancel: cancel, admin: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}, nil
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
	admin  *http.Client // of the admin API
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
		case topology.KindEdge:
			if cache := n.stats.Snapshot().Cache; cache != nil {
				c.Pushed += cache.Pushed.Bytes
				c.Vain += cache.Pushed.Unrequested
			}
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

// How long a purge and a push of an experiment may take.
const (
	purgeWait = "30s"
	pushWait  = "5m"
)

// Put implements experiment.Lab.
func (l *experimentLab) Put(ctx context.Context, what topology.PutStep, version uint64) (string, error) {
	body := make([]byte, what.Size)
	copy(body, strconv.FormatUint(version, 10)+"\n"+what.Path) // what fits in tells versions apart
	header := http.Header{}
	if what.Key != "" {
		header.Set("Cdnlab-Header", "Surrogate-Key: "+what.Key)
	}
	var stored struct {
		ETag string `json:"etag"`
	}
	query := url.Values{"site": {what.Site}, "path": {what.Path}}
	err := l.ask(ctx, http.MethodPut, "/objects/item?"+query.Encode(), header, body, &stored)
	return stored.ETag, err
}

// Purge implements experiment.Lab.
func (l *experimentLab) Purge(ctx context.Context, what topology.PurgeStep) (time.Duration, error) {
	spec := mgmt.PurgeSpec{Key: what.Key, All: what.All, Soft: what.Soft, Wait: purgeWait}
	switch {
	case what.Path != "":
		spec.URL = what.Site + what.Path
	case what.Prefix != "":
		spec.Prefix = what.Site + what.Prefix
	default:
		spec.Site = what.Site
	}
	var done mgmt.Purged
	if err := l.change(ctx, "/purge", spec, &done); err != nil {
		return 0, err
	}
	if len(done.Pending) > 0 {
		return 0, experiment.ErrPending
	}
	return time.Duration(done.Staleness * float64(time.Millisecond)), nil
}

// Push implements experiment.Lab.
func (l *experimentLab) Push(ctx context.Context, what topology.PushStep) error {
	spec := mgmt.PushSpec{To: what.To, Wait: pushWait}
	for _, path := range what.Paths {
		spec.URLs = append(spec.URLs, what.Site+path)
	}
	var done mgmt.Pushed
	if err := l.change(ctx, "/push", spec, &done); err != nil {
		return err
	}
	for _, o := range done.Objects {
		if o.Error != "" {
			return fmt.Errorf("%s: %s", o.URL, o.Error)
		}
		for _, n := range o.Nodes {
			if n.Pending {
				return fmt.Errorf("%s has not come to %s within %s", o.URL, n.Node, pushWait)
			}
		}
	}
	return nil
}

// change makes a call whose body is JSON.
func (l *experimentLab) change(ctx context.Context, path string, spec, into any) error {
	body, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	return l.ask(ctx, http.MethodPost, path, nil, body, into)
}

// ask makes a call of the admin API.
func (l *experimentLab) ask(ctx context.Context, method, path string, header http.Header, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, l.AdminURL()+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if header != nil {
		req.Header = header
	}
	req.Header.Set("Authorization", "Bearer "+l.token)
	resp, err := l.admin.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		var said mgmt.Error
		err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&said)
		return errors.Join(fmt.Errorf("%s: %s", resp.Status, said.Error), err)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// Stop implements experiment.Lab.
func (l *experimentLab) Stop() error {
	l.cancel()
	return errors.Join(l.Wait(), os.RemoveAll(l.dir))
}
