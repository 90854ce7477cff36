package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) signCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "sign PATH",
		Short:   "Make a signed URL that opens a guarded object for a time",
		Example: "  cdnlab sign /private/report.pdf --for 1h",
		Args:    argsAsUsed,
	}
	site := siteFlag(cmd)
	lifetime := cmd.Flags().Duration("for", time.Hour, "how long the URL is good")
	out := outputFlag(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		query := objectQuery(*site, args[0])
		query.Set("for", lifetime.String())
		var signed struct {
			URL string `json:"url"`
		}
		if err := c.call(cmd.Context(), request{method: http.MethodPost, path: "/objects/sign", query: query, token: true}, &signed); err != nil {
			return err
		}
		if *out == formatJSON {
			return printJSON(a.stdout, signed)
		}
		_, err = fmt.Fprintln(a.stdout, signed.URL)
		return err
	}
	return cmd
}
