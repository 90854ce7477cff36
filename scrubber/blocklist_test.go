package scrubber

import (
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"slices"
	"sync"
	"testing"
)

func newBlocklist() *blocklist { return &blocklist{secret: sipKey{3, 4}} }

func put(t testing.TB, l *blocklist, now int64, prefix string, until int64, by string) {
	t.Helper()
	if _, err := l.add(now, Entry{netip.MustParsePrefix(prefix), until, by}); err != nil {
		t.Fatal(err)
	}
}

func TestBlocklistFinds(t *testing.T) {
	l := newBlocklist()
	put(t, l, 0, "192.0.2.1/32", 100, "r")
	put(t, l, 0, "192.0.2.0/24", 50, Manual)
	put(t, l, 0, "10.9.8.7/8", 100, Manual)
	put(t, l, 0, "::ffff:198.51.100.0/120", 100, Manual)
	put(t, l, 0, "2001:db8::/64", 100, "r")
	put(t, l, 0, "2001:db8::1/128", 20, "r")
	for _, c := range []struct {
		now        int64
		addr, want string
	}{
		{0, "192.0.2.1", "192.0.2.1/32"},
		{0, "::ffff:192.0.2.1", "192.0.2.1/32"},
		{0, "192.0.2.2", "192.0.2.0/24"},
		{49, "192.0.2.2", "192.0.2.0/24"},
		{50, "192.0.2.2", ""},
		{99, "192.0.2.1", "192.0.2.1/32"},
		{100, "192.0.2.1", ""},
		{0, "192.0.3.1", ""},
		{0, "10.255.0.0", "10.0.0.0/8"},
		{0, "198.51.100.99", "198.51.100.0/24"},
		{0, "2001:db8::1", "2001:db8::/64"}, // ends later than the /128
		{0, "2001:db8::ffff", "2001:db8::/64"},
		{0, "2001:db8::1%eth0", "2001:db8::/64"},
		{0, "2001:db8:0:1::1", ""},
	} {
		e, ok := l.find(c.now, netip.MustParseAddr(c.addr))
		if ok != (c.want != "") || ok && e.Prefix.String() != c.want {
			t.Errorf("find(%d, %s) = %v, %v, want %q", c.now, c.addr, e, ok, c.want)
		}
	}
	if _, ok := l.find(0, netip.Addr{}); ok {
		t.Error("find without an address = true, want false")
	}
}

func TestBlocklistChanges(t *testing.T) {
	l := newBlocklist()
	addr, prefix := netip.MustParseAddr("192.0.2.1"), netip.MustParsePrefix("192.0.2.1/32")
	put(t, l, 0, "192.0.2.1/32", 100, "r")
	if added, _ := l.add(10, Entry{prefix, 500, "other"}); added {
		t.Error("a rule's entry takes the place of another rule's, want it left alone")
	}
	put(t, l, 10, "192.0.2.1/32", 50, Manual)
	if e, _ := l.find(10, addr); e.Until != 50 || e.By != Manual {
		t.Errorf("find after a person's entry = %+v, want that", e)
	}
	if added, _ := l.add(60, Entry{prefix, 500, "r"}); !added {
		t.Error("a rule's entry is kept out by one that has ended")
	}
	put(t, l, 60, "2001:db8::/32", 70, "r")
	want := []Entry{{prefix, 500, "r"}}
	if got := l.list(70); !slices.Equal(got, want) {
		t.Errorf("list = %+v, want %+v", got, want)
	}
	if got := l.count.Load(); got != 1 {
		t.Errorf("%d entries are kept after the list was read, want 1", got)
	}
	if l.remove(80, netip.MustParsePrefix("192.0.2.0/24")) {
		t.Error("remove of a prefix that is not on the list = true, want false")
	}
	if !l.remove(80, netip.MustParsePrefix("::ffff:192.0.2.1/128")) || l.remove(80, prefix) {
		t.Error("remove = false at first or true again, want true once")
	}
	if l.remove(80, netip.Prefix{}) {
		t.Error("remove without a prefix = true, want false")
	}
	if l.lengths != newBlocklist().lengths || l.count.Load() != 0 {
		t.Error("prefix lengths or entries are left over on an empty list")
	}
	for _, p := range []netip.Prefix{{}, netip.MustParsePrefix("::ffff:0:0/95")} {
		if _, err := l.add(80, Entry{p, 100, Manual}); err == nil {
			t.Errorf("add %v = nil, want an error", p)
		}
	}
}

func TestBlocklistKeepsCount(t *testing.T) {
	l := newBlocklist()
	const n = 4000
	for i := range uint32(n) {
		put(t, l, 0, host(i).String(), int64(10+90*(i%2)), "r")
	}
	for i := range uint32(n) {
		if i%2 == 1 {
			l.add(20, Entry{host(i), 500, "r"})
		} else {
			l.remove(20, host(i+n))
		}
	}
	if got := l.count.Load(); got != n/2 || l.used[0][32] != n/2 {
		t.Errorf("%d entries by the count and %d by length after half have ended, want %d", got, l.used[0][32], n/2)
	}
	if got := len(l.list(20)); got != n/2 {
		t.Errorf("%d entries on the list, want %d", got, n/2)
	}
}

// host is the n-th address of 10.0.0.0/8.
func host(n uint32) netip.Prefix {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 10<<24|n)
	return netip.PrefixFrom(netip.AddrFrom4(b), 32)
}

func TestBlocklistIsBounded(t *testing.T) {
	l := newBlocklist()
	put(t, l, 0, "192.0.2.0/24", math.MaxInt64, Manual)
	const n = MaxEntries * 3 / 2
	for i := range uint32(n) {
		if added, err := l.add(0, Entry{host(i), int64(1000 + i), "r"}); !added || err != nil {
			t.Fatalf("add number %d = %v, %v, want it on the list", i, added, err)
		}
	}
	all := l.list(0)
	if len(all) > MaxEntries || len(all) < MaxEntries*99/100 || int64(len(all)) != l.count.Load() {
		t.Errorf("%d entries, %d by the count, want nearly %d", len(all), l.count.Load(), MaxEntries)
	}
	if _, ok := l.find(0, netip.MustParseAddr("192.0.2.9")); !ok {
		t.Error("a person's entry has made room for a rule's")
	}
	if _, ok := l.find(0, host(n-1).Addr()); !ok {
		t.Error("the entry that ends last has made room")
	}
	if _, ok := l.find(0, host(0).Addr()); ok {
		t.Error("the entry that ends first has not made room")
	}

	var err error
	for i := uint32(0); err == nil && i < 2*MaxEntries; i++ {
		_, err = l.add(0, Entry{host(i), math.MaxInt64, Manual})
	}
	if !errors.Is(err, ErrFull) {
		t.Errorf("adding people's entries without end = %v, want %v", err, ErrFull)
	}
}

func TestBlocklistConcurrently(t *testing.T) {
	l := newBlocklist()
	put(t, l, 0, "10.0.0.0/8", math.MaxInt64, Manual)
	var wg sync.WaitGroup
	for g := range uint32(4) {
		wg.Go(func() {
			for i := range uint32(500) {
				p := host(g<<16 | i)
				if _, err := l.add(0, Entry{p, math.MaxInt64, "r"}); err != nil {
					t.Errorf("add: %v", err)
				}
				if _, ok := l.find(0, p.Addr()); !ok {
					t.Errorf("find(%v) = false, want true", p)
				}
				l.remove(0, p)
			}
		})
	}
	wg.Wait()
	if got := l.list(0); len(got) != 1 {
		t.Errorf("%d entries, want 1", len(got))
	}
}

func TestFindAllocatesNothing(t *testing.T) {
	l := newBlocklist()
	for i := range uint32(1000) {
		put(t, l, 0, host(i).String(), 10, "r")
	}
	put(t, l, 0, "192.0.2.0/24", 10, Manual)
	addr := netip.MustParseAddr("192.0.2.1")
	if got := testing.AllocsPerRun(1000, func() { l.find(0, addr) }); got != 0 {
		t.Errorf("find allocates %v times, want 0", got)
	}
}

func BenchmarkBlocklist(b *testing.B) {
	l := newBlocklist()
	for i := range uint32(50_000) {
		put(b, l, 0, host(i).String(), 10, "r")
	}
	put(b, l, 0, "192.0.2.0/24", 10, Manual)
	b.Run("find", func(b *testing.B) {
		addr := netip.MustParseAddr("198.51.100.1")
		b.ReportAllocs()
		for b.Loop() {
			l.find(0, addr)
		}
	})
	b.Run("add", func(b *testing.B) {
		b.ReportAllocs()
		for i := uint32(0); b.Loop(); i++ {
			l.add(0, Entry{host(1<<20 | i%(1<<20)), int64(10 + i), "r"})
		}
	})
}
