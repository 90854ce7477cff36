package edge

import (
	"strconv"
	"unicode/utf8"

	"cdnlab/internal/proxy"
)

// appendLine appends a line of the access log; see the package's documentation. node is text without quotes.
func appendLine(b []byte, node string, r *proxy.Record) []byte {
	b = r.Time.UTC().AppendFormat(append(b, `{"time":"`...), "2006-01-02T15:04:05.000000Z")
	b = append(append(b, `","node":"`...), node...)
	b = r.Client.Addr.AppendTo(append(b, `","client":"`...))
	if r.Client.Place != "" {
		b = appendText(append(b, `","place":"`...), r.Client.Place)
	}
	b = appendText(append(b, `","method":"`...), r.Method)
	b = appendText(append(b, `","host":"`...), r.Host)
	b = appendText(append(b, `","path":"`...), r.Target)
	b = strconv.AppendInt(append(b, `","status":`...), int64(r.Status), 10)
	b = strconv.AppendInt(append(b, `,"bytes":`...), r.Bytes, 10)
	b = proxy.AppendMilliseconds(append(b, `,"ttfb_ms":`...), r.TTFB)
	b = proxy.AppendMilliseconds(append(b, `,"total_ms":`...), r.Total)
	b = append(append(b, `,"cache":"`...), r.Cache...)
	b = append(append(b, `","request_id":"`...), r.RequestID...)
	return append(b, "\"}\n"...)
}

// appendText appends what stands between the quotes of a JSON string (RFC 8259 §7). Bytes that are not UTF-8 become U+FFFD.
func appendText[T string | []byte](b []byte, text T) []byte {
	const hex = "0123456789abcdef"
	from := 0 // what is behind it and goes as it is
	for i := 0; i < len(text); {
		c := text[i]
		if c >= utf8.RuneSelf {
			n := runeLength(text[i:])
			if n == 0 {
				b = append(append(b, text[from:i]...), "\uFFFD"...)
				from, n = i+1, 1
			}
			i += n
			continue
		}
		switch {
		case c == '"', c == '\\':
			b = append(append(b, text[from:i]...), '\\', c)
			from = i + 1
		case c < ' ':
			b = append(append(b, text[from:i]...), '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			from = i + 1
		}
		i++
	}
	return append(b, text[from:]...)
}

// runeLength is the number of bytes of the first character of text, and 0 if that is not UTF-8.
func runeLength[T string | []byte](text T) int {
	r, n := utf8.DecodeRuneInString(string(text[:min(len(text), utf8.UTFMax)]))
	if r == utf8.RuneError && n == 1 {
		return 0
	}
	return n
}
