package topology

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ServerName is the name of the i-th server, from 1, of an entry.
func ServerName(r Ref, i int) NodeName {
	switch r.Kind {
	case KindOrigin:
		return NodeName(r.Name)
	case KindDNS:
		return NodeName(fmt.Sprintf("dns-%d", i))
	default:
		return NodeName(fmt.Sprintf("%s-%d", r.Name, i))
	}
}

// named is an entry under the name that its servers' names begin with.
type named struct {
	name    string
	servers int
	mark    mark
}

// serverNames reports entries whose servers would share a name, and entries that are called as a server of another.
func (b *builder) serverNames() {
	var groups, all []named
	for i, o := range b.t.Origins {
		all = append(all, named{o.Name, 1, b.f.Origins.entries[i].val.mark})
	}
	for i, h := range b.t.Hubs {
		groups = append(groups, named{h.Name, h.Servers, b.f.Hubs.entries[i].val.mark})
	}
	for i, e := range b.t.Edges {
		groups = append(groups, named{e.Name, e.Servers, b.f.Edges.entries[i].val.mark})
	}
	all = append(all, groups...)
	byName := map[string]named{"dns": {"dns", b.t.DNS.Servers, mark{path: "dns"}}}
	for _, g := range groups {
		if other, taken := byName[g.name]; taken {
			b.fault(g.mark, "%s has the same name, so that both would have a server %s-1; rename one of the two", other.mark.path, g.name)
			continue
		}
		byName[g.name] = g
	}
	for _, e := range all {
		if e.name == "dns" && e.mark.path == "origins.dns" {
			b.fault(e.mark, "a link to dns is one to the DNS servers; rename this origin")
		}
		i := strings.LastIndexByte(e.name, '-')
		if i < 0 {
			continue
		}
		g, ok := byName[e.name[:i]]
		if n, err := strconv.Atoi(e.name[i+1:]); ok && err == nil && n >= 1 && n <= g.servers && e.name[i+1] != '0' {
			b.fault(e.mark, "a server of %s has this name; rename one of the two", g.mark.path)
		}
	}
}

var (
	kindNames = [...]string{"none", "origin", "hub", "edge", "client", "dns"}
	sections  = [...]string{"", "origins", "hubs", "edges", "clients", "dns"}
)

// String names the kind: "origin", "hub", "edge", "client" or "dns".
func (k Kind) String() string { return kindNames[k] }

// section is the key of the file under which entries of the kind stand.
func (k Kind) section() string { return sections[k] }

// String is how a file writes the entry in full: "hubs.eu", or "dns".
func (r Ref) String() string {
	if r.Kind == KindDNS {
		return "dns"
	}
	return r.Kind.section() + "." + r.Name
}

// wanted is what a reference may name: kinds by their bare name, and further ones only as "clients.tokyo".
type wanted struct {
	bare, qualified []Kind
	dns             bool
}

// resolve finds the entry that a reference names, or reports why there is none.
func (b *builder) resolve(r ref, w wanted) (Ref, bool) {
	if r.v == "dns" && w.dns {
		return Ref{Kind: KindDNS}, true
	}
	if section, name, ok := strings.Cut(r.v, "."); ok {
		return b.resolveQualified(r, section, name, append(slices.Clone(w.bare), w.qualified...))
	}
	var found []Ref
	for _, k := range w.bare {
		if _, ok := b.t.At(Ref{k, r.v}); ok {
			found = append(found, Ref{k, r.v})
		}
	}
	switch len(found) {
	case 1:
		return found[0], true
	case 0:
		b.fault(r.mark, "unknown %s %q%s", kindList(w.bare), r.v, b.refHint(r.v, w))
	default:
		b.fault(r.mark, "%q is ambiguous; write %s", r.v, orList(values(found, Ref.String)))
	}
	return Ref{}, false
}

func (b *builder) resolveQualified(r ref, section, name string, kinds []Kind) (Ref, bool) {
	for _, k := range kinds {
		if k.section() != section {
			continue
		}
		if _, ok := b.t.At(Ref{k, name}); ok {
			return Ref{k, name}, true
		}
		hint := ""
		if b.mayGuess() {
			hint = didYouMean(name, b.namesOf(k))
		}
		b.fault(r.mark, "unknown %s %q%s", k, name, hint)
		return Ref{}, false
	}
	b.fault(r.mark, "%q names no %s", r.v, kindList(kinds))
	return Ref{}, false
}

// refHint says what may have been meant: a name of another kind, one that is spelled nearly so, or the names there are.
func (b *builder) refHint(name string, w wanted) string {
	for _, k := range []Kind{KindOrigin, KindHub, KindEdge, KindClient} {
		if _, ok := b.t.At(Ref{k, name}); !ok {
			continue
		}
		if slices.Contains(w.qualified, k) {
			return fmt.Sprintf(` (did you mean "%s"?)`, Ref{k, name})
		}
		return fmt.Sprintf("; %s is no %s", Ref{k, name}, kindList(w.bare))
	}
	if !b.mayGuess() {
		return ""
	}
	var names []string
	for _, k := range w.bare {
		names = append(names, b.namesOf(k)...)
	}
	if w.dns {
		names = append(names, "dns")
	}
	if hint := didYouMean(name, names); hint != "" || len(names) == 0 || len(names) > 12 {
		return hint
	}
	slices.Sort(names)
	return "; there is " + strings.Join(slices.Compact(names), ", ")
}

func (b *builder) namesOf(k Kind) []string {
	switch k {
	case KindOrigin:
		return values(b.t.Origins, func(o Origin) string { return o.Name })
	case KindHub:
		return values(b.t.Hubs, func(h Hub) string { return h.Name })
	case KindEdge:
		return values(b.t.Edges, func(e Edge) string { return e.Name })
	default:
		return values(b.t.Clients, func(c Client) string { return c.Name })
	}
}

func kindList(kinds []Kind) string { return orList(values(kinds, Kind.String)) }

// Resolve finds the entry that a text names: an origin, hub or edge by its bare name or in full ("hubs.eu"), a client place
// in full ("clients.tokyo"). The error says what may have been meant.
func (t *Topology) Resolve(text string) (Ref, error) {
	b := builder{collector: new(collector), t: t}
	r, ok := b.resolve(ref{word{v: text}}, wanted{bare: []Kind{KindOrigin, KindHub, KindEdge}, qualified: []Kind{KindClient}})
	if !ok {
		return Ref{}, errors.New(b.faults[0].Message)
	}
	return r, nil
}
