package coding

import (
	"strings"
	"testing"
)

func TestNegotiate(t *testing.T) {
	tests := []struct {
		name  string
		lines []string
		want  Coding
	}{
		{"§12.5.3 no field", nil, Identity},
		{"§12.5.3 empty field", []string{""}, Identity},
		{"§12.5.3 one", []string{"gzip"}, Gzip},
		{"§12.5.3 Chrome", []string{"gzip, deflate, br, zstd"}, Brotli},
		{"§12.5.3 Safari before zstd", []string{"gzip, deflate, br"}, Brotli},
		{"§12.5.3 zstd before gzip among equals", []string{"gzip, zstd"}, Zstd},
		{"§12.5.3 order in the field means nothing", []string{"br, gzip"}, Brotli},
		{"§12.5.3 none of ours", []string{"deflate, compress"}, Identity},
		{"§12.5.3 coding preferred to identity of the same weight", []string{"identity, gzip"}, Gzip},
		{"§12.5.3 identity preferred", []string{"identity, gzip;q=0.5"}, Identity},
		{"§12.5.3 identity not listed is the last choice", []string{"gzip;q=0.001"}, Gzip},
		{"§12.5.3 identity listed lower", []string{"gzip;q=0.5, identity;q=0.4"}, Gzip},
		{"§8.4.1.3 x-gzip", []string{"x-gzip"}, Gzip},
		{"§8.4.1 any case", []string{"GZip;Q=0.5, ZSTD;q=0.2"}, Gzip},
		{"§8.4.1 names are ASCII", []string{"zſtd"}, Identity},

		{"§12.4.2 weight decides", []string{"br;q=0.5, gzip;q=0.8, zstd;q=0.7"}, Gzip},
		{"§12.4.2 no weight is 1", []string{"br;q=0.999, gzip"}, Gzip},
		{"§12.4.2 three decimals", []string{"br;q=0.123, gzip;q=0.124"}, Gzip},
		{"§12.4.2 zero forbids", []string{"br;q=0, gzip;q=0.1"}, Gzip},
		{"§12.4.2 zero with decimals forbids", []string{"gzip;q=0.000"}, Identity},
		{"§12.4.2 point without decimals", []string{"br;q=0., gzip;q=1."}, Gzip},
		{"§12.4.2 spaces and tabs about the semicolon", []string{"gzip \t;\t q=0.5"}, Gzip},

		{"§12.5.3 star", []string{"*"}, Brotli},
		{"§12.5.3 star is for what is not listed", []string{"br;q=0.1, *;q=0.5"}, Zstd},
		{"§12.5.3 star below the listed", []string{"gzip, *;q=0.5"}, Gzip},
		{"§12.5.3 star does not lift what is forbidden", []string{"*, br;q=0, zstd;q=0"}, Gzip},
		{"§12.5.3 star forbids the rest", []string{"gzip;q=0.2, *;q=0"}, Gzip},
		{"§12.5.3 star is identity too", []string{"gzip;q=0.2, *;q=0.5, br;q=0, zstd;q=0"}, Identity},
		{"§12.4.1 identity forbidden and nothing else fits", []string{"identity;q=0"}, Identity},
		{"§12.4.1 all forbidden", []string{"*;q=0"}, Identity},
		{"§12.5.3 identity forbidden", []string{"identity;q=0, gzip;q=0.1"}, Gzip},

		{"§5.3 lines are one list", []string{"gzip;q=0.5", "br;q=0.4"}, Gzip},
		{"§5.3 empty line between", []string{"", "gzip"}, Gzip},
		{"§5.6.1 empty members", []string{",, gzip ,"}, Gzip},
		{"listed twice, the lesser counts", []string{"gzip;q=0.5, gzip;q=0"}, Identity},
		{"listed twice, in the other order", []string{"gzip;q=0, x-gzip"}, Identity},
		{"star twice, the lesser counts", []string{"*, *;q=0"}, Identity},

		{"malformed: above 1", []string{"br;q=1.001, gzip;q=0.1"}, Gzip},
		{"malformed: four decimals", []string{"br;q=0.9999, gzip;q=0.1"}, Gzip},
		{"malformed: not a number", []string{"br;q=x, gzip;q=0.1"}, Gzip},
		{"malformed: letters after the point", []string{"br;q=0.x, gzip;q=0.1"}, Gzip},
		{"malformed: negative", []string{"br;q=-1, gzip;q=0.1"}, Gzip},
		{"malformed: no point", []string{"br;q=01, gzip;q=0.1"}, Gzip},
		{"malformed: no value", []string{"br;q=, gzip;q=0.1"}, Gzip},
		{"malformed: no weight after the semicolon", []string{"br;, gzip;q=0.1"}, Gzip},
		{"malformed: spaces about =", []string{"br;q = 1, gzip;q=0.1"}, Gzip},
		{"malformed: a parameter", []string{"br;level=1, gzip;q=0.1"}, Gzip},
		{"malformed: a parameter after the weight", []string{"br;q=1;a=b, gzip;q=0.1"}, Gzip},
		{"malformed: two words", []string{"br zstd, gzip;q=0.1"}, Gzip},
		{"malformed: quoted", []string{`"br", gzip;q=0.1`}, Gzip},
		{"malformed: star with a weight above 1", []string{"*;q=2"}, Identity},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Negotiate(All, tt.lines...); got != tt.want {
				t.Errorf("Negotiate(All, %q) = %v, want %v", tt.lines, got, tt.want)
			}
		})
	}
}

func TestNegotiateOfSet(t *testing.T) {
	const chrome = "gzip, deflate, br, zstd"
	tests := []struct {
		name string
		of   Set
		line string
		want string
	}{
		{"all", All, chrome, "br"},
		{"no brotli", SetOf(Gzip, Zstd), chrome, "zstd"},
		{"gzip alone", SetOf(Gzip), chrome, "gzip"},
		{"none", SetOf(), chrome, "identity"},
		{"identity is always in", SetOf(Gzip), "identity, gzip;q=0.5", "identity"},
		{"what is not offered does not hide what is", SetOf(Gzip), "br, gzip;q=0.1", "gzip"},
		{"star", SetOf(Gzip), "*", "gzip"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Class(tt.of, tt.line); got != tt.want {
				t.Errorf("Class(%b, %q) = %q, want %q", tt.of, tt.line, got, tt.want)
			}
		})
	}
}

func TestSet(t *testing.T) {
	for c := Identity; c < codings; c++ {
		if !All.Has(c) {
			t.Errorf("All.Has(%v) = false", c)
		}
		for of := Identity; of < codings; of++ {
			if got, want := SetOf(of).Has(c), c == of || c == Identity; got != want {
				t.Errorf("SetOf(%v).Has(%v) = %v, want %v", of, c, got, want)
			}
		}
	}
}

func TestNegotiateDoesNotAllocate(t *testing.T) {
	lines := []string{"gzip, deflate, br;q=0.9", "zstd;q=0.5, *;q=0.1"}
	if n := testing.AllocsPerRun(100, func() { Class(All, lines[0], lines[1]) }); n != 0 {
		t.Errorf("Class allocates %v times, want 0", n)
	}
}

func FuzzNegotiate(f *testing.F) {
	for _, s := range []string{"", "gzip, br;q=0.5", "*;q=0", ";q=", "gzip;q=1.000,x-gzip;q=0", "identity;q=0, zstd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got := Negotiate(All, line)
		members := strings.Split(line, ",")
		if lines := Negotiate(All, members...); lines != got {
			t.Errorf("Negotiate of the members of %q as lines = %v, want %v", line, lines, got)
		}
		for i, j := 0, len(members)-1; i < j; i, j = i+1, j-1 {
			members[i], members[j] = members[j], members[i]
		}
		if reversed := Negotiate(All, strings.Join(members, ",")); reversed != got {
			t.Errorf("Negotiate of %q reversed = %v, want %v", line, reversed, got)
		}
		if got != Identity && !strings.Contains(strings.ToLower(line), got.String()) && !strings.Contains(line, "*") {
			t.Errorf("Negotiate(%q) = %v, which is not listed", line, got)
		}
		if forbidden := Negotiate(All, line, got.String()+";q=0"); got != Identity && forbidden == got {
			t.Errorf("Negotiate(%q) = %v though it is forbidden", line, got)
		}
	})
}

func BenchmarkNegotiate(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Negotiate(All, "gzip, deflate, br, zstd")
	}
}
