package httpcache

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestParseVary(t *testing.T) {
	tests := []struct {
		name  string
		pairs []string
		want  string
	}{
		{"§12.5.5 none", []string{"Date", noonDate}, ""},
		{"§12.5.5 empty", []string{"Vary", ""}, ""},
		{"§12.5.5 one", []string{"Vary", "Accept"}, "accept"},
		{"§12.5.5 order and case mean nothing", []string{"vary", "B, a ,C"}, "a,b,c"},
		{"§12.5.5 repeated", []string{"Vary", "a, A", "Vary", "a"}, "a"},
		{"§12.5.5 several lines", []string{"Vary", "b", "X", "y", "Vary", "a"}, "a,b"},
		{"§5.6.1 empty members", []string{"Vary", ",a,,b,"}, "a,b"},
		{"§12.5.5 any", []string{"Vary", "*"}, VaryAny},
		{"§12.5.5 any among others", []string{"Vary", "a, *"}, VaryAny},
		{"§12.5.5 any on a second line", []string{"Vary", "a", "Vary", "*"}, VaryAny},
		{"§5.6.2 no field name", []string{"Vary", "a b"}, VaryAny},
		{"§5.6.2 quoted", []string{"Vary", `"a"`}, VaryAny},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := ParseVary(MakeHeader(tt.pairs...)); got != tt.want {
				t.Errorf("ParseVary(%q) = %q, want %q", tt.pairs, got, tt.want)
			}
		})
	}
}

func TestMergeVary(t *testing.T) {
	tests := []struct{ a, b, want string }{
		{"", "", ""},
		{"a", "", "a"},
		{"", "a", "a"},
		{"a,c", "b,c", "a,b,c"},
		{"a", "a", "a"},
		{"b", "a", "a,b"},
		{VaryAny, "a", VaryAny},
		{"a", VaryAny, VaryAny},
		{VaryAny, "", VaryAny},
	}
	for _, tt := range tests {
		if got := MergeVary(tt.a, tt.b); got != tt.want {
			t.Errorf("MergeVary(%q, %q) = %q, want %q", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestAppendVariant(t *testing.T) {
	const al, ae = "Accept-Language", "Accept-Encoding"
	long := strings.Repeat("x, ", maxPreferences-1)
	tests := []struct {
		name string
		vary string
		a, b *Ask
		same bool
	}{
		{"§4.1 same value", "x", get("X", "1"), get("x", "1"), true},
		{"§4.1 other value", "x", get("X", "1"), get("X", "2"), false},
		{"§4.1 case of the value", "x", get("X", "a"), get("X", "A"), false},
		{"§4.1 other field", "x", get("X", "1", "Y", "1"), get("X", "1", "Y", "2"), true},
		{"§4.1 absent in both", "x", get(), get("Y", "1"), true},
		{"§4.1 absent in one", "x", get(), get("X", "1"), false},
		{"§4.1 empty is not absent", "x", get(), get("X", ""), false},
		{"§4.1 two lines are a list", "x", get("X", "1", "X", "2"), get("X", "1, 2"), true},
		{"§4.1 spaces around commas", "x", get("X", "1 ,2"), get("X", " 1,\t2 "), true},
		{"§4.1 spaces within a value", "x", get("X", "1 2"), get("X", "12"), false},
		{"§4.1 a comma more", "x", get("X", "1, 2"), get("X", "12"), false},
		{"§4.1 order of a list", "x", get("X", "1, 2"), get("X", "2, 1"), false},
		{"§4.1 spaces after a quoted comma", "x", get("X", `"1, 2"`), get("X", `"1,2"`), false},
		{"§4.1 second field of two", "x,y", get("X", "1", "Y", "2"), get("X", "1", "Y", "3"), false},
		{"§4.1 values that change fields", "x,y", get("X", "1"), get("Y", "1"), false},
		{"§4.1 order of the fields in the request", "x,y", get("X", "1", "Y", "2"), get("Y", "2", "X", "1"), true},

		{"§12.5.4 order of equals", "accept-language", get(al, "de, en"), get(al, "en,de"), true},
		{"§12.5.4 order of weights", "accept-language", get(al, "en;q=0.5, de"), get(al, "de, en;q=0.5"), true},
		{"§12.5.4 case", "accept-language", get(al, "DE-ch"), get(al, "de-CH"), true},
		{"§12.4.2 ways to write a weight", "accept-language", get(al, "de;q=0.50, en ; Q=1.000"), get(al, "de;q=0.5, en"), true},
		{"§12.4.2 largest digit", "accept-language", get(al, "de;q=0.9, en"), get(al, "en, de;q=0.900"), true},
		{"§12.4.2 other parameter", "accept-language", get(al, "de;x=0.5"), get(al, "de;q=0.5"), false},
		{"§12.4.2 no =", "accept-language", get(al, "de;q:0.5"), get(al, "de;q=0.5"), false},
		{"§12.4.2 no point", "accept-language", get(al, "de;q=0x5"), get(al, "de;q=0.5"), false},
		{"§12.4.2 no digit", "accept-language", get(al, "de;q=0.?, en"), get(al, "en, de;q=0.?"), false},
		{"§12.4.2 byte before the digits", "accept-language", get(al, "de;q=0.5/, en"), get(al, "en, de;q=0.5/"), false},
		{"§12.4.2 one digit", "accept-language", get(al, "de;q=1"), get(al, "de"), true},
		{"§12.4.2 no value", "accept-language", get(al, "de;q="), get(al, "de"), false},
		{"§12.4.2 other weight", "accept-language", get(al, "de, en;q=0.5"), get(al, "de, en;q=0.4"), false},
		{"§12.4.2 other language has the weight", "accept-language", get(al, "de;q=0.5, en"), get(al, "de, en;q=0.5"), false},
		{"§12.5.4 other language", "accept-language", get(al, "de"), get(al, "en"), false},
		{"§12.5.4 two lines", "accept-language", get(al, "de", al, "en"), get(al, "en, de"), true},
		{"§12.5.4 one more", "accept-language", get(al, "de"), get(al, "de, en"), false},
		{"§12.5.4 empty is not absent", "accept-language", get(al, ""), get(), false},
		{"§12.5.3 order of equals", "accept-encoding", get(ae, "gzip, br"), get(ae, "br,gzip"), true},
		{"§12.5.3 refused", "accept-encoding", get(ae, "gzip, br;q=0"), get(ae, "gzip, br"), false},
		{"§12.5.3 refused or not named", "accept-encoding", get(ae, "gzip, br;q=0"), get(ae, "gzip"), false},
		{"§12.5.3 any", "accept-encoding", get(ae, "*;q=0.1, gzip"), get(ae, "gzip, *;q=0.1"), true},
		{"§12.4.2 weight that is none", "accept-encoding", get(ae, "br;q=2, gzip"), get(ae, "gzip, br;q=2"), false},
		{"§12.4.2 too many digits", "accept-encoding", get(ae, "br;q=0.5000, gzip"), get(ae, "br;q=0.5, gzip"), false},
		{"§12.5.3 what is written like a normalised weight", "accept-encoding", get(ae, "br;0"), get(ae, "br;q=0"), false},
		{"§12.5.3 most", "accept-encoding", get(ae, long+"gzip"), get(ae, "gzip, "+long), true},
		{"§12.5.3 too many stay as they are", "accept-encoding", get(ae, "x, "+long+"gzip"), get(ae, "gzip, x, "+long), false},
		{"order of other fields with weights", "accept", get("Accept", "a/b, c/d"), get("Accept", "c/d, a/b"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := string(AppendVariant(nil, tt.vary, tt.a)), string(AppendVariant(nil, tt.vary, tt.b))
			if (a == b) != tt.same {
				t.Errorf("AppendVariant by %q of %q = %q, of %q = %q, want the same: %v", tt.vary, tt.a.lines, a, tt.b.lines, b, tt.same)
			}
		})
	}
}

func TestAppendVariantDoesNotAllocate(t *testing.T) {
	dst := make([]byte, 0, 256)
	a := get("Accept-Encoding", "gzip, deflate, br;q=0.5", "Accept-Language", "de-CH, en;q=0.8, fr;q=0.7", "Cookie", "a=b")
	if n := testing.AllocsPerRun(100, func() { AppendVariant(dst, "accept-encoding,accept-language,cookie", a) }); n != 0 {
		t.Errorf("AppendVariant allocates %v times, want 0", n)
	}
}

func BenchmarkAppendVariant(b *testing.B) {
	dst := make([]byte, 0, 256)
	a := get("Accept-Encoding", "gzip, deflate, br", "Accept-Language", "de-CH, en;q=0.8, fr;q=0.7")
	b.ReportAllocs()
	for b.Loop() {
		AppendVariant(dst, "accept-encoding,accept-language", a)
	}
}

// Two values that differ beyond what is normalised never select the same variant: an attacker could choose what others are
// served.
func FuzzAppendVariant(f *testing.F) {
	f.Add("gzip, br;q=0.5", "br;0.5", "x")
	f.Add("br;0", "br;q=0", "")
	f.Add(`"a, b`, "a", "b")
	f.Fuzz(func(t *testing.T, value1, value2, other string) {
		if strings.ContainsAny(value1+value2+other, "\n") {
			return
		}
		for _, name := range []string{"accept-encoding", "cookie"} {
			a := AppendVariant(nil, name+",x", get(name, value1, "X", other))
			b := AppendVariant(nil, name+",x", get(name, value2, "X", other))
			if string(a) == string(b) && meaning(name, value1) != meaning(name, value2) {
				t.Errorf("%s %q and %q select the same variant %q", name, value1, value2, a)
			}
			if n := strings.Count(string(a), "\n"); n != 2 {
				t.Errorf("%s %q makes %d lines of two fields", name, value1, n)
			}
		}
	})
}

// meaning writes a value so that equal texts mean the same.
func meaning(name, value string) string {
	var members, preferences []string
	for item, rest, more := nextItem(trim(value)); more; item, rest, more = nextItem(rest) {
		members = append(members, item)
		if p, ok := parsePreference(item); ok {
			preferences = append(preferences, fmt.Sprint(strings.ToLower(p.name), " ", p.weight))
		} else if item != "" {
			name = "as written"
		}
	}
	if name != "accept-encoding" || len(preferences) > maxPreferences {
		return "as written: " + strings.Join(members, ",")
	}
	slices.Sort(preferences)
	return strings.Join(preferences, ",")
}
