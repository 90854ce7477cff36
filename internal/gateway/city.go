package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"cdnlab/topology"
)

const dialTimeout = 3 * time.Second

// city is a client place as the gateway plays it.
type city struct {
	client    *topology.Client
	place     topology.Place
	plan      *topology.Plan
	servers   []netip.AddrPort
	remote    remote
	good      atomic.Int32 // the server that answered last
	transport *http.Transport
	mu        sync.Mutex // guards known
	known     map[string]answer
}

func newCity(cfg *Config, c *topology.Client, p topology.Place) *city {
	out := &city{client: c, place: p, plan: cfg.Plan, servers: cfg.DNS, remote: newRemote(cfg, p), known: map[string]answer{}}
	out.transport = &http.Transport{
		DialContext:           out.dial,
		DisableCompression:    true, // bodies pass as they are
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       30 * time.Second,
		ExpectContinueTimeout: time.Second,
		ReadBufferSize:        32 << 10,
	}
	return out
}

// subnet is the city's network as ECS names it.
func (c *city) subnet() *dns.EDNS0_SUBNET {
	network := c.client.Networks[0]
	family := uint16(1)
	if network.Addr().Is6() {
		family = 2
	}
	return &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: family, SourceNetmask: uint8(network.Bits()), Address: network.Masked().Addr().AsSlice()}
}

// exchange asks the DNS servers in turn, the one that answered last first. One that fails is not asked again.
func (c *city) exchange(ctx context.Context, q *dns.Msg, network string) (*dns.Msg, error) {
	if len(c.servers) == 0 {
		return nil, errors.New("the lab has no DNS server")
	}
	first := int(c.good.Load())
	left := make([]int, len(c.servers))
	for i := range left {
		left[i] = (first + i) % len(left)
	}
	var failures []error
	for _, turn := range turns {
		var silent []int
		for _, at := range left {
			resp, err := ask(ctx, network, c.servers[at], q, turn)
			switch {
			case err != nil && isTimeout(err) && ctx.Err() == nil:
				silent = append(silent, at)
				failures = append(failures, err)
			case err != nil:
				failures = append(failures, err)
			case resp.Rcode == dns.RcodeServerFailure:
				failures = append(failures, fmt.Errorf("%s answered SERVFAIL", c.servers[at]))
			default:
				c.good.Store(int32(at))
				return resp, nil
			}
		}
		left = silent
	}
	return nil, fmt.Errorf("no DNS server answers: %w", errors.Join(failures...))
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// resolve finds the servers that a client of the city connects to for a host, in the order of the answer.
func (c *city) resolve(ctx context.Context, host string) ([]netip.AddrPort, error) {
	if c.place.Client.IsValid() && !c.place.Prefix.IsValid() {
		return c.resolveByName(ctx, host)
	}
	q := new(dns.Msg).SetQuestion(dns.Fqdn(host), dns.TypeA)
	q.SetEdns0(udpSize, false)
	q.IsEdns0().Option = append(q.IsEdns0().Option, c.subnet())
	resp, err := c.exchange(ctx, q, "udp")
	if err == nil && resp.Truncated {
		resp, err = c.exchange(ctx, q, "tcp")
	}
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", host, err)
	}
	var out []netip.AddrPort
	for _, rr := range resp.Answer {
		a, ok := rr.(*dns.A)
		if !ok {
			continue
		}
		addr, _ := netip.AddrFromSlice(a.A.To4())
		if at, known := c.node(addr); known {
			out = append(out, at)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("resolve %s: %s, without an address of a node of the lab", host, dns.RcodeToString[resp.Rcode])
	}
	return out, nil
}

// node finds where the node with a public address serves HTTP.
func (c *city) node(addr netip.Addr) (netip.AddrPort, bool) {
	i := slices.IndexFunc(c.plan.Nodes, func(n topology.Node) bool {
		return (n.Kind == topology.KindEdge || n.Kind == topology.KindOrigin) && slices.Contains(n.Public, addr)
	})
	if i < 0 {
		return netip.AddrPort{}, false
	}
	return c.plan.Nodes[i].HTTP, true
}

// resolveByName stands in for resolve where all nodes share one address and differ by port, which no DNS answer can say: it
// asks a DNS server which nodes it would answer with.
func (c *city) resolveByName(ctx context.Context, host string) ([]netip.AddrPort, error) {
	query := url.Values{"name": {host}, "addr": {c.client.Networks[0].Addr().Next().String()}}
	var failures []error
	for _, n := range c.plan.Nodes {
		if n.Kind != topology.KindDNS {
			continue
		}
		names, err := askServers(ctx, "http://"+n.HTTP.String()+"/-/explain?"+query.Encode())
		if err != nil {
			failures = append(failures, err)
			continue
		}
		var out []netip.AddrPort
		for _, name := range names {
			if node, ok := c.plan.Node(name); ok {
				out = append(out, node.HTTP)
			}
		}
		if len(out) == 0 {
			return nil, fmt.Errorf("resolve %s: the DNS server names no server", host)
		}
		return out, nil
	}
	return nil, fmt.Errorf("resolve %s: %w", host, errors.Join(failures...))
}

func askServers(ctx context.Context, url string) ([]topology.NodeName, error) {
	ctx, cancel := context.WithTimeout(ctx, turns[len(turns)-1])
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	transport := http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var decision struct {
		Servers []topology.NodeName `json:"servers"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 1<<20)).Decode(&decision); err != nil {
		return nil, fmt.Errorf("GET %s: %w", url, err)
	}
	return decision.Servers, nil
}

// answer is what a city's requests go by, until it is asked for again.
type answer struct {
	servers []netip.AddrPort
	came    time.Time
	until   time.Time
}

// lookAgain is how long an answer holds. Records live longer; asking as often as this shows a change of the lab at once.
const lookAgain = time.Second

// staleAnswer is how long an answer still serves when no DNS server gives another, as resolvers do (RFC 8767 §4); less than the
// TTL that records have unless the topology says otherwise.
const staleAnswer = 30 * time.Second

// lookup finds the servers for a host. While one request asks anew, the others go by the answer before.
func (c *city) lookup(ctx context.Context, host string) ([]netip.AddrPort, error) {
	now := time.Now()
	c.mu.Lock()
	known, ok := c.known[host]
	if ok && now.Before(known.until) {
		c.mu.Unlock()
		return known.servers, nil
	}
	if ok {
		c.known[host] = answer{known.servers, known.came, now.Add(lookAgain)}
	}
	c.mu.Unlock()
	servers, err := c.resolve(ctx, host)
	if err != nil && ok && now.Sub(known.came) < staleAnswer {
		return known.servers, nil
	}
	if err != nil {
		c.forget(host)
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[host] = answer{servers, now, now.Add(lookAgain)}
	return servers, nil
}

// forget makes the next request ask anew.
func (c *city) forget(host string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, host)
}

// unsent is the error of a request whose connection could not be opened.
type unsent struct{ error }

func (e unsent) Unwrap() error { return e.error }

// dial connects to a server as a client of the city.
func (c *city) dial(ctx context.Context, _, server string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	if c.place.Prefix.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.place.Client, 0))
	}
	conn, err := c.connect(ctx, &d, server)
	if err != nil {
		return nil, unsent{err}
	}
	return conn, nil
}

// pins are the servers that a client's connection was served by. Its requests stay with them while they are in the answer, as
// those of a client without gateway do, which keeps its own connection to one. They come one after another.
type pins map[pinned]netip.AddrPort

type pinned struct {
	city *city
	host string
}

type pinsKey struct{}

// first puts the server that the connection is pinned to, if it is in the answer, before the others.
func (p pins) first(t pinned, servers []netip.AddrPort) []netip.AddrPort {
	i := slices.Index(servers, p[t])
	if i <= 0 {
		return servers
	}
	return append(slices.Clone(servers[i:]), servers[:i]...)
}

func (p pins) set(t pinned, server netip.AddrPort) {
	if p != nil {
		p[t] = server
	}
}

const maxTries = 3

// RoundTrip sends a request as a client of the city, and leaves closing its body to the caller. Where no connection can be opened
// it goes to the next server of the answer. A GET or HEAD that fails before the response's head is sent again, to another server
// if there is one, maxTries times in all.
func (c *city) RoundTrip(r *http.Request) (*http.Response, error) {
	host, ctx := r.URL.Hostname(), r.Context()
	servers, err := c.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	pin, _ := ctx.Value(pinsKey{}).(pins)
	servers = pin.first(pinned{c, host}, servers)
	again := (r.Method == http.MethodGet || r.Method == http.MethodHead) && (r.Body == nil || r.Body == http.NoBody) && r.Header.Get("Upgrade") == ""
	r = r.Clone(ctx)
	if r.Body != nil {
		r.Body = io.NopCloser(r.Body) // a try that sends nothing leaves it open
	}
	c.announce(r)
	var failures []error
	for tries, refused := 0, 0; ; {
		server := servers[(tries+refused)%len(servers)]
		r.URL.Host = server.String()
		resp, err := c.transport.RoundTrip(r)
		if err == nil {
			pin.set(pinned{c, host}, server)
			return resp, nil
		}
		c.forget(host)
		failures = append(failures, err)
		if _, ok := errors.AsType[unsent](err); ok {
			refused++
		} else {
			tries++
			again = again && tries < maxTries
		}
		if (tries > 0 && !again) || refused >= len(servers) || ctx.Err() != nil {
			return nil, errors.Join(failures...)
		}
	}
}
