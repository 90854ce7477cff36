package httpcache

import "testing"

func TestAdmitPost(t *testing.T) {
	const host, target = "www.cdn.test:8080", "/a/b?c=d"
	fresh := func(at ...string) *Response {
		return response(200, append([]string{"Cache-Control", "max-age=60"}, at...)...)
	}
	tests := []struct {
		name   string
		ask    *Ask
		resp   *Response
		policy Policy
		want   bool
	}{
		{"its own target", request("POST"), fresh("Content-Location", "/a/b?c=d"), Policy{}, true},
		{"relative to it", request("POST"), fresh("Content-Location", "b?c=d"), Policy{}, true},
		{"with the host", request("POST"), fresh("Content-Location", "http://www.cdn.test/a/b?c=d"), Policy{}, true},
		{"empty, which refers to itself", request("POST"), fresh("Content-Location", ""), Policy{}, true},
		{"Expires", request("POST"), response(200, "Expires", dateAt(60), "Content-Location", target), Policy{}, true},
		{"no Content-Location", request("POST"), fresh(), Policy{}, false},
		{"without the query", request("POST"), fresh("Content-Location", "/a/b"), Policy{}, false},
		{"on another host", request("POST"), fresh("Content-Location", "http://other.test/a/b?c=d"), Policy{}, false},
		{"another status", request("POST"), response(201, "Cache-Control", "max-age=60", "Content-Location", target), Policy{}, false},
		{"fresh by heuristic alone", request("POST"), response(200, "Last-Modified", dateAt(-86400), "Content-Location", target), Policy{}, false},
		{"fresh by the site alone", request("POST"), response(200, "Content-Location", target), Policy{TTL: 1e9}, false},
		{"private", request("POST"), fresh("Cache-Control", "private", "Content-Location", target), Policy{}, false},
		{"a cookie", request("POST"), fresh("Set-Cookie", "a=b", "Content-Location", target), Policy{}, false},
		{"credentials", request("POST", "Authorization", "x"), fresh("Content-Location", target), Policy{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			adm := AdmitPost(tt.ask, host, target, tt.resp, &tt.policy)
			if adm.Stored != tt.want || adm.Stored != (adm.Detail == "") || adm.Stored != (adm.Header != "") {
				t.Errorf("AdmitPost = %+v, want it stored: %t (RFC 9110 §9.3.3)", adm, tt.want)
			}
		})
	}
	if tests[0].ask.Method != MethodUnsafe {
		t.Error("AdmitPost has changed the method of the request")
	}
}
