package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"cdnlab/topology"
)

func (a *app) checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "check [FILE]",
		Short:   "Check a topology file and name every fault",
		Long:    "Check a topology file (default: ./" + defaultFile + "). Every fault gets a line FILE:LINE:COLUMN: PATH: WHAT on standard error; the exit code is 3.",
		Example: "  cdnlab check topology.yaml --set edges.tokyo.ram=64MiB",
		Args:    argsAsUsed,
	}
	var s source
	s.setFlag(cmd)
	out := outputFlag(cmd.Flags())
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		s.file = defaultFile
		if len(args) == 1 {
			s.file = args[0]
		}
		t, err := s.load()
		var faults topology.Faults
		if *out == formatJSON && (err == nil || errors.As(err, &faults)) {
			return a.faultsJSON(faults)
		}
		if len(args) == 0 && errors.Is(err, fs.ErrNotExist) {
			return errors.New("no ./" + defaultFile + " is here: name a file, or write one with \"cdnlab init\"")
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "%s: ok: %s\n", s.file, summary(t))
		return nil
	}
	return cmd
}

// faultsJSON prints a list, empty for a valid file.
func (a *app) faultsJSON(faults topology.Faults) error {
	type fault struct {
		File    string `json:"file"`
		Line    int    `json:"line"`
		Column  int    `json:"column"`
		Path    string `json:"path"`
		Message string `json:"message"`
	}
	list := make([]fault, len(faults))
	for i, f := range faults {
		list[i] = fault{f.File, f.Line, f.Col, f.Path, f.Message}
	}
	if err := printJSON(a.stdout, list); err != nil {
		return err
	}
	if len(faults) > 0 {
		return &exitError{code: exitInvalidFile}
	}
	return nil
}

// summary counts what a topology has.
func summary(t *topology.Topology) string {
	hubServers, edgeServers := 0, 0
	for _, h := range t.Hubs {
		hubServers += h.Servers
	}
	for _, e := range t.Edges {
		edgeServers += e.Servers
	}
	return strings.Join([]string{
		count(len(t.Origins), "origin"),
		fmt.Sprintf("%s (%s)", count(len(t.Hubs), "hub"), count(hubServers, "server")),
		fmt.Sprintf("%s (%s)", count(len(t.Edges), "PoP"), count(edgeServers, "server")),
		count(len(t.Clients), "client place"),
	}, ", ")
}
