package origin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// serveSynthetic answers /synthetic/SIZE/ID: exactly SIZE bytes that follow from the topology's seed, SIZE and ID. There is no
// Cache-Control and no Last-Modified, so that the site's own cache rules alone decide.
func (b *builtin) serveSynthetic(ctx *fasthttp.RequestCtx, rest string) {
	text, id, ok := strings.Cut(rest, "/")
	size, err := parseSize(text, maxSynthetic)
	switch {
	case err != nil:
		say(ctx, http.StatusBadRequest, "%v", err)
		return
	case !ok || id == "":
		say(ctx, http.StatusBadRequest, "write it as /synthetic/SIZE/ID, for example /synthetic/64KiB/7")
		return
	}
	p := newPattern(b.seed, id, size)
	c := &content{header: []Field{{"Content-Type", "application/octet-stream"}}, validators: validators{etag: p.etag}, size: size, section: p.section}
	if err := respond(ctx, c); err != nil {
		b.fail(ctx, err)
	}
}

// serveDynamic answers what is below /dynamic/, whatever the method.
func (b *builtin) serveDynamic(ctx *fasthttp.RequestCtx, rest, query string) {
	if _, err := io.Copy(io.Discard, requestBody(ctx)); err != nil {
		b.fail(ctx, incomplete{err})
		return
	}
	d, err := parseDynamic(rest, query)
	if err != nil {
		say(ctx, http.StatusBadRequest, "%v", err)
		return
	}
	if !b.wait(d.delay) {
		say(ctx, http.StatusServiceUnavailable, "the origin is stopping")
		return
	}
	ctx.SetStatusCode(d.status)
	ctx.SetContentType("text/plain; charset=utf-8")
	ctx.Response.Header.Set("Cache-Control", d.cacheControl())
	switch {
	case d.bodyless():
		ctx.Response.Header.Del("Content-Type")
	case d.size >= 0:
		b.sendPattern(ctx, d.size)
	default:
		b.sendText(ctx, d)
	}
}

// wait reports whether the whole delay went by before the server was out of time.
func (b *builtin) wait(delay time.Duration) bool {
	if delay == 0 {
		return true
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-b.closing:
		return false
	}
}

func (b *builtin) sendPattern(ctx *fasthttp.RequestCtx, size int64) {
	ctx.SetContentType("application/octet-stream")
	if ctx.IsHead() {
		ctx.Response.SkipBody = true
		ctx.Response.Header.SetContentLength(int(size))
		return
	}
	ctx.SetBodyStream(&patternReader{key: mix(b.seed), end: size}, int(size))
}

func (b *builtin) sendText(ctx *fasthttp.RequestCtx, d dynamic) {
	switch {
	case d.kind == "time":
		ctx.SetBodyString(b.now().UTC().Format(time.RFC3339Nano) + "\n")
	case d.kind == "greeting":
		// The tiers above cache one greeting per place.
		ctx.Response.Header.Set("Vary", "CDN-Client-City, CDN-Client-Country")
		ctx.SetBodyString(greeting(&ctx.Request.Header))
	case d.kind == "headers":
		sendHeaders(ctx)
	case d.chosen:
		fmt.Fprintf(ctx, "status %d after %s\n", d.status, d.delay)
	default:
		ctx.SetBodyString(dynamicHelp)
	}
}

func greeting(h *fasthttp.RequestHeader) string {
	city, country := string(h.Peek("CDN-Client-City")), string(h.Peek("CDN-Client-Country"))
	switch {
	case city == "" && country == "":
		return "Hello, wherever you are!\n"
	case city == "":
		return fmt.Sprintf("Hello from %s!\n", country)
	case country == "":
		return fmt.Sprintf("Hello, %s!\n", city)
	}
	return fmt.Sprintf("Hello, %s (%s)!\n", city, country)
}

// sendHeaders shows the request as the origin sees it. What opens something is not shown, in case the answer is cached.
func sendHeaders(ctx *fasthttp.RequestCtx) {
	fields := map[string][]string{}
	for name, value := range ctx.Request.Header.All() {
		shown := string(value)
		if n := strings.ToLower(string(name)); n == "authorization" || n == "proxy-authorization" {
			shown = "(not shown)"
		}
		fields[string(name)] = append(fields[string(name)], shown)
	}
	body, err := json.MarshalIndent(map[string]any{
		"method": string(ctx.Method()), "target": string(ctx.Request.Header.RequestURI()), "headers": fields,
	}, "", "  ")
	if err != nil {
		say(ctx, http.StatusInternalServerError, "%v", err)
		return
	}
	ctx.SetContentType("application/json")
	ctx.SetBody(append(body, '\n'))
}
