package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cdnlab/mgmt"
)

func (a *app) pushCommand() *cobra.Command {
	var spec mgmt.PushSpec
	cmd := &cobra.Command{
		Use:   "push URL…",
		Short: "Bring objects to the caches before anybody asks for them",
		Long: `Bring objects to hubs and edges before anybody asks for them. Each node pulls them from its parent in pieces of 1 MiB, each held
against its SHA-256, and goes on at the missing piece after an interruption; a link's clients keep a share of its bandwidth. Objects need
a strong ETag. The command returns when every node that is alive has everything, or after --for; the exit code is 1 when a node has not.`,
		Example: `  cdnlab push http://www.cdn.test/launch.mp4
  cdnlab push http://www.cdn.test/a.js http://www.cdn.test/b.js --to tokyo
  cdnlab push http://www.cdn.test/film.mp4 --to hubs --for 30s`,
		Args: argsAsUsed,
	}
	f := cmd.Flags()
	f.StringVar(&spec.To, "to", "", "a `place or tier`: hubs, edges, the name of a hub, an edge or a city; default everywhere")
	wait := f.Duration("for", 5*time.Second, "how long to wait until everything is there; 0 does not wait")
	out := outputFlag(f)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		spec.URLs = args
		spec.Wait = wait.String()
		body, err := json.Marshal(spec)
		if err != nil {
			return err
		}
		var done mgmt.Pushed
		if err := c.call(cmd.Context(), request{method: http.MethodPost, path: "/push", body: bytes.NewReader(body), size: int64(len(body)), token: true}, &done); err != nil {
			return err
		}
		text := io.Writer(a.stdout)
		var errs []error
		if *out == formatJSON {
			text, errs = io.Discard, append(errs, printJSON(a.stdout, done))
		}
		for _, o := range done.Objects {
			if o.Error != "" {
				errs = append(errs, fmt.Errorf("push %s: %s", o.URL, o.Error))
				continue
			}
			var without []string
			for _, n := range o.Nodes {
				if !n.Applied {
					without = append(without, n.Node)
				}
			}
			if *wait == 0 {
				fmt.Fprintf(text, "%s: under way\n", o.URL)
				continue
			}
			fmt.Fprintf(text, "%s: %d of %d nodes have what is for them\n", o.URL, len(o.Nodes)-len(without), len(o.Nodes))
			if without != nil {
				errs = append(errs, fmt.Errorf("push %s: not there yet: %s", o.URL, strings.Join(without, ", ")))
			}
		}
		return errors.Join(errs...)
	}
	return cmd
}
