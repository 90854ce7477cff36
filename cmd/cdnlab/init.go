package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"cdnlab/topology"
)

func (a *app) initCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "init [FILE]",
		Short:   "Write a commented topology file to start from",
		Long:    "Write a preset's commented source to FILE (default: " + defaultFile + "; - is standard output). A file that exists is left alone.",
		Example: "  cdnlab init --preset tiny",
		Args:    argsAsUsed,
	}
	preset := cmd.Flags().String("preset", defaultPreset, "`name` of the preset: "+strings.Join(topology.Presets(), ", "))
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		data, ok := topology.PresetSource(*preset)
		if !ok {
			return unknownPreset(*preset)
		}
		file := defaultFile
		if len(args) == 1 {
			file = args[0]
		}
		if file == "-" {
			_, err := a.stdout.Write(data)
			return err
		}
		return a.writeNew(file, data)
	}
	return cmd
}

func (a *app) writeNew(file string, data []byte) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists and is left alone: give another name, or remove it first", file)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	fmt.Fprintf(a.stdout, "wrote %s: check it with \"cdnlab check\", start it with \"cdnlab up\"\n", file)
	return nil
}
