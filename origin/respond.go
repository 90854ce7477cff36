package origin

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
)

// content is one representation, ready to be sent whole or in part.
type content struct {
	header []Field
	validators
	size int64
	// section returns n bytes from start. A reader that is an io.Closer is closed when they are sent; one that is an *os.File
	// at offset start goes out by sendfile.
	section func(start, n int64) (io.Reader, error)
}

// respond answers a GET or HEAD with c: conditional and range requests (RFC 9110 §13, §14) are honoured.
func respond(ctx *fasthttp.RequestCtx, c *content) error {
	method := string(ctx.Method())
	out := conditionsOf(&ctx.Request.Header).evaluate(method, c.validators, c.size)
	h := &ctx.Response.Header
	switch out.status {
	case http.StatusPreconditionFailed:
		say(ctx, out.status, "the representation is not the one that If-Match or If-Unmodified-Since asks for")
		return nil
	case http.StatusRequestedRangeNotSatisfiable:
		say(ctx, out.status, "no byte of the range is there: the size is %d", c.size)
		h.Set("Content-Range", fmt.Sprintf("bytes */%d", c.size))
		return nil
	case http.StatusPartialContent:
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", out.start, out.start+out.length-1, c.size))
	}
	ctx.SetStatusCode(out.status)
	for _, f := range c.header {
		h.Add(f.Name, f.Value)
	}
	h.Set("ETag", c.etag)
	if !c.modified.IsZero() {
		h.Set("Last-Modified", c.modified.UTC().Format(http.TimeFormat))
	}
	if out.status == http.StatusNotModified {
		return nil
	}
	h.Set("Accept-Ranges", "bytes")
	if method == http.MethodHead {
		ctx.Response.SkipBody = true
		h.SetContentLength(int(out.length))
		return nil
	}
	body, err := c.section(out.start, out.length)
	if err != nil {
		return err
	}
	ctx.SetBodyStream(body, int(out.length))
	return nil
}

// conditionsOf reads the conditional headers; several lines of one name make one list (RFC 9110 §5.3).
func conditionsOf(h *fasthttp.RequestHeader) conditions {
	joined := func(name string) string {
		var all []string
		for _, v := range h.PeekAll(name) {
			all = append(all, string(v))
		}
		return strings.Join(all, ", ")
	}
	return conditions{
		match: joined("If-Match"), noneMatch: joined("If-None-Match"),
		modifiedSince: joined("If-Modified-Since"), unmodifiedSince: joined("If-Unmodified-Since"),
		rng: joined("Range"), ifRange: joined("If-Range"),
	}
}

// say answers with a plain sentence.
func say(ctx *fasthttp.RequestCtx, status int, format string, args ...any) {
	ctx.Response.ResetBody()
	ctx.SetStatusCode(status)
	ctx.SetContentType("text/plain; charset=utf-8")
	ctx.SetBodyString(fmt.Sprintf(format, args...) + "\n")
	if status >= http.StatusInternalServerError {
		ctx.Response.Header.Set("Cache-Control", "no-store")
	}
}

// refuse answers with a denial.
func refuse(ctx *fasthttp.RequestCtx, d denial) {
	say(ctx, d.status, "%s", d.message)
	if d.challenge != "" {
		ctx.Response.Header.Set("WWW-Authenticate", d.challenge)
	}
	ctx.Response.Header.Set("Cache-Control", "private, no-store")
}

// contentTypes has the types of the web, so that they do not depend on what the machine's own table says.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".htm": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
	".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8", ".json": "application/json",
	".map": "application/json", ".webmanifest": "application/manifest+json", ".wasm": "application/wasm",
	".txt": "text/plain; charset=utf-8", ".md": "text/markdown; charset=utf-8", ".csv": "text/csv; charset=utf-8",
	".xml": "application/xml", ".pdf": "application/pdf", ".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg",
	".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp", ".avif": "image/avif", ".ico": "image/vnd.microsoft.icon",
	".mp4": "video/mp4", ".webm": "video/webm", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".wav": "audio/wav",
	".m3u8": "application/vnd.apple.mpegurl", ".ts": "video/mp2t", ".mpd": "application/dash+xml", ".m4s": "video/iso.segment",
	".woff": "font/woff", ".woff2": "font/woff2", ".ttf": "font/ttf", ".otf": "font/otf", ".zip": "application/zip", ".gz": "application/gzip",
}

// contentType guesses the media type from a name.
func contentType(name string) string {
	ext := strings.ToLower(path.Ext(name))
	if t, ok := contentTypes[ext]; ok {
		return t
	}
	if t := mime.TypeByExtension(ext); t != "" {
		return t
	}
	return "application/octet-stream"
}

// parseSize reads a size such as 512, 64KiB or 8MB, up to limit bytes.
func parseSize(s string, limit int64) (int64, error) {
	digits := strings.TrimRight(s, "BKMGikb")
	factor, ok := map[string]int64{"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "KB": 1e3, "kB": 1e3, "MB": 1e6, "GB": 1e9}[s[len(digits):]]
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n < 0 {
		return 0, fmt.Errorf("bad size %q: write it as 512B, 64KiB or 1MiB", s)
	}
	if n > limit/factor {
		return 0, fmt.Errorf("size %s is too large: at most %d bytes", s, limit)
	}
	return n * factor, nil
}
