package origin

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The bounds of what a client may ask for.
const (
	maxDelay     = time.Minute
	maxSynthetic = 1 << 30
	maxTTL       = 365 * 24 * time.Hour
)

const dynamicHelp = `/dynamic/ makes its answers on the spot:

  /dynamic/time            the origin's time
  /dynamic/greeting        greets the client's city
  /dynamic/headers         the request as the origin sees it, as JSON
  /dynamic/delay/200ms     waits before it answers; up to 1m
  /dynamic/size/1MiB       so many bytes; up to 1GiB
  /dynamic/status/503      that status; 200 to 599

The parameters delay, size, status and ttl may be added to each: /dynamic/time?delay=200ms&ttl=10s.
Answers carry Cache-Control: no-store, and with ttl public, max-age.
`

// dynamic is what a request to /dynamic/ asks for.
type dynamic struct {
	kind   string // "time", "greeting", "headers"; "" is the help, or what the other fields say
	delay  time.Duration
	size   int64         // -1: not chosen
	status int           // 200 unless chosen
	ttl    time.Duration // -1: not chosen
	chosen bool          // delay, size or status is given by the path
}

// parseDynamic reads the part of the path after /dynamic/ and the query.
func parseDynamic(rest, query string) (dynamic, error) {
	d := dynamic{size: -1, status: http.StatusOK, ttl: -1}
	kind, arg, hasArg := strings.Cut(rest, "/")
	given := map[string]bool{}
	switch kind {
	case "", "time", "greeting", "headers":
		if hasArg {
			return d, fmt.Errorf("/dynamic/%s takes nothing after it", kind)
		}
		d.kind = kind
	case "delay", "size", "status":
		d.chosen, given[kind] = true, true
		if err := d.set(kind, arg); err != nil {
			return d, err
		}
	default:
		return d, fmt.Errorf("no /dynamic/%s: there are time, greeting, headers, delay, size and status", kind)
	}
	params, err := url.ParseQuery(query)
	if err != nil {
		return d, fmt.Errorf("bad query: %w", err)
	}
	for _, name := range []string{"delay", "size", "status", "ttl"} {
		values := params[name]
		if len(values) > 1 || len(values) == 1 && given[name] {
			return d, fmt.Errorf("%s is given twice", name)
		}
		if len(values) == 1 {
			if err := d.set(name, values[0]); err != nil {
				return d, err
			}
		}
	}
	return d, nil
}

func (d *dynamic) set(name, value string) (err error) {
	switch name {
	case "delay":
		d.delay, err = parseSpan(name, value, "200ms or 1.5s", maxDelay)
	case "ttl":
		d.ttl, err = parseSpan(name, value, "10s or 1h", maxTTL)
	case "size":
		d.size, err = parseSize(value, maxSynthetic)
	case "status":
		d.status, err = strconv.Atoi(value)
		if err != nil || d.status < 200 || d.status > 599 {
			err = fmt.Errorf("bad status %q: write a number from 200 to 599", value)
		}
	}
	return err
}

func parseSpan(name, value, examples string, limit time.Duration) (time.Duration, error) {
	span, err := time.ParseDuration(value)
	if err != nil || span < 0 {
		return 0, fmt.Errorf("bad %s %q: write it as %s", name, value, examples)
	}
	if span > limit {
		return 0, fmt.Errorf("%s %s is too long: at most %s", name, value, limit)
	}
	return span, nil
}

// cacheControl says how long the answer may be cached.
func (d dynamic) cacheControl() string {
	if d.ttl < 0 {
		return "no-store"
	}
	return fmt.Sprintf("public, max-age=%d", int(d.ttl.Seconds()))
}

// bodyless reports whether answers with the status have no body (RFC 9110 §15.3.5, §15.3.6, §15.4.5).
func (d dynamic) bodyless() bool {
	return d.status == http.StatusNoContent || d.status == http.StatusResetContent || d.status == http.StatusNotModified
}
