package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) putCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "put FILE PATH",
		Short: "Store a file in the origin of a site",
		Long: `Store FILE (- is standard input) under PATH; a PATH that ends in / takes the file's name. When the command has succeeded the
object survives a crash of the origin. Headers given here are sent with the object, Cache-Control and Content-Type among them.`,
		Example: `  cdnlab put logo.png /img/ --header "Cache-Control: max-age=3600"
  date | cdnlab put - /now.txt --type text/plain`,
		Args: argsAsUsed,
	}
	site := siteFlag(cmd)
	headers := cmd.Flags().StringArray("header", nil, "`NAME: VALUE` to send with the object (repeatable)")
	contentType := cmd.Flags().String("type", "", "`media type`: short for --header Content-Type")
	out := outputFlag(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		header := http.Header{}
		for _, h := range *headers {
			name, _, ok := strings.Cut(h, ":")
			if !ok || strings.TrimSpace(name) == "" {
				return usageError("put: --header: want NAME: VALUE, got %q", h)
			}
			header.Add("Cdnlab-Header", h)
		}
		if *contentType != "" {
			header.Add("Cdnlab-Header", "Content-Type: "+*contentType)
		}
		body, size, err := a.open(args[0])
		if err != nil {
			return err
		}
		defer body.Close()
		path := args[1]
		if strings.HasSuffix(path, "/") {
			if args[0] == "-" {
				return usageError("put: standard input has no name: give the whole PATH")
			}
			path += filepath.Base(args[0])
		}
		c, err := a.connect()
		if err != nil {
			return err
		}
		var stored object
		call := request{method: http.MethodPut, path: "/objects/item", query: objectQuery(*site, path), header: header, body: body, size: size, token: true}
		if err := c.call(cmd.Context(), call, &stored); err != nil {
			return fmt.Errorf("put %s: %w", path, err)
		}
		if *out == formatJSON {
			return printJSON(a.stdout, stored)
		}
		_, err = fmt.Fprintf(a.stdout, "stored %s, version %d, %s\n", stored.Path, stored.Version, bytesText(stored.Size))
		return err
	}
	return cmd
}

// open returns a file's content and size, -1 when that is not known.
func (a *app) open(name string) (io.ReadCloser, int64, error) {
	if name == "-" {
		return io.NopCloser(a.stdin), -1, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if info.IsDir() {
		return nil, 0, usageError("put: %s is a directory", name)
	}
	if !info.Mode().IsRegular() {
		return f, -1, nil
	}
	return f, info.Size(), nil
}
