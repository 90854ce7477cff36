package httpcache

import (
	"strings"
	"testing"
	"time"
)

func TestAdmitStoring(t *testing.T) {
	lm := []string{"Last-Modified", dateAt(-86400)}
	tests := []struct {
		name   string
		ask    *Ask
		resp   *Response
		policy Policy
		refuse string // part of the detail; "" when stored
	}{
		{"§3 explicit freshness", get(), response(200, "Cache-Control", "max-age=60"), Policy{}, ""},
		{"§3 nothing stated, no validator", get(), response(200), Policy{}, "no ETag"},
		{"§3 nothing stated, validator", get(), response(200, "ETag", `"a"`), Policy{}, ""},
		{"§3 nothing stated, site ttl", get(), response(200), Policy{TTL: time.Minute}, ""},
		{"§3 HEAD", request("HEAD"), response(200, "Cache-Control", "max-age=60"), Policy{}, "GET"},
		{"§3 POST", request("POST"), response(200, "Cache-Control", "max-age=60"), Policy{}, "GET"},
		{"§3 unknown status with explicit freshness", get(), response(599, "Cache-Control", "max-age=60"), Policy{}, ""},
		{"§3 unknown status with Expires", get(), response(499, "Expires", dateAt(60)), Policy{}, ""},
		{"§3 interim", get(), response(103, "Cache-Control", "max-age=60"), Policy{}, "status"},
		{"§3 304 that validated nothing", get(), response(304, "Cache-Control", "max-age=60"), Policy{}, "status"},
		{"§3.3 partial", get(), response(206, "Cache-Control", "max-age=60"), Policy{}, "status"},
		{"416 is about one request", get(), response(416, "Cache-Control", "max-age=60"), Policy{}, "status"},
		{"429 is about one client", get(), response(429, "Cache-Control", "max-age=60"), Policy{}, "status"},
		{"§4.2.2 error of unknown freshness", get(), response(500, lm...), Policy{}, "how long"},
		{"§4.2.2 201 by heuristic", get(), response(201, lm...), Policy{}, "how long"},
		{"§4.2.2 403 by heuristic", get(), response(403, lm...), Policy{}, "how long"},
		{"§4.2.2 404 by heuristic", get(), response(404, lm...), Policy{}, ""},
		{"§4.2.2 599 by heuristic when public", get(), response(599, append(lm, "Cache-Control", "public")...), Policy{}, ""},
		{"site ttl is not for errors", get(), response(404), Policy{TTL: time.Minute}, "how long"},
		{"§5.2.1.5 request no-store", get("Cache-Control", "no-store"), response(200, "Cache-Control", "max-age=60"), Policy{}, "request"},
		{"§5.2.2.5 no-store", get(), response(200, "Cache-Control", "max-age=60, no-store"), Policy{}, "no-store"},
		{"§5.2.2.5 No-StOrE", get(), response(200, "Cache-Control", "max-age=60", "Cache-Control", "No-StOrE"), Policy{}, "no-store"},
		{"§5.2.2.7 private", get(), response(200, "Cache-Control", "private, max-age=60"), Policy{}, "private"},
		{"§5.2.2.7 private=\"field\"", get(), response(200, "Cache-Control", `private="a", max-age=60`), Policy{}, ""},
		{"§5.2.2.7 private with a broken list", get(), response(200, "Cache-Control", `private="a b", max-age=60`), Policy{}, "private"},
		{"§5.2.2.4 no-cache with validator", get(), response(200, "Cache-Control", "no-cache", "ETag", `"a"`), Policy{}, ""},
		{"§5.2.2.4 no-cache without", get(), response(200, "Cache-Control", "no-cache"), Policy{}, "no-cache"},
		{"§5.2.2.3 must-understand overrules no-store", get(), response(200, "Cache-Control", "max-age=60, no-store, must-understand"), Policy{}, ""},
		{"§5.2.2.3 must-understand, unknown status", get(), response(599, "Cache-Control", "max-age=60, must-understand"), Policy{}, "unknown status"},
		{"§5.4 Pragma in a response means nothing", get(), response(200, "Cache-Control", "max-age=60", "Pragma", "no-cache"), Policy{}, ""},
		{"§4.1 Vary: *", get(), response(200, "Cache-Control", "max-age=60", "Vary", "a, *"), Policy{}, "Vary"},
		{"§4.1 Vary: * on a second line", get(), response(200, "Cache-Control", "max-age=60", "Vary", "", "Vary", "*"), Policy{}, "Vary"},
		{"§3.5 Authorization", get("Authorization", "x"), response(200, "Cache-Control", "max-age=60"), Policy{}, "Authorization"},
		{"§3.5 Authorization, public", get("Authorization", "x"), response(200, "Cache-Control", "max-age=60, public"), Policy{}, ""},
		{"§3.5 Authorization, s-maxage", get("Authorization", "x"), response(200, "Cache-Control", "s-maxage=60"), Policy{}, ""},
		{"§3.5 Authorization, s-maxage of nothing", get("Authorization", "x"), response(200, "Cache-Control", "s-maxage=0", "ETag", `"a"`), Policy{}, ""},
		{"§3.5 Authorization, must-revalidate", get("Authorization", "x"), response(200, "Cache-Control", "max-age=60, must-revalidate"), Policy{}, ""},
		{"§3.5 Authorization, proxy-revalidate", get("Authorization", "x"), response(200, "Cache-Control", "max-age=60, proxy-revalidate"), Policy{}, "Authorization"},
		{"§7.3 Set-Cookie", get(), response(200, "Cache-Control", "max-age=60", "Set-Cookie", "a=b"), Policy{}, "cookie"},
		{"§7.3 Set-Cookie, public", get(), response(200, "Cache-Control", "max-age=60, public", "Set-Cookie", "a=b"), Policy{}, ""},
		{"§7.3 Set-Cookie, s-maxage", get(), response(200, "Cache-Control", "s-maxage=60", "Set-Cookie", "a=b"), Policy{}, ""},
		{"§7.3 Set-Cookie, s-maxage of nothing", get(), response(200, "Cache-Control", "s-maxage=0", "ETag", `"a"`, "Set-Cookie", "a=b"), Policy{}, ""},
		{"§7.3 Set-Cookie, site option", get(), response(200, "Cache-Control", "max-age=60", "Set-Cookie", "a=b"), Policy{ShareCookies: true}, ""},
		{"§5.2.2.4 Set-Cookie that is not stored", get(), response(200, "Cache-Control", `max-age=60, no-cache="set-cookie"`, "Set-Cookie", "a=b"), Policy{}, ""},
		{"cookie, explicit freshness", get("Cookie", "a=b"), response(200, "Cache-Control", "max-age=60"), Policy{}, ""},
		{"cookie, stale at once", get("Cookie", "a=b"), response(200, "Cache-Control", "max-age=0", "ETag", `"a"`), Policy{StaleIfError: time.Hour}, "carries a cookie"},
		{"cookie, site ttl", get("Cookie", "a=b"), response(200), Policy{TTL: time.Minute}, "carries a cookie"},
		{"cookie, by heuristic", get("Cookie", "a=b"), response(200, lm...), Policy{}, "carries a cookie"},
		{"cookie, nothing stated, validator", get("cookie", "a=b"), response(200, "ETag", `"a"`), Policy{}, "carries a cookie"},
		{"cookie, by heuristic when public", get("Cookie", "a=b"), response(200, append(lm, "Cache-Control", "public")...), Policy{}, ""},
		{"cookie, site ttl, Vary: Cookie", get("Cookie", "a=b"), response(200, "Vary", "Accept, Cookie"), Policy{TTL: time.Minute}, ""},
		{"cookie, site ttl, told apart by the site", get("Cookie", "a=b"), response(200), Policy{TTL: time.Minute, Vary: VaryOf(nil, []string{"a"})}, ""},
		{"cookie, site ttl, site option", get("Cookie", "a=b"), response(200), Policy{TTL: time.Minute, ShareCookies: true}, ""},
		{"RFC 9213 targeted overrules no-store", get(), response(200, "Cache-Control", "no-store", "CDN-Cache-Control", "max-age=60"), Policy{}, ""},
		{"RFC 9213 targeted no-store", get(), response(200, "Cache-Control", "max-age=60", "CDN-Cache-Control", "no-store"), Policy{}, "no-store"},
		{"RFC 9213 targeted private", get(), response(200, "Cache-Control", "max-age=60", "CDN-Cache-Control", "private"), Policy{}, "private"},
		{"RFC 9213 broken field is ignored whole", get(), response(200, "Cache-Control", "no-store", "CDN-Cache-Control", "max-age=60, &&&"), Policy{}, "no-store"},
		{"RFC 9213 wrong type is ignored whole", get(), response(200, "Cache-Control", "no-store", "CDN-Cache-Control", `max-age="60"`), Policy{}, "no-store"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			adm := Admit(tt.ask, tt.resp, &tt.policy)
			if adm.Stored != (tt.refuse == "") || !strings.Contains(adm.Detail, tt.refuse) {
				t.Errorf("Admit = stored %v, detail %q; want detail with %q", adm.Stored, adm.Detail, tt.refuse)
			}
			if !adm.Stored && adm.Header != "" {
				t.Errorf("Admit refused and returned the header %q", adm.Header)
			}
		})
	}
}

func TestAdmitFields(t *testing.T) {
	adm := Admit(get(), response(200,
		"Date", noonDate, "Connection", "a, B", "A", "1", "b", "2", "C", "3", "Keep-Alive", "x", "Proxy-Authenticate", "x",
		"Proxy-Authentication-Info", "x", "Proxy-Authorization", "x", "Proxy-Connection", "x", "TE", "x", "Transfer-Encoding", "x",
		"Upgrade", "x", "Trailer", "x", "Cache-Control", `max-age=60, no-cache="d", private="E, f"`, "D", "4", "e", "5", "F", "6",
		"Age", "1", "Content-Length", "5", "Cache-Status", "x", "Server-Timing", "x", "X-Cache", "x", "X-Request-Id", "x",
		"Cdnlab-Secret", "x", "Content-Range", "bytes 0-1/2", "Set-Cookie2", "a=b", "Content-Encoding", "gzip", "Link", "a", "Link", "b",
	), &Policy{})
	want := MakeHeader("Date", noonDate, "C", "3", "Cache-Control", `max-age=60, no-cache="d", private="E, f"`,
		"Content-Range", "bytes 0-1/2", "Set-Cookie2", "a=b", "Content-Encoding", "gzip", "Link", "a", "Link", "b")
	if adm.Header != want {
		t.Errorf("Admit stores\n%swant (RFC 9111 §3.1)\n%s", adm.Header, want)
	}
	if once := MakeHeader("D", "4", "e", "5", "F", "6"); adm.Once != once {
		t.Errorf("Admit leaves to the request that fetched it\n%swant (RFC 9111 §5.2.2.4)\n%s", adm.Once, once)
	}
}

func TestAdmitDate(t *testing.T) {
	for name, pairs := range map[string][]string{"missing": {}, "invalid": {"Date", "yesterday"}} {
		t.Run(name, func(t *testing.T) {
			r := response(200, append(pairs, "Cache-Control", "max-age=60")...)
			r.ResponseTime += 300e6
			adm := Admit(get(), r, &Policy{})
			if got := adm.Header.Get("Date"); got != noonDate {
				t.Errorf("stored Date = %q, want the second of arrival %q (RFC 9110 §6.6.1)", got, noonDate)
			}
		})
	}
}

func TestAdmitDoesNotHoldTheResponse(t *testing.T) {
	adm := admit(t, "Cache-Control", "max-age=60", "ETag", `"abc"`)
	if adm.Meta.ETag != `"abc"` {
		t.Fatalf("ETag = %q", adm.Meta.ETag)
	}
	if !strings.Contains(string(adm.Header), adm.Meta.ETag) {
		t.Error("ETag is not part of the stored header")
	}
}
