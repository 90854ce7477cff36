package topology

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// option is one PATH=VALUE of --set. A path is made of keys with dots between them, as faults print it. A key may have
// dots of its own: the longest run of segments that is a key of the file counts as one, and "double quotes" keep one
// together. * stands for any text in a key. Missing maps are created; a value of null, or none, removes the key. The value
// is YAML.
type option struct {
	*collector
	mark  mark // names the option as the place of what comes from it
	value *node
}

// applySets applies options in order to the tree of a file.
func applySets(c *collector, root *node, sets []string) {
	for _, text := range sets {
		o := option{collector: c, mark: mark{pos: pos{file: "--set " + text}}}
		path, value, ok := strings.Cut(text, "=")
		segments := splitPath(path)
		if !ok || slices.Contains(segments, "") {
			c.fault(o.mark, "write PATH=VALUE, such as edges.tokyo.ram=64MiB")
			continue
		}
		if o.value = o.parse(value); o.value == nil {
			continue
		}
		o.mark.path = path
		if !o.assign(root, &file{}, segments) {
			c.fault(o.mark, "matches nothing in the file")
		}
	}
}

// splitPath cuts a path at its dots. "links[0].rtt" is the same as "links.0.rtt".
func splitPath(path string) []string {
	var segments []string
	var b strings.Builder
	quoted := false
	for _, r := range path {
		switch {
		case r == '"':
			quoted = !quoted
		case r == ']' && !quoted:
		case (r == '.' || r == '[') && !quoted:
			segments = append(segments, b.String())
			b.Reset()
		default:
			b.WriteRune(r)
		}
	}
	return append(segments, b.String())
}

// parse reads the value; nil when it cannot be read, which has then been reported.
func (o *option) parse(text string) *node {
	before := len(o.faults)
	n := parseDocument(o.collector, o.mark.pos.file, []byte(text))
	for i := before; i < len(o.faults); i++ {
		o.faults[i].Line, o.faults[i].Col = 0, 0
	}
	switch {
	case len(o.faults) > before:
		return nil
	case n == nil:
		return &node{pos: o.mark.pos}
	}
	o.place(n)
	return n
}

// place makes the option the place of a value and of all that is in it.
func (o *option) place(n *node) {
	n.pos = o.mark.pos
	for i := range n.fields {
		n.fields[i].pos = o.mark.pos
		o.place(n.fields[i].value)
	}
	for _, item := range n.items {
		o.place(item)
	}
}

func (n *node) clone() *node {
	c := *n
	c.fields = slices.Clone(n.fields)
	for i := range c.fields {
		c.fields[i].value = c.fields[i].value.clone()
	}
	c.items = slices.Clone(n.items)
	for i := range c.items {
		c.items[i] = c.items[i].clone()
	}
	return &c
}

// assign sets what the segments name below n, whose place in the schema is shape. It reports false when there is nothing
// of that name.
func (o *option) assign(n *node, shape any, segments []string) bool {
	switch n.kind {
	case scalar:
		o.fault(o.mark, "%q has a single value in the file, so %q cannot be set below it", n.text, strings.Join(segments, "."))
		return true
	case sequence:
		return o.assignItems(n, shape, segments)
	}
	n.kind = mapping
	for take := len(segments); take > 0; take-- {
		pattern := strings.Join(segments[:take], ".")
		if keys := matching(n, pattern); len(keys) > 0 {
			return o.assignFields(n, shape, keys, segments[take:])
		}
	}
	return o.create(n, shape, segments)
}

// matching lists the keys of a map that a pattern means.
func matching(n *node, pattern string) []string {
	var keys []string
	for _, f := range n.fields {
		if glob(pattern, f.key) {
			keys = append(keys, f.key)
		}
	}
	return keys
}

func (o *option) assignFields(n *node, shape any, keys, rest []string) bool {
	done := false
	for _, key := range keys {
		i := slices.IndexFunc(n.fields, func(f field) bool { return f.key == key })
		switch {
		case len(rest) > 0:
			done = o.assign(n.fields[i].value, below(shape, key), rest) || done
		case o.value.kind == null:
			n.fields, done = slices.Delete(n.fields, i, i+1), true
		default:
			n.fields[i], done = field{key: key, pos: o.mark.pos, value: o.value.clone()}, true
		}
	}
	return done
}

func (o *option) assignItems(n *node, shape any, segments []string) bool {
	done := false
	for i := len(n.items) - 1; i >= 0; i-- {
		switch {
		case !glob(segments[0], strconv.Itoa(i)):
		case len(segments) > 1:
			done = o.assign(n.items[i], below(shape, ""), segments[1:]) || done
		case o.value.kind == null:
			n.items, done = slices.Delete(n.items, i, i+1), true
		default:
			n.items[i], done = o.value.clone(), true
		}
	}
	return done
}

// create adds a key that the file does not have, and the maps above it.
func (o *option) create(n *node, shape any, segments []string) bool {
	take := newKey(shape, segments)
	key, rest := strings.Join(segments[:take], "."), segments[take:]
	if strings.Contains(key, "*") || o.value.kind == null {
		return false
	}
	value := o.value.clone()
	if len(rest) > 0 {
		value = &node{kind: mapping, pos: o.mark.pos}
		if !o.assign(value, below(shape, key), rest) {
			return false
		}
	}
	n.fields = append(n.fields, field{key: key, pos: o.mark.pos, value: value})
	return true
}

// newKey is how many segments make up a key that is not there yet: one, or where keys have dots of their own, all up to the
// last one that is a key of the value.
func newKey(shape any, segments []string) int {
	t, ok := shape.(tabular)
	if !ok {
		return 1
	}
	key, value := t.shape()
	if _, dotless := key.(*label); dotless {
		return 1
	}
	for take := len(segments) - 1; take > 0; take-- {
		if below(value, segments[take]) != nil {
			return take
		}
	}
	return len(segments)
}

// below is the schema of what stands under a key of shape, as a pointer to its zero value, or nil.
func below(shape any, key string) any {
	switch s := shape.(type) {
	case nil, custom, leaf:
		return nil
	case tabular:
		_, value := s.shape()
		return value
	case listed:
		return s.shape()
	}
	t := reflect.TypeOf(shape).Elem()
	for _, k := range keySpecs(t) {
		if k.name == key {
			return reflect.New(t.Field(k.index).Type).Interface()
		}
	}
	return nil
}

// glob reports whether a text matches a pattern in which * stands for any text.
func glob(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	last := parts[len(parts)-1]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return strings.HasSuffix(text, last)
}
