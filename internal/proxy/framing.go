package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"cdnlab/internal/httpcache"
)

// Framing tells where the body of a response ends (RFC 9112 §6.3).
type Framing int8

// The framings.
const (
	FramedByLength Framing = iota // also responses without a body
	FramedByChunks
	FramedByClose
)

// ParseHead finds, in a complete head with its empty line, the status of a response to a request, which was a HEAD or not, and how
// its body is framed. length is in bytes and 0 where the framing is another. What could be read in two ways is an error.
func ParseHead(raw []byte, isHead bool) (status int, f Framing, length int64, err error) {
	h, err := parseHead(raw)
	if err == nil {
		f, length, err = h.framing(isHead)
	}
	return h.status, f, length, err
}

// HeadEnd returns the length of the head that raw begins with, and -1 as long as it does not hold all of it. A head that is too
// long, or has a line that does not end as lines do, is an error as soon as that shows.
func HeadEnd(raw []byte) (int, error) {
	end := bytes.Index(raw, crlfcrlf)
	if end >= 0 {
		end += len(crlfcrlf)
	}
	head := raw
	if end >= 0 {
		head = raw[:end]
	}
	if bareLF(head) {
		return -1, errors.New("a line of the response's head does not end with CR LF")
	}
	if len(head) > maxResponseHead {
		return -1, fmt.Errorf("head of the response exceeds %d bytes", maxResponseHead)
	}
	return end, nil
}

func bareLF(b []byte) bool {
	for i := bytes.IndexByte(b, '\n'); i >= 0; {
		if i == 0 || b[i-1] != '\r' {
			return true
		}
		next := bytes.IndexByte(b[i+1:], '\n')
		if next < 0 {
			return false
		}
		i += 1 + next
	}
	return false
}

// framing works out where the body of a response ends.
func (h *responseHead) framing(isHead bool) (Framing, int64, error) {
	switch {
	case h.lengths > 0 && h.length == badLength || h.lengths > 1 && !alike(h.header.Values("Content-Length")):
		return 0, 0, fmt.Errorf("malformed Content-Length %.40q", joined(h.header, "Content-Length"))
	case h.codings > 0 && (h.lengths > 0 || h.http10):
		return 0, 0, errors.New("the response has two framings: Transfer-Encoding beside Content-Length or in HTTP/1.0")
	case h.codings > 1 || h.codings == 1 && !h.chunked:
		return 0, 0, fmt.Errorf("the response has the unknown transfer coding %.40q", joined(h.header, "Transfer-Encoding"))
	case isHead || h.status < 200 || h.status == 204 || h.status == 304:
		return FramedByLength, 0, nil
	case h.codings == 1:
		return FramedByChunks, 0, nil
	case h.status == 205 && h.length > 0: // clients differ in whether they read it (RFC 9110 §15.3.6)
		return 0, 0, errors.New("the response has the status 205 and content")
	case h.lengths > 0:
		return FramedByLength, h.length, nil
	}
	return FramedByClose, 0, nil
}

// parseLength reads a Content-Length; badLength for what is none.
func parseLength(value []byte) (n int64) {
	if len(value) == 0 || len(value) > maxLengthField {
		return badLength
	}
	for _, c := range value {
		if c < '0' || c > '9' {
			return badLength
		}
		n = 10*n + int64(c-'0')
	}
	return n
}

// alike reports whether several lengths are the same to the letter, which makes them one (RFC 9112 §6.3).
func alike(values iter.Seq[string]) bool {
	first, n := "", 0
	for v := range values {
		if n++; n == 1 {
			first = v
		}
		if v != first {
			return false
		}
	}
	return true
}

func joined(h httpcache.Header, name string) string {
	return strings.Join(slices.Collect(h.Values(name)), ", ")
}
