package coding

import (
	"strings"

	"cdnlab/internal/httpcache"
)

// MinSize is the size in bytes from which encoding pays: below it a response fits into the first segment or two of a
// connection anyway, and the codings' own framing eats what they save.
const MinSize = 1024

// Reason is why a response is not encoded, from a fixed list: it can be a metric label. "" is that it may be.
type Reason string

// The reasons.
const (
	Status      Reason = "status"       // no content, or a part of it
	Encoded     Reason = "encoded"      // has a Content-Encoding
	NoTransform Reason = "no-transform" // RFC 9111 §5.2.2.6
	Digest      Reason = "digest"       // a digest of the bytes would no longer hold
	Type        Reason = "type"         // compressed already, or of no use
	Small       Reason = "small"
)

// Response is what decides about encoding a response.
type Response struct {
	Status int
	Header httpcache.Header
	Length int64 // of the content, in bytes; negative when unknown
}

// Refuse returns why the response must not or had better not be encoded, "" when it may be. MinSize is in bytes.
//
// A response of no refusal is one that varies by Accept-Encoding whichever coding it gets, identity included: the caller adds
// "Vary: Accept-Encoding" to it (RFC 9110 §12.5.5). When it encodes, the caller sets Content-Encoding, replaces ETag by
// [TagFor], and removes Content-Length and Accept-Ranges: ranges are served from identity alone.
func (r *Response) Refuse(minSize int64) Reason {
	switch {
	case !whole(r.Status):
		return Status
	case r.Length >= 0 && r.Length < minSize:
		return Small
	}
	typed := false
	for name, value := range r.Header.All() {
		switch {
		case httpcache.Fold(name, "Content-Type"):
			typed = Compressible(value)
		case httpcache.Fold(name, "Content-Encoding") && !identity(value):
			return Encoded
		case httpcache.Fold(name, "Content-Range"):
			return Status
		case httpcache.Fold(name, "Cache-Control") && noTransform(value):
			return NoTransform
		case digest(name):
			return Digest
		}
	}
	if !typed {
		return Type
	}
	return ""
}

// whole reports whether a final response of the status has content, and all of it (RFC 9110 §6.4.1, §15.3.7, §15.4.5).
func whole(status int) bool {
	switch status {
	case 204, 205, 206, 304:
		return false
	}
	return status >= 200
}

// identity reports whether a Content-Encoding names no coding but identity, which some send though they should not
// (RFC 9110 §8.4.1).
func identity(value string) bool {
	return httpcache.Fold(strings.Trim(value, " \t,"), "identity") || strings.Trim(value, " \t,") == ""
}

// noTransform reports whether a Cache-Control line has the directive (RFC 9111 §5.2.2.6). An argument that it must not have is
// ignored (§5.2.3 leaves it open), and a comma in a quoted string separates like any other: at worst a response stays as it is.
func noTransform(line string) bool {
	for line != "" {
		var member string
		member, line, _ = strings.Cut(line, ",")
		name, _, _ := strings.Cut(member, "=")
		if httpcache.Fold(strings.Trim(name, " \t"), "no-transform") {
			return true
		}
	}
	return false
}

// digests are the fields whose value depends on the coding: of the content (RFC 9530 §2), of the selected representation (§3),
// and the two that these replaced.
var digests = [...]string{"Content-Digest", "Repr-Digest", "Digest", "Content-MD5"}

func digest(name string) bool {
	for _, d := range digests {
		if httpcache.Fold(name, d) {
			return true
		}
	}
	return false
}

// Compressible reports whether content of a Content-Type usually shrinks: text, and the formats that are text or are not
// compressed within, by name or by the suffix of a structured syntax (RFC 6838 §4.2.8). Not images (but for SVG, BMP and
// icons), audio, video, archives, WOFF fonts: those are compressed already. Parameters and case mean nothing.
func Compressible(contentType string) bool {
	essence, _, _ := strings.Cut(contentType, ";")
	top, sub, ok := strings.Cut(strings.Trim(essence, " \t"), "/")
	if !ok || sub == "" {
		return false
	}
	if httpcache.Fold(top, "text") {
		return true
	}
	for _, suffix := range suffixes {
		if i := len(sub) - len(suffix); i >= 0 && httpcache.Fold(sub[i:], suffix) {
			return true
		}
	}
	for _, t := range types {
		if httpcache.Fold(top, t.top) && httpcache.Fold(sub, t.sub) {
			return true
		}
	}
	return false
}

var suffixes = [...]string{"+json", "+xml", "+yaml", "+json-seq", "+cbor", "+wasm"}

var types = [...]struct{ top, sub string }{
	{"application", "json"}, {"application", "x-ndjson"}, {"application", "json-seq"},
	{"application", "xml"}, {"application", "xml-dtd"}, {"application", "yaml"},
	{"application", "javascript"}, {"application", "x-javascript"}, {"application", "ecmascript"},
	{"application", "wasm"}, {"application", "rtf"}, {"application", "graphql"}, {"application", "toml"},
	{"application", "x-www-form-urlencoded"}, {"application", "cbor"}, {"application", "vnd.apple.mpegurl"},
	{"application", "x-mpegurl"}, {"application", "vnd.ms-fontobject"}, {"application", "x-font-ttf"},
	{"application", "x-font-otf"}, {"application", "font-sfnt"},
	{"font", "ttf"}, {"font", "otf"}, {"font", "sfnt"}, {"font", "collection"},
	{"image", "bmp"}, {"image", "x-icon"}, {"image", "vnd.microsoft.icon"},
	{"audio", "mpegurl"}, {"audio", "x-mpegurl"},
}
