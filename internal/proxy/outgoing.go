package proxy

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"cdnlab/internal/httpcache"
	"cdnlab/internal/journal"
)

const (
	secretHeader = "Cdnlab-Secret"
	peerHeader   = "Cdnlab-Peer" // on a request to another server of the same PoP: peerRelay or peerCopy
	peerRelay    = "relay"
	peerCopy     = "copy"
	passHeader   = "Cdnlab-Pass"  // on a request without the fields that its Connection nominated: no tier may store the answer
	pushHeader   = "Cdnlab-Push"  // on a request of the distribution tree, which has no client
	errorHeader  = "Cdnlab-Error" // on a 5xx that a tier made, and not the user's app
	innerPrefix  = "cdnlab-"      // of fields that stay between the nodes
)

// tierFields are what a node says about the client to the next one.
var tierFields = []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Request-Id", "CDN-Client-Country", "CDN-Client-City"}

// ownFields are written by the proxy and not passed on: those of the message, those that the tiers own, and those by which
// clients try to make an app see another address, host, path or method than the cache did. Of all that begin like one of
// ownPrefixes the same holds.
var (
	ownFields = set("Host", "Content-Length", "Transfer-Encoding", "Expect", "CDN-Loop", "X-Request-Id", "CDN-Client-Country", "CDN-Client-City",
		"Forwarded", "Forwarded-For", "X-Forwarder-For", "Client-Ip", "True-Client-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "X-Originating-Ip",
		"X-Remote-Ip", "X-Remote-Addr", "X-Proxyuser-Ip", "Cf-Connecting-Ip", "Fastly-Client-Ip", "X-Host", "X-Backend-Host", "X-Http-Host-Override",
		"X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "X-Http-Destinationurl", "X-Override-Url", "X-Proxy-Url", "X-Url-Scheme", "X-Scheme",
		"Base-Url", "Http-Url", "Request-Uri", "Front-End-Https", "Proxy", "Proxy-Host", "Proxy-Url", "Proxy-Client-Ip", "Wl-Proxy-Client-Ip", "Wl-Proxy-Ssl",
		"X-Host-Override", "Host-Override", "X-Http-Host", "Http-Host", "Origin-Host", "Fastly-Host", "X-Gateway-Host", "X-Server-Name", "X-Server-Host",
		"X-Base-Url", "X-Request-Uri", "X-Url", "X-Uri", "X-Path", "X-Http-Path-Override", "X-Matched-Path", "X-Now-Route-Matches", "X-Middleware-Subrequest",
		"X-Https", "Https", "X-Ssl", "X-Arr-Ssl", "Ssl-Offloaded", "Fastly-Ssl", "Cf-Visitor", "Cloudfront-Forwarded-Proto", "X-Custom-Ip-Authorization",
		"X-Sendfile-Type", "X-Accel-Mapping", "Surrogate-Capability")
	ownPrefixes = []string{"x-forwarded", "x-forward-", "x-original-", "x-rewrite-", "x-real-", "x-envoy-", "x-invoke-"}
)

// owned reports whether a field of a request is not passed on. Apps behind CGI and its heirs tell "_" from "-" no more.
func owned(name string) bool {
	if strings.IndexByte(name, '_') >= 0 {
		name = strings.ReplaceAll(name, "_", "-")
	}
	for _, p := range ownPrefixes {
		if len(name) >= len(p) && strings.EqualFold(name[:len(p)], p) {
			return true
		}
	}
	return contains(ownFields, name)
}

// conditionFields select what of a representation is sent; a fetch that fills the cache wants all of it.
var conditionFields = set("Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")

// set holds field names in lower case.
func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[strings.ToLower(n)] = true
	}
	return m
}

// contains looks a field name up in any case, without allocating.
func contains(m map[string]bool, name string) bool {
	var buf [32]byte
	if len(name) > len(buf) {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		buf[i] = c
	}
	return m[string(buf[:len(name)])]
}

// inner reports whether a field stays between the nodes.
func inner(name string) bool {
	n := len(innerPrefix)
	return len(name) > n && strings.EqualFold(name[:n-1], innerPrefix[:n-1]) && (name[n-1] == '-' || name[n-1] == '_')
}

// want is what a fetch asks for beyond what the client did.
type want struct {
	whole                    bool           // the whole representation, whatever the client's range and preconditions
	noneMatch, modifiedSince string         // validators of what is stored
	span                     httpcache.Span // of the representation; all of it when its Length is 0
	unchanged                string         // entity tag without which the span is of no use
	relay                    bool           // from another server of the PoP
}

// outgoing builds the request for the parents. It holds until the next one is built for r, which has room for one.
func (s *Server) outgoing(r *request, w want) *outgoing {
	b := append(r.wire[:0], r.method...)
	b = append(append(append(b, ' '), r.target...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, r.host...), crlf...)
	condition := w.noneMatch != "" || w.modifiedSince != ""
	if w.whole {
		if !r.lined {
			r.lines, _ = r.appendFields(r.lines[:0], true)
			r.lined = true
		}
		b = append(b, r.lines...)
	} else {
		var asked bool
		b, asked = r.appendFields(b, false)
		condition = condition || asked
	}
	if w.noneMatch != "" {
		b = appendLine(b, "If-None-Match", w.noneMatch)
	}
	if w.modifiedSince != "" {
		b = appendLine(b, "If-Modified-Since", w.modifiedSince)
	}
	if w.span.Length > 0 {
		b = append(strconv.AppendInt(append(b, "Range: bytes="...), w.span.First, 10), '-')
		b = append(strconv.AppendInt(b, w.span.First+w.span.Length-1, 10), crlf...)
	}
	if w.unchanged != "" {
		b = appendLine(b, "If-Range", w.unchanged)
	}
	if r.marked {
		b = appendLine(b, passHeader, "1")
	}
	if r.ofPush() {
		b = appendLine(b, pushHeader, "1")
	}
	switch {
	case w.relay:
		b = appendLine(b, peerHeader, peerRelay)
	case r.home != nil:
		b = appendLine(b, peerHeader, peerCopy)
	}
	b = s.appendOwn(b, r)
	r.wire = b
	repeatable, patience := r.ask.Method != httpcache.MethodUnsafe && r.body.Reader == nil, headTimeout
	if repeatable && s.cfg.Patience > 0 {
		patience = s.cfg.Patience
	}
	var claimed journal.Position
	feed := r.site.feed
	if feed != nil && r.ask.Method != httpcache.MethodUnsafe {
		claimed = feed.Claimed()
	} else {
		feed = nil
	}
	r.sent = outgoing{
		of: r, home: r.home, feed: feed, claimed: claimed, head: b, isHead: r.ask.Method == httpcache.MethodHead, upgrade: r.tunnel, body: r.body, condition: condition, ranged: r.ask.Range != "" || r.trusted || w.span.Length > 0,
		repeatable: repeatable, patience: patience, again: s.again,
		empty: r.ask.Method == httpcache.MethodUnsafe && r.body.Reader == nil,
	}
	return &r.sent
}

// appendFields appends what of the client's fields is passed on. Without those that select what of a representation is sent, the
// whole is; otherwise conditional says that there is a precondition among them.
func (r *request) appendFields(b []byte, whole bool) (_ []byte, conditional bool) {
	for name, value := range r.ask.Forward() {
		if owned(name) || inner(name) {
			continue
		}
		if contains(conditionFields, name) {
			if whole {
				continue
			}
			conditional = conditional || !strings.EqualFold(name, "Range")
		}
		b = appendLine(b, name, value)
	}
	return b, conditional
}

// passInterim hands an interim response, such as 103 Early Hints, to the client at once (RFC 9110 §15.2). A client of HTTP/1.0
// knows none, and a refresh in the background has no client.
func passInterim(r *request, h *responseHead) {
	if r.rc == nil || !r.rc.Request.Header.IsHTTP11() {
		return
	}
	b := statusLine(h.status)
	for name, value := range h.header.Forward() {
		if !inner(name) && !contains(handlingFields, name) {
			b = appendLine(b, name, value)
		}
	}
	conn := r.rc.Conn()
	if conn.SetWriteDeadline(time.Now().Add(stallLimit)) == nil {
		_, _ = conn.Write(append(b, crlf...)) // the final response meets the same end
	}
}

// appendOwn appends what this node says to the next one.
func (s *Server) appendOwn(b []byte, r *request) []byte {
	for v := range r.ask.Values("CDN-Loop") { // whatever Connection says of it (RFC 8586 §2)
		b = appendLine(b, "CDN-Loop", v)
	}
	b = appendLine(b, "CDN-Loop", s.loop)
	b = appendLine(b, "Via", s.via)
	if r.trusted {
		for _, name := range tierFields {
			for v := range r.ask.Values(name) {
				b = appendLine(b, name, v)
			}
		}
	} else {
		b = s.appendClient(b, r)
	}
	if s.cfg.Secret != "" {
		b = appendLine(b, secretHeader, s.cfg.Secret)
	}
	if r.tunnel {
		b = append(b, "Connection: Upgrade\r\nUpgrade: websocket\r\n"...)
	}
	return b
}

func (s *Server) appendClient(b []byte, r *request) []byte {
	c := s.client(r)
	b = append(c.Addr.AppendTo(append(b, "X-Forwarded-For: "...)), crlf...)
	b = appendLine(b, "X-Forwarded-Proto", "http")
	b = appendLine(b, "X-Request-Id", string(r.id[:]))
	if c.Country != "" {
		b = appendLine(b, "CDN-Client-Country", c.Country)
	}
	if c.City != "" {
		b = appendLine(b, "CDN-Client-City", c.City)
	}
	return b
}

// client tells who sent the request; a node that is trusted tells itself.
func (s *Server) client(r *request) Client {
	if !r.placed {
		r.client, r.placed = s.place(r), true
	}
	return r.client
}

func (s *Server) place(r *request) Client {
	addr := s.peerOf(r)
	if r.trusted {
		if a, err := netip.ParseAddr(r.ask.Get("X-Forwarded-For")); err == nil {
			addr = a
		}
	}
	if s.cfg.Locate == nil {
		return Client{Addr: addr}
	}
	return s.cfg.Locate(addr)
}

// addrOf returns the address of a peer.
func addrOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	ap, _ := netip.ParseAddrPort(a.String()) // the zero address stands for a peer without one
	return ap.Addr().Unmap()
}

// makeID names the request: unpredictable, and unique for all practical purposes.
func (r *request) makeID() {
	var raw [16]byte
	binary.LittleEndian.PutUint64(raw[:], rand.Uint64())
	binary.LittleEndian.PutUint64(raw[8:], rand.Uint64())
	hex.Encode(r.id[:], raw[:])
}

func appendLine(b []byte, name, value string) []byte {
	b = append(append(b, name...), ": "...)
	return append(append(b, value...), crlf...)
}
