package origin

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"time"
)

//go:embed samples
var sampleFiles embed.FS

// sampleTime is the Last-Modified of all samples.
var sampleTime = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// sampleTable lists the samples. Those with a size are patterns; the others are embedded files.
var sampleTable = []struct {
	path, cacheControl string
	size               int64
}{
	{"/index.html", "public, max-age=60", 0},
	{"/hello.txt", "public, max-age=60", 0},
	{"/style.css", "public, max-age=3600, stale-while-revalidate=60", 0},
	{"/app.js", "public, max-age=3600, stale-while-revalidate=60", 0},
	{"/logo.svg", "public, max-age=86400, immutable", 0},
	{"/private.txt", "private, max-age=60", 0},
	{"/nostore.txt", "no-store", 0},
	{"/launch.mp4", "public, max-age=600", 8 << 20},
	{"/large.bin", "public, max-age=600", 100 << 20},
}

// makeSamples returns the samples by path.
func makeSamples(seed uint64) (map[string]*content, error) {
	samples := make(map[string]*content, len(sampleTable))
	for _, row := range sampleTable {
		c := &content{
			header:     []Field{{"Content-Type", contentType(row.path)}, {"Cache-Control", row.cacheControl}},
			validators: validators{modified: sampleTime},
			size:       row.size,
		}
		if row.size > 0 {
			p := newPattern(seed, row.path, row.size)
			c.etag, c.section = p.etag, p.section
		} else if err := c.embed("samples" + row.path); err != nil {
			return nil, err
		}
		samples[row.path] = c
	}
	return samples, nil
}

func (c *content) embed(name string) error {
	data, err := fs.ReadFile(sampleFiles, name)
	if err != nil {
		return fmt.Errorf("read sample: %w", err)
	}
	sum := sha256.Sum256(data)
	c.size, c.etag = int64(len(data)), `"`+hex.EncodeToString(sum[:16])+`"`
	c.section = func(start, n int64) (io.Reader, error) { return bytes.NewReader(data[start : start+n]), nil }
	return nil
}
