package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"

	"cdnlab/internal/httpcache"
)

// maxResponseHead is how long the head of an upstream response may be.
const maxResponseHead = 64 << 10

// responseHead is a parsed status line and header section.
type responseHead struct {
	status int
	http10 bool
	header httpcache.Header // as it came: order, case and repetition kept
	noticed
}

// noticed is what this package goes by in the fields of a response: they are looked at once, while they are read.
type noticed struct {
	length  int64 // of the first Content-Length; badLength for one that is no number
	lengths int   // fields of that name
	codings int   // fields that are Transfer-Encoding
	chunked bool  // the last of them is "chunked"
	closing bool  // the connection ends with the response
	aged    bool  // there is an Age
	events  bool  // it is an event stream
	told    bool  // a cache below has said something of its own: Cache-Status or Server-Timing
}

// badLength is no length of a body.
const badLength = -2

// notice takes one field into account.
func (n *noticed) notice(name, value []byte) {
	switch len(name) {
	case len("Age"):
		n.aged = n.aged || equalFold(name, "Age")
	case len("Connection"):
		n.closing = n.closing || equalFold(name, "Connection") && hasToken(string(value), "close")
	case len("Cache-Status"): // and len("Content-Type")
		n.told = n.told || equalFold(name, "Cache-Status")
		n.events = n.events || equalFold(name, "Content-Type") && isEventStream(value)
	case len("Server-Timing"):
		n.told = n.told || equalFold(name, "Server-Timing")
	case len("Content-Length"):
		if equalFold(name, "Content-Length") {
			if n.lengths++; n.lengths == 1 {
				n.length = parseLength(value)
			}
		}
	case len("Transfer-Encoding"):
		if equalFold(name, "Transfer-Encoding") {
			n.codings++
			n.chunked = equalFold(value, "chunked")
		}
	}
}

func isEventStream(contentType []byte) bool {
	mediaType, _, _ := bytes.Cut(contentType, semicolon)
	return equalFold(bytes.TrimSpace(mediaType), "text/event-stream")
}

// below are the fields out of which the response is told on what the caches below have said.
func (h *responseHead) below() httpcache.Header {
	if !h.told {
		return ""
	}
	return h.header
}

// readHead reads the head of a response. It is strict (RFC 9112 §2.2, §5): what another recipient could read differently is
// an error, because a cache would hand the other reading on.
func readHead(br *bufio.Reader) (responseHead, error) {
	for searched, need := 0, 1; ; {
		if _, err := br.Peek(need); err != nil {
			if errors.Is(err, bufio.ErrBufferFull) {
				err = fmt.Errorf("head of the response exceeds %d bytes", maxResponseHead)
			}
			return responseHead{}, err
		}
		seen, _ := br.Peek(br.Buffered()) // never fails: it is buffered
		if i := bytes.Index(seen[searched:], crlfcrlf); i >= 0 {
			end := searched + i + len(crlfcrlf)
			head, err := parseHead(seen[:end])
			_, _ = br.Discard(end) // never fails: it is buffered
			return head, err
		}
		searched, need = max(len(seen)-len(crlfcrlf)+1, 0), len(seen)+1
	}
}

var (
	crlf     = []byte("\r\n")
	crlfcrlf = []byte("\r\n\r\n")
)

// parseHead parses a complete head, which ends with an empty line.
func parseHead(raw []byte) (h responseHead, err error) {
	line, rest := cutLine(raw)
	if h, err = parseStatusLine(line); err != nil {
		return h, err
	}
	fields, plain := rest[:len(rest)-len(crlf)], true
	for rest := fields; len(rest) > 0; {
		line, rest = cutLine(rest)
		name, value, err := parseField(line)
		if err != nil {
			return h, err
		}
		if isPlain(value) {
			value = value[1:]
		} else {
			plain, value = false, bytes.Trim(value, " \t")
		}
		h.notice(name, value)
	}
	if plain { // as most servers write it, it is a Header already
		h.header = httpcache.Header(fields)
	} else {
		h.header = rewritten(fields)
	}
	return h, nil
}

// isPlain reports whether a value is as AppendField writes it: behind one space, and with none around it.
func isPlain(value []byte) bool {
	n := len(value)
	return n > 0 && value[0] == ' ' && (n == 1 || value[1] > ' ' && value[n-1] > ' ')
}

// rewritten makes a Header of fields that were found correct.
func rewritten(fields []byte) httpcache.Header {
	b := make([]byte, 0, len(fields)+len(fields)/8)
	for len(fields) > 0 {
		line, rest, _ := bytes.Cut(fields, crlf)
		name, value, _ := bytes.Cut(line, colon)
		b, fields = httpcache.AppendField(b, name, value), rest
	}
	return httpcache.Header(b)
}

// cutLine cuts a line off the beginning of a head. One with a bare LF keeps it, and is refused for it.
func cutLine(b []byte) (line, rest []byte) {
	if end := bytes.IndexByte(b, '\n'); end > 0 && b[end-1] == '\r' {
		return b[:end-1], b[end+1:]
	}
	line, rest, _ = bytes.Cut(b, crlf)
	return line, rest
}

// parseStatusLine reads "HTTP/1.1 200 OK" (RFC 9112 §4); the reason may be empty, and so may the space before it be missing.
func parseStatusLine(line []byte) (h responseHead, err error) {
	bad := func() (responseHead, error) { return h, fmt.Errorf("malformed status line %.80q", line) }
	if len(line) < len("HTTP/1.1 200") || !validValue(line) {
		return bad()
	}
	switch string(line[:len("HTTP/1.1 ")]) {
	case "HTTP/1.1 ":
	case "HTTP/1.0 ":
		h.http10 = true
	default:
		return bad()
	}
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return bad()
		}
		h.status = h.status*10 + int(c-'0')
	}
	if h.status < 100 || len(line) > 12 && line[12] != ' ' {
		return bad()
	}
	return h, nil
}

// parseField splits a header line. Space around the name, folded lines and control characters are refused (RFC 9112 §5).
func parseField(line []byte) (name, value []byte, err error) {
	name, value, ok := bytes.Cut(line, colon)
	if !ok || !validName(name) || !validValue(value) {
		return nil, nil, fmt.Errorf("malformed header line %.80q", line)
	}
	return name, value, nil
}

var colon = []byte(":")

// tokenChars are the bytes of a token (RFC 9110 §5.6.2).
var tokenChars = func() (t [256]bool) {
	for c := range t {
		t[c] = 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", byte(c)) >= 0
	}
	return t
}()

// validName reports whether s is a token.
func validName[T string | []byte](s T) bool {
	for i := range len(s) {
		if !tokenChars[s[i]] {
			return false
		}
	}
	return len(s) > 0
}

// validValue reports whether s holds no control character but tabs (RFC 9110 §5.5).
func validValue[T string | []byte](s T) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
