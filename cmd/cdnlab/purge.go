package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"cdnlab/mgmt"
)

func (a *app) purgeCommand() *cobra.Command {
	var spec mgmt.PurgeSpec
	cmd := &cobra.Command{
		Use:   "purge",
		Short: "Make every cache forget a URL, a prefix, a surrogate key or everything",
		Long: `Make every hub and edge forget what is stored: one URL with all its variants, all URLs that begin with a prefix, all responses that
carry a surrogate key (Surrogate-Key or Cache-Tag), or everything. With --soft it is stale from now on instead of gone: it is
validated when it is next asked for, and still stands in for an origin that fails. The command returns when all caches have done it.`,
		Example: `  cdnlab purge --url http://www.cdn.test/hello.txt
  cdnlab purge --prefix www.cdn.test/img/
  cdnlab purge --key product-7 --soft`,
		Args: argsAsUsed,
	}
	f := cmd.Flags()
	f.StringVar(&spec.URL, "url", "", "one `URL`")
	f.StringVar(&spec.Prefix, "prefix", "", "all URLs that begin with this `prefix`, such as www.cdn.test/img/")
	f.StringVar(&spec.Key, "key", "", "all responses with this surrogate `key`")
	f.BoolVar(&spec.All, "all", false, "everything")
	f.BoolVar(&spec.Soft, "soft", false, "make it stale instead of removing it")
	out := outputFlag(f)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		given := 0
		for _, name := range []string{"url", "prefix", "key", "all"} {
			if cmd.Flags().Changed(name) {
				given++
			}
		}
		if given != 1 {
			return usageError("purge: want one of --url, --prefix, --key and --all")
		}
		c, err := a.connect()
		if err != nil {
			return err
		}
		body, err := json.Marshal(spec)
		if err != nil {
			return err
		}
		var done mgmt.Purged
		if err := c.call(cmd.Context(), request{method: http.MethodPost, path: "/purge", body: bytes.NewReader(body), size: int64(len(body)), token: true}, &done); err != nil {
			return err
		}
		if *out == formatJSON {
			err = printJSON(a.stdout, done)
		} else {
			fmt.Fprintf(a.stdout, "purged at %d caches: %s\n", len(done.Nodes), strings.Join(done.Nodes, ", "))
		}
		if len(done.Failed) > 0 && err == nil {
			var failed []string
			for _, f := range done.Failed {
				failed = append(failed, f.Node+" ("+f.Error+")")
			}
			err = fmt.Errorf("not purged: %s", strings.Join(failed, ", "))
		}
		return err
	}
	return cmd
}
