package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"cdnlab/internal/stats"
	"cdnlab/mgmt"
)

// golden compares text with a file of testdata/golden; -update writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata/golden", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func testStatus() mgmt.Status {
	hit, bytes, offload := 0.9637, 0.5, 0.981
	paris := mgmt.Figures{Requests: 12345, HitRatio: &hit, ByteHitRatio: &bytes, BytesOut: 5 << 20, Errors: 2, TTFBP50: 1.24, TTFBP99: 212.3,
		Cache: &stats.Cache{Objects: 10, Bytes: 12 << 20, Budget: 256 << 20}}
	return mgmt.Status{
		Name: "three-continents", OriginOffload: &offload,
		Tiers: []mgmt.TierStatus{
			{Role: "edge", Nodes: 2, Up: 1, Figures: paris},
			{Role: "dns", Nodes: 1, Up: 1, Figures: mgmt.Figures{DNSAnswers: 77}},
		},
		Nodes: []mgmt.NodeStatus{
			{Name: "paris-1", Role: "edge", City: "Paris", Address: "127.3.1.1:8080", Up: true, Figures: paris},
			{Name: "tokyo-1", Role: "edge", City: "Tokyo", Address: "127.3.2.1:8080", Problem: "connect: connection refused"},
			{Name: "dns-1", Role: "dns", Address: "127.0.0.1:8080", Up: true, Figures: mgmt.Figures{DNSAnswers: 77}},
		},
	}
}

func TestStatusText(t *testing.T) {
	golden(t, "status.txt", statusText(testStatus(), nil))
}

func TestWatchedStatusHasRates(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	s := testStatus()
	var r *rates
	r = r.next(s, start)
	s.Tiers[0].Requests += 500
	r = r.next(s, start.Add(2*time.Second))
	if got := r.text("edge"); got != "250" {
		t.Errorf("rate after 500 requests in 2 s = %q, want 250", got)
	}
	s.Tiers[0].Requests = 3
	r = r.next(s, start.Add(3*time.Second))
	if got := r.text("edge"); got != "-" {
		t.Errorf("rate after a restart = %q, want none", got)
	}
	golden(t, "status-watch.txt", statusText(s, r))
}

func TestExplanationText(t *testing.T) {
	golden(t, "explain.txt", explanationText(mgmt.Explanation{
		URL: "http://www.cdn.test/hello.txt", From: "tokyo", TotalMS: 251.7, Status: 200,
		DNS: mgmt.Decision{Server: "127.105.0.53:8053", Place: "tokyo", Evidence: "its address is one of the place's", Scope: 24,
			Candidates: []mgmt.Candidate{{PoP: "osaka", RTTMS: 1, KM: 10, Healthy: false}, {PoP: "tokyo", RTTMS: 2.04, KM: 20, Healthy: true}, {PoP: "singapore", RTTMS: 104, KM: 5312, Healthy: true}},
			Winner:     "tokyo", Addresses: []string{"127.3.7.1", "127.3.7.2"}},
		Tiers: []mgmt.Tier{
			{Node: "tokyo-1", Tier: "edge", Result: "miss", MS: 249.2, Detail: "stored"},
			{Node: "ap-1", Tier: "hub", Result: "miss", MS: 145, Detail: "stored"},
			{Node: "main", Tier: "origin", MS: 0.2},
		},
	}))
}

func TestBytesText(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 256 << 20: "256 MiB", 3 << 40: "3.0 TiB", 5000 << 40: "5000 TiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("bytesText(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestClip(t *testing.T) {
	text := "one\ntwo\nthree\n→→→→→→\n"
	for _, c := range []struct {
		name          string
		width, height int
		want          string
	}{
		{"all of it where there is room", 80, 5, text},
		{"the last line tells how many are missing", 80, 4, "one\ntwo\n… and 2 lines more\n"},
		{"of a small terminal too", 80, 3, "one\n… and 3 lines more\n"},
		{"wide lines are cut, by characters", 3, 5, "one\ntwo\nthr\n→→→\n"},
	} {
		if got := clip(text, c.width, c.height); got != c.want {
			t.Errorf("%s: clip(%q, %d, %d) = %q, want %q", c.name, text, c.width, c.height, got, c.want)
		}
	}
}
