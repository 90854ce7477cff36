package origin

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"cdnlab/topology"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func testKeys(t testing.TB) keys {
	t.Helper()
	s, err := newSigner(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	return keys{testToken, testSecret, s}
}

func TestLongestPrefixWins(t *testing.T) {
	rules := []topology.AccessRule{{Prefix: "/a/", Kind: topology.AccessToken}, {Prefix: "/a/b/", Kind: topology.AccessPublic}, {Prefix: "/a/b/c", Kind: topology.AccessSigned}}
	for path, want := range map[string]topology.AccessKind{
		"/": topology.AccessPublic, "/a": topology.AccessPublic, "/a/": topology.AccessToken, "/a/x": topology.AccessToken,
		"/a/b/x": topology.AccessPublic, "/a/b/c": topology.AccessSigned, "/a/b/cd/e": topology.AccessSigned, "/A/x": topology.AccessPublic,
	} {
		if got := accessTo(rules, path); got != want {
			t.Errorf("accessTo(%q) = %v, want %v", path, got, want)
		}
	}
	if got := accessTo([]topology.AccessRule{{Prefix: "/", Kind: topology.AccessToken}}, "/x"); got != topology.AccessToken {
		t.Errorf("accessTo with a rule for / = %v, want token", got)
	}
}

func TestWhoMayRead(t *testing.T) {
	k := testKeys(t)
	other, err := newSigner("another lab's secret")
	if err != nil {
		t.Fatal(err)
	}
	good := k.signer.query(testSite, "/paid/a", noon.Add(time.Hour))
	bearer := "Bearer " + testToken
	for _, c := range []struct {
		name          string
		kind          topology.AccessKind
		authorization string
		query         string
		now           time.Time
		status        int
		message       string
	}{
		{"public", topology.AccessPublic, "", "", noon, 0, ""},
		{"token missing", topology.AccessToken, "", "", noon, 401, "needs the lab's token"},
		{"token wrong", topology.AccessToken, "Bearer x", "", noon, 401, "does not carry"},
		{"token empty", topology.AccessToken, "Bearer ", "", noon, 401, "does not carry"},
		{"token in another scheme", topology.AccessToken, "Basic " + testToken, "", noon, 401, "does not carry"},
		{"token", topology.AccessToken, bearer, "", noon, 0, ""},
		{"scheme in other letters", topology.AccessToken, "bearer " + testToken, "", noon, 0, ""},
		{"a signed URL opens no token path", topology.AccessToken, "", good, noon, 401, "needs the lab's token"},
		{"unsigned", topology.AccessSigned, "", "", noon, 403, "signed URLs only"},
		{"signed", topology.AccessSigned, "", good, noon, 0, ""},
		{"signed, with other parameters around", topology.AccessSigned, "", "a=1&" + good + "&b=2", noon, 0, ""},
		{"the last moment", topology.AccessSigned, "", good, noon.Add(time.Hour - 1), 0, ""},
		{"expired", topology.AccessSigned, "", good, noon.Add(time.Hour), 403, "expired at 2026-05-01T13:00:00Z"},
		{"for another path", topology.AccessSigned, "", k.signer.query(testSite, "/paid/b", noon.Add(time.Hour)), noon, 403, "signature"},
		{"for another site", topology.AccessSigned, "", k.signer.query("img.cdn.test", "/paid/a", noon.Add(time.Hour)), noon, 403, "signature"},
		{"by another secret", topology.AccessSigned, "", other.query(testSite, "/paid/a", noon.Add(time.Hour)), noon, 403, "signature"},
		{"a later expiry", topology.AccessSigned, "", strings.Replace(good, "expires=1", "expires=2", 1), noon, 403, "signature"},
		{"expires twice", topology.AccessSigned, "", good + "&expires=9999999999", noon, 403, "twice"},
		{"signature twice", topology.AccessSigned, "", good + "&signature=AA", noon, 403, "twice"},
		{"expires in another spelling", topology.AccessSigned, "", strings.Replace(good, "expires=", "expires=%2B", 1), noon, 403, "not a time"},
		{"the token opens signed paths", topology.AccessSigned, bearer, "", noon, 0, ""},
	} {
		d := k.deny(c.kind, ask{testSite, "/paid/a", c.query, c.authorization}, c.now)
		if d.status != c.status || !strings.Contains(d.message, c.message) {
			t.Errorf("%s: deny = %d %q, want %d %q", c.name, d.status, d.message, c.status, c.message)
		}
		if (d.status == http.StatusUnauthorized) != (d.challenge != "") {
			t.Errorf("%s: %d with challenge %q", c.name, d.status, d.challenge)
		}
	}
}

func TestAnEmptySecretOpensNothing(t *testing.T) {
	if sameSecret("", "") || (keys{}).isToken("Bearer ") {
		t.Error("an empty secret equals an empty header")
	}
}

func TestGuardedResponsesAreClosedToSharedCaches(t *testing.T) {
	for own, want := range map[string]string{
		"":                                  "private, no-store",
		"max-age=60":                        "private, max-age=60",
		"public, max-age=60, s-maxage=3600": "private, max-age=60",
		"PUBLIC,Max-Age=60":                 "private, Max-Age=60",
		"no-cache":                          "private, no-cache",
		`private="X-A, X-B", max-age=5`:     "private, max-age=5",
		`no-cache="A, public", max-age=1`:   `private, no-cache="A, public", max-age=1`,
		"must-revalidate, proxy-revalidate": "private, must-revalidate",
		`max-age="60`:                       "private, no-store",
		" , ,":                              "private",
		"stale-if-error=60":                 "private, stale-if-error=60",
	} {
		if got := guardedCacheControl(own); got != want {
			t.Errorf("guardedCacheControl(%q) = %q, want %q", own, got, want)
		}
	}
}

// FuzzGuardedCacheControl holds that "private" stands there unquoted and that nothing opens the response again, even to a cache
// that knows no quotes.
func FuzzGuardedCacheControl(f *testing.F) {
	for _, seed := range []string{"public", `a="b,public"`, `"`, "s-maxage = 1", "private=x", `\",public`, "public\t"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, own string) {
		got := guardedCacheControl(own)
		if got != "private" && !strings.HasPrefix(got, "private, ") {
			t.Fatalf("guardedCacheControl(%q) = %q does not start with private", own, got)
		}
		quoted := false
		for i, part := range strings.Split(got, ",") {
			name, _, _ := strings.Cut(strings.TrimSpace(part), "=")
			if !quoted && i > 0 && (strings.EqualFold(strings.TrimSpace(name), "public") || strings.EqualFold(strings.TrimSpace(name), "s-maxage")) {
				t.Fatalf("guardedCacheControl(%q) = %q", own, got)
			}
			quoted = quoted != (strings.Count(part, `"`)%2 == 1)
		}
	})
}

func FuzzSignature(f *testing.F) {
	k := testKeys(f)
	f.Add(k.signer.query(testSite, "/paid/a", noon.Add(time.Hour)))
	f.Add("expires=1&signature=")
	f.Add("signature=AAAA&expires=-1&&x")
	f.Add("expires=99999999999999999999&signature=__")
	good := k.signer.mac(testSite, "/paid/a", noon.Add(time.Hour).Unix())
	f.Fuzz(func(t *testing.T, query string) {
		expires, sum, err := parseSignature(query)
		if open := k.signer.check(testSite, "/paid/a", query, noon) == nil; open && (err != nil || string(sum) != string(good) || expires != noon.Add(time.Hour).Unix()) {
			t.Errorf("check opens %q", query)
		}
	})
}
