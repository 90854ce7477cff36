package topology

import (
	"cmp"
	"net/netip"
	"slices"
)

// benchmarking is the range that default client networks are cut from; nobody on the Internet has such an address (RFC 2544).
var benchmarking = netip.MustParsePrefix("198.18.0.0/15")

// maxPlaces is how many places the address plan has room for.
const maxPlaces = 155

func (b *builder) clients() {
	for i := range b.f.Clients.entries {
		name, e := b.f.Clients.entries[i].key.v, &b.f.Clients.entries[i].val
		b.t.Clients = append(b.t.Clients, Client{
			Name: name, At: b.place(e.At, name, e.mark), Weight: e.Weight.v, OwnNetworks: len(e.Networks.v) > 0,
			Networks: values(e.Networks.v, func(n network) netip.Prefix { return n.v }),
		})
	}
	if len(b.t.Clients) == 0 {
		b.clientPerEdge()
	}
	b.overlaps()
	b.networks()
	b.fallback()
}

// clientPerEdge puts a place into the city of each edge, which it is named like, as far as the address plan has room.
func (b *builder) clientPerEdge() {
	taken := make(map[Location]bool)
	for _, e := range b.t.Edges {
		if !taken[e.At] && len(b.t.Clients) < maxPlaces {
			taken[e.At] = true
			b.t.Clients = append(b.t.Clients, Client{Name: e.Name, At: e.At, Weight: 1})
		}
	}
}

// overlaps reports client networks that share addresses. In the order of their first addresses, networks that contain
// others come first, so that a network overlaps an earlier one exactly when the widest of those before reaches into it.
func (b *builder) overlaps() {
	var all []network
	for i := range b.f.Clients.entries {
		for _, n := range b.f.Clients.entries[i].val.Networks.v {
			if n.v.IsValid() {
				all = append(all, n)
			}
		}
	}
	slices.SortStableFunc(all, func(x, y network) int {
		return cmp.Or(x.v.Addr().Compare(y.v.Addr()), cmp.Compare(x.v.Bits(), y.v.Bits()))
	})
	for i, outer := 1, 0; i < len(all); i++ {
		if !all[outer].v.Overlaps(all[i].v) {
			outer = i
			continue
		}
		later, earlier := all[i], all[outer]
		if cmp.Or(cmp.Compare(earlier.pos.line, later.pos.line), cmp.Compare(earlier.pos.col, later.pos.col)) > 0 {
			later, earlier = earlier, later
		}
		b.fault(later.mark, "%s overlaps %s of %s", later.v, earlier.v, earlier.path)
	}
}

// networks gives every place without networks the next free /24.
func (b *builder) networks() {
	var used []netip.Prefix
	for _, c := range b.t.Clients {
		for _, n := range c.Networks {
			if n.IsValid() && benchmarking.Overlaps(n) {
				used = append(used, n)
			}
		}
	}
	next, free := netip.PrefixFrom(benchmarking.Addr(), 24), true
	for i := range b.t.Clients {
		if b.t.Clients[i].OwnNetworks {
			continue
		}
		for free && slices.ContainsFunc(used, next.Overlaps) {
			next, free = following(next)
		}
		if !free {
			b.fault(b.f.Clients.entries[i].val.sub("networks"), "%s has no /24 left for this place; give it networks of its own", benchmarking)
			return
		}
		b.t.Clients[i].Networks = []netip.Prefix{next}
		next, free = following(next)
	}
}

// following is the /24 after p, and whether it still lies in the range.
func following(p netip.Prefix) (netip.Prefix, bool) {
	a := p.Addr().As4()
	if a[2]++; a[2] == 0 {
		a[1]++
	}
	p = netip.PrefixFrom(netip.AddrFrom4(a), 24)
	return p, benchmarking.Contains(p.Addr())
}

// fallback is the place of addresses that nothing locates: the file's, or the first.
func (b *builder) fallback() {
	if len(b.t.Clients) > 0 {
		b.t.Fallback = b.t.Clients[0].Name
	}
	if b.f.Fallback.set {
		if r, ok := b.resolve(b.f.Fallback, wanted{bare: []Kind{KindClient}}); ok {
			b.t.Fallback = r.Name
		}
	}
}
