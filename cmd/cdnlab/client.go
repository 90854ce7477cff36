package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cdnlab/internal/lab"
	"cdnlab/mgmt"
)

// client calls the admin API of the lab that runs on the data directory.
type client struct {
	dir   string
	state lab.State
	http  http.Client
}

func (a *app) connect() (*client, error) {
	state, err := lab.ReadState(a.dataDir)
	if err != nil {
		return nil, err
	}
	return &client{dir: a.dataDir, state: state}, nil
}

// request is one call of the admin API.
type request struct {
	method string // GET when empty
	path   string // below /api/v1
	query  url.Values
	header http.Header
	body   io.Reader
	size   int64 // of the body; -1 when not known
	token  bool  // the call needs the lab's token
}

// do makes a call; the caller closes the body. An answer that is no success becomes an error with the sentence it carries.
func (c *client) do(ctx context.Context, r request) (*http.Response, error) {
	target := c.state.Admin + "/api/v1" + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, r.body)
	if err != nil {
		return nil, err
	}
	if r.header != nil {
		req.Header = r.header
	}
	if r.body != nil {
		req.ContentLength = r.size
	}
	if r.token {
		token, err := c.state.Token(c.dir)
		if err != nil {
			return nil, fmt.Errorf("read the lab's token: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what there is of it is the best there is to say
	var said mgmt.Error
	if json.Unmarshal(raw, &said) == nil && said.Error != "" {
		return nil, errors.New(said.Error)
	}
	return nil, fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(raw)))
}

func (c *client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	return &exitError{exitUnreachable, fmt.Errorf("the lab on %s does not answer (%w): start one with \"cdnlab up\", or name its directory with --data-dir", c.dir, err)}
}

// call makes a call and decodes its JSON answer.
func (c *client) call(ctx context.Context, r request, into any) error {
	resp, err := c.do(ctx, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("read the answer of %s: %w", r.path, err)
	}
	return nil
}

func (c *client) topology(ctx context.Context) (mgmt.Topology, error) {
	var t mgmt.Topology
	err := c.call(ctx, request{path: "/topology"}, &t)
	return t, err
}

// in connects to the running lab and finds a place in it.
func (a *app) in(ctx context.Context, city string) (*client, mgmt.Topology, mgmt.Place, error) {
	c, err := a.connect()
	if err != nil {
		return nil, mgmt.Topology{}, mgmt.Place{}, err
	}
	t, err := c.topology(ctx)
	if err != nil {
		return nil, mgmt.Topology{}, mgmt.Place{}, err
	}
	place, err := t.Place(city)
	if err != nil {
		return nil, mgmt.Topology{}, mgmt.Place{}, usageError("--from: %w", err)
	}
	if place.Gateway == "" {
		return nil, mgmt.Topology{}, mgmt.Place{}, usageError("--from: %s has no resolver and gateway of its own: the address plan has room for the first 155 places", place.Name)
	}
	return c, t, place, nil
}

// fromFlag adds --from, which completes to the places of the running lab.
func (a *app) fromFlag(cmd *cobra.Command) *string {
	from := cmd.Flags().String("from", "", "client `city` (default: the topology's fallback)")
	complete := func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, t, _, err := a.in(ctx, "")
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, p := range t.Places {
			if strings.HasPrefix(p.Name, prefix) {
				names = append(names, p.Name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	if err := cmd.RegisterFlagCompletionFunc("from", complete); err != nil {
		panic(err) // the flag exists: it was made above
	}
	return from
}

// siteURL completes what a person typed for a URL: the scheme may be left out.
func siteURL(arg string) (*url.URL, error) {
	if !strings.Contains(arg, "://") {
		arg = "http://" + arg
	}
	u, err := url.Parse(arg)
	if err != nil {
		return nil, usageError("%w", err)
	}
	if u.Scheme != "http" || u.Host == "" {
		return nil, usageError("%q: want http://HOST/PATH; the lab does not speak %s", arg, u.Scheme)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u, nil
}
