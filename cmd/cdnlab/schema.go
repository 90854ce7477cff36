package main

import (
	"github.com/spf13/cobra"

	"cdnlab/topology"
)

func (a *app) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		Short:   "Print the JSON Schema of topology files",
		Long:    "Print the JSON Schema (draft-07) of topology files. Editors with a YAML language server complete and check by it.",
		Example: "  cdnlab schema > topology.schema.json",
		Args:    argsAsUsed,
		RunE: func(*cobra.Command, []string) error {
			_, err := a.stdout.Write(topology.Schema())
			return err
		},
	}
}
