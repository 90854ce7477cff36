package main

import (
	"bytes"
	"encoding/json"
	"errors"
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
validated when it is next asked for, and still stands in for an origin that fails.

The purge is written into the journal of the origin and travels along the tree, so that nodes which are away find it when they come
back. The command returns when every node that is alive has applied it; --wait tells when each one had, --wait=false does not wait.`,
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
	f.StringVar(&spec.Site, "site", "", "with --key or --all: of this `site` alone")
	f.BoolVar(&spec.Soft, "soft", false, "make it stale instead of removing it")
	wait := f.Bool("wait", false, "tell when each node had applied it; false does not wait for them")
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
		if cmd.Flags().Changed("wait") && !*wait {
			spec.Wait = "0"
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
		switch {
		case *out == formatJSON:
			err = printJSON(a.stdout, done)
		case spec.Wait == "0":
			for _, j := range done.Journals {
				fmt.Fprintf(a.stdout, "in the journal of %s at %d\n", j.Origin, j.Seq)
			}
		default:
			a.printPurged(done, *wait)
		}
		if err != nil || spec.Wait == "0" {
			return err
		}
		return notPurged(done)
	}
	return cmd
}

// printPurged tells where a purge has been applied, with a line for each node if all is wanted.
func (a *app) printPurged(p mgmt.Purged, all bool) {
	applied := 0
	for _, n := range p.Nodes {
		state := fmt.Sprintf("%.1f ms", n.After)
		switch {
		case n.Applied:
			applied++
		case n.Heard > 0:
			state = fmt.Sprintf("not applied, last heard of %.1f s ago", n.Heard)
		default:
			state = "not applied, never heard of"
		}
		if all {
			fmt.Fprintf(a.stdout, "%-16s %-4s  %s\n", n.Node, n.Role, state)
		}
	}
	fmt.Fprintf(a.stdout, "purged at %d of %d caches; no live one served the old for longer than %.1f ms\n", applied, len(p.Nodes), p.Staleness)
}

// notPurged is the error that names the nodes which have not applied a purge.
func notPurged(p mgmt.Purged) error {
	var errs []error
	if len(p.Pending) > 0 {
		errs = append(errs, fmt.Errorf("not purged yet: %s", strings.Join(p.Pending, ", ")))
	}
	if len(p.Unreachable) > 0 {
		errs = append(errs, fmt.Errorf("unreachable: %s (they purge when they hear of it; one that runs and is cut off may serve the old until its cache.cut_off has passed)", strings.Join(p.Unreachable, ", ")))
	}
	return errors.Join(errs...)
}
