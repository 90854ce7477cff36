package lab_test

import "strings"

// Beginnings of answers.
const (
	ok200     = "HTTP/1.1 200 OK\r\n"
	storable  = "Cache-Control: max-age=60\r\n"
	evilReply = "HTTP/1.1 200 OK\r\nX-Evil: evil\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\nevil"
)

// bad is an answer that could be understood in two ways: the client gets an error, and nobody any of it.
func bad(name, answer string) attack {
	return attack{name: "answer: " + name, answers: []string{answer, answer, answer, answer}, want: []int{5}, open: true, asked: anyNumber, lacks: "X-Evil"}
}

// badAs is one for each of the variants of a header line.
func badAs(group, body string, variants ...string) (all []attack) {
	for _, v := range variants {
		all = append(all, bad(group+" "+quoted(v), ok200+storable+v+"\r\n\r\n"+body))
	}
	return all
}

func answerFramings() []attack {
	const chunked = "4\r\nevil\r\n0\r\n\r\n"
	all := badAs("coding", chunked,
		"Transfer-Encoding: chunked\r\nContent-Length: 4", "Content-Length: 4\r\nTransfer-Encoding: chunked", "Content-Length: 0\r\nTransfer-Encoding: chunked", "Transfer-Encoding: xchunked", "Transfer-Encoding: identity",
		"Transfer-Encoding: identity, chunked", "Transfer-Encoding: chunked, identity", "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: gzip", "Transfer-Encoding:",
		"Transfer-Encoding: ,chunked", "Transfer-Encoding: \"chunked\"", "Transfer-Encoding: chunked;q=1", "Transfer-Encoding: \x0bchunked", "Transfer-Encoding: chunked\x00", "Transfer-Encoding: \xa0chunked",
		"Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked", " Transfer-Encoding: chunked", "Transfer-Encoding:\r\n chunked", "Transfer-Encoding: chunked\rX: y", "X: y\nTransfer-Encoding: chunked",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "Transfer-Encoding: x\r\nTransfer-Encoding: chunked")
	all = append(all, badAs("length", "evil",
		"Content-Length: +4", "Content-Length: -4", "Content-Length: -1", "Content-Length: 4 4", "Content-Length: 4, 4", "Content-Length: 4, 5", "Content-Length: 0x4", "Content-Length: 4.0", "Content-Length:", "Content-Length: four", "Content-Length: 4\x00",
		"Content-Length: 18446744073709551620", "Content-Length: 9223372036854775808", "Content-Length: 99999999999999999999999", "Content-Length : 4", "Content-Length\t: 4", " Content-Length: 4", "Content-Length:\r\n 4", "Content-Length: 4\r\n 5",
		"Content-Length: 4\rX: y", "Content-Length: 4\nX: y", "Content-Length: 4\r\nContent-Length: 5", "Content-Length: 5\r\nContent-Length: 4", "Content-Length: 0\r\nContent-Length: 4", "Content-Length: 4;", "Content-Length: \"4\"", "Content-Length: 4\x0b")...)
	return append(all,
		bad("content in a 205", "HTTP/1.1 205 Reset Content\r\n"+storable+"Content-Length: 4\r\n\r\nevil"),
		bad("chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\n"+storable+"Transfer-Encoding: chunked\r\n\r\n"+chunked),
		bad("a coding and a length in a 204", "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked),
	)
}

// cut is an answer of which a part is here at once and the rest is not what it should be.
func cut(name, framing, body string) (all []attack) {
	long := strings.Repeat("evil", 20<<10)
	for how, end := range map[string]string{"closed": hangUp, "reset": reset} {
		for _, control := range []string{storable, "Cache-Control: no-store\r\n", "Cache-Control: max-age=60\r\nETag: \"x\"\r\n", ""} {
			full := name + ", " + how + ", " + strings.TrimSuffix(strings.ReplaceAll(control, "\r\n", " "), " ")
			answer := ok200 + control + framing + "\r\n" + body + end
			all = append(all, attack{name: "cut: " + full, answers: []string{answer, answer, answer, answer}, broken: true, asked: anyNumber, orError: true})
			answer = strings.ReplaceAll(strings.ReplaceAll(answer, "5\r\nwhole", "14000\r\n"+long), "Content-Length: 10\r\n", "Content-Length: 100000\r\n")
			if body == "whole" {
				answer = strings.ReplaceAll(answer, "whole", long)
			}
			all = append(all, attack{name: "cut, long: " + full, answers: []string{answer, answer, answer, answer}, broken: true, asked: anyNumber, orError: true})
		}
	}
	return all
}

func answerChunks() (all []attack) {
	for _, body := range []string{
		"zz\r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n", "+5\r\nhello\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "\r\nhello\r\n0\r\n\r\n", " 5\r\nhello\r\n0\r\n\r\n", "5\nhello\n0\n\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhelloXX0\r\n\r\n", "5;a\nb\r\nhello\r\n0\r\n\r\n",
		"5;a\rb\r\nhello\r\n0\r\n\r\n", "5\rhello\r\n0\r\n\r\n", "ffffffffffffffff5\r\nhello\r\n0\r\n\r\n", "fffffffffffffffb\r\nhello\r\n0\r\n\r\n", "8000000000000005\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n-0\r\n\r\n", "5\r\nhello\r\n0\n\r\n", "5\r\nhello\r\n0\r\nX: y\n\r\n",
		"5\r\nhello\r\n0\r\nno colon\r\n\r\n", "3\r\nhello\r\n0\r\n\r\n", "5 5\r\nhello\r\n0\r\n\r\n", "5\x00\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\nevil", "<html>evil</html>",
	} {
		answer := ok200 + storable + "Transfer-Encoding: chunked\r\n\r\n" + body + hangUp
		all = append(all, attack{name: "answer: chunks " + quoted(body), answers: []string{answer, answer, answer, answer}, broken: true, asked: anyNumber, orError: true})
	}
	const te = storable + "Transfer-Encoding: chunked\r\n\r\n"
	return append(all,
		attack{name: "answer: chunk extension", answers: []string{ok200 + te + "5;evil=evil\r\nplain\r\n0\r\n\r\n"}, want: []int{200}, open: true, asked: 1, text: "plain", lacks: "evil"},
		attack{name: "answer: evil trailer", answers: []string{ok200 + te + "5\r\nplain\r\n0\r\nX-Evil: evil\r\nContent-Length: 3\r\nSet-Cookie: evil\r\n\r\n"}, want: []int{200}, open: true, asked: 1, text: "plain", lacks: "evil"},
	)
}

func answerHeads() []attack {
	all := badAs("header line", "", "Content-Length: 0\r\nX : evil", "Content-Length: 0\r\nX\t: evil", "Content-Length: 0\r\nX Y: evil", "Content-Length: 0\r\nX: a\x00evil", "Content-Length: 0\r\nX: a\x01evil", "Content-Length: 0\r\nX: a\x7fevil", "Content-Length: 0\r\nX: a\revil",
		"Content-Length: 0\r\nX: a\nSet-Cookie: evil", "Content-Length: 0\r\n: evil", "Content-Length: 0\r\nevil", "Content-Length: 0\r\nX\x00: evil", "Content-Length: 0\r\nX(: evil", "Content-Length: 0\r\nX\xe9: evil", "Content-Length: 0\r\nX: a\r\n evil", "Content-Length: 0\r\nX: a\r\n\tevil",
		"Content-Length: 0\r\nLocation: /\rSet-Cookie: evil", "Content-Length: 0\r\nX: a\r\r\nY: evil")
	for name, line := range map[string]string{
		"lower case": "http/1.1 200 OK", "no version": "200 OK", "HTTP/2.0": "HTTP/2.0 200 OK", "HTTP/1.2": "HTTP/1.2 200 OK", "HTTP/0.9": "HTTP/0.9 200 OK", "HTTP/1": "HTTP/1 200 OK", "two spaces": "HTTP/1.1  200 OK", "tab": "HTTP/1.1\t200 OK", "two digits": "HTTP/1.1 20 OK",
		"four digits": "HTTP/1.1 2000 OK", "sign": "HTTP/1.1 +20 OK", "letters": "HTTP/1.1 2OO OK", "status 000": "HTTP/1.1 000 OK", "status 099": "HTTP/1.1 099 OK", "negative": "HTTP/1.1 -200 OK", "NUL in the reason": "HTTP/1.1 200 O\x00K", "CR in the reason": "HTTP/1.1 200 O\rK", "no status": "HTTP/1.1",
		"space first": " HTTP/1.1 200 OK", "other protocol": "RTSP/1.0 200 OK", "garbage": "\x00\x01\x02\x03", "SSH": "SSH-2.0-OpenSSH_9.2", "text": "<html>evil</html>", "two status lines": "HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK", "three words": "HTTP/1.1 200OK",
	} {
		all = append(all, bad("status line, "+name, line+"\r\n"+storable+"Content-Length: 4\r\n\r\nevil"))
	}
	return append(all,
		bad("bare LF everywhere", "HTTP/1.1 200 OK\nCache-Control: max-age=60\nContent-Length: 4\n\nevil"),
		bad("bare LF at the end of the head", ok200+storable+"Content-Length: 4\r\n\nevil"),
		bad("empty line first", "\r\n"+evilReply),
		bad("folded first line", ok200+" X: y\r\n"+storable+"Content-Length: 4\r\n\r\nevil"),
		bad("long head", ok200+storable+"X: "+strings.Repeat("evil", 50<<10)+"\r\nContent-Length: 4\r\n\r\nevil"),
		bad("endless head", ok200+strings.Repeat("X: evil\r\n", 50<<10)),
		bad("hung up at once", hangUp), bad("reset at once", reset), bad("cut in the status line", "HTTP/1.1 2"+hangUp), bad("cut in the head", ok200+"Content-Le"+hangUp), bad("cut before the empty line", ok200+"Content-Length: 4\r\n"+hangUp),
		bad("reset in the head", ok200+"Content-Le"+reset),
		bad("unasked switch of protocols", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nevil"),
		attack{name: "answer: encoded CRLF in Location stays encoded", answers: []string{"HTTP/1.1 302 Found\r\nLocation: /%0d%0aSet-Cookie:evil\r\nContent-Length: 0\r\n\r\n"}, want: []int{302}, open: true, asked: 1, again: "-"},
	)
}

// splitting are answers with more behind them, which must never become the answer to another request.
func splitting() []attack {
	all := []attack{
		{name: "bytes behind a length", answers: []string{plain("plain") + evilReply}, want: []int{200}, text: "plain"},
		{name: "bytes behind a length of 0", answers: []string{ok200 + "Cache-Control: no-store\r\nContent-Length: 0\r\n\r\n" + evilReply}, want: []int{200}},
		{name: "bytes behind chunks", answers: []string{ok200 + storable + "Transfer-Encoding: chunked\r\n\r\n5\r\nplain\r\n0\r\n\r\n" + evilReply}, want: []int{200}, text: "plain"},
		{name: "bytes behind a 204", answers: []string{"HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\n\r\n" + evilReply}, want: []int{204}},
		{name: "body of a 204", answers: []string{"HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\nContent-Length: 4\r\n\r\nevil"}, want: []int{204}},
		{name: "body of a 304 to a plain request", answers: []string{"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil" + evilReply}, want: []int{0}},
		{name: "body of a HEAD", raw: headHead + "\r\n", answers: []string{plain("plain")}, want: []int{200}},
		{name: "answer behind a HEAD", raw: headHead + "\r\n", answers: []string{ok200 + "Cache-Control: no-store\r\nContent-Length: 4\r\n\r\nevil" + evilReply}, want: []int{200}},
		{name: "two answers to a POST", raw: postHead + "Content-Length: 5\r\n\r\nhello", answers: []string{plain("plain") + evilReply}, want: []int{200}, text: "plain"},
		{name: "two answers to a POST without a body", raw: postHead + "Content-Length: 0\r\n\r\n", answers: []string{plain("plain") + evilReply}, want: []int{200}, text: "plain"},
		{name: "many answers", answers: []string{plain("plain") + strings.Repeat(evilReply, 100)}, want: []int{200}, text: "plain"},
		{name: "half an answer behind", answers: []string{plain("plain") + "HTTP/1.1 200 OK\r\nX-Evil: evil\r\nContent-Le"}, want: []int{200}, text: "plain"},
		{name: "empty lines behind", answers: []string{plain("plain") + "\r\n\r\n"}, want: []int{200}, text: "plain"},
		{name: "interim answer behind", answers: []string{plain("plain") + "HTTP/1.1 103 Early Hints\r\nLink: evil\r\n\r\n"}, want: []int{200}, text: "plain"},
		{name: "100 behind", answers: []string{plain("plain") + "HTTP/1.1 100 Continue\r\n\r\n" + evilReply}, want: []int{200}, text: "plain"},
		{name: "304 behind", answers: []string{plain("plain") + "HTTP/1.1 304 Not Modified\r\nX-Evil: evil\r\n\r\n"}, want: []int{200}, text: "plain"},
	}
	for i := range all {
		all[i].open, all[i].asked, all[i].lacks, all[i].name = true, anyNumber, "X-Evil", "splitting: "+all[i].name
	}
	return all
}

func truncations() (all []attack) {
	const te = "Transfer-Encoding: chunked\r\n"
	all = append(all, cut("length longer than the body", "Content-Length: 10\r\n", "whole")...)
	all = append(all, cut("no last chunk", te, "5\r\nwhole\r\n")...)
	all = append(all, cut("chunk cut", te, "5\r\nwhole\r\n10\r\npar")...)
	all = append(all, cut("cut in a chunk's size", te, "5\r\nwhole\r\n1")...)
	all = append(all, cut("cut after a chunk's data", te, "5\r\nwhole")...)
	all = append(all, cut("no end of the trailer", te, "5\r\nwhole\r\n0\r\n")...)
	all = append(all, cut("cut in the trailer", te, "5\r\nwhole\r\n0\r\nX-Sum: 1\r\n")...)
	all = append(all, cut("garbage for a chunk", te, "5\r\nwhole\r\nevil\r\n")...)
	for _, control := range []string{storable, "Cache-Control: no-store\r\n"} {
		for _, body := range []string{"whole", strings.Repeat("evil", 20<<10)} {
			answer := ok200 + control + "\r\n" + body + reset
			all = append(all, attack{name: "cut: no framing, reset, " + strings.TrimSpace(control) + ", " + body[:5], answers: []string{answer, answer, answer, answer}, broken: true, asked: anyNumber, orError: true})
		}
	}
	return append(all,
		attack{name: "cut: no framing, closed, is whole", answers: []string{ok200 + storable + "\r\nplain" + hangUp}, want: []int{200}, open: true, asked: 1, text: "plain"},
		attack{name: "cut: no framing, HTTP/1.0, is whole", answers: []string{"HTTP/1.0 200 OK\r\n" + storable + "\r\nplain" + hangUp}, want: []int{200}, open: true, asked: 1, text: "plain"},
	)
}

func interims() []attack {
	hint := "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
	return []attack{
		{name: "interim: 100 unasked", answers: []string{"HTTP/1.1 100 Continue\r\n\r\n" + plain("plain")}, want: []int{200}, open: true, asked: 1, text: "plain"},
		{name: "interim: hints", answers: []string{hint + plain("plain")}, want: []int{200}, open: true, asked: 1, text: "plain"},
		{name: "interim: flood", answers: []string{strings.Repeat(hint, 100_000), "", ""}, want: []int{0}, open: true, asked: anyNumber, lacks: "evil"},
		{name: "interim: flood of 100", answers: []string{strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 100_000), "", ""}, want: []int{0}, open: true, asked: anyNumber, lacks: "evil"},
		{name: "interim: with a length", answers: []string{"HTTP/1.1 103 Early Hints\r\nContent-Length: 4\r\n\r\n" + plain("plain")}, want: []int{200}, open: true, asked: 1, text: "plain"},
	}
}
