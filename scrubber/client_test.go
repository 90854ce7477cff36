package scrubber

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func prefixes(list ...string) (all []netip.Prefix) {
	for _, s := range list {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

func TestClientAddr(t *testing.T) {
	trusted := prefixes("10.0.0.0/8", "2001:db8:1::/48")
	for _, c := range []struct {
		name  string
		peer  string
		lines []string
		want  string
	}{
		{"no proxy", "192.0.2.1", nil, "192.0.2.1"},
		{"a stranger's word", "192.0.2.1", []string{"198.51.100.1"}, "192.0.2.1"},
		{"trusted, without a word", "10.0.0.1", nil, "10.0.0.1"},
		{"trusted", "10.0.0.1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"what the client wrote is ignored", "10.0.0.1", []string{"203.0.113.9, 198.51.100.1"}, "198.51.100.1"},
		{"two trusted hops", "10.0.0.1", []string{"203.0.113.9, 198.51.100.1, 10.9.9.9"}, "198.51.100.1"},
		{"nothing but trusted hops", "10.0.0.1", []string{"10.3.0.1,10.2.0.1"}, "10.3.0.1"},
		{"lines count as one list", "10.0.0.1", []string{"203.0.113.9", "198.51.100.1, 10.2.0.1", "10.3.0.1"}, "198.51.100.1"},
		{"spaces and empty hops", "10.0.0.1", []string{" 198.51.100.1 ,\t, 10.2.0.1 ,", ""}, "198.51.100.1"},
		{"port", "10.0.0.1", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		{"IPv6", "10.0.0.1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"IPv6 in brackets", "10.0.0.1", []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"IPv6 with a port", "10.0.0.1", []string{"[2001:db8::1]:443, [2001:db8:1::5]:80"}, "2001:db8::1"},
		{"IPv6 peer with a zone", "2001:db8:1::5%eth0", []string{"198.51.100.1"}, "198.51.100.1"},
		{"zone of a hop", "10.0.0.1", []string{"fe80::1%eth0"}, "fe80::1"},
		{"IPv4 in IPv6", "::ffff:10.0.0.1", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"garbage ends the search", "10.0.0.1", []string{"198.51.100.1, unknown, 10.2.0.1"}, "10.2.0.1"},
		{"garbage at once", "10.0.0.1", []string{"198.51.100.1, _hidden"}, "10.0.0.1"},
		{"garbage behind the client is never read", "10.0.0.1", []string{"\x00, 198.51.100.1"}, "198.51.100.1"},
		{"garbage on a line of its own", "10.0.0.1", []string{"198.51.100.1", "<script>", "10.2.0.1"}, "10.2.0.1"},
		{"bracket not closed", "10.0.0.1", []string{"[2001:db8::1"}, "10.0.0.1"},
		{"IPv4 in brackets", "10.0.0.1", []string{"[198.51.100.1]"}, "10.0.0.1"},
		{"port without colon", "10.0.0.1", []string{"[2001:db8::1]80"}, "10.0.0.1"},
		{"port too large", "10.0.0.1", []string{"198.51.100.1:65536"}, "10.0.0.1"},
		{"no port after the colon", "10.0.0.1", []string{"198.51.100.1:"}, "10.0.0.1"},
		{"short form of IPv4", "10.0.0.1", []string{"198.51.1"}, "10.0.0.1"},
		{"quotes", "10.0.0.1", []string{`"198.51.100.1"`}, "10.0.0.1"},
	} {
		got := ClientAddr(netip.MustParseAddr(c.peer), c.lines, trusted)
		if got != netip.MustParseAddr(c.want) {
			t.Errorf("%s: ClientAddr(%s, %q) = %v, want %s", c.name, c.peer, c.lines, got, c.want)
		}
	}
	if got := ClientAddr(netip.Addr{}, []string{"198.51.100.1"}, trusted); got.IsValid() {
		t.Errorf("ClientAddr without a peer = %v, want no address", got)
	}
}

// What a client writes into X-Forwarded-For cannot change what its proxy's entry says.
func FuzzClientAddr(f *testing.F) {
	for _, s := range []string{"", "198.51.100.1", "10.1.1.1", "[2001:db8::1]:443", "unknown", ",,", "1.2.3.4:99, 10.0.0.2", "a\n10.0.0.3"} {
		f.Add(s, s)
	}
	trusted := prefixes("10.0.0.0/8")
	peer := netip.MustParseAddr("10.0.0.1")
	f.Fuzz(func(t *testing.T, first, second string) {
		got := ClientAddr(peer, []string{first, second}, trusted)
		if !got.IsValid() || got.Is4In6() || got.Zone() != "" {
			t.Errorf("ClientAddr(%q, %q) = %v, want an address without zone", first, second, got)
		}
		if joined := ClientAddr(peer, []string{first + "," + second}, trusted); joined != got {
			t.Errorf("ClientAddr(%q + %q) = %v in one line, want %v as in two", first, second, joined, got)
		}
		real := netip.MustParseAddr("198.51.100.1")
		if got := ClientAddr(peer, []string{first, second + ", 198.51.100.1", "10.0.0.9"}, trusted); got != real {
			t.Errorf("ClientAddr behind a client that wrote %q, %q = %v, want %v", first, second, got, real)
		}
		hops := strings.FieldsFunc(first+","+second, func(r rune) bool { return r == ',' })
		if got != peer && !slices.ContainsFunc(hops, func(h string) bool { a, ok := parseHop(strings.Trim(h, " \t")); return ok && a == got }) {
			t.Errorf("ClientAddr(%q, %q) = %v, want the peer or a hop", first, second, got)
		}
	})
}
