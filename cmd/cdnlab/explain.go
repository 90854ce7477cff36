package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"cdnlab/mgmt"
)

func (a *app) explainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "explain URL",
		Short:   "Tell why a client in a city gets this PoP, and what each tier did",
		Long:    "Resolve and fetch URL once as a client in a city, and tell what the DNS knew, which PoPs it weighed, and what each tier did.",
		Example: "  cdnlab explain http://www.cdn.test/hello.txt --from tokyo",
		Args:    argsAsUsed,
	}
	from := a.fromFlag(cmd)
	out := outputFlag(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		target, err := siteURL(args[0])
		if err != nil {
			return err
		}
		c, _, place, err := a.in(cmd.Context(), *from)
		if err != nil {
			return err
		}
		var e mgmt.Explanation
		query := url.Values{"url": {target.String()}, "from": {place.Name}}
		if err := c.call(cmd.Context(), request{path: "/explain", query: query}, &e); err != nil {
			return err
		}
		if *out == formatJSON {
			return printJSON(a.stdout, e)
		}
		_, err = io.WriteString(a.stdout, explanationText(e))
		return err
	}
	return cmd
}

func explanationText(e mgmt.Explanation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s from %s\n\n", e.URL, e.From)
	d := e.DNS
	fmt.Fprintf(&b, "DNS %s took the client to be in %s: %s\n", d.Server, d.Place, d.Evidence)
	var candidates, tiers [][]string
	for _, c := range d.Candidates {
		mark, note := " ", ""
		if c.PoP == d.Winner {
			mark = "→"
		}
		if !c.Healthy {
			note = "unhealthy"
		}
		candidates = append(candidates, []string{"", mark, c.PoP, millis(c.RTTMS), fmt.Sprintf("%.0f km", c.KM), note})
	}
	table(&b, candidates, 3, 4)
	fmt.Fprintf(&b, "  answer: %s, valid for the client's /%d\n\n", strings.Join(d.Addresses, ", "), d.Scope)

	fmt.Fprintf(&b, "HTTP %d in %s\n", e.Status, millis(e.TotalMS))
	for _, tier := range e.Tiers {
		tiers = append(tiers, []string{"", tier.Tier, tier.Node, tier.Result, millis(tier.MS), tier.Detail})
	}
	table(&b, tiers, 4)
	return b.String()
}
