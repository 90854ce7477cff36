package httpcache

import (
	"math"
	"strings"
	"time"
)

// The forms of a date: w is a letter of the day's name, d the day, n the month's name, y the year, h, i and s the time.
const (
	imfFixdate = "www, dd nnn yyyy hh:ii:ss GMT"
	rfc850     = " dd-nnn-yy hh:ii:ss GMT" // after the day's name and its comma
	asctime    = "www nnn dd hh:ii:ss yyyy"
)

const (
	dayNames   = "MonTueWedThuFriSatSun"
	monthNames = "JanFebMarAprMayJunJulAugSepOctNovDec"
)

// ParseDate parses an HTTP date: IMF-fixdate, or one of the two obsolete forms that recipients must accept (RFC 9110
// §5.6.7), in any case (RFC 9111 §4.2). Everything else is invalid: other zones, missing commas, fields of other widths,
// days that the month does not have. Dates past 2262, which an int64 cannot hold, are the last that it can.
func ParseDate(s string) (ns int64, ok bool) {
	switch len(s) {
	case len(imfFixdate):
		if ns, ok = parseForm(s, imfFixdate); ok {
			return ns, ok
		}
	case len(asctime):
		if ns, ok = parseForm(s, asctime); ok {
			return ns, ok
		}
	}
	day, rest, _ := strings.Cut(s, ",")
	for d := time.Sunday; d <= time.Saturday; d++ {
		if Fold(day, d.String()) && len(rest) == len(rfc850) {
			return parseForm(rest, rfc850)
		}
	}
	return 0, false
}

// parseForm parses a date that is as long as its form.
func parseForm(s, form string) (ns int64, ok bool) {
	var year, month, day, hour, minute, second int
	for i := 0; i < len(form); i++ {
		var field *int
		switch form[i] {
		case 'w':
			if nameIndex(dayNames, s[i:i+3]) == 0 {
				return 0, false
			}
			i += 2
			continue
		case 'n':
			if month = nameIndex(monthNames, s[i:i+3]); month == 0 {
				return 0, false
			}
			i += 2
			continue
		case 'd':
			field = &day
		case 'y':
			field = &year
		case 'h':
			field = &hour
		case 'i':
			field = &minute
		case 's':
			field = &second
		default:
			if lower(s[i]) != lower(form[i]) {
				return 0, false
			}
			continue
		}
		c := s[i]
		if form == asctime && field == &day && day == 0 && c == ' ' && form[i+1] == 'd' {
			continue // a day below 10
		}
		if c < '0' || c > '9' {
			return 0, false
		}
		*field = *field*10 + int(c-'0')
	}
	if form == rfc850 {
		year = fullYear(year)
	}
	midnight := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if hour > 23 || minute > 59 || second > 60 || midnight.Day() != day {
		return 0, false
	}
	t := midnight.Add(time.Duration(hour*3600+minute*60+second) * time.Second)
	const last = math.MaxInt64 / int64(time.Second)
	if unix := t.Unix(); unix < last && unix > -last {
		return t.UnixNano(), true
	} else if unix < 0 {
		return math.MinInt64, true
	}
	return math.MaxInt64, true
}

// fullYear adds the century to a year of two digits. The years that could also lie more than 50 years ahead are past (RFC
// 9110 §5.6.7), which as an expiry means stale.
func fullYear(yy int) int {
	if yy < 70 {
		return 2000 + yy
	}
	return 1900 + yy
}

// nameIndex returns the place of a three-letter name in a list of them, counted from 1; 0 when it is not there.
func nameIndex(names, name string) int {
	for i := 0; i < len(names); i += 3 {
		if Fold(names[i:i+3], name) {
			return i/3 + 1
		}
	}
	return 0
}

// AppendDate appends an instant as IMF-fixdate.
func AppendDate(dst []byte, ns int64) []byte {
	return time.Unix(0, ns).UTC().AppendFormat(dst, "Mon, 02 Jan 2006 15:04:05 GMT")
}
