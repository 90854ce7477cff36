package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) lsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls [PREFIX]",
		Short: "List the stored objects of a site",
		Example: `  cdnlab ls /img/
  cdnlab ls --versions /img/logo.png`,
		Args: argsAsUsed,
	}
	site := siteFlag(cmd)
	versions := cmd.Flags().Bool("versions", false, "list the versions of the object whose path is given")
	out := outputFlag(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *versions && len(args) == 0 {
			return usageError("ls: --versions needs the path of an object")
		}
		c, err := a.connect()
		if err != nil {
			return err
		}
		var list []object
		prefix := strings.Join(args, "")
		if *versions {
			list, err = c.versions(cmd.Context(), *site, prefix)
		} else {
			list, err = c.objects(cmd.Context(), *site, prefix)
		}
		switch {
		case err != nil:
			return err
		case *out == formatJSON:
			return printJSON(a.stdout, list)
		case len(list) == 0 && prefix == "":
			fmt.Fprintln(a.stdout, "nothing is stored; samples such as /hello.txt are built in")
		case len(list) == 0:
			fmt.Fprintf(a.stdout, "nothing is stored below %s\n", prefix)
		default:
			_, err = io.WriteString(a.stdout, objectTable(list))
		}
		return err
	}
	return cmd
}

// objects lists what is stored below a prefix, page after page.
func (c *client) objects(ctx context.Context, site, prefix string) ([]object, error) {
	list := []object{}
	query := url.Values{"site": {site}, "prefix": {prefix}}
	for {
		var page struct {
			Objects []object `json:"objects"`
			Next    string   `json:"next"`
		}
		if err := c.call(ctx, request{path: "/objects", query: query}, &page); err != nil {
			return nil, err
		}
		list = append(list, page.Objects...)
		if page.Next == "" {
			return list, nil
		}
		query.Set("after", page.Next)
	}
}

// versions lists the versions of one object, the newest first.
func (c *client) versions(ctx context.Context, site, path string) ([]object, error) {
	var answer struct {
		Path     string   `json:"path"`
		Versions []object `json:"versions"`
	}
	if err := c.call(ctx, request{path: "/objects/versions", query: objectQuery(site, path)}, &answer); err != nil {
		return nil, err
	}
	for i := range answer.Versions {
		answer.Versions[i].Path = answer.Path
	}
	return answer.Versions, nil
}
