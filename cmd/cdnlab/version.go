package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Print the version", Args: argsAsUsed}
	out := outputFlag(cmd.Flags())
	cmd.RunE = func(*cobra.Command, []string) error {
		v := struct {
			Version  string `json:"version"`
			Revision string `json:"revision,omitempty"`
			Go       string `json:"go"`
			Platform string `json:"platform"`
		}{"(devel)", "", runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
		if info, ok := debug.ReadBuildInfo(); ok {
			v.Version = info.Main.Version
			for _, s := range info.Settings {
				if s.Key == "vcs.revision" {
					v.Revision = s.Value
				}
			}
		}
		if *out == formatJSON {
			return printJSON(a.stdout, v)
		}
		line := "cdnlab " + v.Version
		if v.Revision != "" {
			line += " " + v.Revision
		}
		_, err := fmt.Fprintln(a.stdout, line, v.Go, v.Platform)
		return err
	}
	return cmd
}
