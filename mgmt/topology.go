package mgmt

import (
	"fmt"
	"net/netip"
	"strings"

	"cdnlab/topology"
)

// Topology is the answer of GET /api/v1/topology: who is where, under which address.
type Topology struct {
	Name   string  `json:"name"`
	File   string  `json:"file"`
	Zone   string  `json:"zone"`
	Nodes  []Node  `json:"nodes"`
	Places []Place `json:"places"`
	Sites  []Site  `json:"sites"`
}

// At is a point on Earth.
type At struct {
	City    string  `json:"city,omitempty"`
	IATA    string  `json:"iata,omitempty"`
	Country string  `json:"country,omitempty"`
	Lat     float64 `json:"lat"`
	Lon     float64 `json:"lon"`
}

// Node is one server.
type Node struct {
	Name   string       `json:"name"`
	Role   string       `json:"role"`
	Group  string       `json:"group"` // the file's entry that it belongs to
	Parent string       `json:"parent,omitempty"`
	At     At           `json:"at"`
	HTTP   string       `json:"http"`
	DNS    string       `json:"dns,omitempty"`
	Public []netip.Addr `json:"public"`
}

// Place is where clients sit.
type Place struct {
	Name     string         `json:"name"`
	At       At             `json:"at"`
	Fallback bool           `json:"fallback,omitempty"` // of addresses that nothing locates
	Resolver string         `json:"resolver"`
	Gateway  string         `json:"gateway"`
	Client   netip.Addr     `json:"client"`
	Prefix   netip.Prefix   `json:"prefix"`
	Networks []netip.Prefix `json:"networks"`
}

// Site is one host name that the CDN serves.
type Site struct {
	Host     string `json:"host"`
	Origin   string `json:"origin"`
	Customer string `json:"customer,omitempty"`
}

func newTopology(t *topology.Topology, p *topology.Plan) Topology {
	v := Topology{Name: t.Name, File: t.File, Zone: t.Zone}
	parents := map[topology.Ref]string{}
	for _, h := range t.Hubs {
		parents[topology.Ref{Kind: topology.KindHub, Name: h.Name}] = h.Parent.Name
	}
	for _, e := range t.Edges {
		parents[topology.Ref{Kind: topology.KindEdge, Name: e.Name}] = e.Parent.Name
	}
	for _, n := range p.Nodes {
		node := Node{Name: string(n.Name), Role: n.Kind.String(), Group: n.Group, Parent: parents[topology.Ref{Kind: n.Kind, Name: n.Group}],
			At: at(n.At), HTTP: n.HTTP.String(), DNS: addressText(n.DNS), Public: n.Public}
		v.Nodes = append(v.Nodes, node)
	}
	for _, c := range t.Clients {
		place, _ := p.Place(c.Name)
		v.Places = append(v.Places, Place{Name: c.Name, At: at(c.At), Fallback: c.Name == t.Fallback, Networks: c.Networks,
			Resolver: addressText(place.Resolver), Gateway: addressText(place.Gateway), Client: place.Client, Prefix: place.Prefix})
	}
	for _, s := range t.Sites {
		v.Sites = append(v.Sites, Site{Host: s.Host, Origin: s.Origin, Customer: s.Customer})
	}
	return v
}

// addressText leaves out what does not exist: DNS at an edge, the resolver of a place beyond the address plan.
func addressText(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func at(l topology.Location) At {
	return At{City: l.City, IATA: l.IATA, Country: l.Country, Lat: l.Lat, Lon: l.Lon}
}

// Place finds a client place by its name, its city or its IATA code in any case; "" is the fallback place.
func (t Topology) Place(name string) (Place, error) {
	city, isCity := topology.FindCity(name)
	names := make([]string, len(t.Places))
	for i, p := range t.Places {
		if strings.EqualFold(p.Name, name) || name == "" && p.Fallback {
			return p, nil
		}
		names[i] = p.Name
	}
	for _, p := range t.Places {
		if isCity && p.At.City == city.City && p.At.Country == city.Country {
			return p, nil
		}
	}
	return Place{}, fmt.Errorf("no client place %q; the places are %s", name, strings.Join(names, ", "))
}

func (t Topology) siteNames() string {
	names := make([]string, len(t.Sites))
	for i, s := range t.Sites {
		names[i] = s.Host
	}
	return strings.Join(names, ", ")
}
