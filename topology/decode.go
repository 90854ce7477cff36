package topology

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// The types below and in file.go are the schema: they drive decoding, the suggestions in faults, --set, and the JSON Schema.
//
// A struct is a map with the keys of its `key` tags. Further tags of a field: `doc` describes it, `default` is what it is
// when the file leaves it out, `min` and `max` bound it, `need:"yes"` says that it must be given, and `later` marks a key
// whose meaning comes with a later version, so that it is refused by name. A table is a map with free keys; a list has
// as many items as `items` says, if that is given.

// leaf is a value written as one word or number.
type leaf interface {
	stand(mark)
	// parse reads the text as written. Its error completes the sentence "PATH: …" and says what would be right.
	parse(text string) error
	// what names the value in a fault, with an example: "a size such as 64MiB".
	what() string
	schema() object
}

// bounded is a leaf that min and max apply to.
type bounded interface {
	leaf
	amount() float64
}

// custom is a value with a form of its own, such as one that is either a word or a map.
type custom interface {
	decode(d *decoder, n *node, m mark)
	customSchema() object
}

// tabular is a table seen without its type parameters.
type tabular interface {
	begin(m mark)
	// grow appends an entry and returns pointers to its key and value.
	grow() (key leaf, value any)
	// shape returns a zero key and value.
	shape() (key leaf, value any)
}

// listed is a list seen without its type parameter.
type listed interface {
	begin(m mark)
	// grow appends an element and returns a pointer to it.
	grow() any
	// shape returns a zero element.
	shape() any
}

func (m *mark) stand(at mark) { *m = at }

// table is a map with free keys, in file order.
type table[K, V any] struct {
	mark
	entries []entry[K, V]
}

type entry[K, V any] struct {
	key K
	val V
}

func (t *table[K, V]) begin(m mark) { t.mark = m }

func (t *table[K, V]) grow() (leaf, any) {
	t.entries = append(t.entries, entry[K, V]{})
	e := &t.entries[len(t.entries)-1]
	return any(&e.key).(leaf), &e.val
}

func (t *table[K, V]) shape() (leaf, any) {
	var e entry[K, V]
	return any(&e.key).(leaf), &e.val
}

// list is a list of values.
type list[T any] struct {
	mark
	v []T
}

func (l *list[T]) begin(m mark) { l.mark = m }
func (l *list[T]) shape() any   { return new(T) }

func (l *list[T]) grow() any {
	var zero T
	l.v = append(l.v, zero)
	return &l.v[len(l.v)-1]
}

// keySpec is one key of a struct of the schema.
type keySpec struct {
	name  string
	index int
	tag   reflect.StructTag
}

func (k keySpec) later() string { return k.tag.Get("later") }

// keySpecs lists the keys of a struct type in order.
func keySpecs(t reflect.Type) []keySpec {
	var specs []keySpec
	for i := range t.NumField() {
		if name, ok := t.Field(i).Tag.Lookup("key"); ok {
			specs = append(specs, keySpec{name: name, index: i, tag: t.Field(i).Tag})
		}
	}
	return specs
}

// decoder fills the types of the schema from a tree and reports every fault on the way.
type decoder struct {
	*collector
	specs map[reflect.Type][]keySpec
}

func (d *decoder) specsOf(t reflect.Type) []keySpec {
	specs, ok := d.specs[t]
	if !ok {
		specs = keySpecs(t)
		d.specs[t] = specs
	}
	return specs
}

// value decodes n, which is nil for a key left out, into the value that v points to.
func (d *decoder) value(v any, n *node, m mark, tag reflect.StructTag) {
	if d.broken[m.path] {
		n = nil
	}
	if n != nil {
		m.pos, m.set = n.pos, true
	}
	switch v := v.(type) {
	case custom:
		v.decode(d, n, m)
	case leaf:
		d.leaf(v, n, m, tag)
	case tabular:
		d.table(v, n, m)
	case listed:
		d.list(v, n, m, tag)
	default:
		d.object(reflect.ValueOf(v).Elem(), n, m)
	}
}

// wrongKind reports a value that is neither of the wanted kind nor, where that is a map, nothing.
func (d *decoder) wrongKind(n *node, m mark, want kind, what string) bool {
	switch {
	case n == nil || n.kind == want:
		return false
	case n.kind == null && want != scalar:
		return false
	case n.kind == null:
		d.unread(m, "has no value; it wants %s", what)
	default:
		d.unread(m, "must be %s, not %s", what, n.kind)
	}
	return true
}

func (d *decoder) leaf(v leaf, n *node, m mark, tag reflect.StructTag) {
	v.stand(m)
	if d.wrongKind(n, m, scalar, v.what()) {
		return
	}
	if n == nil {
		if text, ok := tag.Lookup("default"); ok {
			mustParse(v, text)
		}
		return
	}
	if err := v.parse(n.text); err != nil {
		d.unread(m, "%v", err)
		return
	}
	if b, ok := v.(bounded); ok {
		d.bounds(b, n.text, m, tag)
	}
}

// mustParse reads a text of a struct tag.
func mustParse(v leaf, text string) {
	if err := v.parse(text); err != nil {
		panic("topology: struct tag: " + err.Error())
	}
}

func (d *decoder) bounds(v bounded, text string, m mark, tag reflect.StructTag) {
	limit := func(name string) (string, float64, bool) {
		text, ok := tag.Lookup(name)
		if !ok {
			return "", 0, false
		}
		bound := reflect.New(reflect.TypeOf(v).Elem()).Interface().(bounded)
		mustParse(bound, text)
		return text, bound.amount(), true
	}
	if lowest, amount, ok := limit("min"); ok && v.amount() < amount {
		d.fault(m, "%s is too small; it is at least %s", text, lowest)
	}
	if highest, amount, ok := limit("max"); ok && v.amount() > amount {
		d.fault(m, "%s is too large; it is at most %s", text, highest)
	}
}

func (d *decoder) table(t tabular, n *node, m mark) {
	t.begin(m)
	if d.wrongKind(n, m, mapping, "a map") {
		return
	}
	if n == nil {
		return
	}
	for _, f := range n.fields {
		key, value := t.grow()
		here := mark{pos: f.pos, path: join(m.path, f.key), set: true}
		key.stand(here)
		if err := key.parse(f.key); err != nil {
			d.fault(here, "%v", err)
		}
		switch value.(type) {
		case leaf, custom, listed:
			d.value(value, f.value, mark{path: here.path}, "")
		default:
			d.entry(value, f.value, here)
		}
	}
}

// entry decodes a map below a free key; what the map lacks is reported at that key.
func (d *decoder) entry(v any, n *node, m mark) {
	if d.wrongKind(n, mark{pos: n.pos, path: m.path}, mapping, "a map") {
		n = nil
	}
	d.object(reflect.ValueOf(v).Elem(), n, m)
}

func (d *decoder) list(l listed, n *node, m mark, tag reflect.StructTag) {
	l.begin(m)
	if n == nil {
		return
	}
	if n.kind == scalar {
		d.unread(m, "must be a list; write [%s]", n.text)
		return
	}
	if d.wrongKind(n, m, sequence, "a list") {
		return
	}
	if want := tag.Get("items"); want != "" && want != strconv.Itoa(len(n.items)) {
		d.fault(m, "has %s; it wants %s", plural(len(n.items), "item"), want)
	}
	for i, item := range n.items {
		d.value(l.grow(), item, mark{path: m.path + "[" + strconv.Itoa(i) + "]"}, tag)
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

func (d *decoder) object(v reflect.Value, n *node, m mark) {
	if m.path != "" && d.wrongKind(n, m, mapping, "a map") {
		n = nil
	}
	if f, ok := v.Addr().Interface().(interface{ stand(mark) }); ok {
		f.stand(m)
	}
	specs := d.specsOf(v.Type())
	if n != nil {
		d.unknownKeys(specs, n, m)
	}
	for _, k := range specs {
		if k.later() != "" {
			continue
		}
		here := mark{pos: m.pos, path: join(m.path, k.name)}
		var child *node
		if n != nil {
			child = n.field(k.name)
		}
		if child == nil && k.tag.Get("need") != "" {
			d.fault(here, "is missing: %s", lowerFirst(k.tag.Get("doc")))
			continue
		}
		d.value(v.Field(k.index).Addr().Interface(), child, here, k.tag)
	}
}

func (d *decoder) unknownKeys(specs []keySpec, n *node, m mark) {
	for _, f := range n.fields {
		i := slices.IndexFunc(specs, func(k keySpec) bool { return k.name == f.key })
		here := mark{pos: f.pos, path: join(m.path, f.key)}
		switch {
		case i < 0:
			d.fault(here, "unknown key%s", keyHint(f.key, specs))
		case specs[i].later() != "":
			d.fault(here, "not known yet: %s; the key is reserved", specs[i].later())
		}
	}
}

// keyHint says which key was meant, or which there are.
func keyHint(key string, specs []keySpec) string {
	var names []string
	for _, k := range specs {
		if k.later() == "" {
			names = append(names, k.name)
		}
	}
	if hint := didYouMean(key, names); hint != "" {
		return hint
	}
	return "; the keys here are " + strings.Join(names, ", ")
}

func lowerFirst(s string) string {
	for i, r := range s {
		return string(unicode.ToLower(r)) + s[i+len(string(r)):]
	}
	return s
}
