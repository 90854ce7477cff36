package main

import (
	"cmp"
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"cdnlab/internal/lab"
	"cdnlab/topology"
)

type upFlags struct {
	source
	labFlags
	app      string
	duration time.Duration
}

func (a *app) upCommand() *cobra.Command {
	var u upFlags
	cmd := &cobra.Command{
		Use:   "up [flags] [-- COMMAND…]",
		Short: "Start a CDN: every node of a topology in this process",
		Long: `Start every node of a topology in this process and serve until Ctrl-C.

With COMMAND: wait until all is ready, run it with http_proxy set to a gateway of the CDN, stop everything when it ends, and
exit with its code (126 or 127 when it cannot be started, 128+N when signal N ended it). Standard output is the command's alone.`,
		Example: `  cdnlab up
  cdnlab up -f topology.yaml --set edges.tokyo.ram=64MiB --no-netem
  cdnlab up --app http://127.0.0.1:3000 -- npm test`,
		DisableFlagsInUseLine: true,
		Args:                  afterDash,
	}
	u.source.flags(cmd)
	u.labFlags.flags(cmd)
	cmd.Flags().StringVar(&u.app, "app", "", "`URL` of your own app: the origin of www.ZONE, without the ttl that a preset gives it")
	cmd.Flags().DurationVar(&u.duration, "duration", 0, "stop when it has been ready for this time")
	cmd.RunE = func(cmd *cobra.Command, argv []string) error { return a.up(cmd.Context(), u, argv) }
	return cmd
}

// afterDash accepts arguments behind -- only.
func afterDash(cmd *cobra.Command, argv []string) error {
	if before := cmd.ArgsLenAtDash(); len(argv) > 0 && before != 0 {
		return usageError("%s: unexpected argument %q (a command to run goes behind --)", cmd.Name(), argv[0])
	}
	return nil
}

func (a *app) up(interrupted context.Context, u upFlags, argv []string) error {
	started := time.Now()
	t, err := u.load()
	if err != nil {
		return err
	}
	options, accessLog, err := u.open(a)
	if err != nil {
		return err
	}
	defer accessLog.Close()

	ctx := interrupted
	if len(argv) > 0 {
		ctx = context.WithoutCancel(ctx) // from here on signals are for the command to obey
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	l, err := lab.Start(ctx, t, options)
	if err != nil {
		return err
	}
	if u.duration > 0 {
		end := time.AfterFunc(u.duration, stop)
		defer end.Stop()
	}
	if len(argv) == 0 {
		firstRun(a.stdout, t, l.Plan(), l.State(), a.dataDir, time.Since(started))
		return l.Wait()
	}
	failed := make(chan error, 1)
	go func() {
		failed <- l.Wait()
		stop() // without its lab the command has nothing to run against
	}()
	if interrupted.Err() == nil {
		err = a.runWith(ctx, labSurroundings(l, a.dataDir), argv)
	} else {
		err = &exitError{code: 128 + int(syscall.SIGINT)} // before there was a command to stop
	}
	stop()
	return cmp.Or(<-failed, err)
}

// load reads the topology and, with --app, makes the app the origin of the first site. The ttl of a preset is meant for what cdnlab
// serves itself: what an app says nothing about may be somebody's own page.
func (u *upFlags) load() (*topology.Topology, error) {
	t, err := u.source.load()
	if err != nil || u.app == "" {
		return t, err
	}
	site, from := mainSite(t), u.source
	if _, preset, _ := from.choose(); preset != "" { // it did not fail before
		from.sets = append([]string{"sites." + site.Host + ".cache.ttl=0"}, from.sets...)
	}
	return from.load(fmt.Sprintf("origins.%s.app=%s", site.Origin, u.app))
}

// mainSite is the site that is meant when none is named: www.ZONE, or else the first.
func mainSite(t *topology.Topology) *topology.Site {
	if s, ok := t.Site("www." + t.Zone); ok {
		return s
	}
	return &t.Sites[0]
}

func labSurroundings(l *lab.Lab, dataDir string) surroundings {
	t := l.Topology()
	place, _ := l.Plan().Place(t.Fallback)
	s := surroundings{state: l.State(), dataDir: dataDir, gateway: place.Gateway.String()}
	for _, site := range t.Sites {
		s.sites = append(s.sites, site.Host)
	}
	return s
}
