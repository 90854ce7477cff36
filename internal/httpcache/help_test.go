package httpcache

import (
	"testing"
	"time"
)

// noon is when the tests take place: Mon, 01 Jun 2026 12:00:00 GMT.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC).UnixNano()

const noonDate = "Mon, 01 Jun 2026 12:00:00 GMT"

// at returns noon and some seconds.
func at(seconds int) int64 { return noon + int64(seconds)*int64(time.Second) }

// dateAt returns the HTTP date of noon and some seconds.
func dateAt(seconds int) string { return string(AppendDate(nil, at(seconds))) }

// get returns a GET with the fields of names and values in turn.
func get(pairs ...string) *Ask { return request("GET", pairs...) }

func request(method string, pairs ...string) *Ask {
	var a Ask
	a.Reset([]byte(method))
	for i := 0; i < len(pairs); i += 2 {
		a.Add([]byte(pairs[i]), []byte(pairs[i+1]))
	}
	return &a
}

// response returns a response that arrives at noon without delay.
func response(status int, pairs ...string) *Response {
	return &Response{Status: status, Header: MakeHeader(pairs...), RequestTime: noon, ResponseTime: noon}
}

// admit admits the 200 response of names and values in turn to a plain GET.
func admit(t *testing.T, pairs ...string) Admission {
	t.Helper()
	adm := Admit(get(), response(200, pairs...), &Policy{})
	if !adm.Stored {
		t.Fatalf("Admit(%q) refused: %s", pairs, adm.Detail)
	}
	return adm
}
