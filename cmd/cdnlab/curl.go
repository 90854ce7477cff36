package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

type curlFlags struct {
	include, head, verbose, follow, fail bool
	method, data                         string
	headers                              []string
	limit                                time.Duration
}

func (a *app) curlCommand() *cobra.Command {
	var f curlFlags
	cmd := &cobra.Command{
		Use:   "curl URL",
		Short: "Fetch a URL as a client in a city does",
		Long: `Fetch URL through the gateway of a city: resolved by its resolver, fetched over its last mile. The flags are those of curl that
are used most; for the others there is "cdnlab exec --from CITY -- curl …".`,
		Example: `  cdnlab curl -i http://www.cdn.test/hello.txt --from tokyo
  cdnlab curl -d '{"n":1}' -H 'Content-Type: application/json' http://www.cdn.test/api`,
		Args: argsAsUsed,
	}
	from := a.fromFlag(cmd)
	f.add(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		target, err := siteURL(args[0])
		if err != nil {
			return err
		}
		_, _, place, err := a.in(cmd.Context(), *from)
		if err != nil {
			return err
		}
		return a.curl(cmd.Context(), target, place.Gateway, f, cmd.Flags().Changed("data"))
	}
	return cmd
}

func (f *curlFlags) add(flags *pflag.FlagSet) {
	flags.BoolVarP(&f.include, "include", "i", false, "print the response's head too")
	flags.BoolVarP(&f.head, "head", "I", false, "send HEAD and print the response's head")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "print both heads to standard error")
	flags.BoolVarP(&f.follow, "location", "L", false, "follow redirects")
	flags.BoolVar(&f.fail, "fail", false, "exit 1 when the status is 400 or above")
	flags.StringVarP(&f.method, "request", "X", "", "`method` to use")
	flags.StringVarP(&f.data, "data", "d", "", "`body` to POST; @FILE takes it from a file, @- from standard input")
	flags.StringArrayVarP(&f.headers, "header", "H", nil, "`NAME: VALUE` to send (repeatable)")
	flags.DurationVarP(&f.limit, "max-time", "m", 0, "give up after this time")
}

func (a *app) curl(ctx context.Context, target *url.URL, gateway string, f curlFlags, hasData bool) error {
	if f.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.limit)
		defer cancel()
	}
	req, err := a.curlRequest(ctx, target, f, hasData)
	if err != nil {
		return err
	}
	transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: gateway}), DisableCompression: true}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport}
	if !f.follow {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	if f.verbose {
		printHead(a.stderr, "> ", req.Method+" "+req.URL.RequestURI()+" HTTP/1.1", req.Header)
	}
	resp, err := client.Do(req)
	if err != nil {
		return f.failure(ctx, target, err)
	}
	defer resp.Body.Close()
	status := resp.Proto + " " + resp.Status
	if f.verbose {
		printHead(a.stderr, "< ", status, resp.Header)
	}
	if f.include || f.head {
		printHead(a.stdout, "", status, resp.Header)
	}
	if _, err := io.Copy(a.stdout, resp.Body); err != nil {
		return f.failure(ctx, target, fmt.Errorf("read the body: %w", err))
	}
	if f.fail && resp.StatusCode >= 400 {
		return fmt.Errorf("%s: %s", target, resp.Status)
	}
	return nil
}

// failure says why there is no whole answer.
func (f *curlFlags) failure(ctx context.Context, target *url.URL, err error) error {
	if ctx.Err() == context.DeadlineExceeded {
		return fmt.Errorf("%s: no whole answer within %s (--max-time)", target, f.limit)
	}
	return err
}

func (a *app) curlRequest(ctx context.Context, target *url.URL, f curlFlags, hasData bool) (*http.Request, error) {
	method := http.MethodGet
	if f.head {
		method = http.MethodHead
	}
	var body io.Reader
	if hasData {
		method = http.MethodPost
		data, err := a.curlBody(f.data)
		if err != nil {
			return nil, err
		}
		body = strings.NewReader(data)
	}
	if f.method != "" {
		method = f.method
	}
	req, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return nil, usageError("curl: %w", err)
	}
	req.Header.Set("User-Agent", "cdnlab")
	if hasData {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	given := http.Header{}
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, usageError("curl: -H: want NAME: VALUE, got %q", h)
		}
		given.Add(name, strings.TrimSpace(value))
	}
	maps.Copy(req.Header, given) // what is given replaces what curl sends by itself
	req.Host = given.Get("Host")
	return req, nil
}

func (a *app) curlBody(data string) (string, error) {
	name, isFile := strings.CutPrefix(data, "@")
	if !isFile {
		return data, nil
	}
	if name == "-" {
		raw, err := io.ReadAll(a.stdin)
		return string(raw), err
	}
	raw, err := os.ReadFile(name)
	return string(raw), err
}

func printHead(w io.Writer, prefix, first string, header http.Header) {
	fmt.Fprintf(w, "%s%s\n", prefix, first)
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			fmt.Fprintf(w, "%s%s: %s\n", prefix, name, value)
		}
	}
	fmt.Fprintln(w, strings.TrimSpace(prefix))
}
