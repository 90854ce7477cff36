package origin

import (
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"cdnlab/topology"
)

// defaultMaxObject is how large an object may be unless Config says otherwise.
const defaultMaxObject = 1 << 30

// stall is how long an upload may stand still.
const stall = time.Minute

// builtin is the content of an origin of kind Builtin.
type builtin struct {
	store   *store
	samples map[string]*content
	keys    keys
	seed    uint64
	seek    func()
	now     func() time.Time
	port    uint16
	closing <-chan struct{} // closed when the server has no time left
	tree    Tree            // nil for none
}

// published tells the tree of another version.
func (b *builtin) published(site, path, version string) {
	if b.tree != nil {
		b.tree.Published(site, path, version)
	}
}

func newBuiltin(cfg Config, closing <-chan struct{}) (*builtin, error) {
	if cfg.Token == "" || cfg.Secret == "" {
		return nil, errors.New("an origin with a store needs a token and a secret")
	}
	signer, err := newSigner(cfg.Secret)
	if err != nil {
		return nil, err
	}
	samples, err := makeSamples(cfg.Topology.Seed)
	if err != nil {
		return nil, err
	}
	maxObject := int64(cfg.MaxObject)
	if maxObject == 0 {
		maxObject = defaultMaxObject
	}
	store, err := openStore(filepath.Join(cfg.DataDir, "objects"), maxObject, cfg.Now, cfg.Log)
	if err != nil {
		return nil, err
	}
	return &builtin{store: store, samples: samples, keys: keys{cfg.Token, cfg.Secret, signer}, seed: cfg.Topology.Seed, seek: cfg.Seek, now: cfg.Now,
		port: cfg.Node.HTTP.Port(), closing: closing, tree: cfg.Tree}, nil
}

// The spaces in which the origin makes the content itself; nothing is stored there.
const (
	dynamicSpace   = "/dynamic/"
	syntheticSpace = "/synthetic/"
)

const siteMethods = "GET, HEAD, PUT, DELETE, OPTIONS"

// serve answers a request for a site. What is guarded is guarded here, for all kinds of content at once.
func (b *builtin) serve(ctx *fasthttp.RequestCtx, site *topology.Site, t target) {
	path, err := parsePath(t.path)
	if err != nil {
		say(ctx, http.StatusBadRequest, "%v", err)
		return
	}
	kind := accessTo(site.Access, path)
	if d := b.deny(ctx, kind, site, path, t.query); d.status != 0 {
		refuse(ctx, d)
		return
	}
	b.answer(ctx, site, path, t.query)
	if kind != topology.AccessPublic {
		closeToSharedCaches(&ctx.Response.Header)
	}
}

// deny says why the request may not do what it asks: writing takes the token everywhere, reading what guards the path.
// That a tier forwarded the request, with the lab's secret, opens nothing.
func (b *builtin) deny(ctx *fasthttp.RequestCtx, kind topology.AccessKind, site *topology.Site, path, query string) denial {
	authorization := string(ctx.Request.Header.Peek("Authorization"))
	if isWrite(ctx) && !strings.HasPrefix(path, dynamicSpace) {
		return b.keys.denyToken(authorization)
	}
	return b.keys.deny(kind, ask{site.Host, path, query, authorization}, b.now())
}

func isWrite(ctx *fasthttp.RequestCtx) bool { return ctx.IsPut() || ctx.IsDelete() }

func (b *builtin) answer(ctx *fasthttp.RequestCtx, site *topology.Site, path, query string) {
	method := string(ctx.Method())
	rest, isDynamic := strings.CutPrefix(path, dynamicSpace)
	switch {
	case isDynamic:
		b.serveDynamic(ctx, rest, query)
	case method == http.MethodGet || method == http.MethodHead:
		b.read(ctx, site.Host, path)
	case method == http.MethodPut:
		b.put(ctx, site.Host, path, storedFields(&ctx.Request.Header))
	case method == http.MethodDelete:
		b.remove(ctx, site.Host, path)
	case method == http.MethodOptions:
		ctx.Response.Header.Set("Allow", siteMethods)
		ctx.SetStatusCode(http.StatusNoContent)
	default:
		ctx.Response.Header.Set("Allow", siteMethods)
		say(ctx, http.StatusMethodNotAllowed, "objects take %s", siteMethods)
	}
}

// read serves an object, or the sample or synthetic content in its place.
func (b *builtin) read(ctx *fasthttp.RequestCtx, site, path string) {
	b.seek()
	if rest, ok := strings.CutPrefix(path, syntheticSpace); ok {
		b.serveSynthetic(ctx, rest)
		return
	}
	if strings.HasSuffix(path, "/") {
		path += "index.html"
	}
	c, err := b.find(site, path)
	if err == nil {
		err = respond(ctx, c)
	}
	if err != nil {
		b.fail(ctx, err)
	}
}

// find returns what is at a path: the object, or the sample until there was one.
func (b *builtin) find(site, path string) (*content, error) {
	v, stored := b.store.current(site, path)
	if !stored {
		if c := b.samples[path]; c != nil {
			return c, nil
		}
		return nil, errNoObject
	}
	if v.Deleted {
		return nil, errNoObject
	}
	return b.contentOf(site, path, v), nil
}

func (b *builtin) contentOf(site, path string, v Version) *content {
	header := v.Header
	if v.get("Content-Type") == "" {
		header = append([]Field{{"Content-Type", contentType(path)}}, header...)
	}
	return &content{header: header, validators: validators{v.ETag(), v.Modified}, size: v.Size,
		section: func(start, _ int64) (io.Reader, error) {
			f, err := b.store.open(site, path, v)
			if err != nil {
				return nil, err
			}
			if _, err := f.Seek(start, io.SeekStart); err != nil {
				return nil, errors.Join(err, f.Close())
			}
			return f, nil
		}}
}

// put stores the request's body. The answer tells what was stored.
func (b *builtin) put(ctx *fasthttp.RequestCtx, site, path string, header []Field) {
	if err := checkObjectPath(path); err != nil {
		say(ctx, http.StatusBadRequest, "%v", err)
		return
	}
	for _, f := range header {
		if err := checkField(f); err != nil {
			say(ctx, http.StatusBadRequest, "%v", err)
			return
		}
	}
	if len(ctx.Request.Header.Peek("Content-Range")) > 0 {
		say(ctx, http.StatusBadRequest, "an object is stored whole: Content-Range has no meaning here") // RFC 9110 §14.5
		return
	}
	b.seek()
	v, created, err := b.store.put(upload{site: site, path: path, header: header, body: requestBody(ctx),
		size: int64(max(ctx.Request.Header.ContentLength(), -1)), conditions: conditionsOf(&ctx.Request.Header)})
	if err != nil {
		b.fail(ctx, err)
		return
	}
	b.published(site, path, v.ETag())
	ctx.Response.Header.Set("ETag", v.ETag())
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	writeJSON(ctx, status, Entry{path, v.ETag(), v})
}

func (b *builtin) remove(ctx *fasthttp.RequestCtx, site, path string) {
	if _, err := b.store.remove(site, path, b.samples[path] != nil, conditionsOf(&ctx.Request.Header)); err != nil {
		b.fail(ctx, err)
		return
	}
	b.published(site, path, "")
	ctx.SetStatusCode(http.StatusNoContent)
}

// fail answers with what went wrong in the store.
func (b *builtin) fail(ctx *fasthttp.RequestCtx, err error) {
	var large tooLarge
	var cut incomplete
	switch {
	case errors.Is(err, errNoObject), errors.Is(err, errNoVersion):
		say(ctx, http.StatusNotFound, "%v", err)
	case errors.Is(err, errIsCurrent), errors.Is(err, errIsDeletion):
		say(ctx, http.StatusConflict, "%v", err)
	case errors.Is(err, errPrecondition):
		say(ctx, http.StatusPreconditionFailed, "%v", err)
	case errors.As(err, &large):
		say(ctx, http.StatusRequestEntityTooLarge, "%v", err)
		ctx.SetConnectionClose()
	case errors.As(err, &cut):
		say(ctx, http.StatusBadRequest, "%v", err)
		ctx.SetConnectionClose()
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		say(ctx, http.StatusInsufficientStorage, "the disk of the object store is full: remove objects or old versions, or give it a larger disk; nothing was stored")
	default:
		b.store.log.Error("object store failed", "error", err)
		say(ctx, http.StatusInternalServerError, "the object store failed; the origin's log says why")
	}
}

// checkObjectPath says why nothing can be stored at a path that is otherwise well-formed.
func checkObjectPath(path string) error {
	switch {
	case strings.HasSuffix(path, "/"):
		return errors.New("a path that ends in / names no object: GET answers it with its index.html")
	case strings.HasPrefix(path, dynamicSpace), strings.HasPrefix(path, syntheticSpace):
		return errors.New("the origin itself makes what is below " + dynamicSpace + " and " + syntheticSpace + ": choose another path")
	}
	return nil
}

// entityHeaders are the request headers that a PUT on a site stores with the object.
var entityHeaders = []string{"Content-Type", "Content-Encoding", "Content-Language", "Content-Disposition", "Cache-Control",
	"CDN-Cache-Control", "Expires", "Surrogate-Control", "Surrogate-Key", "Cache-Tag", "Vary", "Link"}

// givenHeader names any other header to store: "Cdnlab-Header: X-Name: value".
const givenHeader = "Cdnlab-Header"

func storedFields(h *fasthttp.RequestHeader) []Field {
	var fields []Field
	for _, name := range entityHeaders {
		for _, value := range h.PeekAll(name) {
			if len(value) > 0 {
				fields = append(fields, Field{name, string(value)})
			}
		}
	}
	return fields
}

// requestBody returns the body of a request. A sender that stands still for too long ends it.
func requestBody(ctx *fasthttp.RequestCtx) io.Reader {
	stream := ctx.RequestBodyStream()
	if stream == nil {
		return http.NoBody
	}
	return impatient{ctx, stream}
}

type impatient struct {
	ctx *fasthttp.RequestCtx
	r   io.Reader
}

func (i impatient) Read(p []byte) (int, error) {
	if err := i.ctx.SetReadDeadline(time.Now().Add(stall)); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}

// closeToSharedCaches makes a response of a guarded path one that no shared cache stores. Headers aimed at shared caches
// (RFC 9213) would override that, so they go.
func closeToSharedCaches(h *fasthttp.ResponseHeader) {
	var own, drop []string
	for name, value := range h.All() {
		switch lower := strings.ToLower(string(name)); {
		case lower == "cache-control":
			own = append(own, string(value))
		case strings.HasSuffix(lower, "-cache-control"), lower == "surrogate-control":
			drop = append(drop, string(name))
		}
	}
	for _, name := range drop {
		h.Del(name)
	}
	h.Set("Cache-Control", guardedCacheControl(strings.Join(own, ", ")))
}
