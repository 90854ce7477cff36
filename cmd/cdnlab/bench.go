package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"cdnlab/topology"
)

// sloNames are the short forms of metrics in --slo.
var sloNames = map[string]string{
	"p50": "latency.p50", "p90": "latency.p90", "p99": "latency.p99", "mean": "latency.mean", "max": "latency.max",
	"hit": "edge.hit_ratio", "byte_hit": "edge.byte_hit_ratio", "origin": "origin.share", "5xx": "responses.5xx",
}

func (a *app) benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Put load on a topology, in one line",
		Long: `Start a topology, let clients ask for objects for a while, and report. This is the one-line form of "run". --slo takes metrics
of experiments, or hit, byte_hit, origin, 5xx, p50, p90, p99, mean and max for the usual ones; the exit code is 99 when one is missed.`,
		Example: `  cdnlab bench --rate 1000/s --for 10s --slo 'p99<250ms,hit>0.9'
  cdnlab bench -f topology.yaml --from tokyo --objects 100000 --zipf 0.8`,
		Args: argsAsUsed,
	}
	var s source
	s.flags(cmd)
	f := cmd.Flags()
	from := f.String("from", "", "client `city` (default: all, by their weights)")
	rate := f.String("rate", "500/s", "requests per second")
	length := f.String("for", "10s", "`time` that it lasts")
	objects := f.String("objects", "1000", "`number` of objects")
	exponent := f.String("zipf", "1", "`exponent` of their popularity; 0 asks for all alike")
	size := f.String("size", "4KiB", "`size` of the objects")
	path := f.String("path", "", "ask for this `path` alone")
	slo := f.String("slo", "", "what must hold, separated by commas, such as 'p99<50ms,hit>0.9'")
	noNetem := f.Bool("no-netem", false, "without distance, bandwidth and loss")
	report := reportFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		name, err := s.name()
		if err != nil {
			return err
		}
		values := map[string]string{"rate": *rate, "for": *length, "objects": *objects, "zipf": *exponent, "size": *size}
		if *from != "" {
			values["from"] = *from
		}
		if *path != "" {
			values["path"] = *path
		}
		e, err := topology.ParseExperiment("bench", benchFile(name, values, *noNetem, *slo), "", s.sets, nil)
		var faults topology.Faults
		if errors.As(err, &faults) {
			return benchFaults(faults)
		}
		if err != nil {
			return err
		}
		return a.execute(cmd.Context(), []*topology.Experiment{e}, *report)
	}
	return cmd
}

// benchFile writes the experiment that the flags of bench mean. JSON is YAML.
func benchFile(name string, load map[string]string, noNetem bool, slo string) []byte {
	netem := "on"
	if noNetem {
		netem = "off"
	}
	expect := []string{}
	for claim := range strings.SplitSeq(slo, ",") {
		if claim = strings.TrimSpace(claim); claim == "" {
			continue
		}
		short := claim[:max(strings.IndexAny(claim, "<>=! "), 0)]
		if metric, ok := sloNames[short]; ok {
			claim = metric + strings.TrimPrefix(claim, short)
		}
		expect = append(expect, claim)
	}
	data, err := json.Marshal(map[string]any{"name": "bench", "topology": name, "netem": netem, "load": []any{load}, "expect": expect})
	if err != nil {
		panic(err) // strings can be marshalled
	}
	return data
}

// benchFaults tells what is wrong with the flags that a file was made of. What is wrong with the topology keeps its place.
func benchFaults(faults topology.Faults) error {
	var lines []string
	for _, f := range faults {
		flag, ours := strings.CutPrefix(f.Path, "load[0].")
		switch {
		case f.File != "bench":
			return faults
		case ours:
			lines = append(lines, fmt.Sprintf("--%s: %s", flag, f.Message))
		case strings.HasPrefix(f.Path, "expect"):
			lines = append(lines, "--slo: "+f.Message)
		default:
			lines = append(lines, f.Message)
		}
	}
	return usageError("bench: %s", strings.Join(lines, "\ncdnlab: bench: "))
}
