package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"cdnlab/internal/compose"
)

func (a *app) renderCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "render",
		Short: "Write a topology in the form of what can run it: Docker Compose",
		Args:  unknownCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.renderComposeCommand())
	return cmd
}

func (a *app) renderComposeCommand() *cobra.Command {
	var (
		src source
		cfg compose.Config
	)
	cmd := &cobra.Command{
		Use:   "compose",
		Short: "Write compose.yaml: one container per node",
		Long: `Write compose.yaml, and beside it the topology with the containers' addresses and the configuration of Prometheus and Grafana. Files
that were not rendered are left alone.`,
		Example: "  cdnlab render compose --preset tiny && docker compose up --wait",
		Args:    argsAsUsed,
	}
	src.flags(cmd)
	f := cmd.Flags()
	f.StringVarP(&cfg.Dir, "output", "o", ".", "`directory` of compose.yaml")
	f.StringVar(&cfg.Files, "files", "cdnlab.d", "`directory` of the other files, relative to that of compose.yaml")
	f.StringVar(&cfg.Image, "image", "cdnlab", "`name` of the image")
	f.StringVar(&cfg.Build, "build", "", "`context` to build the image from, relative to the directory of compose.yaml")
	network := f.String("subnet", compose.DefaultSubnet.String(), "`network` of the containers, a /16")
	cmd.RunE = func(*cobra.Command, []string) error {
		var err error
		if cfg.Subnet, err = netip.ParsePrefix(*network); err != nil {
			return usageError("render compose: --subnet: want an IPv4 network such as %s, got %q", compose.DefaultSubnet, *network)
		}
		if !filepath.IsLocal(cfg.Files) {
			return usageError("render compose: --files: want a directory below that of compose.yaml, got %q", cfg.Files)
		}
		if cfg.From, cfg.Source, err = src.read(); err != nil {
			return err
		}
		if cfg.Topology, err = src.load(); err != nil {
			return err
		}
		cfg.Sets = src.sets
		files, err := compose.Render(cfg)
		if err != nil {
			return err
		}
		return a.writeRendered(cfg.Dir, files)
	}
	return cmd
}

// writeRendered writes the files, or none of them where one would take the place of a file that was not rendered.
func (a *app) writeRendered(dir string, files []compose.File) error {
	for _, f := range files {
		name := filepath.Join(dir, filepath.FromSlash(f.Name))
		old, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("render compose: %w", err)
		}
		if err == nil && !bytes.Contains(old, []byte(compose.Mark)) {
			return fmt.Errorf("%s exists, was not rendered by this command and is left alone: remove it, or give other directories with -o and --files", name)
		}
	}
	for _, f := range files {
		name := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, f.Data, 0o644)); err != nil {
			return fmt.Errorf("render compose: %w", err)
		}
		fmt.Fprintf(a.stdout, "wrote %s\n", name)
	}
	return nil
}
