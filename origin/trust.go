package origin

import (
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp"

	"cdnlab/internal/place"
	"cdnlab/topology"
)

// Locator tells where the clients sit that reach the origin without an edge; *place.Locator is one.
type Locator interface {
	Locate(netip.Addr) place.Answer
}

const (
	secretHeader   = "Cdnlab-Secret"
	errorHeader    = "Cdnlab-Error" // says that a 5xx is the origin's own and not its app's
	internalPrefix = "cdnlab-"      // of headers that stay between the tiers
)

// tierHeaders are what a tier says about the client; forgeable ones have no meaning here and are dropped from everybody.
var (
	tierHeaders      = []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Request-Id", "CDN-Client-City", "CDN-Client-Country"}
	forgeableHeaders = []string{"Forwarded", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Server", "X-Real-Ip"}
)

// aboutClient returns the headers that tell about the client: those of a tier that knows the lab's secret as they came,
// and of anybody else what its connection shows.
func (s *Server) aboutClient(get func(string) string, peer netip.Addr, site *topology.Site) []Field {
	var fields []Field
	if sameSecret(get(secretHeader), s.cfg.Secret) {
		for _, name := range tierHeaders {
			if value := get(name); value != "" {
				fields = append(fields, Field{name, value})
			}
		}
	} else {
		fields = s.aboutPeer(peer)
	}
	if site.Scheme != "" {
		fields = append(fields, Field{"X-Forwarded-Proto", site.Scheme})
	}
	return fields
}

func (s *Server) aboutPeer(peer netip.Addr) []Field {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	fields := []Field{{"X-Forwarded-Proto", "http"}, {"X-Request-Id", hex.EncodeToString(id[:])}}
	if s.cfg.Locator == nil {
		return append(fields, Field{"X-Forwarded-For", peer.String()})
	}
	a := s.cfg.Locator.Locate(peer)
	fields = append(fields, Field{"X-Forwarded-For", a.Client.String()})
	if a.Location.City != "" {
		fields = append(fields, Field{"CDN-Client-City", a.Location.City})
	}
	if a.Location.Country != "" {
		fields = append(fields, Field{"CDN-Client-Country", a.Location.Country})
	}
	return fields
}

// rewriteRequest replaces what the request says about its client by what is known.
func (s *Server) rewriteRequest(ctx *fasthttp.RequestCtx, site *topology.Site) {
	h := &ctx.Request.Header
	fields := s.aboutClient(func(name string) string { return string(h.Peek(name)) }, addrOf(ctx.RemoteAddr()), site)
	var drop []string
	for name := range h.All() {
		if isInternal(string(name)) {
			drop = append(drop, string(name))
		}
	}
	for _, names := range [][]string{drop, tierHeaders, forgeableHeaders} {
		for _, name := range names {
			h.Del(name)
		}
	}
	for _, f := range fields {
		h.Set(f.Name, f.Value)
	}
}

// rewriteHeader does the same to out, the request to the app, with what in came with.
func (s *Server) rewriteHeader(out http.Header, in *http.Request, site *topology.Site) {
	peer, _ := netip.ParseAddrPort(in.RemoteAddr) // net/http writes it
	fields := s.aboutClient(in.Header.Get, peer.Addr().Unmap(), site)
	for name := range out {
		if isInternal(name) {
			delete(out, name)
		}
	}
	for _, names := range [][]string{tierHeaders, forgeableHeaders} {
		for _, name := range names {
			out.Del(name)
		}
	}
	for _, f := range fields {
		out.Set(f.Name, f.Value)
	}
}

func isInternal(name string) bool { return strings.HasPrefix(strings.ToLower(name), internalPrefix) }

// addrOf returns the address of a peer.
func addrOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	ap, _ := netip.ParseAddrPort(a.String())
	return ap.Addr().Unmap()
}
