package lab_test

import (
	"fmt"
	"slices"
)

const (
	good = "Cache-Control: max-age=3600"
	old  = "Cache-Control: max-age=60\nAge: 7200" // stale from the start
)

// reused is a rule about whether an answer may be served again to a request like the first.
func reused(name, answer string, again outcome) rule {
	return rule{name, []step{{answer: answer, want: fetched}, {answer: answer, want: again}}}
}

// cachingRules are the rules, by section of their RFC.
func cachingRules() []rule {
	return slices.Concat(storing(), freshness(), expires(), ages(), directives(), targeted(), validation(), preconditions(), updating(),
		staleness(), varying(), invalidation(), ranges(), credentials(), statuses(), messages())
}

func storing() []rule {
	return []rule{
		reused("RFC 9111 §3: an answer with a lifetime is stored", good, cached),
		reused("RFC 9111 §3: an answer without lifetime and validator is not", "", fetched),
		{"RFC 9111 §2: another query is another key", []step{{path: "?a=1", answer: good, want: fetched}, {path: "?a=2", answer: good, want: fetched}, {path: "?a=1", want: cached, text: "body 1"}}},
		{"RFC 9111 §4: HEAD is answered from a stored GET", []step{{answer: good + "\nX-A: 1", want: fetched}, {method: "HEAD", want: cached, has: "X-A: 1\nContent-Length: 6"}}},
		{"RFC 9111 §3: what a HEAD brings is not stored as a GET", []step{{method: "HEAD", answer: good, want: fetched}, {answer: good, want: fetched}}},
		{"RFC 9110 §9.3.3: what a POST brings is stored when it says that it is what its target has", []step{
			{path: "/p?q", method: "POST", answer: good + "\nContent-Location: p?q\nX-A: 1", want: fetched, has: "X-A: 1"}, {path: "/p?q", want: cached, text: "body 1", has: "X-A: 1"}}},
		{"RFC 9110 §9.3.3: it takes the place of what was stored", []step{{path: "/p", answer: good, want: fetched},
			{path: "/p", method: "POST", answer: good + "\nContent-Location: p", want: fetched}, {path: "/p", want: cached, text: "body 2"}}},
		{"RFC 9110 §9.3.3: not when it is what something else has", []step{{path: "/p", method: "POST", answer: good + "\nContent-Location: q", want: fetched}, {path: "/p", answer: good, want: fetched}}},
		{"RFC 9110 §9.3.3: not without a lifetime of its own", []step{{path: "/p", method: "POST", answer: "Content-Location: p\nLast-Modified: {-86400}", want: fetched}, {path: "/p", answer: good, want: fetched}}},
		{"RFC 9110 §9.3.4: what a PUT brings is not stored", []step{{path: "/p", method: "PUT", answer: good + "\nContent-Location: p", want: fetched}, {path: "/p", answer: good, want: fetched}}},
		{"RFC 9111 §3: what a POST brings is not stored", []step{{method: "POST", answer: good, want: fetched}, {answer: good, want: fetched}}},
		{"RFC 9111 §3.1: what Connection names is neither stored nor passed on", []step{
			{answer: good + "\nConnection: X-A, X-B\nX-A: 1\nX-B: 2\nX-C: 3", want: fetched, has: "X-C: 3", lacks: "X-A\nX-B"},
			{want: cached, has: "X-C: 3", lacks: "X-A\nX-B"}}},
		{"RFC 9110 §7.6.1: hop-by-hop fields are neither stored nor passed on", []step{
			{answer: good + "\nKeep-Alive: timeout=5\nProxy-Authenticate: Basic\nProxy-Authentication-Info: x\nProxy-Connection: keep-alive\nTE: trailers\nUpgrade: h2c", want: fetched,
				lacks: "Keep-Alive\nProxy-Authenticate\nProxy-Authentication-Info\nProxy-Connection\nTe\nUpgrade"},
			{want: cached, lacks: "Keep-Alive\nProxy-Authenticate\nProxy-Authentication-Info\nProxy-Connection\nTe\nUpgrade"}}},
		{"RFC 9111 §3.1: every other field is stored", []step{
			{answer: good + "\nX-Any: a\nContent-Language: de\nContent-Security-Policy: default-src 'self'\nX-Frame-Options: deny\nWWW-Authenticate: Basic\nContent-Location: /x\nContent-MD5: eA==\nContent-Range: x\nContent-Encoding: x-a\nSet-Cookie2: a=b\nClear-Site-Data: \"cache\"", want: fetched},
			{want: cached, has: "X-Any: a\nContent-Language: de\nContent-Security-Policy: default-src 'self'\nX-Frame-Options: deny\nWWW-Authenticate: Basic\nContent-Location: /x\nContent-MD5: eA==\nContent-Range: x\nContent-Encoding: x-a\nSet-Cookie2: a=b\nClear-Site-Data: \"cache\""}}},
		{"RFC 9111 §3.1: a repeated field is stored with each value", []step{{answer: good + "\nX-Two: 1\nX-Two: 2", want: fetched}, {want: cached, has: "X-Two: 1, 2"}}},
	}
}

func freshness() []rule {
	var rules []rule
	for _, c := range []struct {
		directives string
		again      outcome
	}{
		{"max-age=0", fetched}, {"MaX-aGe=3600", cached}, {"foo, max-age=3600", cached}, {"foo=bar, max-age=3600", cached}, {"max-age=2147483648", cached},
		{"max-age=99999999999", cached}, {"max-age=003600", cached}, {"max-age=-3600", fetched}, {"max-age='3600'", fetched}, {"max-age=3600a", fetched}, {"max-age=a3600", fetched},
		{"max-age=3600.5", fetched}, {"max-age =3600", fetched}, {"max-age= 3600", fetched}, {`ext="max-age=3600", max-age=0`, fetched}, {`max-age=0, ext="max-age=3600"`, fetched},
		{"s-maxage=3600", cached}, {"max-age=0, s-maxage=3600", cached}, {"max-age=3600, s-maxage=0", fetched}, {"s-maxage=0, max-age=3600", fetched},
	} {
		rules = append(rules, reused("RFC 9111 §4.2.1: Cache-Control: "+c.directives, "Cache-Control: "+c.directives, c.again))
	}
	return append(rules,
		reused("RFC 9111 §4.2.1: directives on several lines are one list", "Cache-Control: max-age=3600\nCache-Control: s-maxage=0", fetched),
		reused("RFC 9111 §5.3: max-age overrides an Expires that is past", "Cache-Control: max-age=3600\nExpires: {-100}", cached),
		reused("RFC 9111 §5.3: max-age overrides an Expires that is no date", "Cache-Control: max-age=3600\nExpires: 0", cached),
		reused("RFC 9111 §5.2.2.10: s-maxage overrides an Expires that is past", "Cache-Control: max-age=0, s-maxage=3600\nExpires: {-100}", cached),
		reused("RFC 9111 §5.3: max-age=0 overrides an Expires to come", "Cache-Control: max-age=0\nExpires: {+100}", fetched),
		reused("RFC 9111 §4.2.2: a 200 with Last-Modified is fresh for a while", "Last-Modified: {-86400}", cached),
		rule{"RFC 9111 §4.2.2: an unknown status with Last-Modified is not", []step{{status: 599, answer: "Last-Modified: {-86400}", want: fetched}, {status: 599, answer: "X: 1", want: fetched}}},
		rule{"RFC 9111 §5.2.2.9: public makes an unknown status heuristically fresh", []step{{status: 599, answer: "Last-Modified: {-86400}\nCache-Control: public", want: fetched}, {want: cached, code: 599}}},
	)
}

func expires() []rule {
	var rules []rule
	for _, c := range []struct {
		value string
		again outcome
	}{
		{"{+3600}", cached}, {"{-3600}", fetched}, {"0", fetched}, {"Tue, 19 Jan 2038 14:14:08 GMT", cached}, {"Sun, 21 Nov 2286 04:46:39 GMT", cached},
		{"Thu Aug  8 02:01:18 2050", cached}, {"Thursday, 18-Aug-50 02:01:18 GMT", cached}, {"THU, 18 Aug 2050 02:01:18 GMT", cached}, {"Thu, 18 AUG 2050 02:01:18 GMT", cached}, {"Thu, 18 Aug 2050 02:01:18 gMT", cached},
		{"Thu, 18 Aug 2050 02:01:18 UTC", fetched}, {"Thu, 18 Aug 2050 02:01:18 AEST", fetched}, {"Thu, 18 Aug 50 02:01:18 GMT", fetched}, {"Thu 18 Aug 2050 02:01:18 GMT", fetched},
		{"Thu, 18  Aug  2050 02:01:18 GMT", fetched}, {"Thu, 18-Aug-2050 02:01:18 GMT", fetched}, {"Thu, 18 Aug 2050 02.01.18 GMT", fetched}, {"Thu, 18 Aug 2050 2:01:18 GMT", fetched},
	} {
		rules = append(rules, reused("RFC 9111 §5.3: Expires: "+c.value, "Expires: "+c.value, c.again))
	}
	return append(rules,
		reused("RFC 9111 §4.2.1: two Expires that differ are past", "Expires: {+3600}\nExpires: {+3601}", fetched),
		reused("RFC 9111 §5.3: Expires counts from Date", "Expires: {-100}\nDate: {-3600}", fetched),
		reused("RFC 9111 §5.3: Expires counts from a Date of a clock that is fast", "Expires: {+300}\nDate: {+400}", fetched),
		reused("RFC 9111 §5.3: Expires counts from the arrival when Date is no date", "Expires: {+100}\nDate: foo", cached),
		reused("RFC 9111 §4.2.3: Age counts against Expires, whose Date is slow", "Date: {-10}\nExpires: {+10}\nAge: 25", fetched),
		reused("RFC 9111 §4.2.3: Age counts against Expires, whose Date is fast", "Date: {+10}\nExpires: {+20}\nAge: 15", fetched),
		reused("RFC 9111 §4.2.3: a Date in the past is age", "Cache-Control: max-age=100\nDate: {-3600}", fetched),
	)
}

func ages() []rule {
	var rules []rule
	for _, c := range []struct {
		value string
		again outcome
	}{
		{"7200", fetched}, {"30", cached}, {"abc", cached}, {"-7200", cached}, {"7200.0", cached}, {"2147483647", fetched}, {"2147483648", fetched}, {"99999999999", fetched},
		{"7200, 0", fetched}, {"0, 7200", cached}, {"0, 0", cached},
	} {
		rules = append(rules, reused("RFC 9111 §5.1: Age: "+c.value, good+"\nAge: "+c.value, c.again))
	}
	return append(rules,
		reused("RFC 9111 §5.1: of two Age lines the first counts, if old", good+"\nAge: 7200\nAge: 0", fetched),
		reused("RFC 9111 §5.1: of two Age lines the first counts, if new", good+"\nAge: 0\nAge: 7200", cached),
		rule{"RFC 9111 §4: a stored answer has an Age", []step{{answer: good, want: fetched}, {want: cached, has: "Age"}}},
		rule{"RFC 9111 §4.2.3: Age goes on from the Age that came", []step{{answer: good + "\nAge: 1000", want: fetched}, {want: cached, has: "Age: 1000"}}},
		rule{"RFC 9110 §6.6.1: Date stays as it was", []step{{answer: good + "\nDate: {-100}", want: fetched}, {want: cached, has: "Date: {-100}"}}},
	)
}

func directives() []rule {
	tagged := "\nETag: \"v1\""
	return []rule{
		reused("RFC 9111 §5.2.2.7: private is not stored", "Cache-Control: private, max-age=3600", fetched),
		reused("RFC 9111 §5.2.2.5: no-store is not stored", "Cache-Control: no-store, max-age=3600\nExpires: {+3600}", fetched),
		reused("RFC 9111 §5.2: directives are known in any case", "Cache-Control: max-age=3600, No-StOrE", fetched),
		reused("RFC 9111 §5.2.2.4: no-cache is not served unasked", "Cache-Control: no-cache, max-age=3600", fetched),
		reused("RFC 9111 §5.2.2.4: no-cache is validated", "Cache-Control: no-cache, max-age=3600"+tagged, validated),
		reused("RFC 9111 §5.2.2.2: must-revalidate is served while fresh", "Cache-Control: must-revalidate, max-age=3600"+tagged, cached),
		reused("RFC 9111 §5.2.2.2: must-revalidate is validated when stale", "Cache-Control: must-revalidate, max-age=3600\nAge: 7200"+tagged, validated),
		reused("RFC 9111 §5.2.2.3: must-understand lets a known status be stored in spite of no-store", "Cache-Control: must-understand, no-store, max-age=3600", cached),
		{"RFC 9111 §5.2.2.3: must-understand forbids an unknown status", []step{{status: 599, answer: "Cache-Control: must-understand, max-age=3600", want: fetched}, {answer: good, want: fetched}}},
		{`RFC 9111 §5.2.2.4: no-cache="field" leaves the field out but for who fetches it`, []step{{answer: good + "\nCache-Control: no-cache=\"X-A, x-b\"\nX-A: 1\nX-B: 2\nX-C: 3", want: fetched, has: "X-A: 1\nX-B: 2\nX-C: 3"}, {want: cached, has: "X-C: 3", lacks: "X-A\nX-B"}}},
		{`RFC 9111 §5.2.2.7: private="field" leaves the field out`, []step{{answer: good + "\nCache-Control: private=\"X-A\"\nX-A: 1\nX-C: 3", want: fetched, has: "X-A: 1\nX-C: 3"}, {want: cached, has: "X-C: 3", lacks: "X-A"}}},
		{"RFC 9111 §5.2.1.4: a request's no-cache asks the origin", []step{{answer: good, want: fetched}, {send: "Cache-Control: no-cache", answer: good, want: fetched}}},
		{"RFC 9111 §5.4: a request's Pragma: no-cache does so too", []step{{answer: good, want: fetched}, {send: "Pragma: no-cache", answer: good, want: fetched}}},
		{"RFC 9111 §5.2.1.1: a request's max-age=0 asks the origin", []step{{answer: good + "\nAge: 100" + tagged, want: fetched}, {send: "Cache-Control: max-age=0", answer: good + tagged, want: validated}}},
		{"RFC 9111 §5.2.1.1: a request's max-age accepts what is younger", []step{{answer: good + "\nAge: 100", want: fetched}, {send: "Cache-Control: max-age=200", want: cached}}},
		{"RFC 9111 §5.2.1.2: a request's max-stale accepts what is stale", []step{{answer: old, want: fetched}, {send: "Cache-Control: max-stale=100000", want: cached}}},
		{"RFC 9111 §5.2.1.3: a request's min-fresh wants what stays fresh", []step{{answer: good, want: fetched}, {send: "Cache-Control: min-fresh=7200", answer: good, want: fetched}}},
		{"RFC 9111 §5.2.1.5: what answers a request with no-store is not stored", []step{{send: "Cache-Control: no-store", answer: good, want: fetched}, {answer: good, want: fetched}}},
		{"RFC 9111 §5.2.1.7: only-if-cached without anything stored is 504", []step{{send: "Cache-Control: only-if-cached", answer: good, want: cached, code: 504, text: "the request says only-if-cached and paris-1 has no answer stored that may be used\n"}}},
		{"RFC 8246 §2: immutable is served to a reload", []step{{answer: "Cache-Control: max-age=3600, immutable\nAge: 100" + tagged, want: fetched}, {send: "Cache-Control: max-age=0", want: cached}}},
	}
}

func targeted() []rule {
	cdn := func(value, rest string) string { return "CDN-Cache-Control: " + value + "\n" + rest }
	return []rule{
		reused("RFC 9213 §2: CDN-Cache-Control gives a lifetime", cdn("max-age=3600", ""), cached),
		reused("RFC 9213 §2.1: the largest integer is a lifetime", cdn("max-age=99999999999", ""), cached),
		reused("RFC 9213 §2.2: it wins over a shorter Cache-Control", cdn("max-age=3600", "Cache-Control: max-age=0"), cached),
		reused("RFC 9213 §2.2: it wins over a longer Cache-Control", cdn("max-age=0", good), fetched),
		reused("RFC 9213 §2.2: it wins over no-store", cdn("max-age=3600", "Cache-Control: no-store"), cached),
		reused("RFC 9213 §2.2: its no-store wins", cdn("no-store", good), fetched),
		reused("RFC 9213 §2.2: its private wins", cdn("private", good), fetched),
		reused("RFC 9213 §2.2: its no-cache wins", cdn("no-cache", good), fetched),
		reused("RFC 9213 §2.2: it wins over Expires", cdn("max-age=0", "Expires: {+3600}"), fetched),
		reused("RFC 9213 §2.2: it wins over an Expires that is past", cdn("max-age=3600", "Expires: {-3600}"), cached),
		reused("RFC 9213 §2.2: it wins over an Expires that is no date", cdn("max-age=3600", "Expires: 0"), cached),
		reused("RFC 9213 §2.1: its numbers may be larger than 32 bits", cdn("max-age=99999999999", ""), cached),
		reused("RFC 9213 §2.2: Age counts against it", cdn("max-age=3600", "Age: 7200"), fetched),
		reused("RFC 9213 §2.1: directives it does not know mean nothing", cdn("foobar, max-age=3600", ""), cached),
		reused("RFC 9213 §2.1: what is no structured field is ignored whole", cdn("max-age=3600, &&&&", "Cache-Control: no-store"), fetched),
		reused("RFC 9213 §2.1: a value of the wrong type makes it be ignored whole", cdn(`max-age="3600"`, "Cache-Control: no-store"), fetched),
		reused("RFC 9213 §2.1: an empty field is ignored", cdn("", good), cached),
	}
}

func validation() []rule {
	return []rule{
		{"RFC 9111 §4.3.1: a stale answer is validated by its ETag", []step{{answer: old + "\nETag: \"v1\"", want: fetched}, {answer: good + "\nETag: \"v1\"", want: validated, asked: "If-None-Match: \"v1\""}, {want: cached}}},
		{"RFC 9111 §4.3.1: a stale answer is validated by its weak ETag", []step{{answer: old + "\nETag: W/\"v1\"", want: fetched}, {answer: good + "\nETag: W/\"v1\"", want: validated, asked: "If-None-Match: W/\"v1\""}}},
		{"RFC 9111 §4.3.1: a stale answer is validated by Last-Modified", []step{{answer: old + "\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT", want: fetched},
			{answer: good + "\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT", want: validated, asked: "If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT"}, {want: cached}}},
		{"RFC 9111 §4.3.3: a 200 to a validation takes the place of what was stored", []step{{answer: old + "\nETag: \"v1\"", want: fetched}, {answer: good + "\nETag: \"v2\"", want: fetched}, {want: cached, has: `ETag: "v2"`}}},
		{"RFC 9111 §4.3.1: a validation carries the fields that Vary names", []step{{send: "X-Abc: 123", answer: old + "\nETag: \"v1\"\nVary: X-Abc", want: fetched},
			{send: "X-Abc: 123", answer: good + "\nETag: \"v1\"\nVary: X-Abc", want: validated, asked: "X-Abc: 123"}}},
	}
}

func preconditions() []rule {
	tagged := good + "\nETag: \"v1\""
	rules := []rule{}
	for _, c := range []struct {
		tag, ask string
		code     int
	}{
		{`"v1"`, `"v1"`, 304}, {`W/"v1"`, `W/"v1"`, 304}, {`"v1"`, `W/"v1"`, 304}, {`"v1"`, `"v1", "v2", "v3"`, 304}, {`"v1"`, `"v2", "v1", "v3"`, 304}, {`"v1"`, `"v2", "v3", "v1"`, 304},
		{`"v1"`, `*`, 304}, {`"v1"`, `"v2"`, 200},
	} {
		rules = append(rules, rule{fmt.Sprintf("RFC 9110 §13.1.2: %s against If-None-Match: %s", c.tag, c.ask), []step{
			{answer: good + "\nETag: " + c.tag, want: fetched}, {send: "If-None-Match: " + c.ask, want: cached, code: c.code, has: "ETag: " + c.tag}}})
	}
	modified := good + "\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT"
	return append(rules,
		rule{"RFC 9110 §13.1.3: If-Modified-Since with the same date", []step{{answer: modified, want: fetched}, {send: "If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT", want: cached, code: 304}}},
		rule{"RFC 9110 §13.1.3: If-Modified-Since with a later date", []step{{answer: modified, want: fetched}, {send: "If-Modified-Since: Fri, 02 Jan 2026 00:00:00 GMT", want: cached, code: 304}}},
		rule{"RFC 9110 §13.1.3: If-Modified-Since with an earlier date", []step{{answer: modified, want: fetched}, {send: "If-Modified-Since: Wed, 31 Dec 2025 00:00:00 GMT", want: cached, code: 200}}},
		rule{"RFC 9110 §5.6.7: If-Modified-Since in the form of RFC 850", []step{{answer: modified, want: fetched}, {send: "If-Modified-Since: Thursday, 01-Jan-26 00:00:00 GMT", want: cached, code: 304}}},
		rule{"RFC 9110 §13.2.2: If-None-Match comes before If-Modified-Since", []step{{answer: tagged + "\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT", want: fetched},
			{send: "If-None-Match: \"v1\"\nIf-Modified-Since: Wed, 31 Dec 2025 00:00:00 GMT", want: cached, code: 304},
			{send: "If-None-Match: \"v2\"\nIf-Modified-Since: Fri, 02 Jan 2026 00:00:00 GMT", want: cached, code: 200}}},
		rule{"RFC 9111 §4.3.2: a stale answer, validated, answers the client's own condition", []step{{answer: old + "\nETag: \"v1\"", want: fetched},
			{send: "If-None-Match: \"v1\"", answer: good + "\nETag: \"v1\"", want: fetched, code: 304, body: " ", text: ""}}},
		rule{"RFC 9111 §4.3.2: the same by date", []step{{answer: old + "\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT", want: fetched},
			{send: "If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT", answer: good + "\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT", want: fetched, code: 304, body: " ", asked: "If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT"}}},
		rule{"RFC 9111 §4.3.2: without Last-Modified, Date stands in", []step{{answer: good, want: fetched},
			{send: "If-Modified-Since: {+5}", want: cached, code: 304}, {send: "If-Modified-Since: {-3000}", want: cached, code: 200}}},
	)
}

func updating() []rule {
	tag := "\nETag: \"v1\""
	return []rule{
		{"RFC 9111 §3.2: a 304 updates the stored fields", []step{{answer: old + tag + "\nX-A: 1\nX-B: 1", want: fetched}, {answer: good + tag + "\nX-A: 2", want: validated, has: "X-A: 2\nX-B: 1"}, {want: cached, has: "X-A: 2\nX-B: 1"}}},
		{"RFC 9111 §3.2: a 304 updates fields that no one knows, whatever they are called", []step{{answer: old + tag + "\nContent-Foo: 1\nContent-Security-Policy: a", want: fetched},
			{answer: good + tag + "\nContent-Foo: 2\nContent-Security-Policy: b", want: validated, has: "Content-Foo: 2\nContent-Security-Policy: b"}, {want: cached, has: "Content-Foo: 2\nContent-Security-Policy: b"}}},
		{"RFC 9111 §3.2: a 304 leaves Content-Encoding and Content-Length as they are", []step{{answer: old + tag + "\nContent-Encoding: x-a", want: fetched}, {answer: good + tag + "\nContent-Encoding: x-b", want: validated, has: "Content-Encoding: x-a\nContent-Length: 6"}}},
		{"RFC 9111 §4.3.4: a 304 without lifetime keeps the stored one", []step{{answer: "Cache-Control: max-age=60\nAge: 7200" + tag, want: fetched}, {answer: tag[1:], want: validated}, {want: cached}}},
		{"RFC 9111 §4.3.5: a HEAD updates what is stored", []step{{answer: old + tag + "\nX-A: 1", want: fetched}, {method: "HEAD", body: "body 1", answer: good + tag + "\nX-A: 2", want: fetched}, {want: cached, has: "X-A: 2"}}},
		{"RFC 9111 §4.3.5: a HEAD with another ETag makes what is stored unusable", []step{{answer: old + tag, want: fetched}, {method: "HEAD", answer: good + "\nETag: \"v2\"", want: fetched}, {answer: good, want: fetched}}},
	}
}

func staleness() []rule {
	var rules []rule
	for _, d := range []string{"must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=60"} {
		rules = append(rules, rule{"RFC 9111 §4.2.4: nothing stale against " + d, []step{{answer: old + "\nCache-Control: " + d, want: fetched}, {hangUp: true, want: failed}}})
	}
	return append(rules,
		rule{"RFC 9111 §4.2.4: stale when the origin hangs up", []step{{answer: old, want: fetched}, {hangUp: true, want: cached}}},
		rule{"RFC 5861 §4: stale-if-error stands in for a 503", []step{{answer: old + "\nCache-Control: stale-if-error=100000", want: fetched}, {status: 503, want: cached, code: 200}}},
		rule{"RFC 5861 §4: not after its time", []step{{answer: old + "\nCache-Control: stale-if-error=60", want: fetched}, {status: 503, want: fetched}}},
		rule{"RFC 5861 §3: stale-while-revalidate is served at once", []step{{answer: old + "\nCache-Control: stale-while-revalidate=100000", want: fetched}, {hangUp: true, want: cached}}},
		rule{"RFC 5861 §3: not after its time", []step{{answer: old + "\nCache-Control: stale-while-revalidate=60", want: fetched}, {answer: good, want: fetched}}},
	)
}

func varying() []rule {
	vary := func(fields string) string { return good + "\nVary: " + fields }
	pair := func(name, field, first, second string, again outcome) rule {
		s := []step{{answer: vary(field), want: fetched}, {answer: vary(field), want: again}}
		if first != "" {
			s[0].send = field + ": " + first
		}
		if second != "" {
			s[1].send = field + ": " + second
		}
		return rule{name, s}
	}
	rules := []rule{
		pair("RFC 9111 §4.1: the same value", "X-Foo", "1", "1", cached),
		pair("RFC 9111 §4.1: another value", "X-Foo", "1", "2", fetched),
		pair("RFC 9111 §4.1: none where there was one", "X-Foo", "1", "", fetched),
		pair("RFC 9111 §4.1: one where there was none", "X-Foo", "", "1", fetched),
		pair("RFC 9111 §4.1: spaces mean nothing", "X-Foo", "1,2", "1 ,  2", cached),
		pair("RFC 9110 §12.5.4: the order of languages of one weight means nothing", "Accept-Language", "en, de", "de, en", cached),
		pair("RFC 9110 §12.5.4: the case of languages means nothing", "Accept-Language", "en, de", "EN, De", cached),
		{"RFC 9111 §4.1: two variants are stored side by side", []step{{send: "X-Foo: 1", answer: vary("X-Foo"), want: fetched}, {send: "X-Foo: 2", answer: vary("X-Foo"), want: fetched},
			{send: "X-Foo: 1", want: cached, text: "body 1"}, {send: "X-Foo: 2", want: cached, text: "body 2"}}},
		{"RFC 9111 §4.1: fields that Vary does not name mean nothing", []step{{send: "X-Foo: 1\nX-Bar: 1", answer: vary("X-Foo"), want: fetched}, {send: "X-Foo: 1\nX-Bar: 2", want: cached}}},
		{"RFC 9111 §4.1: two fields have to match both", []step{{send: "X-Foo: 1\nX-Bar: 1", answer: vary("X-Foo, X-Bar"), want: fetched}, {send: "X-Foo: 1\nX-Bar: 1", want: cached}, {send: "X-Foo: 1\nX-Bar: 2", answer: vary("X-Foo, X-Bar"), want: fetched}}},
		{"RFC 9111 §4.1: a field that neither request has matches", []step{{send: "X-Foo: 1", answer: vary("X-Foo, X-Bar"), want: fetched}, {send: "X-Foo: 1", want: cached}}},
		{"RFC 9110 §5.3: values on several lines are one list", []step{{send: "X-Foo: 1, 2", answer: vary("X-Foo"), want: fetched}, {send: "X-Foo: 1\nX-Foo: 2", want: cached}}},
	}
	for _, v := range []string{"*", "*, *", ", *", "*, X-Foo", "X-Foo, *", "*\nVary: *", "X-Foo\nVary: *"} {
		rules = append(rules, reused(fmt.Sprintf("RFC 9110 §12.5.5: Vary: %q matches nothing", v), vary(v), fetched))
	}
	return rules
}

func invalidation() []rule {
	var rules []rule
	for _, m := range []string{"POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "FOO"} {
		rules = append(rules,
			rule{"RFC 9111 §4.4: " + m + " makes what is stored unusable", []step{{answer: good, want: fetched}, {method: m, want: fetched}, {answer: good, want: fetched}}},
			rule{"RFC 9111 §4.4: " + m + " that fails does not", []step{{answer: good, want: fetched}, {method: m, status: 500, want: fetched}, {want: cached, text: "body 1"}}},
			rule{"RFC 9111 §4.4: " + m + " takes Location and Content-Location with it", []step{{path: "/a", answer: good, want: fetched}, {path: "/b", answer: good, want: fetched},
				{method: m, path: "/x", answer: "Location: a\nContent-Location: b", want: fetched}, {path: "/a", answer: good, want: fetched}, {path: "/b", answer: good, want: fetched}}})
	}
	return append(rules,
		rule{"RFC 9111 §4.4: not what lies on another host", []step{{path: "/a", answer: good, want: fetched}, {method: "POST", path: "/x", answer: "Location: http://other.test/a", want: fetched}, {path: "/a", want: cached, text: "body 1"}}},
		rule{"RFC 9111 §4.4: safe methods do not", []step{{answer: good, want: fetched}, {method: "OPTIONS", want: fetched}, {want: cached, text: "body 1"}}},
	)
}

func ranges() []rule {
	whole := step{answer: good + "\nETag: \"v1\"", body: "0123456789", want: fetched}
	part := func(ask, text, content string) rule {
		return rule{"RFC 9110 §14.2: " + ask + " out of a stored answer", []step{whole, {send: "Range: " + ask, want: cached, code: 206, text: text, has: "Content-Range: " + content}}}
	}
	return []rule{
		part("bytes=0-1", "01", "bytes 0-1/10"), part("bytes=1-", "123456789", "bytes 1-9/10"), part("bytes=-1", "9", "bytes 9-9/10"), part("bytes=8-100", "89", "bytes 8-9/10"),
		{"RFC 9110 §14.2: a range beyond the end is 416", []step{whole, {send: "Range: bytes=10-", want: cached, code: 416, text: "-", has: "Content-Range: bytes */10"}}},
		{"RFC 9110 §14.2: an unknown unit is ignored", []step{whole, {send: "Range: lines=0-1", want: cached, code: 200}}},
		{"RFC 9110 §13.1.5: If-Range with the tag", []step{whole, {send: "Range: bytes=0-1\nIf-Range: \"v1\"", want: cached, code: 206, text: "01"}}},
		{"RFC 9110 §13.1.5: If-Range with another tag gets everything", []step{whole, {send: "Range: bytes=0-1\nIf-Range: \"v2\"", want: cached, code: 200}}},
		{"RFC 9111 §3.3: a part that a range brings is stored, and answers ranges within it", []step{
			{send: "Range: bytes=2-3", status: 206, body: "0123456789", answer: good + "\nETag: \"v1\"\nContent-Range: bytes 0-9/10", want: fetched, code: 206, text: "23", has: "Content-Range: bytes 2-3/10", asked: "Range"},
			{send: "Range: bytes=4-", want: cached, code: 206, text: "456789"}, {send: "Range: bytes=-1", want: cached, code: 206, text: "9"}, {want: cached, code: 200, text: "0123456789"}}},
		{"RFC 9110 §14.4: a part that is shorter than it says is not stored", []step{{send: "Range: bytes=0-1", status: 206, body: "0", answer: good + "\nETag: \"v1\"\nContent-Range: bytes 0-1/2", want: fetched},
			{send: "Range: bytes=0-1", answer: good, want: fetched, code: 206, text: "bo"}}},
		{"RFC 9111 §3.3: a part of an unknown length is not stored as the whole", []step{{send: "Range: bytes=0-1", status: 206, body: "01", answer: good + "\nContent-Range: bytes 0-1/*", want: fetched}, {answer: good, want: fetched}}},
	}
}

func credentials() []rule {
	asked := func(directives string, again outcome) rule {
		answer := "Cache-Control: max-age=3600" + directives
		return rule{"RFC 9111 §3.5: what answers Authorization, with " + answer, []step{{send: "Authorization: x", answer: answer, want: fetched, asked: "Authorization: x"}, {answer: answer, want: again}}}
	}
	return []rule{
		asked("", fetched), asked(", public", cached), asked(", must-revalidate", cached), asked(", s-maxage=3600", cached),
		{"RFC 6265 §7.2: what sets a cookie is not shared unasked", []step{{answer: good + "\nSet-Cookie: a=b", want: fetched}, {answer: good, want: fetched}}},
		{"RFC 9111 §5.2.2.9: public shares what sets a cookie", []step{{answer: "Cache-Control: public, max-age=3600\nSet-Cookie: a=b", want: fetched}, {want: cached, has: "Set-Cookie: a=b"}}},
		{`RFC 9111 §5.2.2.4: no-cache="Set-Cookie" shares all but the cookie`, []step{{answer: good + "\nCache-Control: no-cache=\"Set-Cookie\"\nSet-Cookie: a=b", want: fetched, has: "Set-Cookie: a=b"}, {want: cached, lacks: "Set-Cookie"}}},
		{"RFC 9111 §4.1: a request with a cookie is answered from the cache", []step{{answer: good, want: fetched}, {send: "Cookie: a=b", want: cached}}},
	}
}

func statuses() []rule {
	var rules []rule
	for _, code := range []int{200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599} {
		rules = append(rules,
			rule{fmt.Sprintf("RFC 9111 §3: %d with a lifetime is stored", code), []step{{status: code, answer: good, want: fetched}, {want: cached, code: code}}},
			rule{fmt.Sprintf("RFC 9111 §4.2: %d that is stale is not served", code), []step{{status: code, answer: old + "\nCache-Control: stale-if-error=0", want: fetched}, {answer: good, want: fetched}}})
	}
	for code, again := range map[int]outcome{203: cached, 204: cached, 404: cached, 405: cached, 410: cached, 414: cached, 501: cached, 201: fetched, 202: fetched, 403: fetched, 502: fetched, 503: fetched, 504: fetched} {
		s := step{answer: good, want: again}
		if again == cached {
			s.code = code
		}
		rules = append(rules, rule{fmt.Sprintf("RFC 9110 §15.1: %d without a lifetime", code), []step{{status: code, answer: "Last-Modified: {-86400}", want: fetched}, s}})
	}
	return rules
}

func messages() []rule {
	return []rule{
		{"RFC 9110 §7.6.3: Via names the way there and back", []step{{answer: good, want: fetched, has: "Via", asked: "Via"}}},
		{"RFC 8586 §2: CDN-Loop names the CDN", []step{{answer: good, want: fetched, asked: "CDN-Loop"}}},
		{"RFC 9211 §2: Cache-Status names what the caches did", []step{{answer: good, want: fetched, has: "Cache-Status"}, {want: cached, has: "Cache-Status"}}},
		{"RFC 9110 §15.2: an interim answer passes, and nothing of it is stored", []step{{early: "Link: </a.css>; rel=preload\nX-Early: 1", answer: good, want: fetched, lacks: "Link\nX-Early"}, {want: cached, lacks: "Link\nX-Early"}}},
		{"RFC 9110 §7.6.1: what a request's Connection names is not passed on", []step{{send: "Connection: X-A\nX-A: 1\nX-B: 2", want: fetched, asked: "!X-A\nX-B: 2"}}},
	}
}
