package httpcache

import (
	"strconv"
	"strings"
	"time"
)

// Fwd is the reason for which a request went upstream (RFC 9211 §2.2).
type Fwd uint8

// The reasons.
const (
	FwdNone     Fwd = iota // it did not
	FwdBypass              // the cache was told not to handle it
	FwdMethod              // its method asks for it
	FwdURIMiss             // nothing is stored under its URI
	FwdVaryMiss            // what is stored under its URI does not match its header fields
	FwdMiss                // nothing stored can answer it, for reasons that are not told apart
	FwdRequest             // it asked for something fresher than what is stored
	FwdStale               // what is stored is stale
	FwdPartial             // what is stored holds only a part of what it asked for
)

var fwdNames = [...]string{"", "bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale", "partial"}

// String gives the token of RFC 9211; "" for FwdNone.
func (f Fwd) String() string { return fwdNames[f] }

// CacheStatus is one member of the Cache-Status field (RFC 9211 §2): how one cache handled the request.
type CacheStatus struct {
	Cache     string // name of the cache as AppendCacheName writes it
	Hit       bool
	Fwd       Fwd
	FwdStatus int // status received from upstream; written when not 0
	Stored    bool
	Collapsed bool
	HasTTL    bool
	TTL       time.Duration // remaining freshness, negative when stale
	Detail    string
}

// Append appends the member to dst. It allocates only to grow dst.
func (s *CacheStatus) Append(dst []byte) []byte {
	dst = append(dst, s.Cache...)
	if s.Hit {
		dst = append(dst, ";hit"...)
	} else if s.Fwd != FwdNone {
		dst = append(dst, ";fwd="...)
		dst = append(dst, s.Fwd.String()...)
		if s.FwdStatus != 0 {
			dst = append(dst, ";fwd-status="...)
			dst = strconv.AppendInt(dst, int64(s.FwdStatus), 10)
		}
		if s.Stored {
			dst = append(dst, ";stored"...)
		}
		if s.Collapsed {
			dst = append(dst, ";collapsed"...)
		}
	}
	if s.HasTTL {
		dst = append(dst, ";ttl="...)
		dst = strconv.AppendInt(dst, int64(s.TTL/time.Second), 10)
	}
	if s.Detail != "" {
		dst = append(dst, ";detail="...)
		dst = appendSFString(dst, s.Detail)
	}
	return dst
}

// Had reports whether the last cache that a response has passed, which has the given name and writes its member as Append does, did
// not fetch it for this request: it had it stored, fresh or stale or found to be good still, or was just storing it.
func Had(h Header, name string) bool {
	var member string
	for v := range h.Values("Cache-Status") {
		member = v
	}
	name = string(AppendCacheName(nil, name)) + ";"
	if i := strings.LastIndex(member, ", "+name); i >= 0 {
		member = member[i+len(", "):]
	}
	member, ours := strings.CutPrefix(member, name)
	member, _, _ = strings.Cut(member, ";detail=")
	return ours && (member == "hit" || strings.HasPrefix(member, "hit;") || strings.Contains(member, ";fwd-status=304") || strings.Contains(member, ";collapsed"))
}

// AppendCacheName appends the name of a cache as a token, or as a string when it is none because it begins with a digit or has other
// characters (RFC 9211 §2, RFC 9651 §3.3.4).
func AppendCacheName(dst []byte, name string) []byte {
	if token(name) && ('a' <= lower(name[0]) && lower(name[0]) <= 'z' || name[0] == '*') {
		return append(dst, name...)
	}
	return appendSFString(dst, name)
}

// appendSFString appends a structured-field string (RFC 9651 §3.3.3); bytes that none may hold become "?".
func appendSFString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ' || c > '~':
			dst = append(dst, '?')
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
