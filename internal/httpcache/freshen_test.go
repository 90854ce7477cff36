package httpcache

import (
	"testing"
	"time"
)

// stored returns what a cache holds of a 200 response whose body has ten bytes.
func stored(t *testing.T, pairs ...string) *Stored {
	t.Helper()
	adm := admit(t, append(pairs, "Cache-Control", "max-age=60")...)
	return &Stored{Meta: &adm.Meta, Header: adm.Header, Size: 10}
}

// later returns a response that arrives a hundred seconds past noon.
func later(status int, pairs ...string) *Response {
	return &Response{Status: status, Header: MakeHeader(pairs...), RequestTime: at(100), ResponseTime: at(100)}
}

func TestValidators(t *testing.T) {
	const none = ""
	tests := []struct {
		name                 string
		pairs                []string
		noneMatch, modified  string
		lastModifiedIsStored bool
	}{
		{"§4.3.1 both", []string{"ETag", `"a"`, "Last-Modified", dateAt(-60)}, `"a"`, dateAt(-60), true},
		{"§4.3.1 weak tag", []string{"ETag", `W/"a"`}, `W/"a"`, none, false},
		{"§4.3.1 Last-Modified as written", []string{"Last-Modified", "Mon Jun  1 11:59:00 2026"}, none, "Mon Jun  1 11:59:00 2026", true},
		{"§4.3.1 invalid Last-Modified", []string{"Last-Modified", "yesterday"}, none, none, true},
		{"§4.3.1 none", nil, none, none, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := stored(t, tt.pairs...)
			if n, m := s.Validators(); n != tt.noneMatch || m != tt.modified {
				t.Errorf("Validators of %q = %q, %q, want %q, %q", tt.pairs, n, m, tt.noneMatch, tt.modified)
			}
			if got := s.Header.Has("Last-Modified"); got != tt.lastModifiedIsStored {
				t.Errorf("Last-Modified is stored: %v, want %v", got, tt.lastModifiedIsStored)
			}
		})
	}
}

func TestFreshenSelects(t *testing.T) {
	const e, lm = "ETag", "Last-Modified"
	both := []string{e, `"a"`, lm, dateAt(-60)}
	tests := []struct {
		name   string
		stored []string
		pairs  []string // of the 304
		want   bool
	}{
		{"§4.3.4 no validator", both, nil, true},
		{"§4.3.4 same tag", both, []string{e, `"a"`}, true},
		{"§4.3.4 other tag", both, []string{e, `"b"`}, false},
		{"§4.3.4 same tag, other date", both, []string{e, `"a"`, lm, dateAt(-30)}, true},
		{"§4.3.4 other tag, same date", both, []string{e, `"b"`, lm, dateAt(-60)}, false},
		{"§4.3.4 weak tag of a strong one", both, []string{e, `W/"a"`}, true},
		{"§4.3.4 strong tag of a weak one", []string{e, `W/"a"`}, []string{e, `"a"`}, true},
		{"§4.3.4 only the same date", both, []string{lm, dateAt(-60)}, true},
		{"§4.3.4 only another date", both, []string{lm, dateAt(-30)}, false},
		{"§4.3.4 same date in another form", both, []string{lm, "Mon Jun  1 11:59:00 2026"}, true},
		{"§4.3.4 invalid date", both, []string{lm, "now"}, true},
		{"§4.3.4 date where none was", []string{e, `"a"`}, []string{lm, dateAt(-60)}, false},
		{"§4.3.4 tag where none was", []string{lm, dateAt(-60)}, []string{e, `"a"`}, false},
		{"§4.3.4 tag where none was, same date", []string{lm, dateAt(-60)}, []string{e, `"a"`, lm, dateAt(-60)}, true},
		{"§4.3.4 tag where none was, other date", []string{lm, dateAt(-60)}, []string{e, `"a"`, lm, dateAt(-30)}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			adm, matched := Freshen(stored(t, tt.stored...), get(), later(304, tt.pairs...), &Policy{})
			if matched != tt.want || adm.Stored != tt.want {
				t.Errorf("Freshen of %q by a 304 with %q = stored %v, matched %v, want %v", tt.stored, tt.pairs, adm.Stored, matched, tt.want)
			}
		})
	}
}

func TestFreshenFields(t *testing.T) {
	s := stored(t, "Date", noonDate, "ETag", `"a"`, "Content-Type", "text/a", "Content-Encoding", "gzip", "Content-Range", "bytes 0-9/10",
		"X-Old", "1", "X-Both", "1", "X-Both", "2", "Set-Cookie2", "1")
	adm, _ := Freshen(s, get(), later(304, "Date", dateAt(100), "ETag", `"a"`, "Content-Length", "0", "Content-Encoding", "br",
		"Content-Range", "x", "Content-Type", "text/b", "x-both", "3", "X-New", "1", "X-New", "2", "Cache-Control", "max-age=9",
		"Transfer-Encoding", "chunked", "Connection", "x-mine", "X-Mine", "1", "Age", "4", "X-Cache", "HIT", "Cache-Status", "x"), &Policy{})
	want := MakeHeader("Content-Encoding", "gzip", "Content-Range", "bytes 0-9/10", "X-Old", "1", "Set-Cookie2", "1",
		"Date", dateAt(100), "ETag", `"a"`, "Content-Type", "text/b", "x-both", "3", "X-New", "1", "X-New", "2", "Cache-Control", "max-age=9")
	if adm.Header != want {
		t.Errorf("Freshen makes\n%swant (RFC 9111 §3.2)\n%s", adm.Header, want)
	}
	if m := adm.Meta; m.Status != 200 || m.Lifetime != 9*time.Second || m.InitialAge != 4*time.Second || m.Date != at(100) || m.ResponseTime != at(100) {
		t.Errorf("Freshen makes %+v, want a 200 of the 304's time, age and lifetime", m)
	}
}

func TestFreshenMeaning(t *testing.T) {
	tests := []struct {
		name     string
		stored   []string
		pairs    []string // of the 304
		lifetime time.Duration
		age      time.Duration
		refuse   bool
	}{
		{"§4.3.4 stored lifetime counts anew", nil, []string{"Date", dateAt(100)}, 60 * time.Second, 0, false},
		{"§4.3.4 from the arrival when there is no Date", []string{"Date", noonDate}, nil, 60 * time.Second, 0, false},
		{"§4.3.4 stored Age is past", []string{"Age", "50"}, nil, 60 * time.Second, 0, false},
		{"§4.3.4 max-age of the 304", nil, []string{"Cache-Control", "max-age=5"}, 5 * time.Second, 0, false},
		{"§4.3.4 a Cache-Control without max-age", nil, []string{"Cache-Control", "public"}, 0, 0, false},
		{"§5.2.2.5 no-store", nil, []string{"Cache-Control", "no-store"}, 0, 0, true},
		{"§5.2.2.7 private", nil, []string{"Cache-Control", "max-age=60, private"}, 60 * time.Second, 0, true},
		{"§4.1 Vary: *", nil, []string{"Vary", "*"}, 60 * time.Second, 0, true},
		{"§7.3 Set-Cookie", nil, []string{"Set-Cookie", "a=b"}, 60 * time.Second, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := stored(t, append(tt.stored, "ETag", `"a"`)...)
			adm, matched := Freshen(s, get(), later(304, tt.pairs...), &Policy{})
			if !matched || adm.Stored == tt.refuse || adm.Header == "" {
				t.Fatalf("Freshen by a 304 with %q = stored %v (%s), matched %v, header %q; want stored %v and a header",
					tt.pairs, adm.Stored, adm.Detail, matched, adm.Header, !tt.refuse)
			}
			if m := adm.Meta; m.Lifetime != tt.lifetime || m.InitialAge != tt.age {
				t.Errorf("Freshen by a 304 with %q = lifetime %v, age %v, want %v, %v", tt.pairs, m.Lifetime, m.InitialAge, tt.lifetime, tt.age)
			}
		})
	}
}

// A strong tag would let ranges of different bytes be put together.
func TestFreshenKeepsWeakTag(t *testing.T) {
	adm, _ := Freshen(stored(t, "ETag", `W/"a"`), get(), later(304, "ETag", `"a"`), &Policy{})
	if got := adm.Header.Get("ETag"); got != `W/"a"` || adm.Meta.ETag != got {
		t.Errorf("after a 304 with a strong tag the weak one is %q, in Meta %q; want as it was", got, adm.Meta.ETag)
	}
	adm, _ = Freshen(stored(t, "ETag", `"a"`), get(), later(304, "ETag", `W/"a"`), &Policy{})
	if adm.Meta.ETag != `W/"a"` {
		t.Errorf("after a 304 with a weak tag the strong one is %q, want the weak one", adm.Meta.ETag)
	}
}

func TestFreshenByHead(t *testing.T) {
	both := []string{"ETag", `"a"`, "Last-Modified", dateAt(-60)}
	tests := []struct {
		name  string
		pairs []string // of the response to HEAD
		want  bool
	}{
		{"§4.3.5 nothing that differs", nil, true},
		{"§4.3.5 all the same", append(both, "Content-Length", "10"), true},
		{"§4.3.5 other tag", []string{"ETag", `"b"`}, false},
		{"§4.3.5 weak tag", []string{"ETag", `W/"a"`}, false},
		{"§4.3.5 other date", []string{"ETag", `"a"`, "Last-Modified", dateAt(-59)}, false},
		{"§4.3.5 other length", append(both, "Content-Length", "11"), false},
		{"§4.3.5 length that is no number", append(both, "Content-Length", "x"), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			adm, matched := FreshenByHead(stored(t, append(both, "X", "1")...), request("HEAD"), later(200, append(tt.pairs, "X", "2")...), &Policy{})
			if matched != tt.want || adm.Stored != tt.want {
				t.Errorf("FreshenByHead with %q = stored %v (%s), matched %v, want %v", tt.pairs, adm.Stored, adm.Detail, matched, tt.want)
			}
			if got := adm.Header.Get("X"); matched && got != "2" {
				t.Errorf("FreshenByHead leaves X = %q, want that of the HEAD", got)
			}
		})
	}
}

func TestCookiesDoNotUndoAValidation(t *testing.T) {
	p := &Policy{TTL: time.Minute}
	first := Admit(get(), response(200, "ETag", `"a"`), p)
	s := &Stored{Meta: &first.Meta, Header: first.Header, Size: 5}
	adm, matched := Freshen(s, get("Cookie", "a=b"), response(304, "ETag", `"a"`), p)
	if !matched || !adm.Stored {
		t.Errorf("Freshen for a request with a cookie = stored %v (%s), matched %v; want the response kept", adm.Stored, adm.Detail, matched)
	}
}
