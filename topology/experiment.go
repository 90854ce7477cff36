package topology

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Experiment is a validated experiment file.
type Experiment struct {
	Name, About string
	File        string
	Seed        uint64 // of the load
	NoNetem     bool
	Variants    []Variant  // one, or one for each combination of what varies
	Load        []Workload // crowds of the timeline among them
	Timeline    []Step
	Expect      []Expectation
	Length      time.Duration // until the last load has ended
}

// Variant is one topology of an experiment.
type Variant struct {
	Values   []Setting // what sets it apart, in the order of the file
	Topology *Topology
}

// Setting is a value of a topology by its path.
type Setting struct{ Path, Value string }

// Label names a variant by what sets it apart: "sites.*.cache.ttl=1s"; "" for the only one.
func (v Variant) Label() string {
	return strings.Join(values(v.Values, func(s Setting) string { return s.Path + "=" + s.Value }), ", ")
}

// Workload is requests at a constant rate.
type Workload struct {
	Site    string
	From    []PlaceShare
	Rate    float64 // per second
	At, For time.Duration
	Path    string // asked for alone; "" asks for Objects
	Objects uint64
	Zipf    float64  // exponent
	Size    [2]Bytes // of the smallest and the largest object
	When    Condition
}

// PlaceShare is a client place and how many of the requests come from it, relative to the others.
type PlaceShare struct {
	Place string
	Share float64
}

const maxVariants = 64

// LoadExperiment reads an experiment file and the topology that it names. sets are applied to the topology after the file's
// own; seed, if not nil, takes the place of the file's. The error is Faults when something in either is invalid.
func LoadExperiment(name string, sets []string, seed *uint64) (*Experiment, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("load experiment: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("load experiment %s: %w", name, err)
	}
	return ParseExperiment(name, data, filepath.Dir(name), sets, seed)
}

// ParseExperiment reads an experiment from data; see LoadExperiment. A path of a topology starts at dir.
func ParseExperiment(name string, data []byte, dir string, sets []string, seed *uint64) (*Experiment, error) {
	var c collector
	root := parseDocument(&c, name, data)
	switch {
	case root != nil && root.kind != mapping && root.kind != null:
		c.fault(mark{pos: root.pos}, "is %s, not a map with keys such as topology and load", root.kind)
	case len(c.faults) == 0 && (root == nil || root.kind == null):
		c.fault(mark{pos: pos{file: name}}, "is empty; at least load is needed")
	}
	if root == nil || root.kind != mapping {
		return nil, c.err()
	}
	var f experimentFile
	d := decoder{collector: &c, specs: make(map[reflect.Type][]keySpec)}
	d.value(&f, root, mark{}, "")
	b := experimentBuilder{collector: new(collector), read: &c, f: &f, dir: dir, sets: sets}
	e := &Experiment{Name: f.Name.v, About: reflow(f.About.v), File: name, NoNetem: !f.Netem.v}
	if e.Name == "" {
		e.Name = strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
	}
	switch {
	case seed != nil:
		b.seed = seed
	case f.Seed.set:
		b.seed = &f.Seed.v
	}
	if !c.about("topology", "seed", "set", "vary") { // of which the topologies are made
		b.variants(e)
	}
	b.build(e)
	c.merge(b.collector)
	if err := c.err(); err != nil {
		return nil, err
	}
	return e, nil
}

// reflow joins the lines of each paragraph.
func reflow(text string) string {
	paragraphs := strings.Split(strings.TrimSpace(text), "\n\n")
	for i, p := range paragraphs {
		paragraphs[i] = strings.Join(strings.Fields(p), " ")
	}
	return strings.Join(paragraphs, "\n\n")
}

// experimentBuilder makes an Experiment of a file that could be read.
type experimentBuilder struct {
	*collector
	read *collector // faults of reading the file
	f    *experimentFile
	dir  string
	sets []string
	seed *uint64
	top  *Topology // of the first variant, whose names the load refers to; nil when there is none
}

// variants reads the topology once for each combination of what varies.
func (b *experimentBuilder) variants(e *Experiment) {
	combinations := [][]int{nil}
	for _, v := range b.f.Vary.entries {
		var next [][]int
		for _, c := range combinations {
			for i := range v.val.v {
				next = append(next, append(slices.Clone(c), i))
			}
		}
		if len(v.val.v) == 0 {
			b.fault(v.val.mark, "has no values to compare")
			return
		}
		if combinations = next; len(combinations) > maxVariants {
			b.fault(b.f.Vary.mark, "makes more than %d combinations", maxVariants)
			return
		}
	}
	for _, c := range combinations {
		v, ok := b.variant(c)
		if !ok {
			return
		}
		e.Variants = append(e.Variants, v)
	}
	b.top = e.Variants[0].Topology
	e.Seed = b.top.Seed
}

func (b *experimentBuilder) variant(choice []int) (v Variant, ok bool) {
	var sets []string
	places := map[string]mark{} // of each option, in this file
	option := func(path, value string, m mark) {
		text := path + "=" + value
		sets = append(sets, text)
		places["--set "+text] = m
	}
	if b.seed != nil {
		option("seed", strconv.FormatUint(*b.seed, 10), b.f.Seed.mark)
	}
	for _, s := range b.f.Set.entries {
		option(s.key.v, s.val.text, s.val.mark)
	}
	for i, s := range b.f.Vary.entries {
		value := s.val.v[choice[i]]
		option(s.key.v, value.text, value.mark)
		v.Values = append(v.Values, Setting{s.key.v, value.plain()})
	}
	var err error
	if v.Topology, err = b.load(append(sets, b.sets...)); err == nil {
		return v, true
	}
	var faults Faults
	if !errors.As(err, &faults) {
		b.fault(b.f.Topology.mark, "%v", err)
		return v, false
	}
	for _, f := range faults {
		m, ours := places[f.File]
		if !ours {
			b.faults = append(b.faults, f)
			continue
		}
		if f.Path != "" && !strings.HasSuffix(m.path, f.Path) {
			f.Message = f.Path + ": " + f.Message
		}
		b.fault(m, "%s", f.Message)
	}
	return v, false
}

func (b *experimentBuilder) load(sets []string) (*Topology, error) {
	name := b.f.Topology.v
	if _, ok := PresetSource(name); ok {
		return Preset(name, sets)
	}
	if !strings.ContainsAny(name, "./") {
		return nil, fmt.Errorf("no preset %q%s; a file is written with its extension", name, didYouMean(name, Presets()))
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(b.dir, name)
	}
	return Load(name, sets)
}

func (b *experimentBuilder) build(e *Experiment) {
	if len(b.f.Load.v) == 0 && !b.isBroken("load") {
		b.fault(mark{pos: b.f.Load.pos, path: "load"}, "there is none; write load: [ { rate: 100/s, for: 10s } ]")
	}
	for i := range b.f.Load.v {
		l := &b.f.Load.v[i]
		load := Workload{Site: b.site(l.Site), From: b.places(l.From), Rate: l.Rate.v, At: l.At.v, For: l.For.v, Path: l.Path.v,
			Objects: l.Objects.v, Zipf: l.Zipf.v, Size: [2]Bytes{l.Size.one.v, l.Size.one.v}}
		if both := l.Size.both.v; len(both) == 2 {
			load.Size = [2]Bytes{both[0].v, both[1].v}
			if both[0].v > both[1].v {
				b.fault(l.Size.mark, "the smallest size comes first")
			}
		}
		e.Load = append(e.Load, load)
		e.Length = max(e.Length, load.At+load.For)
	}
	for i := range b.f.Timeline.v {
		b.step(e, &b.f.Timeline.v[i])
	}
	for _, x := range b.f.Expect.v {
		b.expect(e, x)
	}
}

func (b *experimentBuilder) site(h host) string {
	switch {
	case b.top == nil:
		return h.v
	case h.v == "":
		return b.top.Sites[0].Host
	}
	if _, ok := b.top.Site(h.v); !ok {
		names := values(b.top.Sites, func(s Site) string { return s.Host })
		b.fault(h.mark, "unknown site %q%s", h.v, didYouMean(h.v, names))
	}
	return h.v
}

func (b *experimentBuilder) places(s placeShares) (all []PlaceShare) {
	if b.top == nil {
		return nil
	}
	add := func(place string, share float64, m mark) {
		if _, ok := b.top.Client(place); !ok {
			names := values(b.top.Clients, func(c Client) string { return c.Name })
			b.fault(m, "unknown client place %q%s", place, didYouMean(place, names))
		}
		if share < 0 {
			b.fault(m, "%g is negative; it wants a share, relative to the others", share)
		}
		all = append(all, PlaceShare{place, share})
	}
	sum := 0.0
	for i := range s.places.entries {
		p := &s.places.entries[i]
		add(p.key.v, p.val.v, p.val.mark)
		sum += p.val.v
	}
	switch {
	case s.one.set:
		add(s.one.v, 1, s.one.mark)
	case len(s.places.entries) == 0:
		for i := range b.top.Clients {
			all = append(all, PlaceShare{b.top.Clients[i].Name, b.top.Clients[i].Weight})
		}
	case sum == 0:
		b.fault(s.mark, "no place has a share above 0")
	}
	return all
}

func (b *experimentBuilder) expect(e *Experiment, x expectation) {
	v := x.v
	if b.top != nil && v.From != "" {
		if _, ok := b.top.Client(v.From); !ok {
			names := values(b.top.Clients, func(c Client) string { return c.Name })
			b.fault(x.mark, "unknown client place %q%s", v.From, didYouMean(v.From, names))
		}
	}
	if !v.InAny(e.Variants) {
		b.fault(x.mark, "no variant has %s", v.Condition)
	}
	if lacks := e.lacks(v.Metric); lacks != "" && !b.isBroken("timeline") && !b.read.about("timeline") {
		b.fault(x.mark, "%s has no value: %s", v.Metric, lacks)
	}
	if e.Length > 0 && v.After >= e.Length {
		b.fault(x.mark, "the load has ended after %s", e.Length)
	}
	e.Expect = append(e.Expect, v)
}
