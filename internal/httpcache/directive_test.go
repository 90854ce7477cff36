package httpcache

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// directives returns all directives of a Cache-Control line.
func directives(line string) (list []directive) {
	for d, rest, more := nextDirective(line); more; d, rest, more = nextDirective(rest) {
		list = append(list, d)
	}
	return list
}

func TestDirectives(t *testing.T) {
	flag := func(name string) directive { return directive{name: name} }
	valued := func(name, value string) directive { return directive{name, value, true} }
	none := directive{}
	tests := []struct {
		name string
		line string
		want []directive
	}{
		{"§5.2 empty", "", nil},
		{"§5.2 one", "no-store", []directive{flag("no-store")}},
		{"§5.2 name as written", "No-Store", []directive{flag("No-Store")}},
		{"§5.2 token", "a=b", []directive{valued("a", "b")}},
		{"§5.2 quoted", `a="b"`, []directive{valued("a", "b")}},
		{"§5.2 quoted comma", `a="b, c", d`, []directive{valued("a", "b, c"), flag("d")}},
		{"§5.2 escaped quote", `a="b\", c", d`, []directive{valued("a", `b\", c`), flag("d")}},
		{"§5.2 nothing after =", "a=", []directive{valued("a", "")}},
		{"§5.2 nothing in quotes", `a=""`, []directive{valued("a", "")}},
		{"§5.2 two =", "a=b=c", []directive{valued("a", "b=c")}},
		{"§5.2 no name", "=b", []directive{none}},
		{"§5.2 name in quotes", `"no-store"`, []directive{none}},
		{"§5.2 two words", "no-store private", []directive{none}},
		{"§5.2 space before =", "a =b", []directive{none}},
		{"§5.2 space after =", "a= b", []directive{valued("a", " b")}},
		{"§5.2 quote that does not close", `a="b, c`, []directive{valued("a", `"b, c`)}},
		{"RFC 9110 §5.6.1 spaces and tabs", " a ,\tb\t", []directive{flag("a"), flag("b")}},
		{"RFC 9110 §5.6.1 empty members", ",a,,b", []directive{none, flag("a"), none, flag("b")}},
		{"RFC 9110 §5.6.2 bytes that no token has", "a;b, é", []directive{none, none}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := directives(tt.line); !slices.Equal(got, tt.want) {
				t.Errorf("directives of %q = %+v, want %+v", tt.line, got, tt.want)
			}
		})
	}
}

func TestToken(t *testing.T) {
	const tchar = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	for c := range 256 {
		b := string([]byte{byte(c)})
		if got, want := token(b), strings.Contains(tchar, b); got != want {
			t.Errorf("token(%q) = %v, want %v (RFC 9110 §5.6.2)", b, got, want)
		}
	}
	for s, want := range map[string]bool{"": false, "ab": true, "a b": false, " a": false, "a;": false} {
		if got := token(s); got != want {
			t.Errorf("token(%q) = %v, want %v (RFC 9110 §5.6.2)", s, got, want)
		}
	}
}

func TestDeltaSeconds(t *testing.T) {
	const s = time.Second
	tests := []struct {
		name  string
		value string
		want  time.Duration
		ok    bool
	}{
		{"zero", "0", 0, true},
		{"leading zeros", "0060", 60 * s, true},
		{"largest", "2147483647", maxSeconds * s, true},
		{"one more than the largest", "2147483648", maxSeconds * s, true},
		{"more than 64 bits", "99999999999999999999", maxSeconds * s, true},
		{"leading zeros before the largest", "00000000000000000000002147483648", maxSeconds * s, true},
		{"empty", "", 0, false},
		{"negative", "-1", 0, false},
		{"plus", "+1", 0, false},
		{"float", "1.0", 0, false},
		{"exponent", "1e3", 0, false},
		{"hexadecimal", "0x10", 0, false},
		{"suffix", "1s", 0, false},
		{"suffix after overflow", "99999999999999999999s", 0, false},
		{"space before", " 1", 0, false},
		{"digits of another script", "١", 0, false},
	}
	for _, tt := range tests {
		t.Run("§1.2.2 "+tt.name, func(t *testing.T) {
			if got, ok := deltaSeconds(tt.value); got != tt.want || ok != tt.ok {
				t.Errorf("deltaSeconds(%q) = %v, %v, want %v, %v", tt.value, got, ok, tt.want, tt.ok)
			}
		})
	}
}

// closed reports whether every quoted string of a list closes.
func closed(list string) bool {
	quoted := false
	for i := 0; i < len(list); i++ {
		switch {
		case list[i] == '"':
			quoted = !quoted
		case list[i] == '\\' && quoted:
			i++
		}
	}
	return !quoted
}

func FuzzDirectives(f *testing.F) {
	for _, seed := range []string{"max-age=60, no-store", `a="b\", c", d`, `private="a, b`, ",,=,", "a= b\t"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		list := directives(line)
		for _, d := range list {
			if d.name != "" && !token(d.name) || d.name == "" && d != (directive{}) {
				t.Errorf("directives of %q have %+v", line, d)
			}
		}
		if !closed(line) {
			return
		}
		nameless := func(d directive) bool { return d.name == "" }
		list = slices.DeleteFunc(list, nameless)
		both := slices.DeleteFunc(directives(line+",no-store"), nameless)
		if want := append(list, directive{name: "no-store"}); !slices.Equal(both, want) {
			t.Errorf("directives of %q and a no-store = %+v, want %+v", line, both, want)
		}
	})
}
