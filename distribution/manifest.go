package distribution

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"cdnlab/internal/httpcache"
	"cdnlab/topology"
)

// chunkSize is how much of an object travels under one sum; the slices of package cache have the same size.
const chunkSize = 1 << 20

// maxManifest bounds the size of a manifest on the wire; that of an object of 64 GiB is less.
const maxManifest = 8 << 20

// Manifest tells the pieces of one version of an object.
type Manifest struct {
	Site    string `json:"site"`
	Path    string `json:"path"`
	Version string `json:"version"` // its strong entity tag
	Size    int64  `json:"size"`
	Sums    []Sum  `json:"sums"` // of each MiB
}

// Sum is the SHA-256 of a piece; in JSON it is hexadecimal.
type Sum [sha256.Size]byte

// MarshalText implements encoding.TextMarshaler.
func (s Sum) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Sum) UnmarshalText(b []byte) error {
	if len(b) != 2*len(s) {
		return errors.New("a sum has 64 digits")
	}
	_, err := hex.Decode(s[:], b)
	return err
}

// parseManifest reads a manifest, and holds it against what it is to be of.
func parseManifest(b []byte, site, path, version string) (m *Manifest, err error) {
	m = &Manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("malformed manifest: %w", err)
	}
	switch {
	case m.Site != site || m.Path != path || m.Version != version:
		return nil, errors.New("the manifest is of something else")
	case m.Size < 0 || int64(len(m.Sums)) != (m.Size+chunkSize-1)/chunkSize:
		return nil, fmt.Errorf("the manifest has %d sums for %d bytes", len(m.Sums), m.Size)
	}
	return m, nil
}

// manifestKey is what a manifest is remembered by.
func manifestKey(site, path, version string) string { return site + path + "\x00" + version }

// chunk returns where a piece begins, and its length.
func (m *Manifest) chunk(i int) (first, length int64) {
	first = int64(i) * chunkSize
	return first, min(chunkSize, m.Size-first)
}

// errVersion says that an object is not of the version any more that is asked for.
var errVersion = errors.New("the object has another version")

// unfit says why an object cannot be pushed as it is now. Other errors may pass.
type unfit string

func (u unfit) Error() string { return string(u) }

// kept says why caches would not serve a response from store; nil when they do.
func kept(resp *http.Response, site *topology.SiteCache, now time.Time) error {
	at := now.UnixNano()
	var ask httpcache.Ask
	ask.Reset([]byte(http.MethodGet))
	var fields []string
	for name, values := range resp.Header {
		for _, v := range values {
			fields = append(fields, name, v)
		}
	}
	policy := httpcache.PolicyOf(site)
	adm := httpcache.Admit(&ask, &httpcache.Response{Status: resp.StatusCode, Header: httpcache.MakeHeader(fields...), RequestTime: at, ResponseTime: at}, &policy)
	switch {
	case !adm.Stored:
		return unfit(adm.Detail)
	case httpcache.Decide(at, &adm.Meta, &ask).Outcome == httpcache.Revalidate:
		return unfit("the response is not fresh, and would be validated each time")
	}
	return nil
}

// makeManifest reads an object from its origin and sums it up. With a version it is not read if it has another one.
func makeManifest(ctx context.Context, get func(context.Context, string, string) (*http.Response, error), site *topology.Site, path, version string, now time.Time) (*Manifest, error) {
	resp, err := get(ctx, site.Host, path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	etag := resp.Header.Get("ETag")
	switch {
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone:
		return nil, unfit(fmt.Sprintf("the origin answered %d for %s", resp.StatusCode, path))
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the origin answered %d for %s", resp.StatusCode, path)
	case version != "" && etag != version:
		return nil, errVersion
	case etag == "" || strings.HasPrefix(etag, "W/"):
		return nil, unfit(path + " has no strong ETag: versions of it cannot be told apart")
	case resp.Header.Get("Content-Encoding") != "" && resp.Header.Get("Content-Encoding") != "identity":
		return nil, unfit(fmt.Sprintf("%s comes in the content coding %s, which the caches have not asked for", path, resp.Header.Get("Content-Encoding")))
	}
	if err := kept(resp, &site.Cache, now); err != nil {
		return nil, fmt.Errorf("caches do not keep %s: %w", path, err)
	}
	m := &Manifest{Site: site.Host, Path: path, Version: etag, Sums: []Sum{}}
	for {
		sum := sha256.New()
		n, err := io.CopyN(sum, resp.Body, chunkSize)
		if n > 0 {
			m.Sums = append(m.Sums, Sum(sum.Sum(nil)))
			m.Size += n
		}
		if err == io.EOF {
			return m, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
	}
}
