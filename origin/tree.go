package origin

import (
	"net"
	"net/http"

	"github.com/valyala/fasthttp"

	"cdnlab/internal/journal"
)

// Tree is the root of the tree that the origin's changes travel along; *distribution.Root is one.
type Tree interface {
	// Position is where the journal is.
	Position() journal.Position
	// Published is told that an object has another version now; "" says that it is gone.
	Published(site, path, version string)
	// Take returns what is to be done with the connection of a node that asks for a target; nil for targets that are not the tree's.
	Take(target string) func(net.Conn)
}

// positionHeader tells a node how far the journal was when its request came: the response has seen every purge up to there.
const positionHeader = "Cdnlab-Position"

// takeInner hands a connection to the tree on which a node asks for something of it.
func (s *Server) takeInner(ctx *fasthttp.RequestCtx) bool {
	h := &ctx.Request.Header
	if s.cfg.Tree == nil || !sameSecret(string(h.Peek(secretHeader)), s.cfg.Secret) || !s.probe.Own(hostName(string(h.Host()))) {
		return false
	}
	run := s.cfg.Tree.Take(string(h.RequestURI()))
	if run == nil {
		return false
	}
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(c net.Conn) { run(c) })
	return true
}

// takeInner does the same for the server of an app.
func (a *app) takeInner(w http.ResponseWriter, r *http.Request) bool {
	if a.s.cfg.Tree == nil || !sameSecret(r.Header.Get(secretHeader), a.s.cfg.Secret) || !a.s.probe.Own(hostName(r.Host)) {
		return false
	}
	run := a.s.cfg.Tree.Take(r.RequestURI)
	if run == nil {
		return false
	}
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	run(c)
	return true
}

// position is what responses to a node say of the journal; "" for others.
func (s *Server) position(secret string) string {
	if s.cfg.Tree == nil || !sameSecret(secret, s.cfg.Secret) {
		return ""
	}
	return s.cfg.Tree.Position().String()
}
