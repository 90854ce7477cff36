package origin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
	"time"

	"cdnlab/topology"
)

// denial is why a request is refused; its zero value refuses nothing.
type denial struct {
	status    int
	challenge string // WWW-Authenticate
	message   string
}

const bearerChallenge = `Bearer realm="cdnlab"`

// accessTo returns how path is guarded: by the rule with the longest prefix, public when none matches.
func accessTo(rules []topology.AccessRule, path string) topology.AccessKind {
	kind, longest := topology.AccessPublic, -1
	for _, r := range rules {
		if len(r.Prefix) > longest && strings.HasPrefix(path, r.Prefix) {
			kind, longest = r.Kind, len(r.Prefix)
		}
	}
	return kind
}

// ask is what a request brings to open a guarded path.
type ask struct {
	site, path, query string
	authorization     string
}

// keys opens what is guarded.
type keys struct {
	token  string // of the lab's users
	secret string // of the lab's nodes
	signer signer
}

// deny says why a may not read what kind guards. The token opens signed paths too: its holder could sign a URL.
func (k keys) deny(kind topology.AccessKind, a ask, now time.Time) denial {
	if kind == topology.AccessPublic || k.isToken(a.authorization) {
		return denial{}
	}
	if kind == topology.AccessToken {
		return k.denyToken(a.authorization)
	}
	if err := k.signer.check(a.site, a.path, a.query, now); err != nil {
		return denial{status: http.StatusForbidden, message: err.Error()}
	}
	return denial{}
}

// denyToken says why an Authorization header does not carry the token (RFC 6750 §3).
func (k keys) denyToken(authorization string) denial {
	switch {
	case k.isToken(authorization):
		return denial{}
	case authorization == "":
		return denial{http.StatusUnauthorized, bearerChallenge, "this needs the lab's token: Authorization: Bearer TOKEN"}
	default:
		return denial{http.StatusUnauthorized, bearerChallenge + `, error="invalid_token"`, "the Authorization header does not carry the lab's token"}
	}
}

func (k keys) isToken(authorization string) bool {
	scheme, token, _ := strings.Cut(authorization, " ")
	return strings.EqualFold(scheme, "Bearer") && sameSecret(strings.TrimSpace(token), k.token)
}

// sameSecret compares in a time that tells neither content nor length. An empty secret equals nothing.
func sameSecret(given, want string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && want != ""
}

// guardedCacheControl turns an object's own Cache-Control into that of a guarded response. No shared cache may store a
// guarded response, because the cache could not tell who else has the right; so "private" (RFC 9111 §5.2.2.7) always stands
// there, and what would open it to shared caches is dropped. The rest of the object's own header rules the reader's own cache.
func guardedCacheControl(own string) string {
	const closed = "private, no-store"
	if strings.Count(own, `"`)%2 != 0 {
		return closed
	}
	kept := []string{"private"}
	quoted := false
	for directive := range strings.FieldsFuncSeq(own, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ',' && !quoted
	}) {
		directive = strings.TrimSpace(directive)
		name, _, _ := strings.Cut(directive, "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "", "private", "public", "s-maxage", "proxy-revalidate", "must-understand":
		default:
			kept = append(kept, directive)
		}
	}
	if own == "" {
		return closed
	}
	return strings.Join(kept, ", ")
}
