package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

func (a *app) rmCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "rm PATH…",
		Short:   "Remove stored objects from the origin of a site",
		Long:    "Remove objects. Their versions stay and can be rolled back to; caches keep what they have until it is stale.",
		Example: "  cdnlab rm /img/logo.png",
		Args:    argsAsUsed,
	}
	site := siteFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		for _, path := range args {
			resp, err := c.do(cmd.Context(), request{method: http.MethodDelete, path: "/objects/item", query: objectQuery(*site, path), token: true})
			if err != nil {
				return fmt.Errorf("rm %s: %w", path, err)
			}
			resp.Body.Close()
			fmt.Fprintf(a.stdout, "removed %s\n", path)
		}
		return nil
	}
	return cmd
}
