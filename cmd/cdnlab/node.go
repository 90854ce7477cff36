package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cdnlab/internal/lab"
)

// roles are what a node can be.
var roles = []string{"edge", "hub", "origin", "dns", "gateway", "mgmt"}

func (a *app) nodeCommand() *cobra.Command {
	var (
		src   source
		flags labFlags
	)
	cmd := &cobra.Command{
		Use:   "node ROLE [NAME]",
		Short: "Run one node of a topology in this process, for containers and machines of their own",
		Long:  "Run one node of a topology: ROLE is one of " + strings.Join(roles, ", ") + ".\nNAME is the server's, such as paris-1; a role with one node needs none.",
		Example: `  cdnlab node edge paris-1 -f topology.yaml
  cdnlab node dns --name dns-1 -f zone.yaml --geoip GeoLite2-City.mmdb`,
		Args:      argsAsUsed,
		ValidArgs: roles,
	}
	src.flags(cmd)
	flags.flags(cmd)
	name := cmd.Flags().String("name", "", "`name` of the node, as NAME")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains(roles, args[0]) {
			return usageError("node: no role %q; the roles are %s", args[0], strings.Join(roles, ", "))
		}
		if len(args) == 2 {
			if *name != "" && *name != args[1] {
				return usageError("node: the name is given twice: %s and --name %s", args[1], *name)
			}
			*name = args[1]
		}
		t, err := src.load()
		if err != nil {
			return err
		}
		options, accessLog, err := flags.open(a)
		if err != nil {
			return err
		}
		defer accessLog.Close()
		return lab.RunNode(cmd.Context(), t, args[0], *name, options)
	}
	return cmd
}
