package scrubber

import (
	"net/netip"
	"strconv"
	"strings"
)

// ClientAddr is the address of the client behind peer: peer itself, or when that is a trusted proxy the right-most address of
// X-Forwarded-For that is not one. What stands to the left of it was written by the client and can be anything. lines are the
// field's values in the order in which they came; trusted prefixes are of unmapped addresses.
//
// Hops may carry ports, and brackets when they are IPv6; empty ones do not count. At a hop that is no address the search ends:
// the client is then the last hop that was. So it is with a list of nothing but trusted proxies.
func ClientAddr(peer netip.Addr, lines []string, trusted []netip.Prefix) netip.Addr {
	client := peer.Unmap().WithZone("")
	for i := len(lines) - 1; i >= 0; i-- {
		for line, more := lines[i], true; more; {
			if !covered(client, trusted) {
				return client
			}
			hop := line
			if cut := strings.LastIndexByte(line, ','); cut >= 0 {
				line, hop = line[:cut], line[cut+1:]
			} else {
				more = false
			}
			if hop = strings.Trim(hop, " \t"); hop == "" {
				continue
			}
			addr, ok := parseHop(hop)
			if !ok {
				return client
			}
			client = addr
		}
	}
	return client
}

func covered(a netip.Addr, prefixes []netip.Prefix) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// parseHop reads 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1] or [2001:db8::1]:80.
func parseHop(s string) (netip.Addr, bool) {
	host, port, bracketed := s, "", false
	if rest, ok := strings.CutPrefix(s, "["); ok {
		if host, port, bracketed = strings.Cut(rest, "]"); !bracketed {
			return netip.Addr{}, false
		}
	} else if i := strings.IndexByte(s, ':'); i >= 0 && i == strings.LastIndexByte(s, ':') {
		host, port = s[:i], s[i:]
	}
	if port != "" {
		if _, err := strconv.ParseUint(port[1:], 10, 16); err != nil || port[0] != ':' {
			return netip.Addr{}, false
		}
	}
	a, err := netip.ParseAddr(host)
	if err != nil || bracketed && !a.Is6() {
		return netip.Addr{}, false
	}
	return a.Unmap().WithZone(""), true
}

// Client is ClientAddr by the trusted proxies of the configuration.
func (l *Limits) Client(peer netip.Addr, lines []string) netip.Addr {
	return ClientAddr(peer, lines, l.trusted)
}
