package main

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// object is one version of a stored object as the API tells it.
type object struct {
	Path     string    `json:"path"`
	ETag     string    `json:"etag,omitempty"`
	Version  uint64    `json:"version"`
	Size     int64     `json:"size"`
	SHA256   string    `json:"sha256,omitempty"`
	Headers  []field   `json:"headers,omitempty"`
	Modified time.Time `json:"modified"`
	Deleted  bool      `json:"deleted,omitempty"`
	From     uint64    `json:"from,omitempty"` // the version that this one rolled back to
}

type field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func siteFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("site", "", "`host` of the site (default: the first whose origin stores objects)")
}

// objectQuery is the query of a call about one object; the path may be typed without its slash.
func objectQuery(site, path string) url.Values {
	return url.Values{"site": {site}, "path": {"/" + strings.TrimPrefix(path, "/")}}
}

// objectTable prints versions of objects.
func objectTable(list []object) string {
	rows := [][]string{{"VERSION", "SIZE", "MODIFIED", "PATH"}}
	for _, o := range list {
		size := bytesText(o.Size)
		if o.Deleted {
			size = "deleted"
		}
		rows = append(rows, []string{strconv.FormatUint(o.Version, 10), size, o.Modified.UTC().Format(time.RFC3339), o.Path})
	}
	var b strings.Builder
	table(&b, rows, 1)
	return b.String()
}
