package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) execCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exec [--from CITY] -- COMMAND…",
		Short: "Run a command whose HTTP requests come from a city",
		Long: `Run a command with http_proxy set to a city's gateway, so that the HTTP clients in it act as one in that city.
The exit code is the command's.`,
		Example: "  cdnlab exec --from tokyo -- curl -i http://www.cdn.test/hello.txt",
		Args:    commandRequired,
	}
	from := a.fromFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, argv []string) error {
		c, t, place, err := a.in(cmd.Context(), *from)
		if err != nil {
			return err
		}
		s := surroundings{state: c.state, dataDir: a.dataDir, gateway: place.Gateway}
		for _, site := range t.Sites {
			s.sites = append(s.sites, site.Host)
		}
		return a.runWith(context.WithoutCancel(cmd.Context()), s, argv)
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func commandRequired(cmd *cobra.Command, argv []string) error {
	if len(argv) == 0 {
		return usageError("%s: missing COMMAND (usage: cdnlab %s)", cmd.Name(), cmd.Use)
	}
	return nil
}
