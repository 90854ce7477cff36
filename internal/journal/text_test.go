package journal

import (
	"math"
	"testing"
)

func TestPositionsAsText(t *testing.T) {
	for _, p := range []Position{{}, {1, 2}, {0xabc, 10}, {math.MaxUint64, math.MaxUint64}} {
		if got, ok := ParsePosition(p.String()); !ok || got != p {
			t.Errorf("ParsePosition(%q) = %v, %v, want %v", p.String(), got, ok, p)
		}
	}
	for _, s := range []string{"", "-", "1", "1-", "-1", "g-1", "1-x", "1-1 ", " 1-1", "1-+1", "A-1", "01-1", "1-01", "1--1", "10000000000000000-1"} {
		if got, ok := ParsePosition(s); ok {
			t.Errorf("ParsePosition(%q) = %v, want nothing", s, got)
		}
	}
}

func FuzzParsePosition(f *testing.F) {
	f.Add("1f-23")
	f.Fuzz(func(t *testing.T, s string) {
		if p, ok := ParsePosition(s); ok && p.String() != s {
			t.Errorf("ParsePosition(%q) = %v", s, p)
		}
	})
}
