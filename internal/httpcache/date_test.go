package httpcache

import (
	"math"
	"testing"
	"time"
)

func TestParseDate(t *testing.T) {
	aug := time.Date(2050, 8, 18, 2, 1, 18, 0, time.UTC).UnixNano()
	tests := []struct {
		name string
		date string
		want int64 // 0: invalid
	}{
		{"IMF-fixdate", "Thu, 18 Aug 2050 02:01:18 GMT", aug},
		{"RFC 850", "Thursday, 18-Aug-50 02:01:18 GMT", aug},
		{"RFC 850 of the last century", "Sunday, 06-Nov-94 08:49:37 GMT", time.Date(1994, 11, 6, 8, 49, 37, 0, time.UTC).UnixNano()},
		{"asctime", "Thu Aug  8 02:01:18 2050", time.Date(2050, 8, 8, 2, 1, 18, 0, time.UTC).UnixNano()},
		{"asctime, two digits", "Thu Aug 18 02:01:18 2050", aug},
		{"upper-case weekday", "THU, 18 Aug 2050 02:01:18 GMT", aug},
		{"upper-case month", "Thu, 18 AUG 2050 02:01:18 GMT", aug},
		{"mixed-case zone", "Thu, 18 Aug 2050 02:01:18 gMT", aug},
		{"leap second", "Sat, 31 Dec 2016 23:59:60 GMT", time.Date(2017, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()},
		{"past the end of time", "Sun, 21 Nov 2286 04:46:39 GMT", math.MaxInt64},
		{"before the start of time", "Sun, 21 Nov 1600 04:46:39 GMT", math.MinInt64},
		{"UTC", "Thu, 18 Aug 2050 02:01:18 UTC", 0},
		{"other zone", "Thu, 18 Aug 2050 02:01:18 AEST", 0},
		{"two-digit year", "Thu, 18 Aug 50 02:01:18 GMT", 0},
		{"no comma", "Thu 18 Aug 2050 02:01:18 GMT", 0},
		{"no comma, same length", "Thu  18 Aug 2050 02:01:18 GMT", 0},
		{"spaces", "Thu, 18  Aug  2050 02:01:18 GMT", 0},
		{"spaces, same length", "Thu, 18  Aug 2050 2:01:18 GMT", 0},
		{"dashes", "Thu, 18-Aug-2050 02:01:18 GMT", 0},
		{"periods", "Thu, 18 Aug 2050 02.01.18 GMT", 0},
		{"one-digit hour", "Thu, 18 Aug 2050 2:01:18 GMT", 0},
		{"one-digit day, padded", "Thu,  8 Aug 2050 02:01:18 GMT", 0},
		{"no such day", "Thu, 31 Feb 2050 02:01:18 GMT", 0},
		{"day zero", "Thu, 00 Aug 2050 02:01:18 GMT", 0},
		{"no such hour", "Thu, 18 Aug 2050 24:01:18 GMT", 0},
		{"no such weekday", "Foo, 18 Aug 2050 02:01:18 GMT", 0},
		{"no such month", "Thu, 18 Foo 2050 02:01:18 GMT", 0},
		{"short weekday in RFC 850", "Thu, 18-Aug-50 02:01:18 GMT", 0},
		{"number", "0", 0},
		{"empty", "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := ParseDate(tt.date)
			if got != tt.want || ok != (tt.want != 0) {
				t.Errorf("ParseDate(%q) = %d, %v, want %d", tt.date, got, ok, tt.want)
			}
		})
	}
}
