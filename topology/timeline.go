package topology

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Step is something that happens during an experiment: something goes wrong, or is put, purged or pushed.
type Step struct {
	At, For    time.Duration // For 0 is to the end
	Target     string        // of the Impairment; "" when something else happens
	Impairment Impairment
	Put        *PutStep
	Purge      *PurgeStep
	Push       *PushStep
	When       Condition
}

// PutStep stores a new version of an object at the origin of a site.
type PutStep struct {
	Site, Path string
	Size       Bytes
	Key        string // surrogate key; "" is none
}

// PurgeStep makes every cache forget one of Path, Prefix, Key and All of a site.
type PurgeStep struct {
	Site, Path, Prefix, Key string
	All                     bool
	Soft                    bool
}

// Covers reports whether a purge is about an object that was put.
func (p PurgeStep) Covers(o PutStep) bool {
	if p.Site != o.Site {
		return false
	}
	return p.All || p.Path != "" && p.Path == o.Path || p.Prefix != "" && strings.HasPrefix(o.Path, p.Prefix) || p.Key != "" && p.Key == o.Key
}

// PushStep brings objects of a site to the caches.
type PushStep struct {
	Site  string
	Paths []string
	Top   int    // of the most popular objects of the first load, instead of Paths
	To    string // as Topology.PushTarget has it
}

// MaxPush is how many objects one push may name.
const MaxPush = 1000

// Condition is met in the variants in which Path has the value Want; the zero Condition is met in all.
type Condition struct{ Path, Want string }

// In reports whether the condition is met in a variant.
func (c Condition) In(v Variant) bool {
	return c.Path == "" || slices.Contains(v.Values, Setting{c.Path, c.Want})
}

func (c Condition) String() string { return c.Path + "=" + c.Want }

func (c *Condition) parse(text string) error {
	var ok bool
	if c.Path, c.Want, ok = strings.Cut(text, "="); !ok || c.Path == "" {
		return fmt.Errorf("%q is not PATH=VALUE", text)
	}
	return nil
}

// condition is a Condition in a file.
type condition struct {
	mark
	v Condition
}

func (c *condition) parse(text string) error { return c.v.parse(text) }
func (*condition) what() string              { return "a path and its value such as dns.ttl=60s" }
func (*condition) schema() object            { return object{"type": "string", "pattern": "^[^=]+="} }

// urlPath is a path of a URL, perhaps with a query.
type urlPath struct {
	mark
	v string
}

func (t *urlPath) parse(text string) error {
	if t.v = text; !strings.HasPrefix(text, "/") || strings.ContainsAny(text, "# ") {
		return fmt.Errorf("%q is not a path; it starts with / and has neither # nor spaces", text)
	}
	return nil
}
func (*urlPath) what() string   { return "a path such as /film.mp4" }
func (*urlPath) schema() object { return object{"type": "string", "pattern": "^/[^# ]*$"} }

// purgeStep is a path, or a map that says what to purge.
type purgeStep struct {
	mark
	path  urlPath
	parts purgeParts
}

type purgeParts struct {
	URL    urlPath   `key:"url" doc:"A path."`
	Prefix urlPrefix `key:"prefix" doc:"All paths that begin with it."`
	Key    word      `key:"key" doc:"All responses with this surrogate key."`
	All    onOff     `key:"all" doc:"Everything of the site."`
	Soft   onOff     `key:"soft" doc:"Stale from now on, instead of gone."`
}

func (p *purgeStep) decode(d *decoder, n *node, m mark) {
	p.mark = m
	switch {
	case n == nil:
	case n.kind == scalar:
		d.value(&p.path, n, m, "")
	default:
		d.value(&p.parts, n, m, "")
	}
}

func (p *purgeStep) customSchema() object {
	return object{"oneOf": []object{p.path.schema(), structSchema(&p.parts)}}
}

// pushStep is a path, paths, or a number of objects.
type pushStep struct {
	mark
	path  urlPath
	paths list[urlPath]
	top   int
}

func (p *pushStep) decode(d *decoder, n *node, m mark) {
	p.mark = m
	switch {
	case n == nil:
	case n.kind != scalar:
		d.value(&p.paths, n, m, "")
	case strings.HasPrefix(n.text, "/"):
		d.value(&p.path, n, m, "")
	default:
		var err error
		if p.top, err = strconv.Atoi(n.text); err != nil || p.top < 1 || p.top > MaxPush {
			d.unread(m, "%q is neither a path such as /film.mp4 nor a number of objects from 1 to %d", n.text, MaxPush)
		}
	}
}

func (p *pushStep) customSchema() object {
	return object{"oneOf": []object{p.path.schema(), {"type": "array", "items": p.path.schema(), "minItems": 1, "maxItems": MaxPush},
		{"type": "integer", "minimum": 1, "maximum": MaxPush}}}
}

// PushTarget returns what a push to a place is for, as the distribution tree knows it: "hubs", "edges", "" for everywhere, or the name of a hub, an
// edge or one of their servers. A city that has an edge stands for it.
func (t *Topology) PushTarget(place string) (to string, err error) {
	if slices.Contains([]string{"", "all", "hubs", "edges"}, place) {
		return place, nil
	}
	is := func(r Ref, servers int) bool {
		for i := range servers {
			if string(ServerName(r, i+1)) == place {
				return true
			}
		}
		return r.Name == place
	}
	for i := range t.Hubs {
		if is(Ref{KindHub, t.Hubs[i].Name}, t.Hubs[i].Servers) {
			return place, nil
		}
	}
	city, known := FindCity(place)
	there := ""
	for i := range t.Edges {
		e := &t.Edges[i]
		if is(Ref{KindEdge, e.Name}, e.Servers) {
			return place, nil
		}
		if there == "" && known && e.At.City == city.City && e.At.Country == city.Country {
			there = e.Name
		}
	}
	if there == "" {
		return "", fmt.Errorf("want hubs, edges, or the name of a hub, an edge or a city that has one, got %q", place)
	}
	return there, nil
}

// stepKinds are the keys that say what a step is.
const stepKinds = "crowd, down, reset, degrade, put, purge or push"

func (b *experimentBuilder) step(e *Experiment, s *stepEntry) {
	var kinds []string
	var target word
	for _, k := range []struct {
		name string
		set  bool
		word word
	}{{"crowd", s.Crowd.set, word{}}, {"down", s.Down.set, s.Down}, {"reset", s.Reset.set, s.Reset}, {"degrade", s.Degrade.set, s.Degrade},
		{"put", s.Put.set, word{}}, {"purge", s.Purge.set, word{}}, {"push", s.Push.set, word{}}} {
		if k.set {
			kinds, target = append(kinds, k.name), k.word
		}
	}
	switch {
	case len(kinds) == 0 && b.misread(s.mark):
		return // what it says was not understood
	case len(kinds) == 0:
		b.fault(s.mark, "says nothing that happens; give %s", stepKinds)
		return
	case len(kinds) > 1:
		b.fault(s.mark, "has %s; a step is one of them", strings.Join(kinds, " and "))
		return
	}
	if !s.When.v.InAny(e.Variants) {
		b.fault(s.When.mark, "no variant has %s", s.When.v)
	}
	b.misplaced(s, kinds[0])
	switch kinds[0] {
	case "crowd":
		b.crowd(e, s)
	case "put", "purge", "push":
		b.change(e, s)
	default:
		b.breaks(e, s, kinds[0], target)
	}
}

// misread reports whether something below a value was not understood.
func (b *experimentBuilder) misread(m mark) bool {
	return slices.ContainsFunc(b.read.faults, func(f Fault) bool { return strings.HasPrefix(f.Path, m.path+".") })
}

// InAny reports whether the condition is met in one of some variants, or there are none.
func (c Condition) InAny(all []Variant) bool { return len(all) == 0 || slices.ContainsFunc(all, c.In) }

// misplaced reports keys that another kind of step has.
func (b *experimentBuilder) misplaced(s *stepEntry, kind string) {
	change := kind == "put" || kind == "purge" || kind == "push"
	for _, k := range []struct {
		set, ok bool
		message string
	}{
		{s.impairment() != Impairment{}, kind == "degrade", "takes no latency, jitter, loss, bandwidth or slow_disk; they are for degrade"},
		{s.Rate.set || s.From.set, kind == "crowd", "takes no from and rate; they are for a crowd"},
		{s.Site.set, kind == "crowd" || change, "takes no site; it is for a crowd and for put, purge and push"},
		{s.For.set, !change, "takes no for: it is done once"},
		{s.Size.set || s.Key.set, kind == "put", "takes no size and key; they are for put"},
		{s.To.set, kind == "push", "takes no to; it is for push"},
	} {
		if k.set && !k.ok {
			b.fault(s.mark, "%s %s", kind, k.message)
		}
	}
}

func (s *stepEntry) impairment() Impairment {
	return Impairment{Latency: s.Latency.v, Jitter: s.Jitter.v, Loss: s.Loss.v, Bandwidth: s.Bandwidth.v, SlowDisk: s.SlowDisk.v}
}

// breaks adds a step in which something goes wrong.
func (b *experimentBuilder) breaks(e *Experiment, s *stepEntry, kind string, target word) {
	i := s.impairment()
	i.Down, i.Reset = kind == "down", kind == "reset"
	e.Timeline = append(e.Timeline, Step{At: s.At.v, For: s.For.v, Target: target.v, Impairment: i, When: s.When.v})
	if b.top == nil {
		return
	}
	g, err := b.top.Target(target.v)
	if err == nil {
		err = g.Takes(i)
	}
	switch {
	case err != nil:
		b.fault(target.mark, "%v", err)
	case e.NoNetem && (i.network() || i.Down && g.IsLink()):
		b.fault(target.mark, "nothing is emulated (netem: off), so that only servers can be down and disks slow")
	}
}

func (b *experimentBuilder) crowd(e *Experiment, s *stepEntry) {
	l := Workload{Site: b.site(s.Site), From: b.places(s.From), Rate: s.Rate.v, At: s.At.v, For: s.For.v, Path: s.Crowd.v, When: s.When.v}
	switch {
	case !s.Rate.set:
		b.fault(s.mark.sub("rate"), "is missing: a crowd makes requests, such as 1000/s")
	case !s.For.set:
		b.fault(s.mark.sub("for"), "is missing: a crowd goes home after a while, such as 20s")
	}
	e.Load = append(e.Load, l)
	e.Length = max(e.Length, l.At+l.For)
}

// change adds a step that puts, purges or pushes.
func (b *experimentBuilder) change(e *Experiment, s *stepEntry) {
	step := Step{At: s.At.v, When: s.When.v}
	site := b.site(s.Site)
	switch {
	case s.Put.set:
		step.Put = &PutStep{Site: site, Path: s.Put.v, Size: s.Size.v, Key: s.Key.v}
		if strings.Contains(s.Put.v, "?") {
			b.fault(s.Put.mark, "%q has a query; objects are stored at paths", s.Put.v)
		}
		if b.top != nil && !b.top.stores(site) {
			b.fault(s.Put.mark, "the origin of %s stores no objects; only one with store: builtin does", site)
		}
	case s.Purge.set:
		p := &s.Purge.parts
		step.Purge = &PurgeStep{Site: site, Path: s.Purge.path.v + p.URL.v, Prefix: p.Prefix.v, Key: p.Key.v, All: p.All.v, Soft: p.Soft.v}
		if err := step.Purge.check(); err != nil && !b.misread(s.Purge.mark) {
			b.fault(s.Purge.mark, "%v", err)
		}
	default:
		step.Push = &PushStep{Site: site, Paths: values(s.Push.paths.v, func(t urlPath) string { return t.v }), Top: s.Push.top, To: s.To.v}
		if s.Push.path.set {
			step.Push.Paths = []string{s.Push.path.v}
		}
		b.push(e, s, step.Push)
	}
	e.Timeline = append(e.Timeline, step)
}

func (b *experimentBuilder) push(e *Experiment, s *stepEntry, p *PushStep) {
	switch n := len(p.Paths); {
	case p.Top > 0 && len(e.Load) > 0 && e.Load[0].Path != "":
		b.fault(s.Push.mark, "the first load asks for a path alone; name the paths to push")
	case p.Top > 0 && len(e.Load) > 0 && uint64(p.Top) > e.Load[0].Objects:
		b.fault(s.Push.mark, "the first load has %d objects", e.Load[0].Objects)
	case p.Top == 0 && (n == 0 || n > MaxPush):
		b.fault(s.Push.mark, "names %s; it is 1 to %d", plural(n, "path"), MaxPush)
	}
	if b.top == nil {
		return
	}
	if _, err := b.top.PushTarget(p.To); err != nil {
		b.fault(s.To.mark, "%v", err)
	}
}

// stores reports whether a site's origin stores objects.
func (t *Topology) stores(site string) bool {
	s, ok := t.Site(site)
	return !ok || slices.ContainsFunc(t.Origins, func(o Origin) bool { return o.Name == s.Origin && o.Kind == Builtin })
}

func (p PurgeStep) check() error {
	given := 0
	for _, is := range []bool{p.Path != "", p.Prefix != "", p.Key != "", p.All} {
		if is {
			given++
		}
	}
	if given != 1 {
		return errors.New("wants a path, or one of url, prefix, key and all")
	}
	return nil
}

// lacks says what the timeline must have for a metric to have a value; "" when nothing is missing.
func (e *Experiment) lacks(metric string) string {
	has := func(is func(Step) bool) bool { return slices.ContainsFunc(e.Timeline, is) }
	switch {
	case strings.HasPrefix(metric, "purge.") && !has(func(s Step) bool { return s.Purge != nil }):
		return "there is no purge in the timeline"
	case metric == "purge.stale_served" && !has(func(s Step) bool { return s.Put != nil && s.At > 0 }):
		return "nothing is put after the start, so that there is no older version"
	case metric == "push.vain" && !has(func(s Step) bool { return s.Push != nil }):
		return "there is no push in the timeline"
	}
	return ""
}
