package topology

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Rewrite returns the file that reads as data does with options applied. Comments, anchors and the style of values are lost.
// The error, if any, is Faults; whether the file makes sense is for Parse to say.
func Rewrite(name string, data []byte, sets []string) ([]byte, error) {
	var c collector
	root := parseTree(&c, name, data)
	if root != nil {
		applySets(&c, root, sets)
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(root.encode(2)); err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	return out.Bytes(), nil
}

// encode is the library's tree of a value. Maps and lists get lines of their own down to the given depth.
func (n *node) encode(depth int) *yaml.Node {
	out := &yaml.Node{}
	if depth <= 0 {
		out.Style = yaml.FlowStyle
	}
	switch n.kind {
	case null:
		out.Kind, out.Tag, out.Value = yaml.ScalarNode, "!!null", "null"
	case scalar:
		*out = *text(n.text)
	case mapping:
		out.Kind = yaml.MappingNode
		for _, f := range n.fields {
			out.Content = append(out.Content, text(f.key), f.value.encode(depth-1))
		}
	case sequence:
		out.Kind = yaml.SequenceNode
		for _, item := range n.items {
			out.Content = append(out.Content, item.encode(depth-1))
		}
	}
	return out
}

// text is a scalar that reads as s and not as nothing. What else it reads as is for the schema to say.
func text(s string) *yaml.Node {
	out := &yaml.Node{Kind: yaml.ScalarNode, Value: s}
	if slices.Contains([]string{"", "~", "null"}, strings.ToLower(s)) {
		out.Tag = "!!str"
		out.Style = yaml.DoubleQuotedStyle
	}
	return out
}
