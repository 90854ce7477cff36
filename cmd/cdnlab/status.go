package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cdnlab/mgmt"
)

func (a *app) statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show nodes and figures",
		Long: `Show every node and its figures since it started, and totals per tier. HIT is the share of requests that a cache answered,
ORIGIN OFFLOAD the share of the edges' requests for which nothing was fetched from an origin.`,
		Example: "  cdnlab status --watch",
		Args:    argsAsUsed,
	}
	watch := cmd.Flags().Bool("watch", false, "again every second, until Ctrl-C; JSON: one line each time")
	out := outputFlag(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		if *watch {
			return a.watch(cmd.Context(), c, *out)
		}
		var now mgmt.Status
		if err := c.call(cmd.Context(), request{path: "/status"}, &now); err != nil {
			return err
		}
		if *out == formatJSON {
			return printJSON(a.stdout, now)
		}
		_, err = io.WriteString(a.stdout, statusText(now, nil))
		return err
	}
	return cmd
}

// watch prints the status every second until ctx is cancelled; the second and later ones have rates.
func (a *app) watch(ctx context.Context, c *client, out format) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var rates *rates
	for {
		var now mgmt.Status
		if err := c.call(ctx, request{path: "/status"}, &now); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		rates = rates.next(now, time.Now())
		switch {
		case out == formatJSON:
			if err := json.NewEncoder(a.stdout).Encode(now); err != nil {
				return err
			}
		case isTerminal(a.stdout):
			fmt.Fprint(a.stdout, "\x1b[H\x1b[2J", fit(a.stdout, statusText(now, rates)))
		default:
			fmt.Fprintln(a.stdout, statusText(now, rates))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// rates are requests per second since the last look, by tier. Nil before the first look.
type rates struct {
	at       time.Time
	requests map[string]uint64
	perS     map[string]float64
}

func (r *rates) next(s mgmt.Status, now time.Time) *rates {
	n := &rates{at: now, requests: map[string]uint64{}, perS: map[string]float64{}}
	for _, t := range s.Tiers {
		n.requests[t.Role] = t.Requests
		if r != nil && t.Requests >= r.requests[t.Role] { // a restarted node begins at zero
			n.perS[t.Role] = float64(t.Requests-r.requests[t.Role]) / now.Sub(r.at).Seconds()
		}
	}
	return n
}

func (r *rates) text(role string) string {
	if v, ok := r.perS[role]; ok {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return "-"
}

func statusText(s mgmt.Status, r *rates) string {
	var b strings.Builder
	up := 0
	for _, n := range s.Nodes {
		if n.Up {
			up++
		}
	}
	fmt.Fprintf(&b, "%s: %d of %d nodes up, origin offload %s\n\n", s.Name, up, len(s.Nodes), percentText(s.OriginOffload))

	figures := []string{"REQUESTS", "HIT", "BYTES OUT", "ERRORS", "TTFB P50", "P99", "CACHE", "DNS"}
	head := append([]string{"TIER", "UP"}, figures...)
	if r != nil {
		head = append(head, "REQ/S")
	}
	rows := [][]string{head}
	for _, t := range s.Tiers {
		row := append([]string{t.Role, fmt.Sprintf("%d/%d", t.Up, t.Nodes)}, figuresText(t.Figures)...)
		if r != nil {
			row = append(row, r.text(t.Role))
		}
		rows = append(rows, row)
	}
	table(&b, rows, columns(2, head)...)
	b.WriteByte('\n')

	head = append([]string{"NODE", "TIER", "CITY", "ADDRESS"}, figures...)
	rows = [][]string{head}
	for _, n := range s.Nodes {
		row := []string{n.Name, n.Role, n.City, n.Address}
		if n.Up {
			row = append(row, figuresText(n.Figures)...)
		} else {
			row = append(row, "down: "+n.Problem)
		}
		rows = append(rows, row)
	}
	table(&b, rows, columns(4, head)...)
	return b.String()
}

func figuresText(f mgmt.Figures) []string {
	cache := "-"
	if f.Cache != nil {
		cache = bytesText(f.Cache.Bytes) + " of " + bytesText(f.Cache.Budget)
	}
	p50, p99 := "-", "-"
	if f.Requests > 0 {
		p50, p99 = millis(f.TTFBP50), millis(f.TTFBP99)
	}
	return []string{strconv.FormatUint(f.Requests, 10), percentText(f.HitRatio), bytesText(f.BytesOut), strconv.FormatUint(f.Errors, 10),
		p50, p99, cache, strconv.FormatUint(f.DNSAnswers, 10)}
}
