package topology

import (
	"slices"
	"strings"
)

// ends are what a link may lie between.
var ends = wanted{bare: []Kind{KindOrigin, KindHub, KindEdge}, qualified: []Kind{KindClient}, dns: true}

func (b *builder) links() {
	first := make(map[[2]Ref]mark)
	for i := range b.f.Links.v {
		e := &b.f.Links.v[i]
		if !e.RTT.set && !e.Bandwidth.set && !e.Loss.set {
			b.fault(e.mark, "says nothing; give rtt, bandwidth or loss")
		}
		if len(e.Between.v) != 2 {
			continue
		}
		from, okFrom := b.resolve(e.Between.v[0], ends)
		to, okTo := b.resolve(e.Between.v[1], ends)
		if !okFrom || !okTo {
			continue
		}
		key := linkKey(from, to)
		earlier, twice := first[key]
		switch {
		case from == to:
			b.fault(e.Between.v[1].mark, "both ends are %s", from)
		case twice:
			b.fault(e.mark, "%s and %s already have %s; put all into one link", from, to, earlier.path)
		}
		first[key] = e.mark
		b.t.Links = append(b.t.Links, Link{
			A: from, B: to, RTT: e.RTT.v, HasRTT: e.RTT.set, Bandwidth: e.Bandwidth.v, Loss: e.Loss.v,
		})
	}
}

// parents settles whom hubs and edges fetch from.
func (b *builder) parents() {
	if len(b.t.Origins) == 0 {
		return
	}
	root := Ref{KindOrigin, b.t.Origins[0].Name}
	cycles := b.hubCycles()
	for i := range b.t.Hubs {
		b.t.Hubs[i].Parent = root
		if parent := b.f.Hubs.entries[i].val.Parent; parent.set {
			b.t.Hubs[i].Parent = b.hubParent(parent, cycles[b.t.Hubs[i].Name])
		}
	}
	for i := range b.t.Edges {
		e := &b.t.Edges[i]
		e.Parent = root
		if parent := b.f.Edges.entries[i].val.Parent; parent.set {
			e.Parent, _ = b.resolve(parent, wanted{bare: []Kind{KindHub, KindOrigin}})
		} else if len(b.t.Hubs) > 0 {
			e.Parent = slices.MinFunc(b.t.hubsFrom(Ref{KindEdge, e.Name}), nearer).ref
		}
	}
}

// hubParent is the origin that a hub names. Hubs do not fetch from hubs, which also leaves no way to make a cycle.
func (b *builder) hubParent(parent ref, cycle []string) Ref {
	_, isOrigin := b.t.At(Ref{KindOrigin, parent.v})
	_, isHub := b.t.At(Ref{KindHub, strings.TrimPrefix(parent.v, "hubs.")})
	switch {
	case isOrigin || !isHub:
		r, _ := b.resolve(parent, wanted{bare: []Kind{KindOrigin}})
		return r
	case cycle != nil:
		b.fault(parent.mark, "is a cycle: %s; the parent of a hub is an origin%s", strings.Join(cycle, " → "), b.originHint())
	default:
		b.fault(parent.mark, "%q is a hub; the parent of a hub is an origin%s", parent.v, b.originHint())
	}
	return Ref{}
}

// hubCycles finds hubs that are their own parents by way of others. Each cycle is listed at its first hub in the file.
func (b *builder) hubCycles() map[string][]string {
	next := make(map[string]string)
	for _, e := range b.f.Hubs.entries {
		if e.val.Parent.set {
			next[e.key.v] = strings.TrimPrefix(e.val.Parent.v, "hubs.")
		}
	}
	cycles := make(map[string][]string)
	walk := make(map[string]string) // hub → the one whose walk met it first
	for _, e := range b.f.Hubs.entries {
		start := e.key.v
		at := start
		for next[at] != "" && walk[at] == "" {
			walk[at] = start
			at = next[at]
		}
		if next[at] == "" || walk[at] != start {
			continue
		}
		cycle := []string{at}
		for h := next[at]; h != at; h = next[h] {
			cycle = append(cycle, h)
		}
		cycles[at] = append(cycle, at)
	}
	return cycles
}

func (b *builder) originHint() string {
	names := b.namesOf(KindOrigin)
	if len(names) > 12 {
		return ""
	}
	return " (" + orList(names) + ")"
}
