package coding

import "strings"

// TagFor returns the entity tag of a response that is encoded at the edge: the identity one with the coding's name at its
// end, `"abc"` → `"abc~br"`, as strong or weak as it was. Identity, and a response without a tag, keep theirs.
//
// A strong tag must differ between codings (RFC 9110 §8.8.3.3). What others do: Apache httpd and Caddy append "-gzip", which
// in httpd no request ever matches again, since nothing takes it off (its bug 45023), while Caddy takes it off If-None-Match;
// nginx, Varnish and Envoy (as an option) make the tag weak; Envoy otherwise removes it. A weak tag in common needs no way
// back, but it leaves a shared cache downstream that offers the tags of all its variants in one If-None-Match unable to tell
// which of them a 304 confirms (RFC 9111 §4.3.3, §4.3.4), and If-Match never holds for it (RFC 9110 §13.1.1), so that a client
// that read a document through the edge cannot write it back. Hence the suffix, with [AppendTagsOf] as the way back. Its "~"
// keeps it apart from the "-gzip" of an origin that encodes.
//
// The tag stays strong, which promises the same bytes each time, although another release or level of an encoder gives others.
// Only who combines ranges would notice (RFC 9110 §8.8.1): never answer a Range request out of an encoded body.
func TagFor(etag string, c Coding) string {
	if c == Identity || etag == "" {
		return etag
	}
	opaque, quoted := strings.CutSuffix(etag, `"`)
	if quoted {
		return opaque + tagSuffixes[c] + `"`
	}
	return etag + tagSuffixes[c]
}

var tagSuffixes = [codings]string{Gzip: "~gzip", Zstd: "~zstd", Brotli: "~br"}

// TagOf undoes TagFor: it returns the identity tag and the coding of a tag. A tag that TagFor did not make is one of
// Identity.
func TagOf(tag string) (etag string, c Coding) {
	opaque, quoted, c := cutTag(tag)
	switch {
	case c == Identity:
		return tag, c
	case quoted:
		return opaque + `"`, c
	}
	return opaque, c
}

// cutTag takes the closing quote and the coding's suffix off a tag.
func cutTag(tag string) (opaque string, quoted bool, c Coding) {
	opaque, quoted = strings.CutSuffix(tag, `"`)
	for c := Identity + 1; c < codings; c++ {
		if cut, ok := strings.CutSuffix(opaque, tagSuffixes[c]); ok && (quoted || cut != "") {
			return cut, quoted, c
		}
	}
	return opaque, quoted, Identity
}

// AppendTagsOf appends an If-None-Match or If-Match value with the tags of the coding turned into identity tags, so
// that it can be compared with what the cache stores or go upstream. Tags of other codings stay as they are and match nothing:
// a precondition is about the selected representation (RFC 9110 §13.1). "*" and identity tags stay too; a client that
// still holds the identity body is told that it is current.
//
// Give it the coding that [Accept.Best] returned for the same request. Never give it If-Range: a client that holds the first
// bytes of the encoded body must not get the last ones of the identity body (RFC 9110 §13.1.5).
func AppendTagsOf(dst []byte, list string, c Coding) []byte {
	for list != "" {
		tag, rest := cutListed(list)
		if opaque, quoted, of := cutTag(tag); of == c && c != Identity {
			dst = append(dst, opaque...)
			if quoted {
				dst = append(dst, '"')
			}
		} else {
			dst = append(dst, tag...)
		}
		list = rest
	}
	return dst
}

// cutListed cuts a list after its next entity tag, or at its next comma when that comes first. In an entity tag a backslash
// escapes nothing and a comma separates nothing (RFC 9110 §8.8.3).
func cutListed(list string) (tag, rest string) {
	end := strings.IndexAny(list, `,"`)
	switch {
	case end < 0:
		return list, ""
	case list[end] == ',':
		end = max(end, 1)
	default:
		end += 1
		if opaque := strings.IndexByte(list[end:], '"'); opaque >= 0 {
			end += opaque + 1
		}
	}
	return list[:end], list[end:]
}
