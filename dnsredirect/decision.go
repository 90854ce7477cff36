package dnsredirect

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"cdnlab/internal/place"
	"cdnlab/topology"
)

// Decision says where the DNS sends a client for a site, and why.
type Decision struct {
	Site       string      `json:"site"`
	Client     netip.Addr  `json:"client"`          // as outsiders see it
	Place      string      `json:"place,omitempty"` // client place of the topology; empty when only the GeoIP database knew it
	City       string      `json:"city,omitempty"`
	Country    string      `json:"country,omitempty"`
	By         string      `json:"by"` // what located the client: network, plan, geoip or fallback
	Evidence   string      `json:"evidence"`
	Scope      int         `json:"scope"` // length of the prefix of the client's address for which the decision holds
	Candidates []Candidate `json:"candidates"`
	PoP        string      `json:"pop,omitempty"` // empty: no PoP is alive, the origin is the answer
	Servers    []string    `json:"servers"`       // who may be answered, in no particular order
	Reason     string      `json:"reason"`
}

// Candidate is a PoP as the client sees it, the nearest first.
type Candidate struct {
	PoP     string        `json:"pop"`
	RTT     time.Duration `json:"rtt_ns"`
	Servers int           `json:"servers"`
	Healthy int           `json:"healthy"`
	Since   time.Time     `json:"since,omitzero"` // when a server of it last left or came back; zero: never
}

// Explain decides as for a query from addr, or for one whose client subnet option names it, and tells why. It takes no turn of
// the rotation. name is a site, or a name that leads to one by CNAME records.
func (s *Server) Explain(name string, addr netip.Addr) (Decision, error) {
	if !addr.IsValid() {
		return Decision{}, fmt.Errorf("explain %s: the client's address is missing", name)
	}
	site, err := s.site(name)
	if err != nil {
		return Decision{}, err
	}
	a := s.cfg.Locator.Locate(addr)
	d := Decision{Site: site.Host, Client: a.Client, Place: a.Place, City: a.Location.City, Country: a.Location.Country, By: a.By.String(), Evidence: a.Evidence, Scope: a.Scope}
	for _, c := range s.mapper.order(&a) {
		p := s.fleet[c.pop]
		live := p.live.Load()
		d.Candidates = append(d.Candidates, Candidate{PoP: p.edge.Name, RTT: c.rtt, Servers: len(p.servers), Healthy: len(live.names), Since: live.since})
	}
	at := s.mapper.pick(&a, s.alive)
	if at < 0 {
		d.Servers = []string{site.Origin}
		d.Reason = "no PoP has a healthy server: the origin " + site.Origin
		return d, nil
	}
	d.PoP = s.fleet[at].edge.Name
	for _, n := range s.fleet[at].live.Load().names {
		d.Servers = append(d.Servers, string(n))
	}
	d.Reason = reason(&a, d)
	return d, nil
}

func reason(a *place.Answer, d Decision) string {
	where := a.Place
	if where == "" {
		where = a.Location.City
	}
	if d.Candidates[0].PoP == d.PoP {
		return fmt.Sprintf("%s is the nearest PoP to %s", d.PoP, where)
	}
	return fmt.Sprintf("%s is nearer to %s but has had no healthy server since %s: %s is the nearest that has",
		d.Candidates[0].PoP, where, d.Candidates[0].Since.Format(time.TimeOnly), d.PoP)
}

// site finds the site that name is or leads to.
func (s *Server) site(name string) (*topology.Site, error) {
	at := strings.ToLower(dns.Fqdn(name))
	for range maxChain {
		o, _ := s.zone.find(at)
		if o == nil {
			break
		}
		if o.site != nil {
			return o.site, nil
		}
		next := o.sets[dns.TypeCNAME]
		if len(next) == 0 {
			break
		}
		at = strings.ToLower(next[0].(*dns.CNAME).Target)
	}
	return nil, fmt.Errorf("explain %s: it is no site of the zone %s", name, s.cfg.Topology.Zone)
}
