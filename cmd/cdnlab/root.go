package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// app is one execution of the program.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	dataDir string
	verbose bool
	quiet   bool
}

const defaultDataDir = ".cdnlab"

// The groups that "cdnlab help" lists commands in.
const (
	groupRun     = "run"
	groupFile    = "file"
	groupClient  = "client"
	groupOperate = "operate"
)

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "cdnlab",
		Short: "A whole content delivery network on one machine, from one topology file",
		Example: `  cdnlab up                                               start the preset three-continents
  cdnlab up --app http://127.0.0.1:3000 -- npm test       test an app behind it
  cdnlab curl -i http://www.cdn.test/hello.txt --from tokyo`,
		Args:          unknownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,

		SuggestionsMinimumDistance: 2,
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(flagError)
	flags := root.PersistentFlags()
	flags.StringVar(&a.dataDir, "data-dir", cmp.Or(os.Getenv("CDNLAB_DATA_DIR"), defaultDataDir), "directory of the lab's state, where other commands find it")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "log more")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "log errors only")

	root.AddGroup(
		&cobra.Group{ID: groupRun, Title: "Run:"},
		&cobra.Group{ID: groupClient, Title: "Be a client in a city:"},
		&cobra.Group{ID: groupOperate, Title: "Operate a running lab:"},
		&cobra.Group{ID: groupFile, Title: "Topology files:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add(groupRun, a.upCommand(), a.runCommand(), a.benchCommand(), a.nodeCommand(), a.healthcheckCommand())
	add(groupClient, a.digCommand(), a.curlCommand(), a.execCommand(), a.explainCommand())
	add(groupOperate, a.statusCommand(), a.putCommand(), a.lsCommand(), a.rmCommand(), a.rollbackCommand(), a.signCommand(), a.purgeCommand(), a.pushCommand(), a.faultCommand(), a.scrubCommand(), a.dashboardCommand())
	add(groupFile, a.diffCommand(), a.initCommand(), a.checkCommand(), a.schemaCommand(), a.renderCommand())
	root.AddCommand(a.versionCommand())
	return root
}

// logger logs to standard error: text on a terminal, JSON lines otherwise.
func (a *app) logger() *slog.Logger { return a.loggerFrom(slog.LevelInfo) }

// warnings is the logger of commands whose output is something else than what the lab does.
func (a *app) warnings() *slog.Logger { return a.loggerFrom(slog.LevelError) }

func (a *app) loggerFrom(level slog.Level) *slog.Logger {
	if a.verbose {
		level = slog.LevelDebug
	}
	if a.quiet {
		level = slog.LevelError
	}
	options := &slog.HandlerOptions{Level: level}
	if isTerminal(a.stderr) {
		return slog.New(slog.NewTextHandler(a.stderr, options))
	}
	return slog.New(slog.NewJSONHandler(a.stderr, options))
}

// argsAsUsed accepts the arguments that a command's Use line names: NAME is required, [NAME] is not, NAME… is one or more,
// [NAME…] any number.
func argsAsUsed(cmd *cobra.Command, args []string) error {
	names := strings.Fields(cmd.Use)[1:]
	many := false
	for i, name := range names {
		many = many || strings.HasSuffix(strings.TrimSuffix(name, "]"), "…")
		if i >= len(args) && !strings.HasPrefix(name, "[") {
			return usageError("%s: missing %s (usage: cdnlab %s)", cmd.Name(), strings.TrimSuffix(name, "…"), cmd.Use)
		}
	}
	if len(args) > len(names) && !many {
		return usageError("%s: unexpected argument %q (usage: cdnlab %s)", cmd.Name(), args[len(names)], cmd.Use)
	}
	return nil
}

func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := `; "cdnlab help" lists the commands`
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = fmt.Sprintf(" (did you mean %q?)", near[0])
	}
	return usageError("unknown command %q%s", args[0], hint)
}

func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	hint := fmt.Sprintf("; \"%s --help\" lists the flags", cmd.CommandPath())
	if errors.As(err, &unknown) {
		if near := nearestFlag(cmd.Flags(), unknown.GetSpecifiedName()); near != "" {
			hint = fmt.Sprintf(" (did you mean --%s?)", near)
		}
	}
	return usageError("%s: %w%s", cmd.Name(), err, hint)
}

// nearestFlag finds the flag that a mistyped name most likely means, by cobra's own measure for commands.
func nearestFlag(flags *pflag.FlagSet, name string) string {
	names := &cobra.Command{SuggestionsMinimumDistance: 2}
	flags.VisitAll(func(f *pflag.Flag) {
		names.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
	})
	near := names.SuggestionsFor(name)
	if len(near) == 0 {
		return ""
	}
	return slices.MinFunc(near, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
}
