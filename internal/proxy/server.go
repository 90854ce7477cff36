package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/valyala/fasthttp"

	"cdnlab/internal/cache"
	"cdnlab/internal/evict"
	"cdnlab/internal/httpcache"
	"cdnlab/internal/probe"
	"cdnlab/internal/retry"
	"cdnlab/internal/stats"
	"cdnlab/topology"
)

// Config is what a tier needs. All but Peers, Feed, Inner, Popular, Guard, Locate and Record is required.
type Config struct {
	Node        topology.Node
	Topology    *topology.Topology
	Listener    net.Listener // Run closes it
	Parents     Parents
	Peers       Peers          // nil for a server on its own
	RAM         topology.Bytes // budget of the cache
	Eviction    string         // its policy; "" is "lru"
	Admission   topology.Admission
	Disk        topology.Bytes // budget of its part on disk, in CacheDir; 0 is none
	CacheDir    string
	Seek        func()                                              // called before each access to a file of the cache; may be nil
	MaxHead     int                                                 // bytes of a request's head; that of a parent is larger, since each tier adds to it
	Encode      bool                                                // in content codings what clients may have so
	Secret      string                                              // of the lab's nodes; "" trusts nobody
	ClientConns int                                                 // connections that one address may have at a time; 0 is no limit
	Known       func(netip.Addr) bool                               // addresses that ClientConns is not about; nil knows none
	Feed        func(origin string) Feed                            // how far this node has followed the journals of origins; nil follows none
	Inner       func(target string) func(net.Conn)                  // answers other nodes of the lab on connections handed over; nil, as its result, answers none
	Popular     func(origin, site string, path []byte, bytes int64) // counts what clients ask for; nil counts nothing
	Guard       Guard                                               // of the clients' requests; nil lets all pass
	Stats       *stats.Node
	Log         *slog.Logger
	Locate      func(netip.Addr) Client // places clients; nil places none
	Record      func(*Record)           // takes each finished request and keeps nothing that the Record points to; nil takes none
	Now         func() time.Time
	Patience    time.Duration // for the head of the answer to a request that may be repeated; 0 is as for others
	Drain       time.Duration // how long Run waits for requests under way when it stops
}

// Client is what is known of who sent a request.
type Client struct {
	Addr          netip.Addr // as outsiders see it
	Place         string     // of the topology; "" when none
	City, Country string
}

// Parents chooses where the requests of this node go. Its methods are called concurrently.
type Parents interface {
	// Choose appends the servers to try for an object of a site to dst, best first. hash is of the object's key.
	Choose(dst []*Upstream, site *topology.Site, hash uint64, now time.Time) []*Upstream
	// Report tells how a try went: err is nil when the server answered, whatever it answered.
	Report(u *Upstream, err error, now time.Time)
	// Close breaks off what goes on with any of them.
	Close()
}

// Peers are the other servers of the same PoP. Its methods are called concurrently; how tries go is told to Parents.
type Peers interface {
	// Seen counts a client's request for an object by the hash of its key.
	Seen(hash uint64, now time.Time)
	// Home returns the server that an object belongs to, nil for this one, and whether this one keeps a copy. What is returned is
	// tried.
	Home(hash uint64, now time.Time) (home *Upstream, keep bool)
}

// Server is a caching tier: the part that edges and hubs have in common.
type Server struct {
	cfg       Config
	name      string // of the node
	cacheName string // the same in Cache-Status
	tier      string // "edge" or "hub"
	via       string // member of Via
	viaValue  []byte
	loop      string // member of CDN-Loop
	probe     *probe.Handler
	store     *cache.Store
	sites     map[string]*site
	hosts     string // the sites' hosts, for sentences
	conns     connections
	flights   flights
	apart     apart
	failures  failures
	pushed    pushed
	budget    *retry.Budget // of tries after the first
	again     func() bool   // asks it for one; made once
	encoder   *encoder      // nil for a tier that encodes nothing
	tunnels   hijacks
	untilEnd  hijacks        // responses that end with the connection
	refreshes chan struct{}  // one for each refresh under way
	opened    chan struct{}  // closed when the store has its part on disk
	tasks     sync.WaitGroup // goroutines that outlive the handler which started them
}

// site is a site with what is worked out once.
type site struct {
	*topology.Site
	host   []byte
	policy httpcache.Policy
	stats  *stats.Group
	feed   Feed // nil where none is followed
}

// New prepares a tier.
func New(cfg Config) *Server {
	name := string(cfg.Node.Name)
	s := &Server{
		cfg: cfg, name: name, cacheName: string(httpcache.AppendCacheName(nil, name)), viaValue: []byte("1.1 " + name + " (cdnlab)"), refreshes: make(chan struct{}, maxRefreshes), opened: make(chan struct{}),
		tier: cfg.Node.Kind.String(), via: "1.1 " + name + " (cdnlab)", loop: name + ".cdnlab",
		probe: probe.New(probe.Config{Node: cfg.Node, Zone: cfg.Topology.Zone, Stats: cfg.Stats}),
		store: cache.New(cache.Config{Budget: int64(cfg.RAM), Eviction: cfg.Eviction, Seed: cfg.Topology.Seed ^ hash([]byte(name)),
			Admission: evict.AdmissionConfig{Name: cfg.Admission.Rule, Size: int64(cfg.Admission.Size), Probability: cfg.Admission.Probability}}),
		sites: map[string]*site{},
		hosts: hostList(cfg.Topology.Sites),
	}
	s.conns.gone = func(c net.Conn) {
		s.tunnels.gone(c)
		s.untilEnd.gone(c)
	}
	s.flights.init()
	s.apart.init()
	s.failures.init()
	budget, err := retry.NewBudget(retry.BudgetConfig{})
	if err != nil {
		panic(err) // its defaults
	}
	s.budget, s.again = budget, func() bool { return budget.Retry(cfg.Now()) }
	if cfg.Encode {
		s.encoder = newEncoder()
	}
	s.tunnels.init()
	s.untilEnd.init()
	for i := range cfg.Topology.Sites {
		t := &cfg.Topology.Sites[i]
		var feed Feed
		if cfg.Feed != nil {
			feed = cfg.Feed(t.Origin)
		}
		s.sites[t.Host] = &site{t, []byte(t.Host), httpcache.PolicyOf(&t.Cache), cfg.Stats.Site(t.Host), feed}
	}
	cfg.Stats.SetCache(func() stats.Cache {
		c := s.store.Stats()
		return stats.Cache{Pushed: s.pushed.count(), Objects: int64(c.Objects), Bytes: c.Bytes, Budget: c.Budget, Evictions: c.Evictions,
			Disk: stats.Disk{Objects: int64(c.Disk.Objects), Bytes: c.Disk.Bytes, Budget: c.Disk.Budget, Evictions: c.Disk.Evictions, Damaged: c.Disk.Damaged}}
	})
	return s
}

// hostList names the sites in a sentence.
func hostList(sites []topology.Site) string {
	const most = 8
	var hosts []string
	for i := range sites[:min(len(sites), most)] {
		hosts = append(hosts, sites[i].Host)
	}
	list := strings.Join(hosts, ", ")
	if more := len(sites) - most; more > 0 {
		list = fmt.Sprintf("%s and %d more", list, more)
	}
	return list
}

// serve answers one request.
func (s *Server) serve(ctx context.Context, rc *fasthttp.RequestCtx) {
	if s.probe.Serve(rc) {
		return
	}
	r := s.begin(rc)
	if bad := r.read(s.cfg.Secret, s.loop); bad != nil {
		rc.SetConnectionClose()
		s.fail(r, bad)
		return
	}
	if s.serveInner(r) {
		return
	}
	if bad := s.route(r); bad != nil {
		s.fail(r, bad)
		return
	}
	if r.trusted && r.site.feed != nil {
		r.applied = r.site.feed.Applied()
	}
	if s.mayEndHere(r) {
		return
	}
	s.tell(r)
	if s.admit(r) {
		s.handle(ctx, r)
	}
}

// tell puts what is known of the client into the fields of its request: what parents are told is what variants are chosen by.
func (s *Server) tell(r *request) {
	if s.cfg.Locate == nil || r.trusted || r.told {
		return
	}
	c := s.client(r)
	r.ask.Set("CDN-Client-Country", c.Country)
	r.ask.Set("CDN-Client-City", c.City)
	r.told = true
}

// begin makes ready for a request on a connection.
func (s *Server) begin(rc *fasthttp.RequestCtx) *request {
	c := s.conns.find(rc.Conn())
	s.conns.enter(c, phaseBusy)
	r := &c.request
	r.turn = turn{rc: rc, start: s.cfg.Now()}
	r.key, r.buf, r.limits, r.forwarded = r.key[:0], r.buf[:0], r.limits[:0], r.forwarded[:0]
	r.now = r.start.UnixNano()
	r.makeID()
	return r
}

// route finds the site.
func (s *Server) route(r *request) *refusal {
	host, _ := splitPort(r.host)
	if r.site = s.sites[string(host)]; r.site == nil {
		r.site = s.sites[strings.TrimSuffix(strings.ToLower(string(host)), ".")]
	}
	switch {
	case r.site == nil:
		return refuse(http.StatusNotFound, "unknown host %q: this CDN serves %s", host, s.hosts)
	case r.looped:
		return refuse(http.StatusLoopDetected, "the request has been at %s before: CDN-Loop names it", s.name)
	}
	if r.ask.Cacheable() && !r.tunnel { // what is no part of the key must not decide about the answer
		r.host = r.site.host
	}
	return nil
}

func (s *Server) handle(ctx context.Context, r *request) {
	switch {
	case r.tunnel:
		s.openTunnel(ctx, r)
	case !r.ask.Cacheable() || r.body.Reader != nil || r.marked:
		s.pass(ctx, r)
	default:
		r.key = httpcache.AppendKey(r.key, r.site.host, r.target, &r.site.Cache)
		s.cached(ctx, r)
	}
}

// cached answers a GET or HEAD, from the store if that may be.
func (s *Server) cached(ctx context.Context, r *request) {
	if s.cfg.Peers != nil && !r.trusted {
		s.cfg.Peers.Seen(hash(r.key), r.start)
	}
	obj, fwd := s.store.Find(r.key, &r.ask)
	if obj != nil {
		c := s.contentOf(ctx, r, obj)
		d := httpcache.Decide(r.now, c.meta, &r.ask)
		if d.Outcome != httpcache.Revalidate && (s.doubtful(r) || d.Outcome != httpcache.Hit && r.trusted && c.meta.Purged) {
			d = httpcache.Decision{Outcome: httpcache.Revalidate, Fwd: httpcache.FwdStale}
		}
		if d.Outcome == httpcache.HitRevalidate {
			s.refresh(ctx, r, obj)
		}
		if d.Outcome != httpcache.Revalidate {
			s.sendHit(ctx, r, &c, d)
			return
		}
		fwd = d.Fwd
	}
	if s.sendHome(ctx, r) {
		return
	}
	if r.ask.OnlyIfCached {
		s.fail(r, refuse(http.StatusGatewayTimeout, "the request says only-if-cached and %s has no answer stored that may be used", s.name))
		return
	}
	s.fetch(ctx, r, obj, fwd)
}

// hash spreads keys over servers: the same for every node, so that each object has one home.
func hash(key []byte) uint64 { return xxhash.Sum64(key) }
