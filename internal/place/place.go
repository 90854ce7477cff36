package place

import (
	"fmt"
	"net/netip"

	"cdnlab/topology"
)

// By says what located an address.
type By uint8

// The sources of an answer.
const (
	ByFallback By = iota // nothing knew the address: the topology's fallback place
	ByNetwork            // a network of a client place
	ByPlan               // a loopback prefix of the address plan
	ByGeoIP              // the --geoip database
)

// String gives the lower-case name that explanations use.
func (b By) String() string {
	return [...]string{"fallback", "network", "plan", "geoip"}[b]
}

// Answer is where an address sits.
type Answer struct {
	Place    string // name of a client place of the topology; "" when only the --geoip database knew the address
	Location topology.Location
	// Client is the address as outsiders see it, IPv4-mapped addresses unmapped: a loopback source 127.(100+K).a.b becomes an
	// address of the place's first network, with as much of a.b as the network's host part takes.
	Client netip.Addr
	// Scope is the length of the longest prefix of the address that the answer depends on, in bits of Client's family before
	// the place's network replaced the loopback source: the ECS scope prefix length of RFC 7871 §7.2.1.
	Scope    int
	By       By
	Evidence string // what decided, in words
}

// Locator tells the place of addresses. It is immutable; its methods may be called concurrently.
type Locator struct {
	top      *topology.Topology
	networks *networks
	geo      *geoIP // nil without --geoip
	fallback Answer
	unplaced Answer // fallback for an address of which the --geoip database knows no coordinates
}

// New returns a locator for the client places of t. The plan's loopback prefixes belong to their places when p is not nil.
// geoipFile names a MaxMind database with City records that is asked about addresses that the topology does not know; ""
// does without.
func New(t *topology.Topology, p *topology.Plan, geoipFile string) (*Locator, error) {
	fallback, ok := t.Client(t.Fallback)
	if !ok {
		return nil, fmt.Errorf("locate clients: the topology has no client place %q to fall back to", t.Fallback)
	}
	l := &Locator{
		top: t,
		fallback: Answer{Place: fallback.Name, Location: fallback.At, By: ByFallback,
			Evidence: "no network of the topology holds the address: the fallback place"},
	}
	l.unplaced = l.fallback
	l.unplaced.Evidence = "the GeoIP database has no coordinates for the address: the fallback place"
	var err error
	if l.networks, err = newNetworks(t, p); err != nil {
		return nil, fmt.Errorf("make the database of client networks: %w", err)
	}
	if geoipFile == "" {
		return l, nil
	}
	l.fallback.Evidence = "neither the topology nor the GeoIP database knows the address: the fallback place"
	if l.geo, err = openGeoIP(geoipFile); err != nil {
		return nil, fmt.Errorf("open GeoIP database %s: %w", geoipFile, err)
	}
	return l, nil
}

// Locate tells where addr sits. It allocates nothing, but for the first sight of a record of the --geoip database.
func (l *Locator) Locate(addr netip.Addr) Answer {
	addr = addr.Unmap().WithZone("")
	entry, known := l.networks.lookup(addr)
	if entry != nil {
		a := entry.answer
		a.Client, a.Scope = addr, known
		if a.By == ByPlan {
			a.Client = entry.outside(addr)
		}
		return a
	}
	a, scope := &l.fallback, 0
	if l.geo != nil {
		var found *Answer
		found, scope = l.geo.lookup(addr)
		switch {
		case found == nil:
		case found.By == ByGeoIP:
			a = found
		default:
			a = &l.unplaced
		}
	}
	answer := *a
	answer.Client, answer.Scope = addr, max(known, scope)
	return answer
}

// Path tells what lies between a located client and an entry of the topology: the file's path for a client place, and what
// distance alone gives for a place that only the --geoip database knows.
func (l *Locator) Path(a Answer, to topology.Ref) topology.Path {
	if a.Place != "" || to.Kind == topology.KindDNS { // the DNS is as near to every client
		return l.top.Path(topology.Ref{Kind: topology.KindClient, Name: a.Place}, to)
	}
	at, ok := l.top.At(to)
	if !ok {
		return topology.Path{}
	}
	return topology.Path{RTT: topology.FibreRTT(a.Location, at)}
}
