package topology

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Limits far above what any topology needs, so that no file can make checking it expensive.
const (
	maxFile    = 16 << 20 // bytes; 10,000 edges with addresses of their own take 1 MiB
	maxAliased = 100_000  // values that all aliases of a file may expand to
	maxDepth   = 32       // of maps and lists in each other
	maxKey     = 1 << 10  // bytes
	maxScalar  = 64 << 10 // bytes; as much as a TXT record can hold
)

// node is a YAML value with its aliases replaced by copies. A scalar keeps the text as written: what "no", "1e3" or "60"
// means is for the schema to say, not for YAML's guess.
type node struct {
	kind   kind
	text   string // of a scalar
	pos    pos
	fields []field // of a mapping, in file order, without duplicates
	items  []*node // of a sequence
}

type kind uint8

const (
	null kind = iota
	scalar
	mapping
	sequence
)

func (k kind) String() string { return [...]string{"nothing", "a single value", "a map", "a list"}[k] }

type field struct {
	key   string
	pos   pos
	value *node
}

func (n *node) field(key string) *node {
	for i := range n.fields {
		if n.fields[i].key == key {
			return n.fields[i].value
		}
	}
	return nil
}

// parseTree reads the one YAML document of a file. It returns nil, and has reported why, when there is nothing to go on.
func parseTree(c *collector, file string, data []byte) *node {
	root := parseDocument(c, file, data)
	whole := mark{pos: pos{file: file}}
	switch {
	case len(c.faults) == 0 && (root == nil || root.kind == null):
		c.fault(whole, "is empty; at least origins and edges are needed (cdnlab init writes a file to start from)")
		return nil
	case root != nil && root.kind != mapping:
		c.fault(mark{pos: root.pos}, "is %s, not a map with keys such as origins and edges", root.kind)
		return nil
	}
	return root
}

// parseDocument reads one YAML document, or nil when there is none or it cannot be read.
func parseDocument(c *collector, file string, data []byte) *node {
	if len(data) > maxFile {
		c.fault(mark{pos: pos{file: file}}, "is larger than %d MiB, which no topology needs", maxFile>>20)
		return nil
	}
	if m, what := notText(file, data); what != "" {
		c.fault(m, "is not a text file: %s; write YAML in UTF-8", what)
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		c.syntax(file, err)
		return nil
	}
	var doc, second yaml.Node
	switch err := loader.Load(&doc); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		c.syntax(file, err)
		return nil
	}
	switch err := loader.Load(&second); {
	case err == nil:
		c.fault(mark{pos: pos{file, second.Line, second.Column}}, "a second YAML document starts here; a topology is one document")
	case !errors.Is(err, io.EOF):
		c.syntax(file, err)
	}
	return convert(c, file, doc.Content[0])
}

// notText names the first byte that no YAML file in UTF-8 has.
func notText(file string, data []byte) (m mark, what string) {
	line, start := 1, 0
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == '\n':
			line, start = line+1, i+1
		case r == utf8.RuneError && size == 1:
			what = fmt.Sprintf("byte %#02x at offset %d is not UTF-8", data[i], i)
		case r < ' ' && r != '\t' && r != '\r' || r == 0x7f:
			what = fmt.Sprintf("control character %#02x at offset %d", data[i], i)
		}
		if what != "" {
			return mark{pos: pos{file, line, utf8.RuneCount(data[start:i]) + 1}}, what
		}
		i += size
	}
	return mark{}, ""
}

// syntax reports what the YAML library says.
func (c *collector) syntax(file string, err error) {
	var at *yaml.LoadError
	if !errors.As(err, &at) {
		c.fault(mark{pos: pos{file: file}}, "not valid YAML: %v", err)
		return
	}
	message := at.Message
	if at.ContextMsg != "" {
		message += " " + at.ContextMsg
		if at.ContextMark.Line > 0 {
			message += fmt.Sprintf(" that starts at %d:%d", at.ContextMark.Line, at.ContextMark.Column)
		}
	}
	c.fault(mark{pos: pos{file, at.Mark.Line, at.Mark.Column}}, "not valid YAML: %s", message)
}

// converter turns the library's tree into nodes.
type converter struct {
	*collector
	file    string
	open    map[*yaml.Node]bool // aliases' targets being expanded, to notice one that contains itself
	depth   int                 // of aliases
	outer   pos                 // of the outermost alias
	nested  int                 // maps and lists around the current value
	aliased int                 // values made by expanding aliases
}

func convert(c *collector, file string, n *yaml.Node) *node {
	v := converter{collector: c, file: file, open: make(map[*yaml.Node]bool)}
	tree := v.node(n, "")
	if v.aliased > maxAliased {
		c.fault(mark{pos: v.outer}, "aliases up to this one expand to more than %d values; nothing in a topology needs that", maxAliased)
		return nil
	}
	return tree
}

func (v *converter) node(n *yaml.Node, path string) *node {
	out := &node{kind: null, pos: pos{v.file, n.Line, n.Column}}
	if v.depth > 0 {
		v.aliased++
	}
	if v.aliased > maxAliased {
		return out
	}
	if n.Style&yaml.TaggedStyle != 0 {
		v.fault(mark{pos: out.pos, path: path}, "tags such as %s are not part of this format; leave it out", n.ShortTag())
	}
	v.nested++
	defer func() { v.nested-- }()
	switch {
	case v.nested > maxDepth:
		v.unread(mark{pos: out.pos, path: path}, "is nested too deeply")
		return out
	case n.Kind == yaml.ScalarNode && len(n.Value) > maxScalar:
		v.unread(mark{pos: out.pos, path: path}, "is longer than %d KiB", maxScalar>>10)
		return out
	}
	switch n.Kind {
	case yaml.AliasNode:
		return v.alias(n, path)
	case yaml.MappingNode:
		out.kind = mapping
		v.mapping(out, n, path)
	case yaml.SequenceNode:
		out.kind = sequence
		for i, item := range n.Content {
			out.items = append(out.items, v.node(item, fmt.Sprintf("%s[%d]", path, i)))
		}
	case yaml.ScalarNode:
		if n.Tag != "!!null" {
			out.kind, out.text = scalar, n.Value
		}
	}
	return out
}

// alias copies what the alias stands for.
func (v *converter) alias(n *yaml.Node, path string) *node {
	if v.open[n.Alias] {
		v.fault(mark{pos: pos{v.file, n.Line, n.Column}, path: path}, "alias *%s stands inside what it names", n.Value)
		return &node{pos: pos{v.file, n.Line, n.Column}}
	}
	if v.depth == 0 && v.aliased <= maxAliased {
		v.outer = pos{v.file, n.Line, n.Column}
	}
	v.open[n.Alias], v.depth = true, v.depth+1
	out := v.node(n.Alias, path)
	delete(v.open, n.Alias)
	v.depth--
	return out
}

func (v *converter) mapping(out *node, n *yaml.Node, path string) {
	first := make(map[string]pos, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		at := pos{v.file, k.Line, k.Column}
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			v.fault(mark{pos: at, path: path}, "a key is a plain word, not %s", article(k.Kind))
			continue
		}
		if len(k.Value) > maxKey {
			v.fault(mark{pos: at, path: path}, "has a key that is longer than %d bytes", maxKey)
			continue
		}
		here := join(path, k.Value)
		if k.Tag == "!!merge" {
			v.fault(mark{pos: at, path: here}, "merge keys are not part of this format; use defaults:, or an alias for a whole value")
			continue
		}
		if earlier, ok := first[k.Value]; ok {
			v.fault(mark{pos: at, path: here}, "duplicate key; it is already given in line %d", earlier.line)
			v.node(n.Content[i+1], here)
			continue
		}
		first[k.Value] = at
		out.fields = append(out.fields, field{key: k.Value, pos: at, value: v.node(n.Content[i+1], here)})
	}
}

func article(k yaml.Kind) string {
	if k == yaml.MappingNode {
		return "a map"
	}
	return "a list"
}

// join extends a path by a key.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
