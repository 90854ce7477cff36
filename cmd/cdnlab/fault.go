package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cdnlab/mgmt"
)

func (a *app) faultCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fault",
		Short: "Break a running lab: nodes and links that are down, slow or lossy",
		Long: `Break something in the running lab, for a time or until it is mended.

A target is a server (paris-1), all servers of a PoP, hub or origin (paris, hubs.eu), or a link, which is written as its two
ends: paris:eu, clients.tokyo:tokyo. What several faults do to the same target adds up.`,
		Example: `  cdnlab fault add eu --down --for 30s
  cdnlab fault add paris:eu --latency 200ms --jitter 50ms
  cdnlab fault ls
  cdnlab fault rm f1`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := unknownCommand(cmd, args); err != nil {
				return err
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(a.faultAddCommand(), a.faultRmCommand(), a.faultLsCommand())
	return cmd
}

func (a *app) faultAddCommand() *cobra.Command {
	var spec mgmt.FaultSpec
	cmd := &cobra.Command{
		Use:   "add TARGET",
		Short: "Make something go wrong",
		Args:  argsAsUsed,
	}
	f := cmd.Flags()
	f.BoolVar(&spec.Down, "down", false, "a server ends as if its process had been killed; a link carries nothing")
	f.BoolVar(&spec.Reset, "reset", false, "connections are reset, new ones too")
	f.StringVar(&spec.Latency, "latency", "", "`time` added to each round trip, such as 200ms")
	f.StringVar(&spec.Jitter, "jitter", "", "up to this `time` more, at each round trip anew")
	f.StringVar(&spec.Loss, "loss", "", "`share` of packets that are lost, such as 5%")
	f.StringVar(&spec.Bandwidth, "bandwidth", "", "the most that gets through each way, such as 10Mbps")
	f.StringVar(&spec.SlowDisk, "slow-disk", "", "`time` by which each read or write of an object is slower")
	f.StringVar(&spec.For, "for", "", "`time` after which the fault ends, such as 30s (default: when it is removed)")
	out := outputFlag(f)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		spec.Target = args[0]
		body, err := json.Marshal(spec)
		if err != nil {
			return err
		}
		var fault mgmt.Fault
		if err := c.call(cmd.Context(), request{method: http.MethodPost, path: "/faults", body: bytes.NewReader(body), size: int64(len(body)), token: true}, &fault); err != nil {
			return fmt.Errorf("fault add: %w", err)
		}
		if *out == formatJSON {
			return printJSON(a.stdout, fault)
		}
		fmt.Fprintf(a.stdout, "%s: %s at %s%s\n", fault.ID, effects(fault.FaultSpec), targetText(fault), endText(fault, time.Now()))
		return nil
	}
	return cmd
}

func (a *app) faultRmCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "rm ID…", Short: "End faults", Args: argsAsUsed}
	all := cmd.Flags().Bool("all", false, "end every fault")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case *all && len(args) > 0:
			return usageError("rm: give IDs or --all, not both")
		case *all:
			return nil
		}
		return argsAsUsed(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		if *all {
			faults, err := c.faults(cmd)
			if err != nil {
				return err
			}
			for _, f := range faults {
				args = append(args, f.ID)
			}
		}
		for _, id := range args {
			resp, err := c.do(cmd.Context(), request{method: http.MethodDelete, path: "/faults", query: url.Values{"id": {id}}, token: true})
			if err != nil {
				return fmt.Errorf("fault rm: %w", err)
			}
			resp.Body.Close()
			fmt.Fprintf(a.stdout, "ended %s\n", id)
		}
		return nil
	}
	return cmd
}

func (a *app) faultLsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "ls", Short: "List the faults that hold", Args: argsAsUsed}
	out := outputFlag(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		faults, err := c.faults(cmd)
		if err != nil {
			return err
		}
		if *out == formatJSON {
			return printJSON(a.stdout, faults)
		}
		_, err = io.WriteString(a.stdout, faultTable(faults, time.Now()))
		return err
	}
	return cmd
}

func (c *client) faults(cmd *cobra.Command) ([]mgmt.Fault, error) {
	var answer struct {
		Faults []mgmt.Fault `json:"faults"`
	}
	err := c.call(cmd.Context(), request{path: "/faults"}, &answer)
	return answer.Faults, err
}

func faultTable(faults []mgmt.Fault, now time.Time) string {
	if len(faults) == 0 {
		return "nothing is broken\n"
	}
	rows := [][]string{{"ID", "TARGET", "FAULT", "SINCE", "ENDS"}}
	for _, f := range faults {
		ends := "when removed"
		if f.Until != nil {
			ends = "in " + f.Until.Sub(now).Round(time.Second).String()
		}
		rows = append(rows, []string{f.ID, targetText(f), effects(f.FaultSpec), now.Sub(f.Since).Round(time.Second).String(), ends})
	}
	var b strings.Builder
	table(&b, rows)
	return b.String()
}

func targetText(f mgmt.Fault) string {
	if len(f.Link) == 2 {
		return f.Link[0] + ":" + f.Link[1]
	}
	return strings.Join(f.Nodes, ", ")
}

func endText(f mgmt.Fault, now time.Time) string {
	if f.Until == nil {
		return ", until it is removed"
	}
	return ", for " + f.Until.Sub(now).Round(time.Second).String()
}

// effects says what a fault does: "down", "200ms latency, 5% loss".
func effects(s mgmt.FaultSpec) string {
	var all []string
	for _, e := range []struct {
		on   bool
		text string
	}{
		{s.Down, "down"}, {s.Reset, "reset"},
		{s.Latency != "", s.Latency + " latency"}, {s.Jitter != "", s.Jitter + " jitter"}, {s.Loss != "", s.Loss + " loss"},
		{s.Bandwidth != "", s.Bandwidth + " bandwidth"}, {s.SlowDisk != "", s.SlowDisk + " slower disk"},
	} {
		if e.on {
			all = append(all, e.text)
		}
	}
	return strings.Join(all, ", ")
}
