package main

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"
)

func (a *app) rollbackCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "rollback PATH VERSION",
		Short:   "Make an older version of an object the current one",
		Long:    `Make an older version of an object the current one, as a new version with the old body and headers. "cdnlab ls --versions PATH" lists them.`,
		Example: "  cdnlab rollback /img/logo.png 3",
		Args:    argsAsUsed,
	}
	site := siteFlag(cmd)
	out := outputFlag(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := strconv.ParseUint(args[1], 10, 64); err != nil {
			return usageError("rollback: VERSION: want a number, got %q", args[1])
		}
		c, err := a.connect()
		if err != nil {
			return err
		}
		query := objectQuery(*site, args[0])
		query.Set("version", args[1])
		var now object
		if err := c.call(cmd.Context(), request{method: http.MethodPost, path: "/objects/rollback", query: query, token: true}, &now); err != nil {
			return err
		}
		if *out == formatJSON {
			return printJSON(a.stdout, now)
		}
		_, err = fmt.Fprintf(a.stdout, "%s is version %s again, as version %d\n", now.Path, args[1], now.Version)
		return err
	}
	return cmd
}
