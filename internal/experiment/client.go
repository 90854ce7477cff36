package experiment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"cdnlab/topology"
)

const (
	answerKept  = time.Second // how long users of a city share a DNS answer
	dialTimeout = 10 * time.Second
	dnsTimeout  = 5 * time.Second // for each of dnsTries, as resolv.conf(5) has it
	dnsTries    = 2
)

// city is the clients in one place: they have its addresses and its resolver.
type city struct {
	place     topology.Place
	http      *http.Transport
	port      uint16
	now       func() time.Time
	mu        sync.Mutex // guards answers
	answers   map[string]*answer
	resolving sync.Mutex // one query at a time
}

// answer is what the DNS said about a site.
type answer struct {
	addrs []netip.Addr
	until time.Time
	next  int // whose turn it is
}

func newCity(p topology.Place, port uint16) *city {
	dialer := net.Dialer{Timeout: dialTimeout, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.Client, 0))}
	return &city{place: p, port: port, now: time.Now, answers: map[string]*answer{}, http: &http.Transport{
		DialContext: dialer.DialContext, MaxIdleConnsPerHost: 1 << 16, DisableCompression: true, IdleConnTimeout: time.Minute,
	}}
}

// do sends a request to a server of the site's PoP. When it cannot be reached, those that the DNS names now are tried once.
func (c *city) do(req *http.Request) (*http.Response, error) {
	site := req.Host
	var failed error
	for range 2 {
		addr, err := c.resolve(req.Context(), site)
		if err != nil {
			return nil, err
		}
		req.URL.Host = netip.AddrPortFrom(addr, c.port).String()
		resp, err := c.http.RoundTrip(req)
		var op *net.OpError
		if err == nil || !errors.As(err, &op) || op.Op != "dial" {
			return resp, err
		}
		failed = err
		c.forget(site)
	}
	return nil, failed
}

// resolve returns the server whose turn it is.
func (c *city) resolve(ctx context.Context, site string) (netip.Addr, error) {
	if addr, ok := c.take(site); ok {
		return addr, nil
	}
	c.resolving.Lock()
	defer c.resolving.Unlock()
	if addr, ok := c.take(site); ok {
		return addr, nil
	}
	addrs, err := c.ask(ctx, site)
	if err != nil {
		return netip.Addr{}, err
	}
	c.mu.Lock()
	c.answers[site] = &answer{addrs: addrs, until: c.now().Add(answerKept)}
	c.mu.Unlock()
	addr, _ := c.take(site)
	return addr, nil
}

func (c *city) take(site string) (netip.Addr, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.answers[site]
	if !ok || c.now().After(a.until) {
		return netip.Addr{}, false
	}
	a.next++
	return a.addrs[a.next%len(a.addrs)], true
}

func (c *city) forget(site string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.answers, site)
}

func (c *city) ask(ctx context.Context, site string) ([]netip.Addr, error) {
	client := dns.Client{Timeout: dnsTimeout}
	var m *dns.Msg
	var err error
	for range dnsTries {
		m, _, err = client.ExchangeContext(ctx, new(dns.Msg).SetQuestion(dns.Fqdn(site), dns.TypeA), c.place.Resolver.String())
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("resolve %s in %s: %w", site, c.place.Name, err)
	}
	var addrs []netip.Addr
	for _, rr := range m.Answer {
		if a, ok := rr.(*dns.A); ok {
			if addr, ok := netip.AddrFromSlice(a.A.To4()); ok {
				addrs = append(addrs, addr)
			}
		}
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("resolve %s in %s: no address (%s)", site, c.place.Name, dns.RcodeToString[m.Rcode])
	}
	return addrs, nil
}

// users makes the requests of a workload: what vegeta asks for is put in place of the request's number, and what comes of it is
// noted under that number.
type users struct {
	seq    *sequence
	watch  map[string]bool // URLs whose entity tags are noted
	cities []*city         // as the workload's From
	mu     sync.Mutex
	notes  []note // by number
}

// note is what a response tells besides what vegeta measures.
type note struct {
	place     int
	bytes     int64
	edge, hub reached
	url, etag string // of what is watched
}

// reached says what a request found at a tier.
type reached uint8

const (
	notReached reached = iota
	joined             // it waited for another request's answer
	missed
	hit
)

const sequenceHeader = "X-Vegeta-Seq" // the number of a request, which vegeta adds

// RoundTrip implements http.RoundTripper.
func (u *users) RoundTrip(req *http.Request) (*http.Response, error) {
	n, err := strconv.ParseUint(req.Header.Get(sequenceHeader), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("request without number: %w", err)
	}
	place, path := u.seq.request(n)
	u.set(n, note{place: place})
	req = req.Clone(req.Context())
	req.Header.Del(sequenceHeader)
	req.Header.Del("X-Vegeta-Attack")
	req.URL.Path, req.Host = path, u.seq.load.Site
	resp, err := u.cities[place].do(req)
	if err != nil {
		return nil, err
	}
	edge, hub := readCacheStatus(resp.Header.Values("Cache-Status"))
	seen := note{place: place, edge: edge, hub: hub}
	if url := u.seq.load.Site + path; u.watch[url] {
		seen.url, seen.etag = url, strings.TrimPrefix(resp.Header.Get("Etag"), "W/")
	}
	resp.Body = &countedBody{ReadCloser: resp.Body, done: func(bytes int64) { seen.bytes = bytes; u.set(n, seen) }}
	return resp, nil
}

func (u *users) set(n uint64, v note) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for uint64(len(u.notes)) <= n {
		u.notes = append(u.notes, note{})
	}
	u.notes[n] = v
}

func (u *users) note(n uint64) note {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n >= uint64(len(u.notes)) {
		return note{}
	}
	return u.notes[n]
}

// countedBody counts what is read until it is closed.
type countedBody struct {
	io.ReadCloser
	n    int64
	done func(int64)
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	return n, err
}

func (b *countedBody) Close() error {
	b.done(b.n)
	return b.ReadCloser.Close()
}

// readCacheStatus finds what the edge, the last member, and a hub before it had (RFC 9211).
func readCacheStatus(values []string) (edge, hub reached) {
	var members []string
	for _, v := range values {
		members = append(members, strings.Split(v, ",")...)
	}
	for i, m := range members {
		r := missed
		for param := range strings.SplitSeq(m, ";") {
			switch strings.TrimSpace(param) {
			case "hit":
				r = hit
			case "collapsed":
				r = joined
			}
		}
		if i == len(members)-1 {
			edge = r
		} else {
			hub = max(hub, r)
		}
	}
	return edge, hub
}
