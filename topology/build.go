package topology

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
)

// builder makes a Topology from a decoded file: it fills in the defaults that depend on other entries, resolves names,
// and reports what is wrong between entries.
type builder struct {
	*collector
	f *file
	t *Topology
}

func (b *builder) build(dir string) {
	f, t := b.f, b.t
	t.Name, t.Zone, t.Seed, t.Dir = f.Name.v, f.Zone.v, f.Seed.v, dir
	t.Admin, t.Gateway = f.Addresses.Admin.v, f.Addresses.Gateway.v
	if len(t.Zone) > maxZone {
		b.fault(f.Zone.mark, "a zone has at most %d characters, as names of servers go below it", maxZone)
	}
	b.dns()
	b.origins()
	b.hubs()
	b.edges()
	b.serverNames()
	b.clients()
	b.links()
	t.index.Store(nil) // it knows no links yet
	b.parents()
	b.sites()
	t.index.Store(nil) // nor sites
	b.limits()
	b.records()
}

const maxZone = 253 - 63 - 1

// sub is the mark of a key below m that the file leaves out.
func (m mark) sub(key string) mark { return mark{pos: m.pos, path: join(m.path, key)} }

func (b *builder) dns() {
	e := &b.f.DNS
	b.t.DNS = DNS{
		Servers: e.Servers.int(), TTL: e.TTL.v, Addresses: values(e.Addresses.v, addrOf),
		Health: Health{
			Off: e.Health.off, Interval: e.Health.rules.Interval.v, Timeout: e.Health.rules.Timeout.v,
			Fall: e.Health.rules.Fall.int(), Rise: e.Health.rules.Rise.int(),
		},
	}
	if b.t.DNS.TTL.Nanoseconds()%1e9 != 0 {
		b.fault(e.TTL.mark, "%s is not a whole number of seconds, which is what DNS can say", b.t.DNS.TTL)
	}
	if n := len(e.Addresses.v); n > 0 {
		if e.Servers.set && e.Servers.int() != n {
			b.fault(e.Addresses.mark, "has %s, but servers is %d; give one for each", plural(n, "item"), e.Servers.v)
		}
		b.t.DNS.Servers = n
	}
	b.distinct(e.Addresses.v)
}

func addrOf(a address) netip.Addr { return a.v }

// values maps a list; none stays nil.
func values[T, V any](list []T, of func(T) V) []V {
	var out []V
	for _, e := range list {
		out = append(out, of(e))
	}
	return out
}

// distinct reports addresses that occur twice among servers of one kind.
func (b *builder) distinct(all []address) {
	first := make(map[netip.Addr]mark, len(all))
	for _, a := range all {
		if !a.v.IsValid() {
			continue
		}
		if earlier, ok := first[a.v]; ok {
			b.fault(a.mark, "%s is already the address of %s", a.v, earlier.path)
			continue
		}
		first[a.v] = a.mark
	}
}

// place is where an entry sits: where it says, or in the city that it is named for.
func (b *builder) place(l location, name string, m mark) Location {
	if l.known {
		return l.v
	}
	at, ok := FindCity(name)
	if !ok {
		hint := "; write at: " + positions
		if b.mayGuess() {
			if c := SuggestCity(name); c != "" {
				hint = fmt.Sprintf(" (did you mean %q?)", labelFrom(c))
			}
		}
		b.fault(m.sub("at"), "is missing, and %q is no city that is known%s", name, hint)
	}
	return at
}

func (b *builder) origins() {
	entries := b.f.Origins.entries
	if len(entries) == 0 {
		b.fault(mark{pos: b.f.Origins.pos, path: "origins"}, "there is no origin; write origins: { main: { at: Ashburn } }")
	}
	var all []address
	for i := range entries {
		name, e := entries[i].key.v, &entries[i].val
		o := Origin{Name: name, At: b.place(e.At, name, e.mark), Addresses: values(e.Addresses.v, addrOf)}
		b.content(e, &o)
		b.t.Origins = append(b.t.Origins, o)
		all = append(all, e.Addresses.v...)
	}
	b.distinct(all)
}

// content decides between store, app and dir. One that a --set option gives wins over those of the file.
func (b *builder) content(e *originEntry, o *Origin) {
	type way struct {
		mark mark
		kind OriginKind
	}
	var given, option []way
	for _, w := range []way{{e.Store.mark, Builtin}, {e.App.mark, App}, {e.Dir.mark, Dir}} {
		if !w.mark.set {
			continue
		}
		given = append(given, w)
		if w.mark.pos.line == 0 {
			option = append(option, w)
		}
	}
	if len(option) > 0 {
		given = option
	}
	if len(given) > 1 {
		b.fault(given[1].mark, "an origin has one of store, app and dir, not several")
	}
	if len(given) == 0 {
		return
	}
	switch o.Kind = given[0].kind; o.Kind {
	case App:
		o.App = e.App.v
	case Dir:
		o.Dir = b.directory(e.Dir)
	}
}

// directory makes a path absolute; relative ones start at the file.
func (b *builder) directory(d word) string {
	if d.v == "" || strings.ContainsRune(d.v, 0) {
		b.fault(d.mark, "names no directory")
		return ""
	}
	if filepath.IsAbs(d.v) {
		return filepath.Clean(d.v)
	}
	return filepath.Join(b.t.Dir, d.v)
}

func (b *builder) hubs() {
	var all []address
	for i := range b.f.Hubs.entries {
		name, e := b.f.Hubs.entries[i].key.v, &b.f.Hubs.entries[i].val
		h := Hub{
			Name: name, At: b.place(e.At, name, e.mark), RAM: b.f.Defaults.Hubs.RAM.v, Disk: b.f.Defaults.Hubs.Disk.v, Eviction: b.f.Defaults.Hubs.Eviction.name(), Admission: b.f.Defaults.Hubs.Admission.v,
			Servers: b.servers(e.Servers, b.f.Defaults.Hubs.Servers, e.Addresses), Addresses: perServer(e.Addresses.v),
		}
		if e.RAM.set {
			h.RAM = e.RAM.v
		}
		if e.Disk.set {
			h.Disk = e.Disk.v
		}
		b.tiers(h.RAM, h.Disk, e.mark)
		if e.Eviction.set {
			h.Eviction = e.Eviction.name()
		}
		if e.Admission.set {
			h.Admission = e.Admission.v
		}
		b.t.Hubs = append(b.t.Hubs, h)
		for _, of := range e.Addresses.v {
			all = append(all, of.v...)
		}
	}
	b.distinct(all)
}

func (b *builder) edges() {
	entries := b.f.Edges.entries
	if len(entries) == 0 {
		b.fault(mark{pos: b.f.Edges.pos, path: "edges"}, "there is no edge; write edges: { paris: {} }")
	}
	var all []address
	for i := range entries {
		name, e := entries[i].key.v, &entries[i].val
		edge := Edge{
			Name: name, At: b.place(e.At, name, e.mark), RAM: b.f.Defaults.Edges.RAM.v, Disk: b.f.Defaults.Edges.Disk.v, Eviction: b.f.Defaults.Edges.Eviction.name(), Admission: b.f.Defaults.Edges.Admission.v,
			Servers: b.servers(e.Servers, b.f.Defaults.Edges.Servers, e.Addresses), Addresses: perServer(e.Addresses.v),
		}
		if e.RAM.set {
			edge.RAM = e.RAM.v
		}
		if e.Disk.set {
			edge.Disk = e.Disk.v
		}
		b.tiers(edge.RAM, edge.Disk, e.mark)
		if e.Eviction.set {
			edge.Eviction = e.Eviction.name()
		}
		if e.Admission.set {
			edge.Admission = e.Admission.v
		}
		b.t.Edges = append(b.t.Edges, edge)
		for _, of := range e.Addresses.v {
			all = append(all, of.v...)
		}
	}
	b.distinct(all)
}

// Least sizes of a cache that has a part on disk: what is stored there passes through memory, and each size holds the largest
// slice several times over.
const (
	leastRAM  = 8 << 20
	leastDisk = 16 << 20
)

// tiers checks the sizes of a cache.
func (b *builder) tiers(ram, disk Bytes, at mark) {
	switch {
	case disk > 0 && ram < leastRAM:
		b.fault(at, "a cache on disk needs memory to pass through: write ram: %dMiB at least, or disk: 0", leastRAM>>20)
	case disk > 0 && disk < leastDisk:
		b.fault(at, "a cache on disk of %d bytes is too small to be of use: write disk: %dMiB at least, or disk: 0", disk, leastDisk>>20)
	}
}

func perServer(lists []list[address]) [][]netip.Addr {
	return values(lists, func(of list[address]) []netip.Addr { return values(of.v, addrOf) })
}

// servers is how many servers an entry has: as it says, as many as it has lists of addresses, or the default.
func (b *builder) servers(own, byDefault count, addresses list[list[address]]) int {
	lists := len(addresses.v)
	for i, of := range addresses.v {
		if len(of.v) == 0 {
			b.fault(of.mark, "server %d has no address", i+1)
		}
	}
	switch {
	case own.set && lists > 0 && own.int() != lists:
		b.fault(addresses.mark, "has %s, but servers is %d; give one list for each", plural(lists, "item"), own.v)
		return own.int()
	case own.set:
		return own.int()
	case lists > 0:
		return lists
	}
	return byDefault.int()
}
