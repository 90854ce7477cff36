package origin

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"cdnlab/topology"
)

func TestObjectsAPI(t *testing.T) {
	l := start(t, topology.Origin{})
	item := func(path string, more ...string) url.Values {
		v := url.Values{"path": {path}}
		for i := 0; i < len(more); i += 2 {
			v.Set(more[i], more[i+1])
		}
		return v
	}
	var e Entry
	l.api(http.MethodPut, apiItem, item("/a b/ü.html"), strings.NewReader("one"), &e,
		"Cdnlab-Header: X-Note: first: of all", "Cdnlab-Header: cache-control: max-age=9", "Cache-Control: no-store", "Content-Type: text/x-one").
		want(t, "PUT", 201, "")
	if e.Path != "/a b/ü.html" || e.Number != 1 || e.Size != 3 || e.ETag == "" {
		t.Errorf("PUT tells %+v", e)
	}
	a := l.get("/a%20b/%C3%BC.html")
	a.want(t, "GET on the site", 200, "one")
	for name, want := range map[string]string{"X-Note": "first: of all", "Cache-Control": "max-age=9", "Content-Type": "text/x-one"} {
		if got := a.header.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	l.api(http.MethodPut, apiItem, item("/a b/ü.html"), strings.NewReader("two"), nil).want(t, "PUT again", 200, `"version":2`)
	a = l.api(http.MethodGet, apiItem, item("/a b/ü.html", "version", "1"), nil, nil)
	a.want(t, "GET of version 1", 200, "one")
	if got := a.header.Get("Cache-Control"); got != "private, no-store" {
		t.Errorf("Cache-Control of a version read through the API = %q", got)
	}
	l.api(http.MethodGet, apiItem, item("/a b/ü.html"), nil, nil).want(t, "GET of the current version", 200, "two")
	var versions struct{ Versions []Version }
	l.api(http.MethodGet, apiVersions, item("/a b/ü.html"), nil, &versions)
	if len(versions.Versions) != 2 || versions.Versions[0].Number != 2 {
		t.Errorf("versions = %+v, want 2 then 1", versions)
	}
	l.api(http.MethodPost, apiRollback, item("/a b/ü.html", "version", "1"), nil, &e)
	if e.Number != 3 || e.From != 1 {
		t.Errorf("rollback tells %+v", e)
	}
	l.get("/a%20b/%C3%BC.html").want(t, "GET after rollback", 200, "one")
	l.api(http.MethodDelete, apiItem, item("/a b/ü.html", "version", "2"), nil, nil).want(t, "DELETE of an old version", 204, "")
	l.api(http.MethodGet, apiItem, item("/a b/ü.html", "version", "2"), nil, nil).want(t, "GET of it", 404, "no such version")
	l.api(http.MethodDelete, apiItem, item("/a b/ü.html", "version", "3"), nil, nil).want(t, "DELETE of the current version", 409, "current version")
	l.api(http.MethodDelete, apiItem, item("/a b/ü.html"), nil, nil).want(t, "DELETE", 204, "")
	l.get("/a%20b/%C3%BC.html").want(t, "GET after DELETE", 404, "no such object")
}

func TestObjectsAPIListsInPages(t *testing.T) {
	l := start(t, topology.Origin{})
	for _, p := range []string{"/b/1", "/b/2", "/b/3", "/a"} {
		l.put(p, p)
	}
	var got []string
	params := url.Values{"prefix": {"/b/"}, "limit": {"2"}}
	for range 5 {
		var page struct {
			Objects []Entry
			Next    string
		}
		l.api(http.MethodGet, apiList, params, nil, &page)
		for _, e := range page.Objects {
			got = append(got, e.Path)
		}
		if page.Next == "" {
			break
		}
		params.Set("after", page.Next)
	}
	if strings.Join(got, " ") != "/b/1 /b/2 /b/3" {
		t.Errorf("pages hold %v", got)
	}
	l.api(http.MethodGet, apiList, url.Values{"site": {"img.cdn.test"}}, nil, nil).want(t, "an empty listing", 200, `"objects":[]`)
}

func TestObjectsAPIRefusals(t *testing.T) {
	l := start(t, topology.Origin{})
	l.put("/a", "x")
	for _, c := range []struct {
		name, method, call, query string
		status                    int
		body                      string
	}{
		{"unknown site", "GET", apiList, "site=moon.test", 400, `no site "moon.test" at this origin: the sites are img.cdn.test, www.cdn.test`},
		{"site of another origin", "GET", apiList, "site=elsewhere.test", 400, "no site"},
		{"no site", "GET", apiList, "", 400, "no site"},
		{"bad query", "GET", apiList, "site=%zz", 400, "bad query"},
		{"bad limit", "GET", apiList, "site=" + testSite + "&limit=0", 400, "bad limit"},
		{"no path", "GET", apiItem, "site=" + testSite, 400, "starts with /"},
		{"path with dots", "PUT", apiItem, "site=" + testSite + "&path=/../a", 400, "segment"},
		{"bad version", "GET", apiItem, "site=" + testSite + "&path=/a&version=x", 400, "bad version"},
		{"PUT of a version", "PUT", apiItem, "site=" + testSite + "&path=/a&version=1", 400, "leave version out"},
		{"rollback without a version", "POST", apiRollback, "site=" + testSite + "&path=/a", 400, "which version"},
		{"rollback of nothing", "POST", apiRollback, "site=" + testSite + "&path=/b&version=1", 404, "no such object"},
		{"versions of nothing", "GET", apiVersions, "site=" + testSite + "&path=/b", 404, "no such object"},
		{"sign without a time", "POST", apiSign, "site=" + testSite + "&path=/a", 400, "bad for"},
		{"sign for too long", "POST", apiSign, "site=" + testSite + "&path=/a&for=200h", 400, "at most 168h"},
		{"sign for no time", "POST", apiSign, "site=" + testSite + "&path=/a&for=1ms", 400, "at least 1s"},
		{"sign what only the token opens", "POST", apiSign, "site=" + testSite + "&path=/secret/a&for=1h", 409, "open to the token only"},
		{"wrong method", "POST", apiList, "site=" + testSite, 405, "takes GET"},
		{"unknown call", "GET", "/-/objects/x", "", 404, "the objects API has"},
	} {
		a := l.at(l.addr, c.method, c.call+"?"+c.query, nil, withToken)
		a.want(t, c.name, c.status, c.body)
	}
	for _, header := range []string{"Cdnlab-Header: no colon", "Cdnlab-Header: Content-Length: 5", "Cdnlab-Header: Cdnlab-X: 5", "Cdnlab-Header: a b: c", "Cdnlab-Header: : c"} {
		a := l.api(http.MethodPut, apiItem, url.Values{"path": {"/h"}}, strings.NewReader("x"), nil, header)
		if a.status != 400 {
			t.Errorf("PUT with %s = %d, want 400", header, a.status)
		}
	}
	l.get("/h").want(t, "what was refused", 404, "")
}

func TestWhoMayCallTheAPI(t *testing.T) {
	l := start(t, topology.Origin{})
	const target = apiList + "?site=" + testSite
	for _, c := range []struct {
		name, field string
		status      int
	}{
		{"nobody without a key", "X: y", 401},
		{"the token", withToken, 200},
		{"the secret", "Cdnlab-Secret: " + testSecret, 200},
		{"not another token", "Authorization: Bearer x", 401},
		{"not another secret", "Cdnlab-Secret: x", 401},
		{"not the token as a secret", "Cdnlab-Secret: " + testToken, 401},
	} {
		if a := l.at(l.addr, http.MethodGet, target, nil, c.field); a.status != c.status || a.header.Get("Cache-Control") == "" {
			t.Errorf("%s: %d with Cache-Control %q, want %d", c.name, a.status, a.header.Get("Cache-Control"), c.status)
		}
	}
	l.at("main.cdn.test", http.MethodGet, target, nil, withToken).want(t, "by the node's name", 200, "objects")
	l.at(testSite, http.MethodGet, target, nil, withToken).want(t, "through a site", 404, "no such object")
}

func TestAHugeAPIUploadStreams(t *testing.T) {
	l := start(t, topology.Origin{}, func(c *Config) { c.Now = func() time.Time { return noon } })
	const size = 20 << 20
	a := l.api(http.MethodPut, apiItem, url.Values{"path": {"/big"}}, &patternReader{key: 1, end: size}, nil)
	a.want(t, "PUT of 20 MiB", 201, `"size":20971520`)
	if got := l.get("/big", "Range: bytes=20971519-"); len(got.body) != 1 {
		t.Errorf("its last byte = %d, %d bytes", got.status, len(got.body))
	}
}
