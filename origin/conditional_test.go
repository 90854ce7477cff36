package origin

import (
	"net/http"
	"testing"
	"time"
)

func TestConditionalRequests(t *testing.T) {
	const get, head, put = http.MethodGet, http.MethodHead, http.MethodPut
	at := noon
	v := validators{`"v1"`, at}
	date := func(d time.Duration) string { return at.Add(d).Format(http.TimeFormat) }
	whole := outcome{status: 200, length: 100}
	for _, c := range []struct {
		name   string
		method string
		v      validators
		c      conditions
		want   outcome
	}{
		{"plain", get, v, conditions{}, whole},
		{"If-None-Match hits", get, v, conditions{noneMatch: `"v1"`}, outcome{status: 304}},
		{"If-None-Match in a list", get, v, conditions{noneMatch: `"v0", W/"v1" , "v2"`}, outcome{status: 304}},
		{"If-None-Match *", get, v, conditions{noneMatch: `*`}, outcome{status: 304}},
		{"If-None-Match misses", get, v, conditions{noneMatch: `"v0"`}, whole},
		{"If-None-Match without quotes", get, v, conditions{noneMatch: `v1`}, whole},
		{"If-None-Match on HEAD", head, v, conditions{noneMatch: `"v1"`}, outcome{status: 304}},
		{"If-None-Match * on a write", put, v, conditions{noneMatch: `*`}, outcome{status: 412}},
		{"If-None-Match rules out If-Modified-Since", get, v, conditions{noneMatch: `"v0"`, modifiedSince: date(0)}, whole},
		{"If-Modified-Since, same second", get, validators{`"v1"`, at.Add(time.Millisecond)}, conditions{modifiedSince: date(0)}, outcome{status: 304}},
		{"If-Modified-Since, changed", get, v, conditions{modifiedSince: date(-time.Second)}, whole},
		{"If-Modified-Since, no date", get, v, conditions{modifiedSince: "yesterday"}, whole},
		{"If-Modified-Since without Last-Modified", get, validators{etag: `"v1"`}, conditions{modifiedSince: date(0)}, whole},
		{"If-Match hits", get, v, conditions{match: `"v1"`}, whole},
		{"If-Match misses", get, v, conditions{match: `"v0"`}, outcome{status: 412}},
		{"If-Match compares strongly", get, v, conditions{match: `W/"v1"`}, outcome{status: 412}},
		{"a weak tag never matches strongly", get, validators{etag: `W/"v1"`}, conditions{match: `"v1"`}, outcome{status: 412}},
		{"If-Unmodified-Since holds", get, v, conditions{unmodifiedSince: date(0)}, whole},
		{"If-Unmodified-Since fails", get, v, conditions{unmodifiedSince: date(-time.Second)}, outcome{status: 412}},
		{"If-Match rules out If-Unmodified-Since", get, v, conditions{match: "*", unmodifiedSince: date(-time.Second)}, whole},
		{"range", get, v, conditions{rng: "bytes=10-19"}, outcome{206, 10, 10}},
		{"range on HEAD is ignored", head, v, conditions{rng: "bytes=10-19"}, whole},
		{"range after 304", get, v, conditions{rng: "bytes=10-19", noneMatch: `"v1"`}, outcome{status: 304}},
		{"If-Range by tag", get, v, conditions{rng: "bytes=0-0", ifRange: `"v1"`}, outcome{206, 0, 1}},
		{"If-Range by another tag", get, v, conditions{rng: "bytes=0-0", ifRange: `"v0"`}, whole},
		{"If-Range by a weak tag", get, v, conditions{rng: "bytes=0-0", ifRange: `W/"v1"`}, whole},
		{"If-Range by date", get, v, conditions{rng: "bytes=0-0", ifRange: date(0)}, outcome{206, 0, 1}},
		{"If-Range by a later date", get, v, conditions{rng: "bytes=0-0", ifRange: date(time.Second)}, whole},
		{"If-Range by nonsense", get, v, conditions{rng: "bytes=0-0", ifRange: "*"}, whole},
	} {
		if got := c.c.evaluate(c.method, c.v, 100); got != c.want {
			t.Errorf("%s: evaluate = %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestRanges(t *testing.T) {
	whole, none := outcome{200, 0, 100}, outcome{status: 416}
	for header, want := range map[string]outcome{
		"bytes=0-":                     {206, 0, 100},
		"bytes=0-99":                   {206, 0, 100},
		"bytes=0-0":                    {206, 0, 1},
		"bytes=99-":                    {206, 99, 1},
		"bytes=90-200":                 {206, 90, 10},
		"bytes=-1":                     {206, 99, 1},
		"bytes=-200":                   {206, 0, 100},
		"Bytes = 5-6":                  {206, 5, 2},
		"bytes=0-99999999999999999999": {206, 0, 100},
		"bytes=100-":                   none,
		"bytes=-0":                     none,
		"bytes=99999999999999999999-":  none,
		"bytes=":                       whole,
		"bytes=-":                      whole,
		"bytes=5-4":                    whole,
		"bytes=a-b":                    whole,
		"bytes=+1-2":                   whole,
		"bytes=1--2":                   whole,
		"bytes=0-1,3-4":                whole,
		"lines=0-1":                    whole,
		"bytes 0-1":                    whole,
	} {
		if got := parseRange(header, 100); got != want {
			t.Errorf("parseRange(%q, 100) = %+v, want %+v", header, got, want)
		}
	}
	if got := parseRange("bytes=0-", 0); got != none {
		t.Errorf("a range of nothing = %+v, want 416", got)
	}
}

func FuzzRange(f *testing.F) {
	for _, seed := range []string{"bytes=0-1", "bytes=-5", "bytes=9-", "bytes=18446744073709551616-", "bytes=1-2,3-4", "=-"} {
		f.Add(seed, int64(10))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		got := parseRange(header, size)
		if got.status == 416 {
			return
		}
		if got.start < 0 || got.length < 0 || got.length > size-got.start {
			t.Errorf("parseRange(%q, %d) = %+v lies outside", header, size, got)
		}
	})
}
