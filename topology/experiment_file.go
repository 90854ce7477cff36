package topology

import (
	"fmt"
	"strconv"
	"strings"
)

// experimentFile is an experiment file as written; see decode.go for the meaning of the tags.
type experimentFile struct {
	Version  version                    `key:"version" default:"1" doc:"Version of this format."`
	Name     word                       `key:"name" doc:"Name of the experiment. Default: that of the file."`
	About    word                       `key:"about" doc:"What it shows, for the report."`
	Topology word                       `key:"topology" default:"three-continents" doc:"A preset, or a topology file, relative to this one."`
	Seed     count                      `key:"seed" doc:"Seed of the load, and of the topology. Default: the topology's."`
	Netem    onOff                      `key:"netem" default:"on" doc:"Whether distance, bandwidth and loss are emulated; off is for runs that are about caches alone."`
	Set      table[word, setting]       `key:"set" doc:"Values of the topology to change, by their paths, as with --set."`
	Vary     table[word, list[setting]] `key:"vary" doc:"Values to compare, by their paths: the experiment runs once for each combination."`
	Load     list[loadEntry]            `key:"load" doc:"Requests of clients. At least one."`
	Timeline list[stepEntry]            `key:"timeline" doc:"What happens meanwhile."`
	Expect   list[expectation]          `key:"expect" doc:"What must hold, such as: edge.hit_ratio > 0.8 after 20s."`
}

type loadEntry struct {
	mark
	Site    host        `key:"site" doc:"Site that is asked. Default: the first of the topology."`
	From    placeShares `key:"from" doc:"Client places and their shares, or one place. Default: all, by their weights."`
	Rate    perSecond   `key:"rate" need:"yes" min:"0.1/s" max:"100000/s" doc:"Requests per second, such as 500/s."`
	Objects count       `key:"objects" default:"1000" min:"1" max:"100000000" doc:"How many objects there are."`
	Zipf    number      `key:"zipf" default:"1" min:"0" max:"4" doc:"Exponent of the popularity: the k-th most popular object is asked for 1/k^zipf as often as the first. 0 asks for all alike."`
	Size    sizeRange   `key:"size" doc:"Size of the objects, or the smallest and the largest; between them sizes are spread evenly over their orders of magnitude. Default: 4KiB."`
	Path    urlPrefix   `key:"path" doc:"Ask for this path alone, instead of for objects of the origin's own making."`
	At      duration    `key:"at" default:"0" max:"1d" doc:"When it begins."`
	For     duration    `key:"for" need:"yes" min:"100ms" max:"1d" doc:"How long it lasts."`
}

type stepEntry struct {
	mark
	At        duration    `key:"at" need:"yes" max:"1d" doc:"When it happens, from the start of the load."`
	For       duration    `key:"for" min:"1ms" max:"1d" doc:"How long it lasts. Default for faults: to the end."`
	Crowd     urlPrefix   `key:"crowd" doc:"A crowd asks for this path: give rate and for, and from and site if need be."`
	Site      host        `key:"site" doc:"Site that a crowd asks. Default: the first of the topology."`
	From      placeShares `key:"from" doc:"Client places of a crowd and their shares, or one place. Default: all, by their weights."`
	Rate      perSecond   `key:"rate" min:"0.1/s" max:"100000/s" doc:"Requests per second of a crowd."`
	Down      word        `key:"down" doc:"A server, PoP, hub or origin that is down, or a link as A:B."`
	Reset     word        `key:"reset" doc:"A target whose connections are reset."`
	Degrade   word        `key:"degrade" doc:"A target that works badly: give latency, jitter, loss, bandwidth or slow_disk."`
	Latency   duration    `key:"latency" max:"1m" doc:"Added to each round trip."`
	Jitter    duration    `key:"jitter" max:"1m" doc:"Up to this much more, at each round trip anew."`
	Loss      share       `key:"loss" max:"99%" doc:"Share of packets that are lost."`
	Bandwidth rate        `key:"bandwidth" min:"1kbps" doc:"The most that gets through each way."`
	SlowDisk  duration    `key:"slow_disk" max:"1m" doc:"How much longer each read or write of an object takes."`
	Put       urlPath     `key:"put" doc:"A path at which the origin stores a new version. At 0s it is there before the load begins."`
	Size      size        `key:"size" default:"4KiB" min:"16B" max:"1GiB" doc:"Size of what is put."`
	Key       word        `key:"key" doc:"Surrogate key of what is put."`
	Purge     purgeStep   `key:"purge" doc:"A path that every cache forgets, or one of url, prefix, key and all, and soft."`
	Push      pushStep    `key:"push" doc:"A path, or paths, that are brought to the caches; or a number: so many of the most popular objects of the first load."`
	To        word        `key:"to" doc:"Where to push: hubs, edges, or the name of a hub, an edge or a city that has one. Default: everywhere."`
	When      condition   `key:"when" doc:"The step is part of the variants alone in which a path that varies has a value, such as: dns.ttl=60s."`
}

// perSecond is a rate of requests: "500/s".
type perSecond struct {
	mark
	v float64
}

func (p *perSecond) parse(text string) error {
	number, ok := strings.CutSuffix(text, "/s")
	v, err := strconv.ParseFloat(strings.TrimSuffix(number, " "), 64)
	switch {
	case err != nil || strings.ContainsAny(number, "xXpPiInNeE+"):
		return fmt.Errorf("%q is not %s", text, p.what())
	case v < 0:
		return fmt.Errorf("%q is negative; it wants %s", text, p.what())
	case !ok:
		return fmt.Errorf("%q has no unit; write %s/s", text, text)
	}
	p.v = v
	return nil
}

func (p *perSecond) amount() float64 { return p.v }
func (*perSecond) what() string      { return "a rate such as 500/s" }
func (*perSecond) schema() object {
	return object{"type": "string", "pattern": `^[0-9]+(\.[0-9]+)? ?/s$`}
}

// setting is any YAML value, for --set.
type setting struct {
	mark
	text string // in flow style
}

func (s *setting) decode(d *decoder, n *node, m mark) {
	s.mark = m
	if n != nil {
		var b strings.Builder
		n.flow(&b)
		s.text = b.String()
	}
}

func (*setting) customSchema() object { return object{} }

// flow writes a value in YAML's flow style. Scalars are quoted, which to the schema makes no difference.
func (n *node) flow(b *strings.Builder) {
	switch n.kind {
	case scalar:
		b.WriteString(strconv.Quote(n.text))
	case mapping:
		b.WriteByte('{')
		for i, f := range n.fields {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(strconv.Quote(f.key) + ": ")
			f.value.flow(b)
		}
		b.WriteByte('}')
	case sequence:
		b.WriteByte('[')
		for i, item := range n.items {
			if i > 0 {
				b.WriteString(", ")
			}
			item.flow(b)
		}
		b.WriteByte(']')
	default:
		b.WriteString("null")
	}
}

// plain is the value as a person writes it.
func (s *setting) plain() string { return strings.ReplaceAll(s.text, `"`, "") }

// placeShares is a place, or places with their shares.
type placeShares struct {
	mark
	one    word
	places table[word, number]
}

func (s *placeShares) decode(d *decoder, n *node, m mark) {
	s.mark = m
	switch {
	case n == nil:
	case n.kind == scalar:
		d.value(&s.one, n, m, "")
	default:
		d.value(&s.places, n, m, "")
	}
}

func (s *placeShares) customSchema() object {
	return object{"oneOf": []object{{"type": "string"}, {"type": "object", "additionalProperties": object{"type": "number", "minimum": 0}}}}
}

// sizeRange is a size, or the smallest and the largest.
type sizeRange struct {
	mark
	one  size
	both list[size]
}

func (s *sizeRange) decode(d *decoder, n *node, m mark) {
	s.mark = m
	switch {
	case n == nil:
		s.one.v = 4 << 10
	case n.kind == scalar:
		d.value(&s.one, n, m, `max:"1GiB"`)
	default:
		d.value(&s.both, n, m, `items:"2" max:"1GiB"`)
	}
}

func (s *sizeRange) customSchema() object {
	return object{"oneOf": []object{sizes.schema(), {"type": "array", "items": sizes.schema(), "minItems": 2, "maxItems": 2}}}
}
