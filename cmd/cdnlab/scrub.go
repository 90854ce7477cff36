package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cdnlab/mgmt"
)

func (a *app) scrubCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scrub",
		Short: "See what rate limits do, and whom the edges keep out",
		Long: `See what the rate limits of the topology ("limits") have decided at each edge, and block clients by hand. A client is known by
its address as outsiders see it: that of its city's network.`,
		Example: "  cdnlab scrub ls\n  cdnlab scrub block 198.18.13.0/24 --for 10m\n  cdnlab scrub unblock 198.18.13.0/24",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := unknownCommand(cmd, args); err != nil {
				return err
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(a.scrubLsCommand(), a.scrubBlockCommand(), a.scrubUnblockCommand())
	return cmd
}

func (a *app) scrubLsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "ls", Short: "List what limits have decided, and who is blocked", Args: argsAsUsed}
	out := outputFlag(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		var s mgmt.Scrub
		if err := c.call(cmd.Context(), request{path: "/scrub"}, &s); err != nil {
			return err
		}
		if *out == formatJSON {
			return printJSON(a.stdout, s)
		}
		_, err = io.WriteString(a.stdout, scrubText(s, time.Now()))
		return err
	}
	return cmd
}

func scrubText(s mgmt.Scrub, now time.Time) string {
	var b strings.Builder
	rows := [][]string{{"LIMIT", "EDGE", "PASSED", "DELAYED", "REFUSED", "BLOCKED", "TURNED AWAY"}}
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	for _, c := range s.Limits {
		if c.Passed+c.Delayed+c.Refused+c.Blocks+c.Listed > 0 {
			rows = append(rows, []string{orDash(c.Limit), c.Node, number(c.Passed), number(c.Delayed), number(c.Refused), number(c.Blocks), number(c.Listed)})
		}
	}
	if len(rows) > 1 {
		table(&b, rows)
	} else {
		b.WriteString("no limit has been asked yet\n")
	}
	b.WriteByte('\n')
	if len(s.Blocked) == 0 {
		b.WriteString("nobody is blocked\n")
		return b.String()
	}
	rows = [][]string{{"BLOCKED", "BY", "ENDS", "EDGES"}}
	for _, x := range s.Blocked {
		by, ends := "hand", "when unblocked"
		if x.By != "" {
			by = "limit " + x.By
		}
		if x.Until != nil {
			ends = "in " + x.Until.Sub(now).Round(time.Second).String()
		}
		rows = append(rows, []string{x.Prefix.String(), by, ends, strconv.Itoa(len(x.Nodes))})
	}
	table(&b, rows)
	return b.String()
}

func (a *app) scrubBlockCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "block ADDRESS", Short: "Keep a client or a network out of every edge", Args: argsAsUsed}
	length := cmd.Flags().String("for", "", "`time` after which it may come again (default: when unblocked)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		body, err := json.Marshal(mgmt.BlockSpec{Prefix: args[0], For: *length})
		if err != nil {
			return err
		}
		var b mgmt.Blocked
		if err := c.call(cmd.Context(), request{method: http.MethodPost, path: "/scrub/blocks", body: bytes.NewReader(body), size: int64(len(body)), token: true}, &b); err != nil {
			return fmt.Errorf("scrub block: %w", err)
		}
		fmt.Fprintf(a.stdout, "blocked %s\n", b.Prefix)
		return nil
	}
	return cmd
}

func (a *app) scrubUnblockCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "unblock ADDRESS…", Short: "Let clients in again", Args: argsAsUsed}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		for _, p := range args {
			resp, err := c.do(cmd.Context(), request{method: http.MethodDelete, path: "/scrub/blocks", query: url.Values{"prefix": {p}}, token: true})
			if err != nil {
				return fmt.Errorf("scrub unblock: %w", err)
			}
			resp.Body.Close()
			fmt.Fprintf(a.stdout, "unblocked %s\n", p)
		}
		return nil
	}
	return cmd
}
