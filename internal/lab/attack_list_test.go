package lab_test

import (
	"slices"
	"strings"
)

// Beginnings of requests to which cases add their lines.
const (
	getHead  = "GET {p} HTTP/1.1\r\nHost: www.cdn.test\r\n"
	postHead = "POST {p} HTTP/1.1\r\nHost: www.cdn.test\r\n"
	headHead = "HEAD {p} HTTP/1.1\r\nHost: www.cdn.test\r\n"
	smuggled = "GET /smuggled HTTP/1.1\r\nHost: www.cdn.test\r\nX-Evil: evil\r\n\r\n"
)

// attacks are all, by group.
func attacks() []attack {
	return slices.Concat(framings(), chunkings(), lines(), hosts(), targets(), requestLines(), pipelines(), tooMuch(), unkeyed(),
		answerFramings(), answerChunks(), answerHeads(), splitting(), truncations(), interims(),
		poisonedErrors(), deception(), caching(), rangeAbuse())
}

// refused is a request that is answered with a status and reaches no app.
func refused(name string, status int, raw string) attack {
	return attack{name: name, raw: raw, want: []int{status}}
}

// refusedAs is one for each of the variants of a header line.
func refusedAs(group string, status int, head, body string, variants ...string) (all []attack) {
	for _, v := range variants {
		all = append(all, refused(group+" "+quoted(v), status, head+v+"\r\n\r\n"+body))
	}
	return all
}

func quoted(s string) string {
	return strings.NewReplacer("\r", "[CR]", "\n", "[LF]", "\t", "[HT]", "\x00", "[NUL]", "\x0b", "[VT]", "\x0c", "[FF]", "\x7f", "[DEL]", "\xa0", "[A0]", "\x85", "[85]", "\xff", "[FF]").Replace(s)
}

func framings() []attack {
	const chunked = "0\r\n\r\n" + smuggled
	te, cl := "Transfer-Encoding: chunked", "Content-Length: 5"
	all := []attack{
		refused("CL.TE", 400, postHead+"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG"),
		refused("TE.CL", 400, postHead+"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n8\r\nSMUGGLED\r\n0\r\n\r\n"),
		refused("CL.TE with a GET", 400, getHead+"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG"),
		refused("CL.TE with a whole request behind", 400, postHead+"Content-Length: 90\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked),
		refused("CL 0 and TE", 400, postHead+"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked),
		refused("TE in HTTP/1.0", 400, "POST {p} HTTP/1.0\r\nHost: www.cdn.test\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked),
		refused("TE and CL in HTTP/1.0", 400, "POST {p} HTTP/1.0\r\nHost: www.cdn.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked),
		refused("TE in HTTP/1.0 with keep-alive", 400, "POST {p} HTTP/1.0\r\nHost: www.cdn.test\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked),
	}
	all = append(all, refusedAs("transfer coding", 400, postHead, chunked,
		"Transfer-Encoding: xchunked", "Transfer-Encoding: chunkedx", "Transfer-Encoding: identity", "Transfer-Encoding: identity, chunked",
		"Transfer-Encoding: chunked, identity", "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: gzip",
		"Transfer-Encoding:", "Transfer-Encoding: ,chunked", "Transfer-Encoding: chunked,", "Transfer-Encoding: \"chunked\"", "Transfer-Encoding: 'chunked'",
		"Transfer-Encoding: chunked;q=1", "Transfer-Encoding: chunked; foo=bar", "Transfer-Encoding: chun ked", "Transfer-Encoding: \x0bchunked", "Transfer-Encoding: chunked\x0b",
		"Transfer-Encoding: \x0cchunked", "Transfer-Encoding: chunked\x00", "Transfer-Encoding: \x00chunked", "Transfer-Encoding: chunked\x7f", "Transfer-Encoding: \xa0chunked",
		"Transfer-Encoding: \x85chunked", "Transfer-Encoding: chunked\xff", "Transfer-Encoding: chu\u212aed", "Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked", " Transfer-Encoding: chunked",
		"\tTransfer-Encoding: chunked", "Transfer-Encoding:\r\n chunked", "Transfer-Encoding: chunked\r\n x", "Transfer-Encoding:\n chunked", "Transfer-Encoding: chunked\r",
		"Transfer-Encoding\r: chunked", "Transfer-Encoding\x00: chunked", "Transfer-Encoding\x0b: chunked", "Transfer\x00-Encoding: chunked", "Transfer-Encoding: chunked\rX: y",
		"X: y\rTransfer-Encoding: chunked", "X: y\nTransfer-Encoding: chunked", "X: y\r\n\tTransfer-Encoding: chunked", "X: y\r\n Transfer-Encoding: chunked",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
		"Transfer-Encoding: chunked\r\ntransfer-encoding: x", "TRANSFER-ENCODING: chunked\r\nContent-Length: 5", "Transfer-Encoding : chunked\r\nContent-Length: 5")...)
	all = append(all, refusedAs("length", 400, postHead, "hello"+smuggled,
		"Content-Length: +5", "Content-Length: -5", "Content-Length: 5 5", "Content-Length: 5, 5", "Content-Length: 5,6", "Content-Length: 0x5", "Content-Length: 5.0", "Content-Length: 5e0",
		"Content-Length: 5;", "Content-Length: \"5\"", "Content-Length:", "Content-Length: five", "Content-Length: 5\x00", "Content-Length: \x005", "Content-Length: 5\x0b", "Content-Length: \x0b5",
		"Content-Length: \xd9\xa5", "Content-Length: 18446744073709551621", "Content-Length: 9223372036854775808", "Content-Length: 99999999999999999999999999", "Content-Length : 5", "Content-Length\t: 5",
		" Content-Length: 5", "Content-Length:\r\n 5", "Content-Length: 5\r\n 6", "Content-Length: 5\rX: y", "Content-Length: 5\nX: y", "Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5\r\nContent-Length: 6",
		"Content-Length: 0\r\nContent-Length: 5", "Content-Length: 5\r\ncontent-length: 0", "Content-Length: 5\r\nContent-Length: x", "Content-Length: 5_", "Content-Length: 0_5", "Content-Length: 0b101",
		"Content-Length: 0o5", "Content-Length: ,5", "Content-Length: 5,", "Content_Length\x00: 5", "Content-Length\x0b: 5")...)
	return append(all,
		attack{name: "length with leading zeros is a number", raw: postHead + "Content-Length: 0005\r\n\r\nhello", want: []int{200}, open: true, asked: 1},
		attack{name: "length between spaces and tabs is a number", raw: postHead + "Content-Length: \t 5 \t\r\n\r\nhello", want: []int{200}, open: true, asked: 1},
		attack{name: "TE in any case is one", raw: postHead + "tRANSFER-eNCODING: \tCHUNKED \r\n\r\n5\r\nhello\r\n0\r\n\r\n", want: []int{200}, open: true, asked: 1},
		attack{name: "Transfer_Encoding is no framing", raw: postHead + "Transfer_Encoding: chunked\r\n" + cl + "\r\n\r\nhello", want: []int{200}, open: true, asked: 1},
		attack{name: "Content_Length is no framing", raw: postHead + "Content_Length: 5\r\n" + te + "\r\n\r\n0\r\n\r\n", want: []int{200}, open: true, asked: 1},
	)
}

func chunkings() (all []attack) {
	for _, body := range []string{
		"zz\r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n", "+5\r\nhello\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "5_\r\nhello\r\n0\r\n\r\n", "\r\nhello\r\n0\r\n\r\n", " 5\r\nhello\r\n0\r\n\r\n", "\t5\r\nhello\r\n0\r\n\r\n",
		"5\nhello\n0\n\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhello0\r\n\r\n", "5\r\nhelloXX0\r\n\r\n", "5;a\nb\r\nhello\r\n0\r\n\r\n", "5;a\rb\r\nhello\r\n0\r\n\r\n", "5\rhello\r\n0\r\n\r\n", "5;\nhello\r\n0\r\n\r\n",
		"ffffffffffffffff5\r\nhello\r\n0\r\n\r\n", "10000000000000005\r\nhello\r\n0\r\n\r\n", "8000000000000005\r\nhello\r\n0\r\n\r\n", "fffffffffffffffb\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n-0\r\n\r\n", "5\r\nhello\r\n0x0\r\n\r\n",
		"5\r\nhello\r\n0\n\r\n", "5\r\nhello\r\n0\r\nno colon\r\n\r\n", "5\r\nhello\r\n0\r\n folded: x\r\n\r\n", "3\r\nhello\r\n0\r\n\r\n", "5 5\r\nhello\r\n0\r\n\r\n", "5\x00\r\nhello\r\n0\r\n\r\n", "5\x0b\r\nhello\r\n0\r\n\r\n",
		"٥\r\nhello\r\n0\r\n\r\n", "5,\r\nhello\r\n0\r\n\r\n",
	} {
		shown := body
		if len(shown) > 40 {
			shown = shown[:40] + "…"
		}
		all = append(all, attack{name: "chunks " + quoted(shown), raw: postHead + "Transfer-Encoding: chunked\r\n\r\n" + body, want: []int{400}},
			attack{name: "chunks byte by byte " + quoted(shown), raw: postHead + "Transfer-Encoding: chunked\r\n\r\n" + body, want: []int{400}, split: 7})
	}
	const te = "Transfer-Encoding: chunked\r\n\r\n"
	return append(all,
		attack{name: "chunk extension is not passed on", raw: postHead + te + "5;evil=evil\r\nhello\r\n0\r\n\r\n", want: []int{200}, open: true, asked: 1},
		attack{name: "trailer is not passed on as a header", raw: postHead + te + "5\r\nhello\r\n0\r\nX-Evil: evil\r\n\r\n", want: []int{200}, open: true, asked: 1},
		attack{name: "length in a trailer", raw: postHead + te + "5\r\nhello\r\n0\r\nContent-Length: 100\r\n\r\n", want: []int{400}},
		attack{name: "Host in a trailer", raw: postHead + te + "5\r\nhello\r\n0\r\nHost: evil\r\n\r\n", want: []int{400}},
		attack{name: "coding in a trailer", raw: postHead + te + "5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", want: []int{400}},
		attack{name: "GET with chunks and a request behind", raw: getHead + te + "5\r\nhello\r\n0\r\n\r\nGET {p}/innocent HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", want: []int{200, 200}, open: true, asked: 1},
	)
}

func lines() []attack {
	all := refusedAs("header line", 400, getHead, "",
		"X : evil", "X\t: evil", "X Y: evil", "X\x00: evil", "X: a\x00evil", "X: a\x01evil", "X: a\x0bevil", "X: a\x0cevil", "X: a\x7fevil", "X: a\revil", "X: a\nevil", "X: a\r\r\nY: evil", ": evil", "evil", "X\x01: evil", "X\xe9: evil", "X(: evil",
		"X): evil", "X<: evil", "X>: evil", "X@: evil", "X,: evil", "X;: evil", "X\\: evil", "X\": evil", "X/: evil", "X[: evil", "X]: evil", "X?: evil", "X=: evil", "X{: evil", "X}: evil", "X: a\r\n evil", "X: a\r\n\tevil",
		"X: a\r\n  \r\nY: evil", "X: a\r\n ", "\x00X: evil", "\x0bX: evil", "\x85X: evil", "X\r: evil", "\rX: evil", "X: y\r\n\rZ: evil", "X: y\n\r\nGET /smuggled HTTP/1.1", "X:\x00", "X: \x08")
	return append(all,
		refused("folded first line", 400, "GET {p} HTTP/1.1\r\n Host: www.cdn.test\r\nHost: www.cdn.test\r\n\r\n"),
		refused("space before the first line, which is otherwise good", 400, "GET {p} HTTP/1.1\r\n X: y\r\nHost: www.cdn.test\r\n\r\n"),
		refused("bare LF everywhere", 400, "GET {p} HTTP/1.1\nHost: www.cdn.test\n\n"),
		refused("bare LF at the end of the head", 400, "GET {p} HTTP/1.1\r\nHost: www.cdn.test\r\n\n"),
		refused("bare LF behind the request line", 400, "GET {p} HTTP/1.1\nHost: www.cdn.test\r\n\r\n"),
		refused("bare LF behind Host", 400, "GET {p} HTTP/1.1\r\nHost: www.cdn.test\n\r\n"),
		refused("bare CR behind the request line", 400, "GET {p} HTTP/1.1\rHost: www.cdn.test\r\n\r\n"),
		refused("CR CR LF behind the request line", 400, "GET {p} HTTP/1.1\r\r\nHost: www.cdn.test\r\n\r\n"),
		refused("CR CR LF at the end of the head", 400, getHead+"\r\r\n\r\n"),
		refused("unknown expectation", 417, postHead+"Expect: evil\r\nContent-Length: 5\r\n\r\nhello"),
		refused("expectation in a list", 417, postHead+"Expect: 100-continue, evil\r\nContent-Length: 5\r\n\r\nhello"),
		attack{name: "bytes past ASCII in a value", raw: getHead + "X: \xe9\xff\r\n\r\n", want: []int{200}, open: true, asked: 1},
		attack{name: "empty value", raw: getHead + "X:\r\n\r\n", want: []int{200}, open: true, asked: 1},
	)
}
