package main

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"cdnlab/topology"
)

const (
	defaultFile   = "topology.yaml"
	defaultPreset = "three-continents"
)

// source says where a topology comes from.
type source struct {
	file, preset string
	sets         []string
}

func (s *source) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&s.file, "file", "f", "", "topology `file` (default: ./"+defaultFile+" if there is one)")
	f.StringVar(&s.preset, "preset", "", "`name` of a built-in topology: "+strings.Join(topology.Presets(), ", ")+" (default "+defaultPreset+")")
	s.setFlag(cmd)
}

func (s *source) setFlag(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&s.sets, "set", nil, "change one value: `PATH=VALUE`, such as edges.tokyo.ram=64MiB (repeatable)")
}

// load reads the file or preset, with extra settings after the user's own.
func (s *source) load(extra ...string) (*topology.Topology, error) {
	if s.file != "" && s.preset != "" {
		return nil, usageError("give a file or --preset, not both")
	}
	sets := append(s.sets[:len(s.sets):len(s.sets)], extra...)
	file := s.file
	if file == "" && s.preset == "" {
		if _, err := os.Stat(defaultFile); !errors.Is(err, fs.ErrNotExist) {
			file = defaultFile
		}
	}
	if file != "" {
		return topology.Load(file, sets)
	}
	name := cmp.Or(s.preset, defaultPreset)
	if _, ok := topology.PresetSource(name); !ok {
		return nil, unknownPreset(name)
	}
	return topology.Preset(name, sets)
}

func unknownPreset(name string) error {
	return usageError("no preset %q; the presets are %s", name, strings.Join(topology.Presets(), ", "))
}
