package scrubber

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

// checks are configurations of rising cost; every request matches all rules.
func checks() map[string]Config {
	perClient := Rule{Name: "client", Limit: Limit{Rate: 1e6, Per: time.Second}}
	classes := perClient
	classes.Name, classes.Match = "classes", Match{Site: "www.cdn.test", Path: "/"}
	classes.Key = []Part{{}, {From: BySite}, {From: ByClass}, {From: ByHeader, Header: "X-Api-Key"}}
	classes.Classes = []Class{{Name: "search", Prefixes: []string{"/api/search"}, Cost: 5}, {Name: "api", Prefixes: []string{"/api/"}, Cost: 2}}
	bucket := Rule{Name: "site", Limit: Limit{Algorithm: TokenBucket, Rate: 1e6, Per: time.Second}, Key: []Part{{From: BySite}}}
	configs := map[string]Config{
		"no rule":                    {},
		"key of client":              {Rules: []Rule{perClient}},
		"key of four parts, classes": {Rules: []Rule{classes}},
		"three rules":                {Rules: []Rule{perClient, classes, bucket}},
	}
	for a := range numAlgorithms {
		configs[a.String()] = Config{Rules: []Rule{{Name: "r", Limit: Limit{Algorithm: a, Rate: 100, Per: time.Second}}}}
	}
	return configs
}

func apiKey(string) []byte { return nil }

// clients returns a function that gives a request of the next of n clients.
func clients(n uint32) func() Request {
	path := []byte("/api/users/17?full=1")
	i := uint32(0)
	return func() Request {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], 10<<24|i%n)
		i++
		return Request{Client: netip.AddrFrom4(b), Site: "www.cdn.test", Path: path, Header: apiKey}
	}
}

func TestCheckAllocatesNothing(t *testing.T) {
	for name, c := range checks() {
		c.Memory = 1 << 16
		l := mustLimits(t, c)
		if err := l.Block(0, netip.MustParsePrefix("192.0.2.0/24"), 0); err != nil {
			t.Fatal(err)
		}
		next, now := clients(10_000), second
		if got := testing.AllocsPerRun(20_000, func() { now += 1e6; l.Check(now, next()) }); got != 0 {
			t.Errorf("%s: Check allocates %v times, want 0", name, got)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	for name, c := range checks() {
		l := mustLimits(b, c)
		b.Run(name, func(b *testing.B) {
			next, now := clients(1000), second
			b.ReportAllocs()
			for b.Loop() {
				now += 1000
				l.Check(now, next())
			}
		})
	}
}

// A flood: each request comes from an address of its own, and there is a block list.
func BenchmarkCheckFlood(b *testing.B) {
	l := mustLimits(b, Config{Rules: []Rule{{Name: "r", Limit: Limit{Rate: 100, Per: time.Second}}}})
	if err := l.Block(0, netip.MustParsePrefix("192.0.2.0/24"), 0); err != nil {
		b.Fatal(err)
	}
	next, now := clients(1<<24), second
	b.ReportAllocs()
	for b.Loop() {
		now += 1000
		l.Check(now, next())
	}
}

func BenchmarkCheckParallel(b *testing.B) {
	l := mustLimits(b, Config{Rules: []Rule{{Name: "r", Limit: Limit{Rate: 100, Per: time.Second}}}})
	var now atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		next := clients(1000)
		for pb.Next() {
			l.Check(now.Add(1000), next())
		}
	})
}
