package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"cdnlab/internal/lab"
	"cdnlab/topology"
)

func (a *app) diffCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff OLD.yaml NEW.yaml",
		Short: "Tell which clients a change of the topology moves, and what that costs",
		Long: `Compare two topologies, each a file or a preset: which client places go to another PoP, what becomes of their round-trip time, and
how the load on the PoPs changes. It asks the policy of the DNS, with every PoP healthy, and starts nothing.`,
		Example: "  cdnlab diff three-continents topology.yaml\n  cdnlab diff topology.yaml topology.yaml --set 'edges.tokyo=null'",
		Args:    argsAsUsed,
	}
	var s source
	s.setFlag(cmd)
	cmd.Flags().Lookup("set").Usage = "change one value of NEW.yaml: `PATH=VALUE` (repeatable)"
	out := outputFlag(cmd.Flags())
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		before, err := fileOrPreset(args[0], nil)
		if err != nil {
			return err
		}
		after, err := fileOrPreset(args[1], s.sets)
		if err != nil {
			return err
		}
		d := lab.NewDiff(before, after)
		if *out == formatJSON {
			return printJSON(a.stdout, d)
		}
		_, err = io.WriteString(a.stdout, diffText(d))
		return err
	}
	return cmd
}

func fileOrPreset(name string, sets []string) (*topology.Topology, error) {
	if _, ok := topology.PresetSource(name); ok {
		return topology.Preset(name, sets)
	}
	return topology.Load(name, sets)
}

func diffText(d lab.Diff) string {
	var b strings.Builder
	if len(d.Moves) == 0 {
		b.WriteString("no client moves\n")
	} else {
		rows := [][]string{{"CLIENTS", "SHARE", "FROM", "TO", "RTT", "CHANGE"}}
		for _, m := range d.Moves {
			rtt, change := millis(m.RTTBefore)+" → "+millis(m.RTTAfter), fmt.Sprintf("%+.1f ms", m.RTTAfter-m.RTTBefore)
			if m.Before == "" {
				rtt, change = millis(m.RTTAfter), "new"
			}
			if m.After == "" {
				rtt, change = millis(m.RTTBefore), "gone"
			}
			rows = append(rows, []string{m.Place, share(m.Share), orDash(m.Before), orDash(m.After), rtt, change})
		}
		table(&b, rows)
	}
	rows := [][]string{{"POP", "LOAD", "CHANGE"}}
	for _, p := range d.PoPs {
		if p.Before != p.After {
			rows = append(rows, []string{p.PoP, share(p.Before) + " → " + share(p.After), fmt.Sprintf("%+.1f points", (p.After-p.Before)*100)})
		}
	}
	if len(rows) > 1 {
		b.WriteByte('\n')
		table(&b, rows)
	}
	fmt.Fprintf(&b, "\nmean RTT of all clients: %s → %s\n", millis(d.MeanBefore), millis(d.MeanAfter))
	return b.String()
}

func share(part float64) string { return fmt.Sprintf("%.1f%%", part*100) }

func orDash(name string) string {
	if name == "" {
		return "-"
	}
	return name
}
