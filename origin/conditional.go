package origin

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// conditions are the request headers that make a request conditional or partial; several lines of one are joined by commas.
type conditions struct {
	match, noneMatch               string
	modifiedSince, unmodifiedSince string
	rng, ifRange                   string
}

// validators identify one representation. A zero modified is not sent and not compared.
type validators struct {
	etag     string // with its quotes; W/ in front when weak
	modified time.Time
}

// outcome is how to answer: a status and the part of the representation to send.
type outcome struct {
	status        int
	start, length int64
}

// evaluate applies the conditions of a request to a representation of size bytes in the order of RFC 9110 §13.2.2.
func (c conditions) evaluate(method string, v validators, size int64) outcome {
	read := method == http.MethodGet || method == http.MethodHead
	switch {
	case c.match != "" && !etagListed(c.match, v.etag, strongly):
		return outcome{status: http.StatusPreconditionFailed}
	case c.match == "" && c.unmodifiedSince != "" && modifiedAfter(v.modified, c.unmodifiedSince):
		return outcome{status: http.StatusPreconditionFailed}
	case c.noneMatch != "" && etagListed(c.noneMatch, v.etag, weakly):
		if !read {
			return outcome{status: http.StatusPreconditionFailed}
		}
		return outcome{status: http.StatusNotModified}
	case c.noneMatch == "" && c.modifiedSince != "" && read && notModifiedSince(v.modified, c.modifiedSince):
		return outcome{status: http.StatusNotModified}
	}
	if method == http.MethodGet && c.rng != "" && c.rangeApplies(v) {
		return parseRange(c.rng, size)
	}
	return outcome{status: http.StatusOK, length: size}
}

// rangeApplies evaluates If-Range (RFC 9110 §13.1.5), which compares strongly.
func (c conditions) rangeApplies(v validators) bool {
	switch {
	case c.ifRange == "":
		return true
	case strings.HasSuffix(c.ifRange, `"`):
		return etagListed(c.ifRange, v.etag, strongly) && c.ifRange != "*"
	}
	at, err := http.ParseTime(c.ifRange)
	return err == nil && !v.modified.IsZero() && v.modified.Truncate(time.Second).Equal(at)
}

func notModifiedSince(modified time.Time, header string) bool {
	at, err := http.ParseTime(header)
	return err == nil && !modified.IsZero() && !modified.Truncate(time.Second).After(at)
}

func modifiedAfter(modified time.Time, header string) bool {
	at, err := http.ParseTime(header)
	return err == nil && !modified.IsZero() && modified.Truncate(time.Second).After(at)
}

// How two entity tags are compared (RFC 9110 §8.8.3.2).
const (
	strongly = true
	weakly   = false
)

// etagListed reports whether etag is in a list of entity tags, or the list is "*". What is no list matches nothing.
func etagListed(list, etag string, strong bool) bool {
	if strings.TrimSpace(list) == "*" {
		return true
	}
	opaque, isWeak := strings.CutPrefix(etag, "W/")
	for {
		list = strings.TrimLeft(list, " \t,")
		tag, weak := strings.CutPrefix(list, "W/")
		if !strings.HasPrefix(tag, `"`) {
			return false
		}
		end := strings.IndexByte(tag[1:], '"')
		if end < 0 {
			return false
		}
		if tag[:end+2] == opaque && !(strong && (weak || isWeak)) {
			return true
		}
		list = tag[end+2:]
	}
}

// parseRange reads a Range header over size bytes (RFC 9110 §14.1.2). It serves one range; a set of several, another unit and
// bad syntax are ignored, which §14.2 allows, and answered with the whole.
func parseRange(header string, size int64) outcome {
	whole := outcome{status: http.StatusOK, length: size}
	unit, set, ok := strings.Cut(header, "=")
	if !ok || !strings.EqualFold(strings.TrimSpace(unit), "bytes") || strings.Contains(set, ",") {
		return whole
	}
	first, last, ok := strings.Cut(strings.TrimSpace(set), "-")
	if !ok {
		return whole
	}
	start, hasStart, ok1 := parseOffset(first)
	end, hasEnd, ok2 := parseOffset(last)
	if !ok1 || !ok2 || !hasStart && !hasEnd || hasStart && hasEnd && end < start {
		return whole
	}
	switch {
	case !hasStart: // the last end bytes
		start, end = max(size-end, 0), size-1
	case !hasEnd || end >= size:
		end = size - 1
	}
	if start > end {
		return outcome{status: http.StatusRequestedRangeNotSatisfiable}
	}
	return outcome{status: http.StatusPartialContent, start: start, length: end - start + 1}
}

// parseOffset reads the digits of one end of a range; none is allowed. Digits beyond an int64 lie past every end.
func parseOffset(s string) (n int64, given, ok bool) {
	if strings.Trim(s, "0123456789") != "" {
		return 0, false, false
	}
	if s == "" {
		return 0, false, true
	}
	n, _ = strconv.ParseInt(s, 10, 64) // all digits: the one error is overflow, for which it returns the largest
	return n, true, true
}
