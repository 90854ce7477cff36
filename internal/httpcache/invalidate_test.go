package httpcache

import (
	"slices"
	"testing"
)

func TestInvalidates(t *testing.T) {
	tests := []struct {
		name   string
		method string
		status int
		want   bool
	}{
		{"§4.4 POST", "POST", 200, true},
		{"§4.4 PUT that created", "PUT", 201, true},
		{"§4.4 DELETE without content", "DELETE", 204, true},
		{"§4.4 PATCH", "PATCH", 200, true},
		{"§4.4 redirection", "POST", 303, true},
		{"§4.4 unknown method", "M-SEARCH", 200, true},
		{"§4.4 method in lower case is unknown", "get", 200, true},
		{"§4.4 interim response", "POST", 103, false},
		{"§4.4 client error", "POST", 400, false},
		{"§4.4 last of the redirections", "POST", 399, true},
		{"§4.4 server error", "DELETE", 500, false},
		{"§4.4 GET", "GET", 200, false},
		{"§4.4 HEAD", "HEAD", 200, false},
		{"§4.4 OPTIONS", "OPTIONS", 200, false},
		{"§4.4 registered as safe", "PROPFIND", 207, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Invalidates(request(tt.method), tt.status); got != tt.want {
				t.Errorf("Invalidates(%s, %d) = %v, want %v", tt.method, tt.status, got, tt.want)
			}
		})
	}
}

func TestTargets(t *testing.T) {
	const host, target = "www.cdn.test:8080", "/a/b?c=d"
	tests := []struct {
		name  string
		pairs []string
		want  []string // beside the target itself
	}{
		{"§4.4 the target alone", nil, nil},
		{"§4.4 Location", []string{"Location", "/x"}, []string{"/x"}},
		{"§4.4 Content-Location", []string{"content-location", "/x"}, []string{"/x"}},
		{"§4.4 both", []string{"Content-Location", "/y", "Location", "/x"}, []string{"/x", "/y"}},
		{"§4.4 both the same", []string{"Content-Location", "/x", "Location", "/x"}, []string{"/x"}},
		{"§4.4 the target again", []string{"Location", target}, nil},
		{"§4.4 empty", []string{"Location", ""}, nil},
		{"RFC 3986 §5.2 relative path", []string{"Location", "x"}, []string{"/a/x"}},
		{"RFC 3986 §5.2 dots", []string{"Location", "../x/./y"}, []string{"/x/y"}},
		{"RFC 3986 §5.2 query alone", []string{"Location", "?x"}, []string{"/a/b?x"}},
		{"RFC 3986 §5.2 fragment", []string{"Location", "/x?y#z"}, []string{"/x?y"}},
		{"RFC 3986 §5.2 host without path", []string{"Location", "http://www.cdn.test"}, []string{"/"}},
		{"escapes as they are", []string{"Location", "/a%2Fb%7e?x=%2f"}, []string{"/a%2Fb%7e?x=%2f"}},
		{"empty query as it is", []string{"Location", "/x?"}, []string{"/x?"}},
		{"§4.4 same host", []string{"Location", "http://www.cdn.test:8080/x"}, []string{"/x"}},
		{"§4.4 same host in another case", []string{"Location", "http://WWW.cdn.TEST/x"}, []string{"/x"}},
		{"§4.4 same host, no scheme", []string{"Location", "//www.cdn.test/x"}, []string{"/x"}},
		{"§4.4 other host", []string{"Location", "http://other.test/x"}, nil},
		{"§4.4 other host, no scheme", []string{"Location", "//other.test/x"}, nil},
		{"§4.4 host that begins the same", []string{"Location", "http://www.cdn.test.evil/x"}, nil},
		{"§4.4 host as user of another", []string{"Location", "http://www.cdn.test@evil.test/x"}, nil},
		{"§4.4 no hierarchy", []string{"Location", "mailto:a@www.cdn.test"}, nil},
		{"§4.4 one of two is of another host", []string{"Location", "http://other.test/x", "Content-Location", "/y"}, []string{"/y"}},
		{"malformed escape", []string{"Location", "/%zz"}, nil},
		{"malformed host", []string{"Location", "http://[::1/x"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Targets(host, target, MakeHeader(tt.pairs...))
			if want := append([]string{target}, tt.want...); !slices.Equal(got, want) {
				t.Errorf("Targets of %q = %q, want %q", tt.pairs, got, want)
			}
		})
	}
}

// What cannot be parsed as a URL is still a key of its own.
func TestTargetsOfMalformedTarget(t *testing.T) {
	got := Targets("www.cdn.test", "/%zz", MakeHeader("Location", "/x"))
	if want := []string{"/%zz"}; !slices.Equal(got, want) {
		t.Errorf("Targets of /%%zz = %q, want %q", got, want)
	}
}
