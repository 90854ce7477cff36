package mgmt

import (
	"crypto/subtle"
	"net"
	"net/http"
	"slices"
	"strings"
)

// guard refuses what a web page in the user's browser could send: a call under a name that is not local, which DNS
// rebinding makes, and a change from another origin.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local := s.localHost(r.Host)
		if !local && !s.purgesSite(r) {
			s.refuse(w, r, http.StatusForbidden, "this API answers only under the names 127.0.0.1, localhost and ::1, not "+hostOf(r.Host))
			return
		}
		if origin := r.Header.Get("Origin"); changes(r.Method) && origin != "" && !(local && strings.EqualFold(origin, "http://"+r.Host)) {
			s.refuse(w, r, http.StatusForbidden, "changes from pages of "+origin+" are not allowed")
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// purgesSite says whether a call is a PURGE under the name of a site, which needs the token as well: a page that rebinds a name has none.
func (s *Server) purgesSite(r *http.Request) bool {
	_, ok := s.cfg.Topology.Site(r.Host)
	return ok && r.Method == methodPurge
}

// requireToken lets a call pass that carries the lab's token.
func (s *Server) requireToken(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.isToken(bearer(r)) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="cdnlab"`)
			s.refuse(w, r, http.StatusUnauthorized, "this call needs Authorization: Bearer and the token from the file named token in the data directory")
			return
		}
		next(w, r)
	}
}

// bearer is the token of Authorization: Bearer, "" without one.
func bearer(r *http.Request) string {
	if scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		return token
	}
	return ""
}

// isToken compares with the lab's token, in a time that tells nothing about it.
func (s *Server) isToken(given string) bool {
	return subtle.ConstantTimeCompare([]byte(given), []byte(s.cfg.Token)) == 1
}

func (s *Server) refuse(w http.ResponseWriter, r *http.Request, status int, why string) {
	s.logRefusal(r, status, why)
	writeError(w, status, "%s", why)
}

func (s *Server) logRefusal(r *http.Request, status int, why string) {
	s.cfg.Log.Warn("admin call refused", "method", r.Method, "path", r.URL.Path, "host", r.Host,
		"origin", r.Header.Get("Origin"), "client", r.RemoteAddr, "status", status, "reason", why)
}

func (s *Server) localHost(hostport string) bool {
	switch host := hostOf(hostport); {
	case host == "127.0.0.1", host == "::1", strings.EqualFold(host, "localhost"):
		return true
	default:
		return slices.ContainsFunc(s.cfg.Hosts, func(own string) bool { return strings.EqualFold(own, host) })
	}
}

// hostOf cuts the port and an IPv6 address's brackets off.
func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
}

func changes(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}
