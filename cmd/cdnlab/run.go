package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"cdnlab/internal/experiment"
	"cdnlab/internal/lab"
	"cdnlab/topology"
)

func (a *app) runCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run EXPERIMENT.yaml",
		Short: "Run an experiment: load, faults and expectations, for each variant of a topology",
		Long: `Run an experiment file: for each combination of what it varies, start the network, let its clients make their requests, break,
put, purge and push what its timeline says, and hold the figures against what it expects. The exit code is 99 when an expectation was missed.`,
		Example: `  cdnlab run examples/first-hit.yaml
  cdnlab run examples/ttl.yaml --seeds 3 -o ttl.html
  cdnlab run examples/ttl.yaml -o json > ttl.json`,
		Args: argsAsUsed,
	}
	seeds := cmd.Flags().Int("seeds", 1, "`number` of runs of each variant, with the seeds that follow the first")
	report := reportFlag(cmd)
	var s source
	s.setFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *seeds < 1 || *seeds > 1000 {
			return usageError("run: --seeds: want a number from 1 to 1000, got %d", *seeds)
		}
		first, err := topology.LoadExperiment(args[0], s.sets, nil)
		if err != nil {
			return err
		}
		all := []*topology.Experiment{first}
		for i := 1; i < *seeds; i++ {
			seed := first.Seed + uint64(i)
			e, err := topology.LoadExperiment(args[0], s.sets, &seed)
			if err != nil {
				return err
			}
			all = append(all, e)
		}
		return a.execute(cmd.Context(), all, *report)
	}
	return cmd
}

func reportFlag(cmd *cobra.Command) *string {
	return cmd.Flags().StringP("output", "o", "text", "text, json, or a `file`: .html is a page with charts, .json and .txt are the same as on standard output")
}

var errMissed = errors.New("an expectation was missed")

// execute runs every variant of experiments that differ in their seeds alone, and reports.
func (a *app) execute(ctx context.Context, all []*topology.Experiment, output string) error {
	write, err := reportWriter(output)
	if err != nil {
		return err
	}
	start := lab.StartExperiment(a.warnings())
	var runs []experiment.Run
	for _, e := range all {
		for _, v := range e.Variants {
			run, err := experiment.Execute(ctx, e, v, start, a.progress(len(all)*len(e.Variants), len(runs)+1))
			a.clearProgress()
			if err != nil {
				return err
			}
			runs = append(runs, run)
		}
	}
	report := experiment.NewReport(all[0], runs)
	data, err := write(report)
	if err != nil {
		return err
	}
	if file := reportFile(output); file != "" {
		if err := os.WriteFile(file, data, 0o666); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
		fmt.Fprintf(a.stdout, "%s\nreport: %s\n", report.Text(), file)
	} else if _, err := a.stdout.Write(data); err != nil {
		return err
	}
	if !report.Passed {
		return &exitError{exitMissed, errMissed}
	}
	return nil
}

func reportFile(output string) string {
	if output == "text" || output == "json" {
		return ""
	}
	return output
}

// reportWriter finds the form of a report before hours are spent on what goes into it.
func reportWriter(output string) (func(experiment.Report) ([]byte, error), error) {
	form := output
	if file := reportFile(output); file != "" {
		form = strings.TrimPrefix(filepath.Ext(file), ".")
	}
	switch form {
	case "text", "txt":
		return func(r experiment.Report) ([]byte, error) { return []byte(r.Text()), nil }, nil
	case "json":
		return func(r experiment.Report) ([]byte, error) {
			var b strings.Builder
			err := printJSON(&b, r)
			return []byte(b.String()), err
		}, nil
	case "html":
		return experiment.Report.HTML, nil
	}
	return nil, usageError("-o: want text, json, or a file whose name ends in .html, .json or .txt, got %q", output)
}

// progress draws a bar on a terminal, and nothing elsewhere.
func (a *app) progress(runs, number int) experiment.Progress {
	if !a.onTerminal() {
		return nil
	}
	return func(v topology.Variant, done, total time.Duration, requests int) {
		const width = 30
		full := int(float64(width) * float64(done) / float64(total))
		fmt.Fprintf(a.stderr, "\r\x1b[K%s%s %d/%d  %s of %s  %d requests  %s", strings.Repeat("━", full), strings.Repeat("─", width-full), number, runs,
			done.Round(time.Second), total, requests, v.Label())
	}
}

func (a *app) clearProgress() {
	if a.onTerminal() {
		_, _ = io.WriteString(a.stderr, "\r\x1b[K") // only a terminal would show it
	}
}

func (a *app) onTerminal() bool {
	f, ok := a.stderr.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
