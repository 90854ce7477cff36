package httpcache

import (
	"math"
	"net/http"
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
		{"RFC 850 on a Saturday", "Saturday, 05-Nov-94 08:49:37 GMT", time.Date(1994, 11, 5, 8, 49, 37, 0, time.UTC).UnixNano()},
		{"RFC 850 of the last century", "Sunday, 06-Nov-94 08:49:37 GMT", time.Date(1994, 11, 6, 8, 49, 37, 0, time.UTC).UnixNano()},
		{"RFC 850 year 70 is past, as servers mean it", "Thursday, 01-Jan-70 00:00:01 GMT", 1e9},
		{"RFC 850, last year of this century", "Sunday, 01-Dec-69 00:00:00 GMT", time.Date(2069, 12, 1, 0, 0, 0, 0, time.UTC).UnixNano()},
		{"leap day", "Thu, 29 Feb 2024 00:00:00 GMT", time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC).UnixNano()},
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
		{"byte before the digits", "Thu, 1/ Aug 2050 02:01:18 GMT", 0},
		{"byte after the digits", "Thu, 18 Aug 2050 02:01:1: GMT", 0},
		{"letter for a digit", "Thu, 18 Aug 2o50 02:01:18 GMT", 0},
		{"leap day of another year", "Wed, 29 Feb 2023 00:00:00 GMT", 0},
		{"no such minute", "Thu, 18 Aug 2050 02:60:18 GMT", 0},
		{"no such second", "Thu, 18 Aug 2050 02:01:61 GMT", 0},
		{"asctime with a zero for the space", "Thu Aug 08 02:01:18 2050", time.Date(2050, 8, 8, 2, 1, 18, 0, time.UTC).UnixNano()},
		{"asctime with two spaces for the day", "Thu Aug    02:01:18 2050", 0},
		{"space after", "Thu, 18 Aug 2050 02:01:18 GMT ", 0},
		{"bytes that are no ASCII", "Thu, 18 Aüg 2050 02:01:18 GMT", 0},
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

func TestAppendDate(t *testing.T) {
	for _, ns := range []int64{0, 1, noon, noon + 999e6, -1, math.MaxInt64, math.MinInt64} {
		second := time.Unix(0, ns).UTC().Truncate(time.Second)
		if got, want := string(AppendDate(nil, ns)), second.Format(http.TimeFormat); got != want {
			t.Errorf("AppendDate(%d) = %q, want %q (RFC 9110 §5.6.7)", ns, got, want)
		}
	}
}

// Whatever is a date has one instant, which its preferred form gives back.
func FuzzParseDate(f *testing.F) {
	for _, seed := range []string{noonDate, "Thursday, 18-Aug-50 02:01:18 GMT", "Thu Aug  8 02:01:18 2050", "Sat, 31 Dec 2016 23:59:60 GMT", "0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ns, ok := ParseDate(s)
		if !ok || ns == math.MaxInt64 || ns == math.MinInt64 {
			return
		}
		form := string(AppendDate(nil, ns))
		if back, ok := ParseDate(form); !ok || back != ns {
			t.Errorf("ParseDate(%q) = %d, but ParseDate(%q) = %d, %v", s, ns, form, back, ok)
		}
		if ns%int64(time.Second) != 0 {
			t.Errorf("ParseDate(%q) = %d, which is no whole second", s, ns)
		}
		if want, err := http.ParseTime(s); err == nil && len(s) == len(imfFixdate) && want.UnixNano() != ns {
			t.Errorf("ParseDate(%q) = %d, want %d", s, ns, want.UnixNano())
		}
	})
}
