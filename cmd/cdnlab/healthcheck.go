package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cdnlab/mgmt"
)

func (a *app) healthcheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "healthcheck [ADDRESS…]",
		Short: "Exit 0 when the lab, or a node, is healthy",
		Long: `Without ADDRESS: exit 0 when every node of the lab on the data directory is up.
With ADDRESS (HOST:PORT of a node's HTTP): exit 0 when each answers /-/health with 200.`,
		Example: "  cdnlab healthcheck 127.3.1.1:8080",
		Args:    argsAsUsed,
	}
	limit := cmd.Flags().Duration("timeout", 2*time.Second, "how long to wait for an answer")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), *limit)
		defer cancel()
		if len(args) == 0 {
			return a.labHealth(ctx)
		}
		var unhealthy []error
		for _, address := range args {
			unhealthy = append(unhealthy, nodeHealth(ctx, address))
		}
		return errors.Join(unhealthy...)
	}
	return cmd
}

func (a *app) labHealth(ctx context.Context) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	var s mgmt.Status
	if err := c.call(ctx, request{path: "/status"}, &s); err != nil {
		return err
	}
	var down []string
	for _, n := range s.Nodes {
		if !n.Up {
			down = append(down, n.Name)
		}
	}
	if len(down) > 0 {
		return fmt.Errorf("down: %s", strings.Join(down, ", "))
	}
	return nil
}

func nodeHealth(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/-/health", nil)
	if err != nil {
		return usageError("healthcheck: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		reason, _ := io.ReadAll(io.LimitReader(resp.Body, 1024)) // the status alone will do
		return fmt.Errorf("%s: %s: %s", address, resp.Status, strings.TrimSpace(string(reason)))
	}
	return nil
}
