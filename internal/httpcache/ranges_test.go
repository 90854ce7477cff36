package httpcache

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestParseRange(t *testing.T) {
	part := func(spans ...Span) Selection { return Selection{206, spans} }
	whole, nothing := Selection{Status: 200}, Selection{Status: 416}
	most, mostSpans := apart(maxSpans)
	tooMany, _ := apart(maxSpans + 1)
	tests := []struct {
		name  string
		value string
		size  int64
		want  Selection
	}{
		{"§14.1.2 first and last", "bytes=0-4", 10, part(Span{0, 5})},
		{"§14.1.2 one byte", "bytes=9-9", 10, part(Span{9, 1})},
		{"§14.1.2 open end", "bytes=4-", 10, part(Span{4, 6})},
		{"§14.1.2 past the end is cut", "bytes=4-99", 10, part(Span{4, 6})},
		{"§14.1.2 suffix", "bytes=-3", 10, part(Span{7, 3})},
		{"§14.1.2 suffix longer than all", "bytes=-99", 10, part(Span{0, 10})},
		{"§14.1 unit in upper case", "BYTES=0-0", 10, part(Span{0, 1})},
		{"§14.1 other unit", "lines=0-4", 10, whole},
		{"§14.1.2 starts at the end", "bytes=10-", 10, nothing},
		{"§14.1.2 starts past the end", "bytes=11-12", 10, nothing},
		{"§14.1.2 suffix of nothing", "bytes=-0", 10, nothing},
		{"§14.1.2 suffix of an empty representation", "bytes=-5", 0, whole},
		{"§14.1.2 start of an empty representation", "bytes=0-", 0, whole},

		{"§14.1.1 last before first", "bytes=4-3", 10, whole},
		{"§14.1.1 no bounds", "bytes=-", 10, whole},
		{"§14.1.1 no dash", "bytes=4", 10, whole},
		{"§14.1.1 two dashes", "bytes=1-2-3", 10, whole},
		{"§14.1.1 sign", "bytes=+1-2", 10, whole},
		{"§14.1.1 negative last", "bytes=0--1", 10, whole},
		{"§14.1.1 hexadecimal", "bytes=0x1-5", 10, whole},
		{"§14.1.1 space within", "bytes=0 - 4", 10, whole},
		{"§14.1.1 space before =", "bytes =0-4", 10, whole},
		{"§14.1.1 no =", "bytes 0-4", 10, whole},
		{"§14.1.1 no ranges", "bytes=", 10, whole},
		{"§14.1.1 only commas", "bytes=,,", 10, whole},
		{"§14.1.1 one of two invalid", "bytes=0-1,x", 10, whole},

		{"overflow of the last position", "bytes=4-99999999999999999999", 10, part(Span{4, 6})},
		{"overflow of the first position", "bytes=99999999999999999999-", 10, nothing},
		{"overflow of the suffix", "bytes=-99999999999999999999", 10, part(Span{0, 10})},
		{"largest size", "bytes=1-", math.MaxInt64, part(Span{1, math.MaxInt64 - 1})},

		{"§14.2 two ranges", "bytes=0-1,4-5", 10, part(Span{0, 2}, Span{4, 2})},
		{"§5.6.1 spaces and empty members", "bytes= 0-1 ,, 4-5 ", 10, part(Span{0, 2}, Span{4, 2})},
		{"§15.3.7.2 in the order asked for", "bytes=4-5,0-1", 10, part(Span{4, 2}, Span{0, 2})},
		{"§14.2 one of two satisfiable", "bytes=99-,0-1", 10, part(Span{0, 2})},
		{"§14.2 none of two satisfiable", "bytes=99-,-0", 10, nothing},
		{"§15.3.7.2 overlapping", "bytes=0-4,3-6", 10, part(Span{0, 7})},
		{"§15.3.7.2 touching", "bytes=5-6,0-4", 10, part(Span{0, 7})},
		{"§15.3.7.2 one apart", "bytes=0-3,5-6", 10, part(Span{0, 4}, Span{5, 2})},
		{"§15.3.7.2 one inside the other", "bytes=0-9,3-4", 10, part(Span{0, 10})},
		{"§15.3.7.2 one closes the gap of two", "bytes=0-1,4-5,2-3", 10, part(Span{0, 6})},
		{"§17.15 most", most, 100, part(mostSpans...)},
		{"§17.15 too many", tooMany, 100, whole},
		{"§17.15 many times the same", "bytes=" + strings.Repeat("0-,", 1000) + "0-", 10, part(Span{0, 10})},
		{"§17.15 many unsatisfiable", "bytes=" + strings.Repeat("99-,", 1000) + "0-0", 10, part(Span{0, 1})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ParseRange(tt.value, tt.size)
			if got.Status != tt.want.Status || !slices.Equal(got.Spans, tt.want.Spans) {
				t.Errorf("ParseRange(%.40q, %d) = %v, want %v", tt.value, tt.size, got, tt.want)
			}
		})
	}
}

// apart returns n ranges of one byte that do not touch, and what they select.
func apart(n int) (ranges string, spans []Span) {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%d-%d", i*10, i*10)
		spans = append(spans, Span{int64(i) * 10, 1})
	}
	return "bytes=" + strings.Join(list, ","), spans
}

func TestSelect(t *testing.T) {
	const ir = "If-Range"
	strong := []string{"ETag", `"a"`, "Last-Modified", dateAt(-60)}
	weakly := []string{"ETag", `W/"a"`}
	tests := []struct {
		name   string
		stored []string
		ask    *Ask
		want   int
	}{
		{"§14.2 Range", strong, get("Range", "bytes=0-1"), 206},
		{"§14.2 no Range", strong, get(), 200},
		{"§14.2 HEAD has no ranges", strong, request("HEAD", "Range", "bytes=0-1"), 200},
		{"§5.3 two Range fields", strong, get("Range", "bytes=0-1", "Range", "bytes=0-1"), 200},
		{"§15.5.17 unsatisfiable", strong, get("Range", "bytes=99-"), 416},
		{"§13.1.5 same tag", strong, get("Range", "bytes=0-1", ir, `"a"`), 206},
		{"§13.1.5 other tag", strong, get("Range", "bytes=0-1", ir, `"b"`), 200},
		{"§13.1.5 other tag, unsatisfiable", strong, get("Range", "bytes=99-", ir, `"b"`), 200},
		{"§13.1.5 weak in the request", strong, get("Range", "bytes=0-1", ir, `W/"a"`), 200},
		{"§13.1.5 weak in the response", weakly, get("Range", "bytes=0-1", ir, `"a"`), 200},
		{"§13.1.5 weak in both", weakly, get("Range", "bytes=0-1", ir, `W/"a"`), 200},
		{"§13.1.5 is no list", strong, get("Range", "bytes=0-1", ir, `"a", "b"`), 200},
		{"§13.1.5 any is no tag", strong, get("Range", "bytes=0-1", ir, "*"), 200},
		{"§13.1.5 same date", strong, get("Range", "bytes=0-1", ir, dateAt(-60)), 206},
		{"§13.1.5 later date", strong, get("Range", "bytes=0-1", ir, dateAt(-59)), 200},
		{"§13.1.5 earlier date", strong, get("Range", "bytes=0-1", ir, dateAt(-61)), 200},
		{"§13.1.5 invalid date", strong, get("Range", "bytes=0-1", ir, "then"), 200},
		{"§13.1.5 empty", strong, get("Range", "bytes=0-1", ir, ""), 200},
		{"§13.1.5 two fields", strong, get("Range", "bytes=0-1", ir, `"a"`, ir, `"a"`), 200},
		{"§13.1.5 date without Last-Modified", weakly, get("Range", "bytes=0-1", ir, "Thu, 01 Jan 1970 00:00:00 GMT"), 200},
		{"§13.1.5 without Range", strong, get(ir, `"b"`), 200},
		{"§8.8.2.2 a second before Date", []string{"Last-Modified", dateAt(-1), "Date", noonDate},
			get("Range", "bytes=0-1", ir, dateAt(-1)), 206},
		{"§8.8.2.2 in the second of Date", []string{"Last-Modified", dateAt(0), "Date", noonDate},
			get("Range", "bytes=0-1", ir, dateAt(0)), 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := admit(t, append(tt.stored, "Cache-Control", "max-age=60")...).Meta
			if got := tt.ask.Select(&m, 10).Status; got != tt.want {
				t.Errorf("Select(%q) of a response with %q = %d, want %d", tt.ask.lines, tt.stored, got, tt.want)
			}
		})
	}
	m := Admit(get(), response(404, "Cache-Control", "max-age=60"), &Policy{}).Meta
	if got := get("Range", "bytes=0-1").Select(&m, 10).Status; got != 200 {
		t.Errorf("Select of a 404 = %d, want 200: all of it (RFC 9110 §14.2)", got)
	}
}

func TestAppendContentRange(t *testing.T) {
	if got := string(AppendContentRange(nil, Span{4, 6}, 10)); got != "bytes 4-9/10" {
		t.Errorf("AppendContentRange = %q, want %q (RFC 9110 §14.4)", got, "bytes 4-9/10")
	}
	if got := string(AppendUnsatisfied(nil, 10)); got != "bytes */10" {
		t.Errorf("AppendUnsatisfied = %q, want %q (RFC 9110 §14.4)", got, "bytes */10")
	}
}

func FuzzParseRange(f *testing.F) {
	for _, seed := range []string{"bytes=0-4", "bytes=-3,4-", "bytes=9-1", "bytes=99999999999999999999-", `bytes="0-1",2-`} {
		f.Add(seed, int64(10))
	}
	f.Fuzz(func(t *testing.T, value string, size int64) {
		if size < 0 {
			return
		}
		sel := ParseRange(value, size)
		if (sel.Status == 206) != (len(sel.Spans) > 0) || len(sel.Spans) > maxSpans {
			t.Fatalf("ParseRange(%q, %d) = %v", value, size, sel)
		}
		for i, s := range sel.Spans {
			if s.First < 0 || s.Length < 1 || s.First > size-s.Length {
				t.Errorf("ParseRange(%q, %d) selects %v, which is not there", value, size, s)
			}
			for _, o := range sel.Spans[:i] {
				if s.First <= o.First+o.Length && o.First <= s.First+s.Length {
					t.Errorf("ParseRange(%q, %d) selects %v and %v, which are not apart", value, size, o, s)
				}
			}
		}
	})
}
