package proxy

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"cdnlab/internal/cache"
	"cdnlab/internal/httpcache"
	"cdnlab/internal/journal"
	"cdnlab/internal/stats"
)

// maxTarget is how long a request target may be.
const maxTarget = 8 << 10

// Bounds of a request's head besides its length in bytes.
const (
	maxMethod = 32
	maxFields = 256 // each costs some work at each tier and in the app
)

// request is one request, checked and taken apart once. Its bytes are the connection's: they hold until the response has been
// sent. A connection has one at a time, and uses it again.
type request struct {
	fields
	turn

	conn  *clientConn // nil for one that is made in the background
	addr  netip.Addr
	visit Visit

	key       []byte         // primary cache key
	buf       []byte         // scratch for the response's header lines
	wire      []byte         // scratch for the request upstream
	sent      outgoing       // room for it
	stored    []byte         // scratch for the fields of a stored response
	meta      httpcache.Meta // of the stored response that is sent
	limits    []byte         // lines of the guard
	forwarded []string       // scratch for the lines of X-Forwarded-For
}

// turn is what is new with every request on a connection.
type turn struct {
	rc      *fasthttp.RequestCtx
	id      [32]byte // X-Request-Id
	start   time.Time
	now     int64 // start in nanoseconds since the epoch
	method  []byte
	host    []byte // of the target, with its port if it has one
	target  []byte // in origin form, or "*"
	site    *site
	body    requestBody
	tunnel  bool             // asks for a WebSocket
	waits   int              // for fetches of others that brought errors
	again   bool             // waited for a fetch of what the cache was expected to take the next time
	retried bool             // was sent anew for the sake of its range
	refused *cache.Refusal   // why the cache does not take what it brings
	soon    bool             // those who wait for that do best to fetch once more together: they do not when it has led to nothing before
	home    *Upstream        // server of the PoP to ask before the parents; nil for none
	applied journal.Position // of this node when a node of the lab asked; zero where none is told
	behind  bool             // applied is not of this node: what is sent comes from a parent that is behind, or was purged and stands in for an error
	out     outcome
	record  Record // room for what Config.Record is given
}

// fields is what the fields of a request say. Requests on one connection mostly have the same ones: they are read once.
type fields struct {
	raw     []byte        // the fields as they came; nil when they are not to be used again
	ask     httpcache.Ask // of raw
	seen    seen
	trusted bool // a node of the lab sent it: what it says about the client is believed
	marked  bool // Connection nominated fields of its own, here or at a tier before: the answer is not what others would get
	looped  bool // has passed this node before
	pushed  bool // says that it is of the distribution tree
	peer    bool // says that another server of the same PoP sent it
	relayed bool // says that what comes of it goes to the client as it is
	placed  bool
	client  Client // who sent it, once placed is set
	told    bool   // what the fields say of the client is what client says
	lined   bool   // lines are made
	lines   []byte // those that go upstream when the whole representation is asked for
}

// ofPush reports whether the distribution tree asks, and not a client.
func (r *request) ofPush() bool { return r.pushed && r.trusted }

// init makes ready for the requests on a connection.
func (r *request) init(c *clientConn) {
	r.conn, r.addr = c, addrOf(c.conn.RemoteAddr())
	r.visit.Header = func(name string) []byte { return []byte(r.ask.Get(name)) } // made once: a request is not to allocate it
}

// refusal is why a request is answered by this node with an error.
type refusal struct {
	status   int
	sentence string
	upstream int          // the status from upstream that led to it; 0 for none
	slow     bool         // a parent did not answer in time
	result   stats.Result // how it counts; the zero value stands for Failed
}

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{status: status, sentence: fmt.Sprintf(format, args...)}
}

// seen are the fields that decide about framing, routing and trust.
type seen struct {
	host, length, coding, upgrade []byte
	hosts, lengths, codings       int
	connectionUpgrade             bool
}

// read takes the request apart. fasthttp has parsed it, more forgivingly than a cache can afford: what could be understood
// in two ways is refused here (RFC 9112 §2.2, §3.2, §5, §6.3).
func (r *request) read(secret, loopToken string) *refusal {
	h := &r.rc.Request.Header
	r.method = h.Method()
	if bad := r.readHead(h.RawHeaders(), secret, loopToken); bad != nil {
		return bad
	}
	switch string(h.Protocol()) {
	case "HTTP/1.1", "HTTP/1.0":
	default:
		return refuse(http.StatusHTTPVersionNotSupported, "this server speaks HTTP/1.1, not %s", h.Protocol())
	}
	switch string(r.method) {
	case "GET", "HEAD":
	case "CONNECT":
		return refuse(http.StatusNotImplemented, "CONNECT is not served here: this is no forward proxy")
	case "TRACE", "TRACK":
		return refuse(http.StatusMethodNotAllowed, "%s is not served here: it would show what tiers say to each other", h.Method())
	}
	if !validMethod(r.method) {
		return refuse(http.StatusBadRequest, "malformed method %.40q", h.Method())
	}
	if bad := r.readTarget(h.RequestURI()); bad != nil {
		return bad
	}
	return r.readFraming()
}

// maxKept is how long the fields of a request may be that are kept for the next.
const maxKept = 4 << 10

// readHead reads the fields, unless they are those of the request before.
func (r *request) readHead(raw []byte, secret, loopToken string) *refusal {
	if r.raw != nil && bytes.Equal(raw, r.raw) {
		r.ask.SetMethod(r.method)
		return nil
	}
	kept := r.raw
	r.fields = fields{ask: r.ask, lines: r.lines}
	r.ask.Reset(r.method)
	if len(raw) <= maxKept { // what is kept must not be the connection's buffer
		raw = append(kept[:0], raw...)
		kept = raw
	}
	if bad := r.readFields(raw, secret, loopToken); bad != nil {
		return bad
	}
	if len(raw) <= maxKept {
		r.raw = kept
	}
	return nil
}

// validMethod reports whether a method is one that all take for the same: of letters in upper case, and not endless (RFC 9110 §9.1).
func validMethod(m []byte) bool {
	for _, c := range m {
		if (c < 'A' || c > 'Z') && c != '-' {
			return false
		}
	}
	return len(m) > 0 && len(m) <= maxMethod
}

// readFields walks over the raw header section once.
func (r *request) readFields(raw []byte, secret, loopToken string) *refusal {
	for n := 0; len(raw) > 0; n++ {
		if n == maxFields+1 {
			return refuse(http.StatusRequestHeaderFieldsTooLarge, "the request has more than %d header lines", maxFields)
		}
		end := bytes.IndexByte(raw, '\n')
		if end < 1 || raw[end-1] != '\r' {
			return refuse(http.StatusBadRequest, "a header line does not end with CR LF")
		}
		line := raw[:end-1]
		raw = raw[end+1:]
		if len(line) == 0 {
			break
		}
		i := bytes.IndexByte(line, ':')
		if i < 1 || !validName(line[:i]) {
			return refuse(http.StatusBadRequest, "malformed header line %.80q", line)
		}
		name, value := line[:i], bytes.Trim(line[i+1:], " \t")
		r.ask.Add(name, value)
		if bad := r.notice(name, value, secret, loopToken); bad != nil {
			return bad
		}
	}
	return nil
}

// notice looks at one field; most fall through the switch by their length.
func (r *request) notice(name, value []byte, secret, loopToken string) *refusal {
	s := &r.seen
	switch len(name) {
	case len("Host"):
		if equalFold(name, "Host") {
			s.host = value
			s.hosts++
		}
	case len("Expect"):
		if equalFold(name, "Expect") && !equalFold(value, "100-continue") {
			return refuse(http.StatusExpectationFailed, "unknown expectation %.40q", value)
		}
	case len("Upgrade"):
		if equalFold(name, "Upgrade") {
			s.upgrade = value
		}
	case len("CDN-Loop"):
		if equalFold(name, "CDN-Loop") {
			r.looped = r.looped || loops(value, loopToken)
		}
	case len("Connection"):
		if equalFold(name, "Connection") {
			r.readConnection(value, s)
		}
	case len(peerHeader):
		if equalFold(name, peerHeader) {
			r.peer, r.relayed = true, equalFold(value, peerRelay)
		} else if equalFold(name, passHeader) {
			r.marked = true
		} else if equalFold(name, pushHeader) {
			r.pushed = true
		}
	case len(secretHeader):
		if equalFold(name, secretHeader) && secret != "" {
			r.trusted = subtle.ConstantTimeCompare(value, []byte(secret)) == 1
		}
	case len("Content-Length"):
		if equalFold(name, "Content-Length") {
			s.length = value
			s.lengths++
		}
	case len("Transfer-Encoding"):
		if equalFold(name, "Transfer-Encoding") {
			s.coding = value
			s.codings++
		}
	}
	return nil
}

var (
	comma     = []byte(",")
	semicolon = []byte(";")
)

func equalFold(b []byte, s string) bool { return bytes.EqualFold(b, []byte(s)) }

// readConnection sorts the options of Connection: to hop-by-hop fields proper it may point, and when it points to others they
// are not forwarded and the request has nothing to do with the cache.
func (r *request) readConnection(value []byte, s *seen) {
	for option := range bytes.SplitSeq(value, comma) {
		switch option = bytes.Trim(option, " \t"); {
		case equalFold(option, "upgrade"):
			s.connectionUpgrade = true
		case len(option) == 0, equalFold(option, "close"), httpcache.HopByHop(string(option)):
		default:
			r.marked = true
		}
	}
}

// loops reports whether a CDN-Loop value names this node (RFC 8586 §2).
func loops(value []byte, token string) bool {
	for member := range bytes.SplitSeq(value, comma) {
		id, _, _ := bytes.Cut(member, semicolon)
		if equalFold(bytes.Trim(id, " \t"), token) {
			return true
		}
	}
	return false
}

// readTarget finds host and origin form. Of a target in absolute form the host counts, not that of the Host field
// (RFC 9112 §3.2.2).
func (r *request) readTarget(target []byte) *refusal {
	s := &r.seen
	switch {
	case len(target) > maxTarget:
		return refuse(http.StatusRequestURITooLong, "the request target exceeds %d bytes", maxTarget)
	case s.hosts != 1:
		return refuse(http.StatusBadRequest, "the request has %d Host fields, want one", s.hosts)
	case bytes.IndexByte(target, '#') >= 0:
		return refuse(http.StatusBadRequest, "a request target has no fragment")
	case !ascii(target):
		return refuse(http.StatusBadRequest, "the request target holds bytes that are not percent-encoded") // RFC 9112 §3.2
	}
	r.host, r.target = s.host, target
	if target[0] != '/' && string(target) != "*" {
		if !r.absolute(target) {
			return refuse(http.StatusBadRequest, "malformed request target %.80q", target)
		}
	}
	if !validHost(r.host) || !validHost(s.host) {
		return refuse(http.StatusBadRequest, "malformed host %.80q", r.host)
	}
	return nil
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// absolute splits "http://host/path".
func (r *request) absolute(target []byte) bool {
	scheme, rest, ok := bytes.Cut(target, []byte("://"))
	if !ok || !equalFold(scheme, "http") && !equalFold(scheme, "https") {
		return false
	}
	end := bytes.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	r.host, r.target = rest[:end], rest[end:]
	if end == len(rest) || rest[end] == '?' {
		r.target = append([]byte{'/'}, rest[end:]...)
	}
	return true
}

// hostChars are the bytes of a host that is no literal address: those that real ones have, out of more that RFC 9110 §4.2 allows.
var hostChars = func() (t [256]bool) {
	for c := range t {
		t[c] = 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
	}
	return t
}()

// validHost reports whether b is a host and perhaps a port (RFC 9110 §4.2, §7.2).
func validHost(b []byte) bool {
	i := 0
	for i < len(b) && hostChars[b[i]] {
		i++
	}
	if i == 0 {
		i = literal(b)
	}
	switch {
	case i == 0:
		return false
	case i == len(b):
		return true
	}
	if b[i] != ':' || i+1 == len(b) { // the port may be empty
		return b[i] == ':'
	}
	_, err := strconv.ParseUint(string(b[i+1:]), 10, 16)
	return err == nil
}

// literal is the length of the literal address that b begins with, brackets included; 0 when it begins with none.
func literal(b []byte) int {
	end := bytes.IndexByte(b, ']')
	if end < 2 || b[0] != '[' || len(bytes.Trim(b[1:end], "0123456789abcdefABCDEF:.")) > 0 {
		return 0
	}
	return end + 1
}

// splitPort cuts the port off a host.
func splitPort(b []byte) (host, port []byte) {
	if i := bytes.LastIndexByte(b, ':'); i >= 0 && bytes.IndexByte(b[i:], ']') < 0 {
		return b[:i], b[i+1:]
	}
	return b, nil
}

// readFraming works out the body, which is streamed.
func (r *request) readFraming() *refusal {
	s := &r.seen
	if s.lengths+s.codings == 0 && s.upgrade == nil {
		return nil
	}
	h := &r.rc.Request.Header
	switch {
	case s.lengths > 1, s.codings > 1, s.lengths > 0 && s.codings > 0:
		return refuse(http.StatusBadRequest, "the request has more than one framing")
	case s.codings == 1 && !equalFold(s.coding, "chunked"): // what is not chunked in the end has no end (RFC 9112 §6.3)
		return refuse(http.StatusBadRequest, "unknown transfer coding %.40q", s.coding)
	case s.codings == 1:
		r.body.length = lengthUnknown
	case s.lengths == 1:
		r.body.length = int64(h.ContentLength())
	}
	if r.body.length != 0 {
		body := &clientBody{rc: r.rc}
		r.body.Reader, r.body.abort = body, body.abort
	}
	r.tunnel = s.connectionUpgrade && equalFold(s.upgrade, "websocket") && h.IsGet() && h.IsHTTP11() && r.body.Reader == nil
	return nil
}

// clientBody reads what the client sends, each piece within a time limit of its own.
type clientBody struct {
	rc      *fasthttp.RequestCtx
	n       atomic.Int64
	ended   atomic.Bool // all has been read
	aborted atomic.Bool
}

// abort ends a Read that waits, and all to come.
func (b *clientBody) abort() {
	b.aborted.Store(true) // before the deadline, which a Read that has just begun may overwrite
	_ = b.rc.SetReadDeadline(time.Unix(1, 0))
}

func (b *clientBody) Read(p []byte) (int, error) {
	stream := b.rc.RequestBodyStream()
	if stream == nil {
		return 0, io.EOF
	}
	if err := b.rc.SetReadDeadline(time.Now().Add(stallLimit)); err != nil {
		return 0, err
	}
	if b.aborted.Load() {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := stream.Read(p)
	b.n.Add(int64(n))
	if err == io.EOF {
		b.ended.Store(true)
	}
	return n, err
}
