package scrubber

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The vectors of the reference implementation: key 00 01 … 0f, input 00 01 … of the given length.
func TestSipHash(t *testing.T) {
	var seed [16]byte
	var input [64]byte
	for i := range input {
		input[i] = byte(i)
		seed[i%16] = byte(i % 16)
	}
	for _, c := range []struct {
		n    int
		want uint64
	}{{0, 0x726fdb47dd0e0e31}, {1, 0x74f839c593dc67fd}, {15, 0xa129ca6149be45e5}} {
		if got := text(newSipKey(seed), input[:c.n]); got != c.want {
			t.Errorf("text of %d bytes = %#x, want %#x", c.n, got, c.want)
		}
	}
	s := newSipKey(seed).start()
	s.word(binary.LittleEndian.Uint64(input[:8]))
	if got, want := s.sum(8<<56), text(newSipKey(seed), string(input[:8])); got != want {
		t.Errorf("one word = %#x, want what its bytes give, %#x", got, want)
	}
}

func mustRule(t testing.TB, r Rule) rule {
	t.Helper()
	if r.Name == "" {
		r.Name = "test"
	}
	if r.Rate == 0 {
		r.Rate, r.Per = 10, time.Second
	}
	ready, err := newRule(r)
	if err != nil {
		t.Fatal(err)
	}
	return ready
}

func request(client, site, path string, headers ...string) *Request {
	q := &Request{Site: site, Path: []byte(path)}
	if client != "" {
		q.Client = netip.MustParseAddr(client)
	}
	q.Header = func(name string) []byte {
		for i := 0; i < len(headers); i += 2 {
			if strings.EqualFold(headers[i], name) {
				return []byte(headers[i+1])
			}
		}
		return nil
	}
	return q
}

func TestWhoSharesALimit(t *testing.T) {
	search := []Class{{Name: "search", Prefixes: []string{"/search"}, Cost: 5}}
	for _, c := range []struct {
		name string
		key  []Part
		a, b *Request
		want bool
	}{
		{"one address, whatever it asks for", nil, request("192.0.2.1", "a", "/"), request("192.0.2.1", "b", "/search"), true},
		{"two addresses", nil, request("192.0.2.1", "a", "/"), request("192.0.2.2", "a", "/"), false},
		{"IPv4 in IPv6", nil, request("192.0.2.1", "a", "/"), request("::ffff:192.0.2.1", "a", "/"), true},
		{"one /64", nil, request("2001:db8::1", "a", "/"), request("2001:db8::ffff:0:0:1", "a", "/"), true},
		{"two /64", nil, request("2001:db8::1", "a", "/"), request("2001:db8:0:1::1", "a", "/"), false},
		{"zones are not the client's", nil, request("fe80::1%eth0", "a", "/"), request("fe80::1%eth1", "a", "/"), true},
		{"one /24", []Part{{V4: 24}}, request("192.0.2.1", "a", "/"), request("192.0.2.254", "a", "/"), true},
		{"two /24", []Part{{V4: 24}}, request("192.0.2.1", "a", "/"), request("192.0.3.1", "a", "/"), false},
		{"one /48", []Part{{V6: 48}}, request("2001:db8::1", "a", "/"), request("2001:db8:0:1::1", "a", "/"), true},
		{"IPv6 addresses in full", []Part{{V6: 128}}, request("2001:db8::1", "a", "/"), request("2001:db8::2", "a", "/"), false},
		{"one /124", []Part{{V6: 124}}, request("2001:db8::1", "a", "/"), request("2001:db8::e", "a", "/"), true},
		{"IPv4 and what looks like it in IPv6", nil, request("192.0.2.1", "a", "/"), request("0:ffff:c000:201::", "a", "/"), false},
		{"no address", nil, request("", "a", "/"), request("192.0.2.1", "a", "/"), false},
		{"one site", []Part{{From: BySite}}, request("192.0.2.1", "a", "/"), request("192.0.2.2", "a", "/"), true},
		{"two sites", []Part{{From: BySite}}, request("192.0.2.1", "a", "/"), request("192.0.2.1", "b", "/"), false},
		{"one class", []Part{{From: ByClass}}, request("192.0.2.1", "a", "/search?q=1"), request("192.0.2.2", "a", "/%73earch"), true},
		{"two classes", []Part{{From: ByClass}}, request("192.0.2.1", "a", "/search"), request("192.0.2.1", "a", "/x"), false},
		{"one API key", []Part{{From: ByHeader, Header: "X-Api-Key"}}, request("192.0.2.1", "a", "/", "x-api-key", "k"),
			request("192.0.2.2", "a", "/", "X-API-KEY", "k"), true},
		{"two API keys", []Part{{From: ByHeader, Header: "X-Api-Key"}}, request("192.0.2.1", "a", "/", "x-api-key", "k"),
			request("192.0.2.1", "a", "/", "x-api-key", "l"), false},
		{"client and site, other client", []Part{{}, {From: BySite}}, request("192.0.2.1", "a", "/"), request("192.0.2.2", "a", "/"), false},
		{"client and site, other site", []Part{{}, {From: BySite}}, request("192.0.2.1", "a", "/"), request("192.0.2.1", "b", "/"), false},
		{"client and site, other path", []Part{{}, {From: BySite}}, request("192.0.2.1", "a", "/"), request("192.0.2.1", "a", "/x"), true},
		{"parts that only look alike together", []Part{{From: BySite}, {From: ByHeader, Header: "k"}},
			request("", "ab", "/", "k", "c"), request("", "a", "/", "k", "bc"), false},
	} {
		r := mustRule(t, Rule{Key: c.key, Classes: search})
		secret := newSipKey([16]byte{1})
		classA, _ := r.class(c.a.Path)
		classB, _ := r.class(c.b.Path)
		if got := r.key(secret, c.a, classA) == r.key(secret, c.b, classB); got != c.want {
			t.Errorf("%s: same key = %v, want %v", c.name, got, c.want)
		}
		if r.key(secret, c.a, classA) == r.key(newSipKey([16]byte{2}), c.a, classA) {
			t.Errorf("%s: the key does not depend on the secret", c.name)
		}
	}
}

func TestNoHeaderFunction(t *testing.T) {
	r := mustRule(t, Rule{Key: []Part{{From: ByHeader, Header: "k"}}})
	secret := newSipKey([16]byte{1})
	if got, want := r.key(secret, &Request{}, 0), r.key(secret, request("", "", "/"), 0); got != want {
		t.Errorf("key without a header function = %x, want that of an absent field, %x", got, want)
	}
}

func TestClassOfAPath(t *testing.T) {
	r := mustRule(t, Rule{Classes: []Class{
		{Name: "api", Prefixes: []string{"/api", "/v1/api"}, Cost: 2},
		{Name: "search", Prefixes: []string{"/api/search"}, Cost: 10},
		{Name: "static", Prefixes: []string{"/static/"}},
		{Name: "umlaut", Prefixes: []string{"/ä"}, Cost: 3},
		{Name: "reserved", Prefixes: []string{"/w?x", "/w#x"}, Cost: 4},
	}})
	for _, c := range []struct {
		path string
		want int64
	}{
		{"/", 1}, {"", 1}, {"*", 1}, {"/api", 2}, {"/api/users", 2}, {"/v1/api?x", 2}, {"/api/search?q=x", 10}, {"/%61pi/search", 10},
		{"/api%2Fsearch", 10}, {"/api%2fsearch", 10}, {"/?/api", 1}, {"/ap?i", 1}, {"/ap#i", 1}, {"/%2561pi", 1}, {"/%zzapi", 1},
		{"/ap%", 1}, {"/ap%6", 1}, {"/ap%69", 2}, {"/static/x.css", 0}, {"/static", 1}, {"/%C3%A4", 3}, {"/ä", 3},
		{"/w?x", 1}, {"/w#x", 1}, {"/w%3Fx", 4}, {"/w%23x", 4},
	} {
		if _, got := r.class([]byte(c.path)); got != c.want {
			t.Errorf("cost of %q = %d, want %d", c.path, got, c.want)
		}
	}
}

// However a path is spelled, it belongs to the class of what it decodes to.
func FuzzHasPrefix(f *testing.F) {
	for _, s := range []string{"/api", "/%61pi?x", "/ap%", "/ap%6", "/%zz", "/a%2Fb", "/%3f?", "/%2561", ""} {
		f.Add([]byte(s), "/api")
	}
	escape := regexp.MustCompile("%[0-9A-Fa-f]{2}")
	f.Fuzz(func(t *testing.T, target []byte, prefix string) {
		path := target
		if i := bytes.IndexAny(target, "?#"); i >= 0 {
			path = target[:i]
		}
		path = escape.ReplaceAllFunc(path, func(e []byte) []byte {
			b, _ := hex.DecodeString(string(e[1:]))
			return b
		})
		if got, want := hasPrefix(target, prefix), strings.HasPrefix(string(path), prefix); got != want {
			t.Errorf("hasPrefix(%q, %q) = %v, want %v", target, prefix, got, want)
		}
	})
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		match Match
		want  bool
	}{
		{Match{}, true},
		{Match{Site: "www.cdn.test"}, true},
		{Match{Site: "cdn.test"}, false},
		{Match{Path: "/shop"}, true},
		{Match{Path: "/shopping"}, false},
		{Match{Site: "www.cdn.test", Path: "/shop/"}, true},
		{Match{Site: "other", Path: "/shop/"}, false},
	} {
		r := mustRule(t, Rule{Match: c.match})
		if got := r.matches(request("", "www.cdn.test", "/shop/cart")); got != c.want {
			t.Errorf("%+v matches www.cdn.test/shop/cart = %v, want %v", c.match, got, c.want)
		}
	}
}

func TestBlockedPrefix(t *testing.T) {
	for _, c := range []struct {
		key          []Part
		client, want string
	}{
		{nil, "192.0.2.1", "192.0.2.1/32"},
		{nil, "::ffff:192.0.2.1", "192.0.2.1/32"},
		{nil, "2001:db8::1", "2001:db8::/64"},
		{nil, "fe80::1%eth0", "fe80::/64"},
		{[]Part{{From: BySite}, {V4: 24, V6: 48}}, "192.0.2.1", "192.0.2.0/24"},
		{[]Part{{From: BySite}, {V4: 24, V6: 48}}, "2001:db8:0:1::1", "2001:db8::/48"},
	} {
		r := mustRule(t, Rule{Key: c.key, Response: Block, BlockFor: time.Second})
		if got := r.blocked(netip.MustParseAddr(c.client)); got.String() != c.want {
			t.Errorf("blocked(%s) with key %v = %v, want %s", c.client, c.key, got, c.want)
		}
	}
}

func TestRuleFaults(t *testing.T) {
	limit := Limit{Rate: 10, Per: time.Second}
	for _, c := range []struct {
		name string
		rule Rule
		want []string
	}{
		{"nothing given", Rule{}, []string{"name", "rate", "per"}},
		{"name that would need quoting", Rule{Name: `a"b`, Limit: limit}, []string{`name: "a\"b"`}},
		{"relative paths", Rule{Name: "r", Limit: limit, Match: Match{Path: "x"}, Classes: []Class{{Name: "c", Prefixes: []string{"y"}}}},
			[]string{`path "x"`, `path "y"`}},
		{"delay without a length", Rule{Name: "r", Limit: limit, Response: Delay}, []string{"delay: 0s does not go with the response delay"}},
		{"length without delay", Rule{Name: "r", Limit: Limit{Rate: 1, Per: 1, MaxDelay: 1}}, []string{"does not go with the response reject"}},
		{"block without a length", Rule{Name: "r", Limit: limit, Response: Block}, []string{"block: 0s"}},
		{"length without block", Rule{Name: "r", Limit: limit, BlockFor: 1}, []string{"block: 1ns"}},
		{"block for ever", Rule{Name: "r", Limit: limit, Response: Block, BlockFor: 1 << 62}, []string{"is not between 0 and 8784h"}},
		{"block of nobody", Rule{Name: "r", Limit: limit, Response: Block, BlockFor: 1, Key: []Part{{From: BySite}}}, []string{"no address to block"}},
		{"unknown response", Rule{Name: "r", Limit: limit, Response: 9}, []string{"Response(9)"}},
		{"unknown source", Rule{Name: "r", Limit: limit, Key: []Part{{From: 9}}}, []string{"Source(9)"}},
		{"prefix lengths", Rule{Name: "r", Limit: limit, Key: []Part{{V4: 33}, {V6: 129}, {From: BySite, V4: 8}}}, []string{"/33", "/129", "alone"}},
		{"header without a name", Rule{Name: "r", Limit: limit, Key: []Part{{From: ByHeader}}}, []string{`header ""`}},
		{"name without a header", Rule{Name: "r", Limit: limit, Key: []Part{{Header: "x"}}}, []string{`header "x"`}},
		{"too many parts", Rule{Name: "r", Limit: limit, Key: make([]Part, 5)}, []string{"5 parts"}},
		{"cost", Rule{Name: "r", Limit: limit, Classes: []Class{{Name: "a", Cost: -1}, {Name: "b", Cost: 1001}}}, []string{"class a", "class b"}},
		{"cost beyond the limit", Rule{Name: "r", Limit: limit, Classes: []Class{{Name: "a", Cost: 11}}}, []string{"more than the limit ever allows, 10"}},
	} {
		_, err := newRule(c.rule)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: newRule = %v, want an error with %q", c.name, err, want)
			}
		}
	}
}
