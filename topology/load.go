package topology

import (
	"embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
)

//go:embed presets/*.yaml
var presets embed.FS

// Load reads a topology file and applies sets, each PATH=VALUE as of --set, to it before it is checked. The error is
// Faults when the file or an option is invalid, and another when the file cannot be read.
func Load(name string, sets []string) (*Topology, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("load topology: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("load topology %s: %w", name, err)
	}
	return Parse(name, data, filepath.Dir(name), sets)
}

// Preset is the embedded topology of that name, with sets applied.
func Preset(name string, sets []string) (*Topology, error) {
	data, ok := PresetSource(name)
	if !ok {
		return nil, fmt.Errorf("unknown preset %q; there is %s", name, orList(Presets()))
	}
	return Parse("preset "+name, data, "", sets)
}

// Presets lists the names of the embedded topologies, the default first.
func Presets() []string { return []string{"three-continents", "tiny"} }

// PresetSource is the commented file of a preset, ready to be edited.
func PresetSource(name string) ([]byte, bool) {
	data, err := presets.ReadFile("presets/" + name + ".yaml")
	return data, err == nil
}

// Parse reads a topology from data. The name stands in faults; relative paths in the topology start at dir, which is the
// working directory when empty. The error, if any, is Faults.
func Parse(name string, data []byte, dir string, sets []string) (*Topology, error) {
	var c collector
	root := parseTree(&c, name, data)
	if root == nil {
		return nil, c.err()
	}
	applySets(&c, root, sets)
	var f file
	d := decoder{collector: &c, specs: make(map[reflect.Type][]keySpec)}
	d.value(&f, root, mark{}, "")
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	t := &Topology{File: name}
	b := builder{collector: new(collector), f: &f, t: t}
	b.build(dir)
	c.merge(b.collector)
	if err := c.err(); err != nil {
		return nil, err
	}
	return t, nil
}
