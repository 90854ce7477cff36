package lab_test

import (
	"fmt"
	"strings"
)

func hosts() (all []attack) {
	for _, host := range []string{
		"", " ", "www.cdn.test, www.cdn.test", "www.cdn.test www.cdn.test", "www.cdn.test/evil", "evil@www.cdn.test", "www.cdn.test@evil", "www.cdn.test:evil", "www.cdn.test:80evil", "www.cdn.test:-1", "www.cdn.test:99999999",
		"www.cdn.test:80:80", "www.cdn.test:65536", "http://www.cdn.test", "www.cdn.test\\evil", "www.cdn.test?evil", "www.cdn.test#evil", "www.cdn.test;evil", "www.cdn.test\tevil", "www.cdn.test\x00", "www.cdn.test\x0b", "www.cdn.test\"", "www.cdn.test'", "www.cdn.test<evil>",
		"www.cdn.test&evil", "{www.cdn.test}", "www.cdn.test|evil", "www.cdn.test`evil", "www.cdn.test\r\n evil", "www%2ecdn.test", "[www.cdn.test]", "[::1", "::1", "www.cdn.test\xff",
	} {
		all = append(all, refused("Host "+quoted(host), 400, "GET {p} HTTP/1.1\r\nHost: "+host+"\r\n\r\n"))
	}
	for _, host := range []string{"evil.test", "127.0.0.1", "localhost", "169.254.169.254", "cdn.test", "www.cdn.test.evil.test", "evilwww.cdn.test", "[::1]", "[::1]:80", "xn--evil", "www.cdn.test.."} {
		all = append(all, attack{name: "Host " + host + " is nobody's", raw: "GET {p} HTTP/1.1\r\nHost: " + host + "\r\n\r\n", want: []int{404}, open: true})
	}
	for _, host := range []string{"www.cdn.test:80", "www.cdn.test:8080", "WWW.CDN.TEST", "www.cdn.test.", "www.cdn.test:1337", "Www.Cdn.Test:443"} {
		all = append(all, attack{name: "Host " + host + " is the site's, and says no more than that", raw: "GET {p} HTTP/1.1\r\nHost: " + host + "\r\n\r\n", want: []int{200}, open: true, asked: 1})
	}
	get := func(target, host string) string { return "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n" }
	return append(all,
		refused("no Host", 400, "GET {p} HTTP/1.1\r\n\r\n"),
		refused("no Host in HTTP/1.0", 400, "GET {p} HTTP/1.0\r\n\r\n"),
		refused("two Hosts", 400, getHead+"Host: evil.test\r\n\r\n"),
		refused("two Hosts that agree", 400, getHead+"Host: www.cdn.test\r\n\r\n"),
		refused("two Hosts, the first one evil", 400, "GET {p} HTTP/1.1\r\nHost: evil.test\r\nHost: www.cdn.test\r\n\r\n"),
		refused("two Hosts in other cases", 400, getHead+"hOST: evil.test\r\n\r\n"),
		refused("Host with a space before the colon", 400, getHead+"Host : evil.test\r\n\r\n"),
		refused("folded Host", 400, "GET {p} HTTP/1.1\r\nHost:\r\n www.cdn.test\r\n\r\n"),
		refused("indented Host", 400, getHead+" Host: evil.test\r\n\r\n"),
		attack{name: "absolute form overrides Host", raw: get("http://www.cdn.test{p}", "evil.test"), want: []int{200}, open: true, asked: 1},
		attack{name: "absolute form with a port", raw: get("http://www.cdn.test:1337{p}", "www.cdn.test"), want: []int{200}, open: true, asked: 1},
		attack{name: "absolute form of another host", raw: get("http://evil.test{p}", "www.cdn.test"), want: []int{404}, open: true},
		refused("absolute form without Host", 400, "GET http://www.cdn.test{p} HTTP/1.1\r\n\r\n"),
		refused("absolute form with a user", 400, get("http://evil@www.cdn.test{p}", "www.cdn.test")),
		refused("absolute form of ftp", 400, get("ftp://www.cdn.test{p}", "www.cdn.test")),
		refused("absolute form of file", 400, get("file:///etc/passwd", "www.cdn.test")),
		refused("absolute form without a host", 400, get("http://{p}", "www.cdn.test")),
		refused("absolute form with a bad Host", 400, get("http://www.cdn.test{p}", "a b")),
	)
}

func targets() (all []attack) {
	for _, target := range []string{
		"*", "p", "www.cdn.test:80", "www.cdn.test{p}", "@evil.test{p}", ":80{p}", "?{p}", "{p} {p}", "{p}\tx", "{p}\x00", "{p}\x01", "{p}\x0b", "{p}\x7f", "{p}\rx", "{p}#evil", "\\{p}", "http:{p}", "http:///{p}", "http:\\\\www.cdn.test{p}",
		"//www.cdn.test{p}#x", "{p}/\xc3\xa9", "{p}/\xff", "{p} HTTP/1.1\rX: evil",
	} {
		all = append(all, refused("target "+quoted(target), 400, "GET "+target+" HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n"))
	}
	for _, rest := range []string{
		"//x", "/../x", "/./x", "/%2e%2e/x", "/%2E%2e%2fx", "/..%2fx", "/%00", "/%0d%0aX-Evil:%20x", "/%0a", "/;x", "/;x.css", "/a\\b", "/..\\x", "/%5c..%5cx", "/%23x", "/%3fx", "/a|b", "/a\"b", "/a<b>", "/a'b", "/a`b",
		"/{a}", "/a^b", "/%252e%252e/x", "?", "?a=1;b=2", "?a=1&a=2", "?%00", "?a=/../x", "??x", "/:x", "/a//b//", "/%2f%2fx", "/a b"[:2],
	} {
		name := "target {p}" + quoted(rest)
		all = append(all, attack{name: name + " reaches the app as it is, or is refused", raw: "GET {p}" + rest + " HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", answers: []string{plain("other")}, want: []int{200}, open: true, asked: 1, text: "other"})
	}
	return all
}

func requestLines() (all []attack) {
	for name, line := range map[string]string{
		"two spaces before the target": "GET  {p} HTTP/1.1", "two spaces before the version": "GET {p}  HTTP/1.1", "tabs": "GET\t{p}\tHTTP/1.1", "space at the end": "GET {p} HTTP/1.1 ", "space at the beginning": " GET {p} HTTP/1.1",
		"tab before the version": "GET {p}\tHTTP/1.1", "vertical tab before the version": "GET {p}\x0bHTTP/1.1", "no version": "GET {p}", "no version but a space": "GET {p} ", "lower-case version": "GET {p} http/1.1", "no minor version": "GET {p} HTTP/1", "comma": "GET {p} HTTP/1,1",
		"two digits": "GET {p} HTTP/1.10", "leading zero": "GET {p} HTTP/01.1", "sign": "GET {p} HTTP/+1.1", "other protocol": "GET {p} RTSP/1.0", "two versions": "GET {p} HTTP/1.1 HTTP/1.1", "no target": "GET HTTP/1.1", "no target, two spaces": "GET  HTTP/1.1",
		"no method": "{p} HTTP/1.1", "NUL in the method": "G\x00ET {p} HTTP/1.1", "parenthesis in the method": "GE(T {p} HTTP/1.1", "slash in the method": "GE/T {p} HTTP/1.1", "colon in the method": "GET: {p} HTTP/1.1", "method past ASCII": "G\xcbT {p} HTTP/1.1",
		"comma in the method": "GET,POST {p} HTTP/1.1", "quote in the method": "\"GET\" {p} HTTP/1.1", "at in the method": "G@T {p} HTTP/1.1",
	} {
		all = append(all, refused("request line: "+name, 400, line+"\r\nHost: www.cdn.test\r\n\r\n"))
	}
	for _, version := range []string{"0.9", "1.2", "1.9", "2.0", "3.0", "0.0", "9.9"} {
		all = append(all, refused("version HTTP/"+version, 505, "GET {p} HTTP/"+version+"\r\nHost: www.cdn.test\r\n\r\n"))
	}
	for method, status := range map[string]int{"CONNECT": 501, "TRACE": 405, "TRACK": 405, "get": 400, "Get": 400, "post": 400, "gET": 400, "G-T2": 400, "_GET": 400, "HTTP/1.1": 400} {
		all = append(all, refused("method "+method, status, method+" {p} HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n"))
	}
	return append(all,
		refused("long method", 400, strings.Repeat("A", 100)+" {p} HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n"),
		refused("preface of HTTP/2", 400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
		refused("TLS", 400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
		refused("CONNECT of an authority", 501, "CONNECT evil.test:80 HTTP/1.1\r\nHost: evil.test:80\r\n\r\n"),
		attack{name: "empty lines before the request", raw: "\r\n\r\n" + getHead + "\r\n", want: []int{200}, open: true, asked: 1},
	)
}

func tooMuch() []attack {
	many := func(n int) (b string) {
		for i := range n {
			b += fmt.Sprintf("X-%d: %d\r\n", i, i)
		}
		return b
	}
	return []attack{
		refused("long target", 414, "GET {p}"+strings.Repeat("a", 9<<10)+" HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n"),
		refused("target longer than the head may be", 4, "GET {p}"+strings.Repeat("a", 40<<10)+" HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n"),
		refused("target without end", 414, "GET {p}"+strings.Repeat("a", 200<<10)),
		refused("long header value", 431, getHead+"X: "+strings.Repeat("a", 40<<10)+"\r\n\r\n"),
		refused("long header name", 431, getHead+strings.Repeat("a", 40<<10)+": x\r\n\r\n"),
		refused("header line without end", 431, getHead+"X: "+strings.Repeat("a", 200<<10)),
		refused("many header lines", 431, getHead+many(5000)+"\r\n"),
		refused("many small header lines", 431, getHead+strings.Repeat("a:\r\n", 2000)+"\r\n"),
		refused("long cookie", 431, getHead+"Cookie: "+strings.Repeat("a=b; ", 8000)+"\r\n\r\n"),
		refused("long method without end", 414, strings.Repeat("A", 40<<10)),
		attack{name: "many members of a list", raw: getHead + "Accept-Encoding: " + strings.Repeat("gzip,", 1000) + "\r\n\r\n", want: []int{200}, open: true, asked: 1},
	}
}

func pipelines() []attack {
	get := func(path string) string { return "GET {p}/" + path + " HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n" }
	return []attack{
		{name: "pipelined requests are answered in their order", raw: get("1") + get("2") + get("3"), answers: []string{plain("1"), plain("2"), plain("3")}, want: []int{200, 200, 200}, text: "3", open: true, asked: 3},
		{name: "GET with a length and a request behind", raw: getHead + "Content-Length: 5\r\n\r\nhello" + get("innocent"), want: []int{200, 200}, open: true, asked: 1},
		{name: "GET with a request for a body", raw: getHead + "Content-Length: 46\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", want: []int{200}, open: true, asked: 1},
		{name: "HEAD with a length and a request behind", raw: headHead + "Content-Length: 5\r\n\r\nhello" + get("innocent"), want: []int{200, 200}, open: true, asked: 1},
		{name: "OPTIONS with a length and a request behind", raw: "OPTIONS" + getHead[3:] + "Content-Length: 5\r\n\r\nhello" + get("innocent"), want: []int{200, 200}, open: true, asked: 1},
		{name: "bad request behind a good one", raw: get("1") + "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", want: []int{200, 400}, asked: 1},
		{name: "nothing is answered behind a bad request", raw: "GET {p} HTTP/1.1\r\nHost: a b\r\n\r\n" + get("1"), want: []int{400}},
		{name: "nothing is answered behind Connection: close", raw: getHead + "Connection: close\r\n\r\n" + smuggled, want: []int{200}, asked: 1},
		{name: "nothing is answered behind close in a list", raw: getHead + "Connection: keep-alive, close\r\n\r\n" + smuggled, want: []int{200}, asked: 1},
		{name: "nothing is answered behind Connection: CLOSE", raw: getHead + "Connection: CLOSE\r\n\r\n" + smuggled, want: []int{200}, asked: 1},
		{name: "HTTP/1.0 ends with its answer", raw: "GET {p} HTTP/1.0\r\nHost: www.cdn.test\r\n\r\n" + smuggled, want: []int{200}, asked: 1},
		{name: "expectation with a body at once", raw: postHead + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello" + get("innocent"), want: []int{200, 200}, open: true, asked: 1},
		{name: "expectation of a GET without a body", raw: getHead + "Expect: 100-continue\r\n\r\n" + get("innocent"), want: []int{200, 200}, open: true, asked: anyNumber},
		{name: "expectation of a GET with a body", raw: getHead + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello" + get("innocent"), want: []int{200, 200}, open: true, asked: anyNumber},
		{name: "upgrade to HTTP/2 is not heard", raw: getHead + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n" + get("innocent"), want: []int{200, 200}, open: true, asked: 1},
		{name: "upgrade to a WebSocket that the app does not make", raw: getHead + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n" + get("innocent"), want: []int{200, 200}, open: true, asked: 1},
		{name: "Connection names Host", raw: getHead + "Connection: Host\r\n\r\n", want: []int{200}, open: true, asked: 1},
		{name: "Connection names X-Forwarded-For", raw: getHead + "Connection: X-Forwarded-For, CDN-Loop, Via, Cookie, Content-Length\r\n\r\n", want: []int{200}, open: true, asked: 1},
	}
}
