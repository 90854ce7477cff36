package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"

	"cdnlab/dnsredirect"
	"cdnlab/mgmt"
	"cdnlab/topology"
)

// Explain resolves the host of rawURL as a client in the named place and fetches it once from there.
func (w *wiring) Explain(ctx context.Context, rawURL, from string) (mgmt.Explanation, error) {
	target, err := url.Parse(rawURL)
	if err != nil {
		return mgmt.Explanation{}, err
	}
	client, ok := w.top.Client(from)
	if !ok {
		return mgmt.Explanation{}, fmt.Errorf("no client place %q", from)
	}
	out := mgmt.Explanation{URL: rawURL, From: from}
	decision, server, err := w.decide(ctx, target.Hostname(), client.Networks[0].Addr().Next())
	if err != nil {
		return out, err
	}
	out.DNS = w.describe(decision, server, client)
	if len(decision.Servers) == 0 {
		return out, fmt.Errorf("the DNS knows no server for %s", target.Hostname())
	}
	n, ok := w.plan.Node(topology.NodeName(decision.Servers[0]))
	if !ok {
		return out, fmt.Errorf("the DNS answered with the unknown node %q", decision.Servers[0])
	}
	return out, w.fetch(ctx, &out, target, from, n)
}

// decide asks the DNS servers in turn how they decide; the first that answers is believed.
func (w *wiring) decide(ctx context.Context, host string, addr netip.Addr) (d dnsredirect.Decision, server topology.Node, err error) {
	var failures []error
	for _, n := range w.plan.Nodes {
		if n.Kind != topology.KindDNS {
			continue
		}
		query := url.Values{"name": {host}, "addr": {addr.String()}}
		if err := getJSON(ctx, "http://"+n.HTTP.String()+"/-/explain?"+query.Encode(), &d); err != nil {
			failures = append(failures, err)
			continue
		}
		return d, n, nil
	}
	return d, server, fmt.Errorf("no DNS server explains its decision: %w", errors.Join(failures...))
}

func getJSON(ctx context.Context, from string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(strings.TrimSpace(string(body)))
	}
	return json.Unmarshal(body, into)
}

func (w *wiring) describe(d dnsredirect.Decision, server topology.Node, client *topology.Client) mgmt.Decision {
	out := mgmt.Decision{Server: server.DNS.String(), Evidence: d.Evidence + "; " + d.Reason, Place: d.Place, Scope: d.Scope, Winner: d.PoP}
	for _, c := range d.Candidates {
		e, ok := w.top.Edge(c.PoP)
		if !ok {
			continue
		}
		out.Candidates = append(out.Candidates, mgmt.Candidate{PoP: c.PoP, RTTMS: milliseconds(c.RTT), Healthy: c.Healthy > 0,
			KM: math.Round(topology.DistanceKM(client.At, e.At))})
	}
	for _, name := range d.Servers {
		if n, ok := w.plan.Node(topology.NodeName(name)); ok {
			for _, a := range n.Public {
				out.Addresses = append(out.Addresses, a.String())
			}
		}
	}
	return out
}

// fetch gets the URL from a server as a client of the place and fills in what its answer tells.
func (w *wiring) fetch(ctx context.Context, out *mgmt.Explanation, target *url.URL, from string, n topology.Node) error {
	dialer := net.Dialer{Timeout: 3 * time.Second}
	if p, ok := w.plan.Place(from); ok && p.Client.IsLoopback() && !w.opt.OnePort {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.Client, 0))
	}
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", n.HTTP.String())
		}}
	if p, ok := w.plan.Place(from); ok && !p.Client.IsValid() && p.Gateway.IsValid() { // the gateway says for whom it speaks
		transport.DialContext = nil
		transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: p.Gateway.String()})
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return err
	}
	began := time.Now()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("fetch from %s: %w", n.Name, err)
	}
	out.TotalMS = milliseconds(time.Since(began))
	out.Status = resp.StatusCode
	out.Tiers = tiers(resp.Header)
	return resp.Body.Close()
}

// tiers reads what each node did from Cache-Status (RFC 9211) and how long it took from Server-Timing (W3C), the edge first.
func tiers(h http.Header) []mgmt.Tier {
	var out []mgmt.Tier
	for _, line := range h.Values("Server-Timing") {
		for member := range strings.SplitSeq(line, ",") {
			if t, ok := timing(member); ok {
				out = append([]mgmt.Tier{t}, out...)
			}
		}
	}
	members, err := httpsfv.UnmarshalList(h.Values("Cache-Status"))
	if err != nil {
		return out // times alone
	}
	for _, m := range members {
		item, ok := m.(httpsfv.Item)
		if !ok {
			continue
		}
		for i := range out {
			if fmt.Sprint(item.Value) == out[i].Node {
				out[i].Result, out[i].Detail = result(item.Params)
			}
		}
	}
	return out
}

func timing(member string) (t mgmt.Tier, ok bool) {
	parts := strings.Split(member, ";")
	t.Tier = strings.TrimSpace(parts[0])
	for _, p := range parts[1:] {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		value = strings.Trim(value, `"`)
		switch name {
		case "desc":
			t.Node = value
		case "dur":
			t.MS, _ = strconv.ParseFloat(value, 64) // a malformed time shows as 0
		}
	}
	return t, t.Node != ""
}

// result says in a word what a cache did, and repeats its other parameters.
func result(p *httpsfv.Params) (word, detail string) {
	var all []string
	for _, name := range p.Names() {
		v, _ := p.Get(name)
		if name == "hit" {
			continue
		}
		if v == true {
			all = append(all, name)
			continue
		}
		all = append(all, fmt.Sprintf("%s=%v", name, v))
	}
	detail = strings.Join(all, "; ")
	if _, hit := p.Get("hit"); hit {
		return "hit", detail
	}
	fwd, _ := p.Get("fwd")
	status, _ := p.Get("fwd-status")
	switch {
	case fmt.Sprint(fwd) == "stale" && fmt.Sprint(status) == "304":
		return "revalidated", detail
	case fmt.Sprint(fwd) == "bypass", fmt.Sprint(fwd) == "method":
		return "pass", detail
	default:
		return "miss", detail
	}
}

func milliseconds(d time.Duration) float64 {
	return math.Round(d.Seconds()*1e6) / 1e3
}
