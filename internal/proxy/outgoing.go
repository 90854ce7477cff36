package proxy

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"cdnlab/internal/httpcache"
)

const (
	secretHeader = "Cdnlab-Secret"
	errorHeader  = "Cdnlab-Error" // on a 5xx that a tier made, and not the user's app
	innerPrefix  = "cdnlab-"      // of fields that stay between the nodes
)

// tierFields are what a node says about the client to the next one.
var tierFields = []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Request-Id", "CDN-Client-Country", "CDN-Client-City"}

// ownFields are written by the proxy and not passed on: those of the message, those that the tiers own, and those by which
// clients try to make an app see another address, host, path or method than the cache did.
var ownFields = set("Host", "Content-Length", "Expect", "CDN-Loop",
	"X-Forwarded-For", "X-Forwarded-Proto", "X-Request-Id", "CDN-Client-Country", "CDN-Client-City",
	"Forwarded", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Scheme", "X-Forwarded-Ssl",
	"X-Forwarded-Prefix", "X-Forwarded-Path", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Real-Ip", "X-Client-Ip", "Client-Ip",
	"X-Cluster-Client-Ip", "True-Client-Ip", "X-Host", "X-Original-Host", "X-Original-Url", "X-Original-Uri", "X-Original-Path",
	"X-Rewrite-Url", "X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "X-Http-Host-Override", "Front-End-Https", "Proxy")

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
	return len(name) > len(innerPrefix) && strings.EqualFold(name[:len(innerPrefix)], innerPrefix)
}

// want is what a fetch asks for beyond what the client did.
type want struct {
	whole                    bool   // the whole representation, whatever the client's range and preconditions
	noneMatch, modifiedSince string // validators of what is stored
}

// outgoing builds the request for the parents.
func (s *Server) outgoing(r *request, w want) *outgoing {
	b := make([]byte, 0, 1024)
	b = append(b, r.method...)
	b = append(append(append(b, ' '), r.target...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, r.host...), crlf...)
	for name, value := range r.ask.Forward() {
		if contains(ownFields, name) || inner(name) || w.whole && contains(conditionFields, name) {
			continue
		}
		b = appendLine(b, name, value)
	}
	if w.noneMatch != "" {
		b = appendLine(b, "If-None-Match", w.noneMatch)
	}
	if w.modifiedSince != "" {
		b = appendLine(b, "If-Modified-Since", w.modifiedSince)
	}
	b = s.appendOwn(b, r)
	return &outgoing{
		head: b, isHead: r.ask.Method == httpcache.MethodHead, upgrade: r.tunnel, body: r.body,
		repeatable: r.ask.Method != httpcache.MethodUnsafe && r.body.Reader == nil,
		empty:      r.ask.Method == httpcache.MethodUnsafe && r.body.Reader == nil,
		interim:    func(h *responseHead) { passInterim(r, h) },
	}
}

// passInterim hands an interim response, such as 103 Early Hints, to the client at once (RFC 9110 §15.2). A client of HTTP/1.0
// knows none, and a refresh in the background has no client.
func passInterim(r *request, h *responseHead) {
	if r.rc == nil || !r.rc.Request.Header.IsHTTP11() {
		return
	}
	b := append([]byte("HTTP/1.1 "), strconv.Itoa(h.status)...)
	b = append(append(append(b, ' '), http.StatusText(h.status)...), crlf...)
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
	b = appendLine(b, "X-Forwarded-For", c.Addr.String())
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
