package scrubber

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Status is that of the response to a refused request: 429 (RFC 6585 §4), or 403 when a person has blocked the client. It is 0
// for a request that passes.
func (d Decision) Status() int {
	switch {
	case d.OK:
		return 0
	case d.Blocked && d.Rule == Manual:
		return http.StatusForbidden
	}
	return http.StatusTooManyRequests
}

// Fields calls set for each field that the decision adds to a response, whatever its status; value holds until set returns.
//
//	RateLimit-Policy: "api";q=100;w=60       draft-ietf-httpapi-ratelimit-headers-10 §3: what the deciding rule allows
//	RateLimit: "api";r=12;t=31               §4: no more than r units within t seconds
//	X-RateLimit-Limit: 100                   the same for clients that know no structured fields; the last in seconds from now
//	X-RateLimit-Remaining: 12
//	X-RateLimit-Reset: 31
//	Retry-After: 31                          with 429 alone (RFC 9110 §10.2.3)
//
// Seconds are rounded up. Of a request that no rule is about, and of clients that people blocked, there is nothing to say.
func (d Decision) Fields(set func(name string, value []byte)) {
	if d.rule == nil {
		return
	}
	wait := d.Reset
	if !d.OK && d.RetryAfter != Never {
		wait = d.RetryAfter // the draft wants t and Retry-After to agree
	}
	b := make([]byte, 0, 128)
	number := func(name string, n int64) { set(name, strconv.AppendInt(b[:0], n, 10)) }
	set("RateLimit-Policy", append(b, d.rule.policy...))
	b = append(b, '"')
	b = append(b, d.rule.Name...) // a name needs no escapes
	b = append(b, `";r=`...)
	b = strconv.AppendInt(b, d.Remaining, 10)
	b = append(b, ";t="...)
	b = strconv.AppendInt(b, seconds(wait), 10)
	set("RateLimit", b)
	number("X-RateLimit-Limit", d.Limit)
	number("X-RateLimit-Remaining", d.Remaining)
	number("X-RateLimit-Reset", seconds(wait))
	if !d.OK && d.RetryAfter != Never {
		number("Retry-After", seconds(d.RetryAfter))
	}
}

// policy is the rule's item of RateLimit-Policy. The quota is the most that passes at once, the window the time in which that
// comes back. Windows have whole seconds: for a shorter one the quota is that of a second.
func (w *law) policy(name string) string {
	window := w.Per
	if w.weight > 0 {
		window = time.Duration(ceilDiv(w.quota*w.weight, w.drain))
	}
	quota := w.quota
	if window < time.Second {
		quota = min(w.Rate*int64(time.Second)/int64(w.Per), maxInteger)
	}
	return fmt.Sprintf("%q;q=%d;w=%d", name, quota, seconds(window))
}

// maxInteger is the largest number in a structured field (RFC 9651 §3.3.1).
const maxInteger = 999_999_999_999_999

// seconds rounds up.
func seconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return s
}
