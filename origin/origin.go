package origin

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"cdnlab/internal/probe"
	"cdnlab/internal/stats"
	"cdnlab/topology"
)

// Config is what an origin needs. Node, Topology, Listener, Stats and Log are required.
type Config struct {
	Node     topology.Node
	Topology *topology.Topology
	Listener net.Listener // Run closes it

	// DataDir is the directory of this origin alone; the objects of kind Builtin are kept in DataDir/objects.
	DataDir   string
	Token     string         // of the lab's users: opens what the access rules guard, and uploads; kind Builtin requires it
	Secret    string         // of the lab's nodes: what a request says about its client is believed with it; kind Builtin requires it
	MaxObject topology.Bytes // how large an uploaded object may be; 0 is 1 GiB

	Tree    Tree    // of the origin's changes; nil has none
	Locator Locator // places clients that come without an edge; nil places none
	Stats   *stats.Node
	Log     *slog.Logger

	Seek  func()           // called before an object or file is read or written: a slow disk sleeps in it; nil does nothing
	Now   func() time.Time // nil is time.Now
	Drain time.Duration    // how long Run waits for requests under way when it stops
}

// Server is one origin node.
type Server struct {
	cfg     Config
	origin  *topology.Origin
	sites   map[string]*topology.Site // of this origin, by host
	probe   *probe.Handler
	closing chan struct{} // closed when the drain's time is over
	builtin *builtin      // kind Builtin
	dir     *directory    // kind Dir
	app     *app          // kind App
}

// New prepares an origin: an object store is opened and its index read, a directory has to exist, an app need not run yet.
func New(cfg Config) (*Server, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Seek == nil {
		cfg.Seek = func() {}
	}
	i := slices.IndexFunc(cfg.Topology.Origins, func(o topology.Origin) bool { return o.Name == cfg.Node.Group })
	if i < 0 {
		return nil, fmt.Errorf("start origin %s: the topology has no origin %q", cfg.Node.Name, cfg.Node.Group)
	}
	s := &Server{cfg: cfg, origin: &cfg.Topology.Origins[i], sites: map[string]*topology.Site{}, closing: make(chan struct{})}
	for i := range cfg.Topology.Sites {
		if site := &cfg.Topology.Sites[i]; site.Origin == s.origin.Name {
			s.sites[site.Host] = site
		}
	}
	s.probe = probe.New(probe.Config{Node: cfg.Node, Zone: cfg.Topology.Zone, Stats: cfg.Stats})
	var err error
	switch s.origin.Kind {
	case topology.Builtin:
		s.builtin, err = newBuiltin(cfg, s.closing)
	case topology.Dir:
		s.dir, err = newDirectory(s.origin.Dir, cfg.Seek, cfg.Now)
	case topology.App:
		s.app = newApp(s, s.origin.App)
	default:
		err = errors.New("unknown kind of origin")
	}
	if err != nil {
		return nil, fmt.Errorf("start origin %s: %w", cfg.Node.Name, err)
	}
	return s, nil
}

// Run serves until ctx ends, then waits up to Config.Drain for the requests under way. It runs once.
func (s *Server) Run(ctx context.Context) error {
	if s.app != nil {
		return s.app.serve(ctx)
	}
	err := s.serve(ctx)
	if s.dir != nil {
		err = errors.Join(err, s.dir.root.Close())
	}
	return err
}

// unknownHost is the sentence for a host that is no site of this origin.
func (s *Server) unknownHost(host string) string {
	if s.probe.Own(host) {
		return fmt.Sprintf("this is the origin %s itself; it serves %s", s.cfg.Node.Name, hostList(s.sites))
	}
	return fmt.Sprintf("unknown host %q: this origin serves %s", host, hostList(s.sites))
}

// hostList names hosts in a sentence.
func hostList(sites map[string]*topology.Site) string {
	const most = 8
	hosts := slices.Sorted(maps.Keys(sites))
	switch {
	case len(hosts) == 0:
		return "no site"
	case len(hosts) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(hosts[:most], ", "), len(hosts)-most)
	}
	return strings.Join(hosts, ", ")
}

// via is this node's member of Via (RFC 9110 §7.6.3).
func (s *Server) via() string { return fmt.Sprintf("1.1 %s (cdnlab)", s.cfg.Node.Name) }

// loopToken is this node's member of CDN-Loop (RFC 8586).
func (s *Server) loopToken() string { return string(s.cfg.Node.Name) + ".cdnlab" }

// serverTiming is this node's metric of a response: the time since the request's head came.
func (s *Server) serverTiming(start time.Time) string {
	ms := float64(s.cfg.Now().Sub(start)) / float64(time.Millisecond)
	return fmt.Sprintf(`origin;dur=%.1f;desc="%s"`, ms, s.cfg.Node.Name)
}

// errorLog takes what the HTTP libraries have to say, which is mostly about peers that went away.
func (s *Server) errorLog() *log.Logger {
	return slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug)
}
