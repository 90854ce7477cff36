package main

import (
	"github.com/spf13/cobra"

	"cdnlab/topology"
)

func (a *app) schemaCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "schema",
		Short:   "Print the JSON Schema of topology files",
		Long:    "Print the JSON Schema (draft-07) of topology files, or of experiment files. Editors with a YAML language server complete and check by it.",
		Example: "  cdnlab schema > topology.schema.json\n  cdnlab schema --experiment > experiment.schema.json",
		Args:    argsAsUsed,
	}
	experiment := cmd.Flags().Bool("experiment", false, "of experiment files")
	cmd.RunE = func(*cobra.Command, []string) error {
		schema := topology.Schema
		if *experiment {
			schema = topology.ExperimentSchema
		}
		_, err := a.stdout.Write(schema())
		return err
	}
	return cmd
}
