package httpcache

import (
	"slices"
	"strings"
	"testing"
)

// lines returns the fields that an iteration yields, as "name: value".
func lines(all func(yield func(name, value string) bool)) (list []string) {
	for name, value := range all {
		list = append(list, name+": "+value)
	}
	return list
}

func TestHeader(t *testing.T) {
	h := MakeHeader("A", "1", "b", "2", "a", "", "C", "x:y")
	if got, want := lines(h.All()), []string{"A: 1", "b: 2", "a: ", "C: x:y"}; !slices.Equal(got, want) {
		t.Errorf("All = %q, want %q", got, want)
	}
	if got, want := slices.Collect(h.Values("a")), []string{"1", ""}; !slices.Equal(got, want) {
		t.Errorf("Values(a) = %q, want %q", got, want)
	}
	for name, want := range map[string]string{"a": "1", "B": "2", "c": "x:y", "x": "", "": ""} {
		if got := h.Get(name); got != want {
			t.Errorf("Get(%q) = %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]bool{"a": true, "B": true, "x": false, "": false, "1": false} {
		if got := h.Has(name); got != want {
			t.Errorf("Has(%q) = %v, want %v", name, got, want)
		}
	}
	if got := lines(Header("").All()); got != nil {
		t.Errorf("All of an empty header = %q, want nothing", got)
	}
}

func TestHeaderStopsEarly(t *testing.T) {
	h := MakeHeader("A", "1", "A", "2", "B", "3")
	n := 0
	for range h.All() {
		n++
		break
	}
	for range h.Values("A") {
		n++
		break
	}
	for range h.Forward() {
		n++
		break
	}
	if n != 3 {
		t.Errorf("three loops left at once took %d steps, want 3", n)
	}
}

func TestAppendField(t *testing.T) {
	tests := []struct {
		name        string
		field       string
		value       string
		wantN, want string
	}{
		{"plain", "A", "b", "A", "b"},
		{"§5.5 space around", "A", " \tb c\t ", "A", "b c"},
		{"§5.5 new line in the value", "A", "b\r\nEvil: c", "A", "b  Evil: c"},
		{"§5.5 NUL in the value", "A", "b\x00c", "A", "b c"},
		{"§5.5 obs-text", "A", "b\xff", "A", "b\xff"},
		{"§5.1 new line in the name", "A\nEvil", "b", "A Evil", "b"},
		{"§5.1 colon in the name", "A: c\nEvil", "b", "A", "b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := Header(AppendField(AppendField(nil, []byte(tt.field), []byte(tt.value)), []byte("Next"), []byte("x")))
			if got, want := lines(h.All()), []string{tt.wantN + ": " + tt.want, "Next: x"}; !slices.Equal(got, want) {
				t.Errorf("AppendField(%q, %q) reads back as %q, want %q", tt.field, tt.value, got, want)
			}
		})
	}
}

func TestAppendFieldDoesNotChangeWhatItIsGiven(t *testing.T) {
	value := []byte("a\nb")
	AppendField(nil, []byte("A"), value)
	if string(value) != "a\nb" {
		t.Errorf("AppendField changed its argument to %q", value)
	}
}

func TestForward(t *testing.T) {
	tests := []struct {
		name string
		h    Header
		want []string
	}{
		{"end-to-end fields", MakeHeader("Age", "1", "Set-Cookie", "a", "Set-Cookie", "b"), []string{"Age: 1", "Set-Cookie: a", "Set-Cookie: b"}},
		{"§7.6.1 hop-by-hop fields", MakeHeader("connection", "close", "Keep-Alive", "x", "PROXY-CONNECTION", "x", "TE", "x", "Trailer", "x",
			"Transfer-Encoding", "x", "Upgrade", "x", "A", "1"), []string{"A: 1"}},
		{"§11.7 fields of proxies", MakeHeader("Proxy-Authenticate", "x", "Proxy-Authentication-Info", "x", "Proxy-Authorization", "x",
			"WWW-Authenticate", "x"), []string{"WWW-Authenticate: x"}},
		{"§7.6.1 nominated", MakeHeader("A", "1", "Connection", "a", "a", "2", "B", "3"), []string{"B: 3"}},
		{"§7.6.1 nominated in a list", MakeHeader("Connection", "close ,, b", "A", "1", "B", "2"), []string{"A: 1"}},
		{"§7.6.1 nominated on a second line", MakeHeader("A", "1", "B", "2", "Connection", "a", "Connection", "b"), nil},
		{"§7.6.1 part of a name", MakeHeader("Connection", "a-b", "A", "1", "A-B-C", "2"), []string{"A: 1", "A-B-C: 2"}},
		{"§7.6.1 part of a name in quotes", MakeHeader("Connection", `"a,b"`, "A", "1", "B", "2"), []string{"A: 1", "B: 2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := lines(tt.h.Forward()); !slices.Equal(got, tt.want) {
				t.Errorf("Forward of %q = %q, want %q", tt.h, got, tt.want)
			}
		})
	}
}

func TestHopByHop(t *testing.T) {
	for name, want := range map[string]bool{
		"Connection": true, "cOnNeCtIoN": true, "te": true, "Upgrade": true, "HTTP2-Settings": true, "Transfer-Encoding": true,
		"Content-Length": false, "Content-Encoding": false, "Via": false, "Cache-Control": false, "CDN-Loop": false, "": false,
	} {
		if got := HopByHop(name); got != want {
			t.Errorf("HopByHop(%q) = %v, want %v (RFC 9110 §7.6.1)", name, got, want)
		}
	}
}

func FuzzHeader(f *testing.F) {
	f.Add("A", "b", "C", "d")
	f.Add("A\r\nB", "c\nd", ":", "")
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2 string) {
		h := MakeHeader(n1, v1, n2, v2)
		list := lines(h.All())
		if len(list) != 2 || strings.ContainsAny(strings.Join(list, ""), "\r\n\x00") {
			t.Fatalf("MakeHeader(%q, %q, %q, %q) reads back as %q", n1, v1, n2, v2, list)
		}
		var again []byte
		for name, value := range h.All() {
			again = AppendField(again, []byte(name), []byte(value))
		}
		if twice := lines(Header(again).All()); len(twice) != 2 {
			t.Errorf("%q written again reads back as %q", list, twice)
		}
	})
}
