package main

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
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
	file, preset, err := s.choose()
	if err != nil {
		return nil, err
	}
	sets := append(s.sets[:len(s.sets):len(s.sets)], extra...)
	if file != "" {
		return topology.Load(file, sets)
	}
	return topology.Preset(preset, sets)
}

// read returns the text of the file or preset, and what to call it.
func (s *source) read() (from string, data []byte, err error) {
	file, preset, err := s.choose()
	if err != nil {
		return "", nil, err
	}
	if file != "" {
		data, err = os.ReadFile(file)
		return filepath.ToSlash(file), data, err
	}
	data, _ = topology.PresetSource(preset) // choose knows it
	return "preset " + preset, data, nil
}

// name is what an experiment file calls the topology: a preset, or a path.
func (s *source) name() (string, error) {
	file, preset, err := s.choose()
	if err != nil || file == "" {
		return preset, err
	}
	return filepath.Abs(file)
}

// choose decides between file and preset: the other is "".
func (s *source) choose() (file, preset string, err error) {
	if s.file != "" && s.preset != "" {
		return "", "", usageError("give a file or --preset, not both")
	}
	if s.file != "" {
		return s.file, "", nil
	}
	if s.preset == "" {
		if _, err := os.Stat(defaultFile); !errors.Is(err, fs.ErrNotExist) {
			return defaultFile, "", nil
		}
	}
	preset = cmp.Or(s.preset, defaultPreset)
	if _, ok := topology.PresetSource(preset); !ok {
		return "", "", unknownPreset(preset)
	}
	return "", preset, nil
}

func unknownPreset(name string) error {
	return usageError("no preset %q; the presets are %s", name, strings.Join(topology.Presets(), ", "))
}
