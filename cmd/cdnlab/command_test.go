package main

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"cdnlab/internal/lab"
)

func TestSurroundings(t *testing.T) {
	s := surroundings{
		state: lab.State{Admin: "http://127.0.0.1:7070", Zone: "cdn.test", HTTPPort: 8080,
			DNS: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:8053")}, Gateway: netip.MustParseAddrPort("127.0.0.1:3128")},
		dataDir: "/data", gateway: "127.101.0.53:3128", sites: []string{"www.cdn.test"},
	}
	got, err := s.environ([]string{"PATH=/bin", "http_proxy=http://company:1", "NO_PROXY=intern.example, .test", "CDNLAB_ADMIN=old"})
	if err != nil {
		t.Fatal(err)
	}
	const direct = "localhost,127.0.0.0/8,127.0.0.1,::1,intern.example"
	want := []string{
		"PATH=/bin",
		"http_proxy=http://127.101.0.53:3128", "HTTP_PROXY=http://127.101.0.53:3128", "no_proxy=" + direct, "NO_PROXY=" + direct,
		"CDNLAB_ADMIN=http://127.0.0.1:7070", "CDNLAB_DATA_DIR=/data", "CDNLAB_DNS=127.0.0.1:8053", "CDNLAB_GATEWAY=http://127.0.0.1:3128",
		"CDNLAB_HTTP_PORT=8080", "CDNLAB_TOKEN_FILE=/data/token", "CDNLAB_ZONE=cdn.test",
	}
	if !slices.Equal(got, want) {
		t.Errorf("environ =\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestNoProxyEntriesThatCoverASite(t *testing.T) {
	for entry, want := range map[string]bool{
		"*": true, "www.cdn.test": true, "WWW.CDN.TEST": true, "cdn.test": true, ".cdn.test": true, "*.cdn.test": true, "test": true, "www.cdn.test:80": true,
		"dn.test": false, "a.www.cdn.test": false, "localhost": false, "10.0.0.0/8": false, "::1": false, "": false,
	} {
		if got := exempts(entry, "www.cdn.test"); got != want {
			t.Errorf("exempts(%q, www.cdn.test) = %v, want %v", entry, got, want)
		}
	}
}
