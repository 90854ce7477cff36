package httpcache

import "testing"

func TestNotModified(t *testing.T) {
	const ims, inm = "If-Modified-Since", "If-None-Match"
	tagged := []string{"ETag", `"a"`, "Last-Modified", dateAt(-60)}
	weakly := []string{"ETag", `W/"a"`}
	dated := []string{"Last-Modified", dateAt(-60)}
	none := []string{"Date", dateAt(-60)}
	tests := []struct {
		name   string
		stored []string
		ask    *Ask
		want   bool
	}{
		{"no precondition", tagged, get(), false},
		{"§13.1.2 same tag", tagged, get(inm, `"a"`), true},
		{"§13.1.2 HEAD", tagged, request("HEAD", inm, `"a"`), true},
		{"§13.1.2 other tag", tagged, get(inm, `"b"`), false},
		{"§13.1.2 tags are case-sensitive", tagged, get(inm, `"A"`), false},
		{"§13.1.2 weak in the request", tagged, get(inm, `W/"a"`), true},
		{"§13.1.2 weak in the response", weakly, get(inm, `"a"`), true},
		{"§13.1.2 weak in both", weakly, get(inm, `W/"a"`), true},
		{"§8.8.3 the weak mark is upper case", tagged, get(inm, `w/"a"`), false},
		{"§13.1.2 second of a list", tagged, get(inm, `"b", W/"a"`), true},
		{"§13.1.2 list without spaces", tagged, get(inm, `"b","a"`), true},
		{"§13.1.2 second line", tagged, get(inm, `"b"`, inm, `"a"`), true},
		{"§5.6.1 empty members", tagged, get(inm, `, ,"a",`), true},
		{"§13.1.2 nothing in the list", tagged, get(inm, ""), false},
		{"§13.1.2 any", tagged, get(inm, "*"), true},
		{"§13.1.2 any, without a tag of its own", none, get(inm, "*"), true},
		{"§13.1.2 tag, without a tag of its own", none, get(inm, `""`), false},
		{"§8.8.3 comma in a tag", []string{"ETag", `"a,b"`}, get(inm, `"c", "a,b"`), true},
		{"§8.8.3 part of a tag with a comma", []string{"ETag", `b`}, get(inm, `"a,b"`), false},
		{"§8.8.3 backslash in a tag", []string{"ETag", `"a\"`}, get(inm, `"a\", "b"`), true},
		{"§8.8.3 backslash in a tag before", []string{"ETag", `"b"`}, get(inm, `"a\", "b"`), true},
		{"§8.8.3 empty tag", []string{"ETag", `""`}, get(inm, `""`), true},
		{"tag without quotes", []string{"ETag", "a"}, get(inm, "b, a"), true},
		{"tag without its last quote", tagged, get(inm, `"a`), false},

		{"§13.1.3 same date", dated, get(ims, dateAt(-60)), true},
		{"§13.1.3 later", dated, get(ims, dateAt(-59)), true},
		{"§13.1.3 earlier", dated, get(ims, dateAt(-61)), false},
		{"§13.1.3 obsolete form", dated, get(ims, "Mon Jun  1 11:59:00 2026"), true},
		{"§13.1.3 invalid date", dated, get(ims, "now"), false},
		{"§13.1.3 two lines", dated, get(ims, dateAt(0), ims, dateAt(0)), false},
		{"§13.1.3 beside If-None-Match that fails", tagged, get(ims, dateAt(0), inm, `"b"`), false},
		{"§13.1.3 beside If-None-Match that holds", tagged, get(inm, `"a"`, ims, dateAt(-99)), true},
		{"§13.1.3 beside an empty If-None-Match", tagged, get(inm, "", ims, dateAt(0)), false},
		{"RFC 9111 §4.3.2 Date stands in for Last-Modified", none, get(ims, dateAt(-60)), true},
		{"RFC 9111 §4.3.2 Date is later", none, get(ims, dateAt(-61)), false},
		{"RFC 9111 §4.3.2 arrival stands in for Date", nil, get(ims, noonDate), true},
		{"RFC 9111 §4.3.2 arrival is later", nil, get(ims, dateAt(-1)), false},

		{"RFC 9111 §4.3.2 If-Match is the origin's", tagged, get("If-Match", `"b"`), false},
		{"RFC 9111 §4.3.2 If-Unmodified-Since is the origin's", tagged, get("If-Unmodified-Since", dateAt(-99)), false},
		{"RFC 9111 §4.3.2 If-Match beside If-None-Match", tagged, get("If-Match", `"b"`, inm, `"a"`), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := admit(t, append(tt.stored, "Cache-Control", "max-age=60")...).Meta
			if got := NotModified(tt.ask, &m); got != tt.want {
				t.Errorf("NotModified(%q) of a response with %q = %v, want %v", tt.ask.lines, tt.stored, got, tt.want)
			}
		})
	}
}

func TestNotModifiedStatus(t *testing.T) {
	for _, status := range []int{203, 301, 404, 500} {
		m := Admit(get(), response(status, "ETag", `"a"`, "Cache-Control", "max-age=60"), &Policy{}).Meta
		if NotModified(get("If-None-Match", `"a"`), &m) {
			t.Errorf("NotModified of a %d = true, want false (RFC 9111 §4.3.2)", status)
		}
	}
}
