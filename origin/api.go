package origin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"cdnlab/topology"
)

// The objects API, on the origin's own address and name only.
const (
	apiList     = "/-/objects"
	apiItem     = "/-/objects/item"
	apiVersions = "/-/objects/versions"
	apiRollback = "/-/objects/rollback"
	apiSign     = "/-/objects/sign"
)

var apiMethods = map[string]string{
	apiList: "GET", apiItem: "GET, HEAD, PUT, DELETE", apiVersions: "GET", apiRollback: "POST", apiSign: "POST",
}

// Bounds of a listing's pages.
const (
	defaultLimit = 1000
	maxLimit     = 10000
)

// apiCall is a call with what all calls have.
type apiCall struct {
	site   *topology.Site
	path   string // decoded; "" for a listing
	number uint64 // 0: none was given
	params url.Values
}

// serveAPI answers a call of the objects API. The lab's token or secret opens it.
func (b *builtin) serveAPI(ctx *fasthttp.RequestCtx, sites map[string]*topology.Site, t target) {
	ctx.Response.Header.Set("Cache-Control", "no-store")
	methods, ok := apiMethods[t.path]
	switch {
	case !ok:
		say(ctx, http.StatusNotFound, "no %s: the objects API has %s, %s, %s, %s and %s", t.path, apiList, apiItem, apiVersions, apiRollback, apiSign)
		return
	case !allows(methods, string(ctx.Method())):
		ctx.Response.Header.Set("Allow", methods)
		say(ctx, http.StatusMethodNotAllowed, "%s takes %s", t.path, methods)
		return
	}
	if d := b.denyAPI(&ctx.Request.Header); d.status != 0 {
		refuse(ctx, d)
		return
	}
	call, err := parseCall(t, sites)
	if err != nil {
		say(ctx, http.StatusBadRequest, "%v", err)
		return
	}
	switch t.path {
	case apiList:
		b.apiList(ctx, call)
	case apiItem:
		b.apiItem(ctx, call)
	case apiVersions:
		b.apiVersions(ctx, call)
	case apiRollback:
		b.apiRollback(ctx, call)
	case apiSign:
		b.apiSign(ctx, call)
	}
}

func allows(methods, method string) bool {
	for m := range strings.SplitSeq(methods, ", ") {
		if m == method {
			return true
		}
	}
	return false
}

func (b *builtin) denyAPI(h *fasthttp.RequestHeader) denial {
	if sameSecret(string(h.Peek(secretHeader)), b.keys.secret) {
		return denial{}
	}
	return b.keys.denyToken(string(h.Peek("Authorization")))
}

func parseCall(t target, sites map[string]*topology.Site) (apiCall, error) {
	params, err := url.ParseQuery(t.query)
	if err != nil {
		return apiCall{}, fmt.Errorf("bad query: %w", err)
	}
	call := apiCall{site: sites[hostName(params.Get("site"))], path: params.Get("path"), params: params}
	if call.site == nil {
		return call, fmt.Errorf("no site %q at this origin: the sites are %s", params.Get("site"), hostList(sites))
	}
	if t.path != apiList {
		if err := checkPath(call.path); err != nil {
			return call, err
		}
	}
	if text := params.Get("version"); text != "" {
		call.number, err = strconv.ParseUint(text, 10, 64)
		if err != nil || call.number == 0 {
			return call, fmt.Errorf("bad version %q: versions are numbered from 1", text)
		}
	}
	return call, nil
}

func (b *builtin) apiList(ctx *fasthttp.RequestCtx, call apiCall) {
	limit := defaultLimit
	if text := call.params.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxLimit {
			say(ctx, http.StatusBadRequest, "bad limit %q: 1 to %d", text, maxLimit)
			return
		}
		limit = n
	}
	entries, more := b.store.list(call.site.Host, call.params.Get("prefix"), call.params.Get("after"), limit)
	page := struct {
		Site    string  `json:"site"`
		Objects []Entry `json:"objects"`
		Next    string  `json:"next,omitempty"` // the "after" of the next page
	}{Site: call.site.Host, Objects: append([]Entry{}, entries...)}
	if more {
		page.Next = entries[len(entries)-1].Path
	}
	writeJSON(ctx, http.StatusOK, page)
}

func (b *builtin) apiItem(ctx *fasthttp.RequestCtx, call apiCall) {
	switch {
	case ctx.IsPut() && call.number != 0:
		say(ctx, http.StatusBadRequest, "the store numbers versions itself: leave version out of a PUT")
	case ctx.IsPut():
		header, err := givenFields(&ctx.Request.Header)
		if err != nil {
			say(ctx, http.StatusBadRequest, "%v", err)
			return
		}
		b.put(ctx, call.site.Host, call.path, header)
	case ctx.IsDelete() && call.number != 0:
		if err := b.store.drop(call.site.Host, call.path, call.number); err != nil {
			b.fail(ctx, err)
			return
		}
		ctx.SetStatusCode(http.StatusNoContent)
	case ctx.IsDelete():
		b.remove(ctx, call.site.Host, call.path)
	default:
		b.apiRead(ctx, call)
	}
}

// apiRead sends a version, which is nobody's to keep.
func (b *builtin) apiRead(ctx *fasthttp.RequestCtx, call apiCall) {
	v, err := b.store.version(call.site.Host, call.path, call.number)
	if err == nil {
		err = respond(ctx, b.contentOf(call.site.Host, call.path, v))
	}
	if err != nil {
		b.fail(ctx, err)
		return
	}
	closeToSharedCaches(&ctx.Response.Header)
	ctx.Response.Header.Set("Cache-Control", "private, no-store")
}

// givenFields reads the headers to store: the entity headers of the request and those that Cdnlab-Header names.
func givenFields(h *fasthttp.RequestHeader) ([]Field, error) {
	var fields []Field
	given := map[string]bool{}
	for _, line := range h.PeekAll(givenHeader) {
		name, value, ok := strings.Cut(string(line), ":")
		if !ok {
			return nil, fmt.Errorf("bad %s %q: write it as Name: value", givenHeader, line)
		}
		f := Field{http.CanonicalHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(value)}
		given[strings.ToLower(f.Name)] = true
		fields = append(fields, f)
	}
	for _, f := range storedFields(h) {
		if !given[strings.ToLower(f.Name)] {
			fields = append(fields, f)
		}
	}
	return fields, nil
}

func (b *builtin) apiVersions(ctx *fasthttp.RequestCtx, call apiCall) {
	versions := b.store.versions(call.site.Host, call.path)
	if len(versions) == 0 {
		b.fail(ctx, errNoObject)
		return
	}
	writeJSON(ctx, http.StatusOK, struct {
		Site     string    `json:"site"`
		Path     string    `json:"path"`
		Versions []Version `json:"versions"` // newest first
	}{call.site.Host, call.path, versions})
}

func (b *builtin) apiRollback(ctx *fasthttp.RequestCtx, call apiCall) {
	if call.number == 0 {
		say(ctx, http.StatusBadRequest, "say which version to roll back to: version=N")
		return
	}
	v, err := b.store.rollback(call.site.Host, call.path, call.number)
	if err != nil {
		b.fail(ctx, err)
		return
	}
	b.published(call.site.Host, call.path, v.ETag())
	writeJSON(ctx, http.StatusOK, Entry{call.path, v.ETag(), v})
}

// apiSign makes a signed URL. There need not be an object yet.
func (b *builtin) apiSign(ctx *fasthttp.RequestCtx, call apiCall) {
	span, err := parseSpan("for", call.params.Get("for"), "15m or 24h", maxSigned)
	if err == nil && span < time.Second {
		err = errors.New("for is too short: at least 1s")
	}
	if err != nil {
		say(ctx, http.StatusBadRequest, "%v", err)
		return
	}
	if accessTo(call.site.Access, call.path) == topology.AccessToken {
		say(ctx, http.StatusConflict, "%s is open to the token only: a signed URL opens what the topology guards with access: signed", call.path)
		return
	}
	host := call.site.Host
	if b.port != 80 {
		host += ":" + strconv.Itoa(int(b.port))
	}
	expires := b.now().Add(span)
	u := url.URL{Scheme: "http", Host: host, Path: call.path, RawQuery: b.keys.signer.query(call.site.Host, call.path, expires)}
	writeJSON(ctx, http.StatusOK, struct {
		URL     string    `json:"url"`
		Expires time.Time `json:"expires"`
	}{u.String(), time.Unix(expires.Unix(), 0).UTC()})
}

func writeJSON(ctx *fasthttp.RequestCtx, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		say(ctx, http.StatusInternalServerError, "encode the answer: %v", err)
		return
	}
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/json")
	ctx.SetBody(append(body, '\n'))
}
