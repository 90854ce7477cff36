package mgmt

import (
	"slices"
	"strings"
	"testing"

	"cdnlab/topology"
)

func TestCloudflare(t *testing.T) {
	f := newTree(t)
	token := []string{"Authorization", "Bearer " + testToken, "Content-Type", "application/json"}
	const path = "/client/v4/zones/cdn.test/purge_cache"
	const one = "/client/v4/zones/www.cdn.test/purge_cache"
	done := `{"success":true,"errors":[],"messages":[],"result":{"id":"main-e-1"}}`
	wrong := `{"success":false,"errors":[{"code":1012,"message":"`
	f.test(t, []dialectCall{
		{"files", "POST", one, token, `{"files":["http://www.cdn.test/a","https://www.cdn.test/b?c"]}`, 200, `"success":true`, []string{"www.cdn.test url /a", "www.cdn.test url /b?c"}},
		{"a file with headers", "POST", one, token, `{"files":[{"url":"http://www.cdn.test/a","headers":{"CF-IPCountry":"US"}}]}`, 200, done, []string{"www.cdn.test url /a"}},
		{"a file as people write it", "POST", one, token, `{"files":["http://www.cdn.test/é x%20y.html"]}`, 200, done, []string{"www.cdn.test url /%C3%A9%20x%20y.html"}},
		{"tags", "POST", one, token, `{"tags":["t1","t2"]}`, 200, `"success":true`, []string{"www.cdn.test key t1", "www.cdn.test key t2"}},
		{"a tag of every site of a zone", "POST", path, token, `{"tags":["t1"]}`, 200, `"success":true`, []string{"app.cdn.test key t1", "www.cdn.test key t1"}},
		{"prefixes", "POST", path, token, `{"prefixes":["www.cdn.test/img","app.cdn.test"]}`, 200, `"success":true`, []string{"app.cdn.test prefix /", "www.cdn.test prefix /img"}},
		{"hosts", "POST", path, token, `{"hosts":["www.cdn.test"]}`, 200, done, []string{"www.cdn.test all"}},
		{"everything", "POST", path, token, `{"purge_everything":true}`, 200, `"success":true`, []string{"app.cdn.test all", "www.cdn.test all"}},
		{"by key and address", "POST", one, []string{"X-Auth-Email", "a@b.test", "X-Auth-Key", testToken}, `{"purge_everything":true}`, 200, done, []string{"www.cdn.test all"}},

		{"no credentials", "POST", one, nil, `{"purge_everything":true}`, 400, `"code":9106,"message":"Missing X-Auth-Key`, nil},
		{"a key without address", "POST", one, []string{"X-Auth-Key", testToken}, `{"purge_everything":true}`, 400, `"code":9106`, nil},
		{"a wrong token", "POST", one, []string{"Authorization", "Bearer x"}, `{"purge_everything":true}`, 403, `"code":10000,"message":"Authentication error"`, nil},
		{"a wrong key", "POST", one, []string{"X-Auth-Email", "a@b.test", "X-Auth-Key", "x"}, `{"purge_everything":true}`, 403, `"code":10000`, nil},
		{"unknown zone", "POST", "/client/v4/zones/023e105f4ecef8ad9ca31a8372d0c353/purge_cache", token, `{"purge_everything":true}`, 404, `"code":7003`, nil},
		{"nothing", "POST", one, token, `{}`, 400, wrong + "request must contain one of", nil},
		{"everything that is not true", "POST", one, token, `{"purge_everything":false}`, 400, wrong + "request must contain one of", nil},
		{"two kinds", "POST", one, token, `{"tags":["a"],"hosts":["www.cdn.test"]}`, 400, wrong + "request must contain one of", nil},
		{"an unknown kind", "POST", one, token, `{"urls":["a"]}`, 400, wrong + "malformed body", nil},
		{"a file without scheme", "POST", one, token, `{"files":["www.cdn.test/a"]}`, 400, "begins with http://", nil},
		{"a file of another zone", "POST", one, token, `{"files":["http://www.cdn.test/a","http://app.cdn.test/a"]}`, 400, "not in this zone", nil},
		{"a host of another zone", "POST", one, token, `{"hosts":["app.cdn.test"]}`, 400, "not in this zone", nil},
		{"a prefix with scheme", "POST", one, token, `{"prefixes":["http://www.cdn.test/a"]}`, 400, "a prefix has no scheme", nil},
		{"too many", "POST", one, token, `{"tags":[` + strings.Repeat(`"t",`, 100) + `"t"]}`, 400, "101 items; the most is 100", nil},
		{"under another name", "POST", one, append(token, "Host", "api.cloudflare.com"), `{"purge_everything":true}`, 403, "not api.cloudflare.com", nil},
	})
	f.failing = true
	f.test(t, []dialectCall{{"an origin that fails", "POST", one, token, `{"purge_everything":true}`, 502, "the disk is full", nil}})
}

func TestAZoneWithASiteOfItsOwnHasThoseBelowIt(t *testing.T) {
	top, err := topology.Parse("test", []byte(strings.Replace(testFile, "sites:   {", "sites:   { cdn.test: { origin: main },", 1)), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{cfg: Config{Topology: top}}
	for id, want := range map[string][]string{"cdn.test": {"cdn.test", "app.cdn.test", "www.cdn.test"}, "www.cdn.test": {"www.cdn.test"}, "x.cdn.test": nil} {
		if got := s.zoneOf(id); !slices.Equal(got, want) {
			t.Errorf("zone %s has %q, want %q", id, got, want)
		}
	}
}
