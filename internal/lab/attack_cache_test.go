package lab_test

import "strings"

// unkeyed are fields that apps are known to believe: they reach no app with what a client says in them.
func unkeyed() (all []attack) {
	for _, name := range []string{
		"X-Forwarded-Host", "X-Forwarded-Scheme", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Prefix", "X-Forwarded-For", "X-Forwarded-Path", "X-Forwarded-Uri", "X-Forwarded-Url", "X-Forwarded-Method", "X-Forwarded-Ssl",
		"X-Forwarded-By", "X-Forwarded", "X-Forwarded-Proto-Version", "X-Forwarded-Host-Override", "X-Forwarded-Evil", "X-Forwarded-Protocol", "X-Forwarded-Path-Prefix", "Forwarded", "Forwarded-For", "X-Forward-For", "X-Forwarder-For", "X-Host", "X-Original-Host", "X-Original-URL", "X-Original-Uri", "X-Rewrite-URL", "X-Rewrite-Uri",
		"X-Original-Path", "X-Original-Method", "X-Original-For", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-HTTP-Host-Override", "X-Real-IP", "X-Client-IP", "Client-IP", "True-Client-IP", "X-Cluster-Client-IP", "CF-Connecting-IP", "Fastly-Client-IP", "X-Originating-IP",
		"X-Remote-IP", "X-Remote-Addr", "X-ProxyUser-Ip", "Front-End-Https", "Proxy", "Proxy-Host", "X-Proxy-Url", "X-Url-Scheme", "X-Scheme", "X-Forwarded-Ssl-Client", "X-Request-Id", "CDN-Client-Country", "CDN-Client-City", "Cdnlab-Secret", "Cdnlab-Error", "Cdnlab-Evil", "X-Backend-Host", "X-Forwarded-Server-Name",
		"Base-Url", "Http-Url", "Request-Uri", "X-Original-Remote-Addr", "X-Override-Url", "X-Http-Destinationurl",
		"X-Forward-Proto", "X-Forward-Host", "X-Real-Host", "X-Real-Scheme", "X-Envoy-Original-Path", "X-Envoy-External-Address", "X-Invoke-Path", "X-Invoke-Query", "X-Matched-Path", "X-Now-Route-Matches", "X-Middleware-Subrequest", "X-Http-Path-Override",
		"X-Host-Override", "Host-Override", "X-Http-Host", "Http-Host", "Origin-Host", "Fastly-Host", "X-Gateway-Host", "X-Server-Name", "X-Base-Url", "X-Request-Uri", "X-Url", "X-Uri", "X-Path", "Proxy-Url", "Proxy-Client-Ip", "Wl-Proxy-Client-Ip",
		"Wl-Proxy-Ssl", "X-Https", "Https", "X-Ssl", "Ssl-Offloaded", "Fastly-Ssl", "Cf-Visitor", "Cloudfront-Forwarded-Proto", "X-Custom-Ip-Authorization", "X-Sendfile-Type", "X-Accel-Mapping", "Surrogate-Capability", "X-Forwarded-Scheme ",
	} {
		raw := getHead + name + ": evil\r\n\r\n"
		if strings.HasSuffix(name, " ") {
			all = append(all, refused("unkeyed "+name, 400, raw))
			continue
		}
		all = append(all, attack{name: "unkeyed " + name, raw: raw, want: []int{200}, open: true, asked: 1})
		if strings.Contains(name, "-") {
			all = append(all, attack{name: "unkeyed " + name + " with underscores", raw: getHead + strings.ReplaceAll(name, "-", "_") + ": evil\r\n\r\n", want: []int{200}, open: true, asked: 1})
		}
	}
	return append(all,
		attack{name: "unkeyed X-Forwarded-Host, twice and in other cases", raw: getHead + "x-forwarded-host: evil\r\nX-FORWARDED-HOST: evil\r\n\r\n", want: []int{200}, open: true, asked: 1},
		attack{name: "CDN-Loop names another", raw: getHead + "CDN-Loop: other.test\r\n\r\n", want: []int{200}, open: true, asked: 1},
		attack{name: "CDN-Loop names the edge", raw: getHead + "CDN-Loop: paris-1.cdnlab\r\n\r\n", want: []int{508}, open: true},
		attack{name: "CDN-Loop names the edge among others", raw: getHead + "CDN-Loop: a, PARIS-1.cdnlab; v=1 , b\r\n\r\n", want: []int{508}, open: true},
		attack{name: "CDN-Loop names the hub", raw: getHead + "CDN-Loop: eu-1.cdnlab\r\n\r\n", want: []int{508}, open: true},
		attack{name: "fat GET", raw: getHead + "Content-Length: 7\r\n\r\nq=bogus", answers: []string{plain("other")}, want: []int{200}, open: true, asked: 1, text: "other"},
		attack{name: "fat GET in chunks", raw: getHead + "Transfer-Encoding: chunked\r\n\r\n7\r\nq=bogus\r\n0\r\n\r\n", answers: []string{plain("other")}, want: []int{200}, open: true, asked: 1, text: "other"},
		attack{name: "HEAD is not stored as a GET", raw: headHead + "\r\n", answers: []string{ok200 + storable + "X-Evil: evil\r\nContent-Length: 4\r\n\r\n"}, want: []int{200}, open: true, asked: 1},
		attack{name: "answer to a POST is not stored", raw: postHead + "Content-Length: 0\r\n\r\n", answers: []string{evilReply}, want: []int{200}, open: true, asked: 1},
		attack{name: "answer to OPTIONS is not stored", raw: "OPTIONS" + getHead[3:] + "\r\n", answers: []string{evilReply}, want: []int{200}, open: true, asked: 1},
	)
}

// poisonedErrors are errors that one client's request brings about: others do not get them.
func poisonedErrors() (all []attack) {
	for _, status := range []string{"400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found", "405 Method Not Allowed", "406 Not Acceptable", "408 Request Timeout", "410 Gone", "411 Length Required", "412 Precondition Failed", "413 Content Too Large", "414 URI Too Long", "415 Unsupported Media Type",
		"416 Range Not Satisfiable", "417 Expectation Failed", "421 Misdirected Request", "425 Too Early", "429 Too Many Requests", "431 Request Header Fields Too Large", "451 Unavailable For Legal Reasons", "500 Internal Server Error", "501 Not Implemented", "502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout", "505 HTTP Version Not Supported",
	} {
		code := 0
		for _, c := range status[:3] {
			code = code*10 + int(c-'0')
		}
		for name, lines := range map[string]string{"": "", " with validators": "ETag: \"evil\"\r\n", " and a redirect": "Location: http://evil.test/\r\n"} {
			all = append(all, attack{name: "error " + status + name, raw: getHead + "X-Odd: " + strings.Repeat("x", 6000) + "\r\n\r\n",
				answers: []string{"HTTP/1.1 " + status + "\r\n" + lines + "Content-Length: 4\r\n\r\nevil"}, want: []int{code}, open: true, asked: 1})
		}
	}
	return append(all,
		attack{name: "error of an edge is not stored", raw: getHead + "Range: bytes=0-1\r\nCDN-Loop: paris-1.cdnlab\r\n\r\n", want: []int{508}, open: true},
		attack{name: "416 of the app to a range", raw: getHead + "Range: bytes=500-\r\n\r\n", answers: []string{"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */5\r\n" + storable + "Content-Length: 4\r\n\r\nevil"}, want: []int{416}, open: true, asked: anyNumber},
		attack{name: "206 to a request without a range", answers: []string{"HTTP/1.1 206 Partial Content\r\n" + storable + "Content-Range: bytes 0-3/100\r\nContent-Length: 4\r\n\r\nevil", "HTTP/1.1 206 Partial Content\r\n" + storable + "Content-Range: bytes 0-3/100\r\nContent-Length: 4\r\n\r\nevil", "HTTP/1.1 206 Partial Content\r\n" + storable + "Content-Range: bytes 0-3/100\r\nContent-Length: 4\r\n\r\nevil", "HTTP/1.1 206 Partial Content\r\n" + storable + "Content-Range: bytes 0-3/100\r\nContent-Length: 4\r\n\r\nevil"}, want: []int{5}, open: true, asked: anyNumber},
		attack{name: "304 to a request without a condition", answers: []string{"HTTP/1.1 304 Not Modified\r\n" + storable + "X-Evil: evil\r\nETag: \"evil\"\r\n\r\n", "HTTP/1.1 304 Not Modified\r\n" + storable + "X-Evil: evil\r\nETag: \"evil\"\r\n\r\n", "HTTP/1.1 304 Not Modified\r\n" + storable + "X-Evil: evil\r\nETag: \"evil\"\r\n\r\n", "HTTP/1.1 304 Not Modified\r\n" + storable + "X-Evil: evil\r\nETag: \"evil\"\r\n\r\n"}, want: []int{5}, open: true, asked: anyNumber},
	)
}

// deception are paths of private pages that look like those of files: only the answer's own fields decide.
func deception() (all []attack) {
	for _, rest := range []string{"/account.php/x.css", "/account;x.css", "/account%0ax.css", "/account%23x.css", "/account%3fx.css", "/account%2fx.css", "/account/..%2fx.css", "/x.css?account", "/account/x.js", "/static/..%2faccount", "/account%00x.png", "/account.jpg", "/robots.txt", "/favicon.ico"} {
		for _, lines := range []string{"Cache-Control: no-store\r\n", "Cache-Control: private\r\n", "Cache-Control: private, max-age=600\r\n", "Cache-Control: no-cache\r\n", "Cache-Control: max-age=0\r\n",
			"", "Pragma: no-cache\r\n", "ETag: \"x\"\r\nLast-Modified: Sat, 01 Jan 2000 00:00:00 GMT\r\n"} {
			all = append(all, attack{name: "deception " + rest + ", " + quoted(lines),
				raw:     "GET {p}" + rest + " HTTP/1.1\r\nHost: www.cdn.test\r\nCookie: session=1\r\n\r\nGET {p}" + rest + " HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n",
				answers: []string{ok200 + lines + "Content-Length: 6\r\n\r\nsecret", plain("public")}, want: []int{200, 200}, open: true, asked: 2, text: "public"})
		}
	}
	return all
}

func caching() []attack {
	secret := func(lines string) string { return ok200 + lines + "Content-Length: 6\r\n\r\nsecret" }
	return []attack{
		{name: "answer with a cookie is not shared", answers: []string{secret(storable + "Set-Cookie: a=b\r\n")}, want: []int{200}, open: true, asked: 1},
		{name: "answer to credentials is not shared", raw: getHead + "Authorization: Basic x\r\n\r\n", answers: []string{secret(storable)}, want: []int{200}, open: true, asked: 1},
		{name: "answer that varies by cookie is not shared", raw: getHead + "Cookie: a=b\r\n\r\n", answers: []string{secret(storable + "Vary: Cookie\r\n")}, want: []int{200}, open: true, asked: 1},
		{name: "answer to a request without what its Connection names is not stored at any tier", raw: getHead + "Connection: Cookie\r\nCookie: a=b\r\n\r\n", answers: []string{evilReply}, want: []int{200}, open: true, asked: 1},
		{name: "answer to a request whose Connection names Accept-Encoding is not stored", raw: getHead + "Connection: close, accept-encoding\r\nAccept-Encoding: gzip\r\n\r\n", answers: []string{evilReply}, want: []int{200}, asked: 1},
		{name: "answer that varies by all is not shared", answers: []string{secret(storable + "Vary: *\r\n")}, want: []int{200}, open: true, asked: 1},
		{name: "answer that varies by several lines is not shared", raw: getHead + "X-A: 1\r\nX-B: 1\r\n\r\n", answers: []string{secret(storable + "Vary: X-A\r\nVary: X-B\r\n")}, want: []int{200}, open: true, asked: 1},
		{name: "Vary on a field that is dropped does not mix", raw: getHead + "X-Forwarded-Host: evil\r\n\r\n", answers: []string{ok200 + storable + "Vary: X-Forwarded-Host\r\nContent-Length: 5\r\n\r\nplain"}, want: []int{200}, open: true, asked: 1},
		{name: "two queries are two keys", raw: "GET {p}?a=1&b=2 HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", answers: []string{plain("other")}, want: []int{200}, open: true, asked: 1},
		{name: "parameters behind a semicolon are another key", raw: "GET {p};a=1 HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", answers: []string{plain("other")}, want: []int{200}, open: true, asked: 1},
		{name: "parameter cloaking", raw: "GET {p}?a=1;evil=2 HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n"[:0] + "GET {p}?a=1;b=2 HTTP/1.1\r\nHost: www.cdn.test\r\n\r\nGET {p}?a=1 HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", answers: []string{plain("other"), plain("one")}, want: []int{200, 200}, open: true, asked: 2, text: "one"},
		{name: "the same parameter twice", raw: "GET {p}?a=1&a=2 HTTP/1.1\r\nHost: www.cdn.test\r\n\r\nGET {p}?a=1 HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", answers: []string{plain("other"), plain("one")}, want: []int{200, 200}, open: true, asked: 2, text: "one"},
		{name: "method override in the query is another key", raw: "GET {p}?_method=POST HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", answers: []string{plain("other")}, want: []int{200}, open: true, asked: 1},
		{name: "a port in Host does not make a key", raw: "GET {p} HTTP/1.1\r\nHost: www.cdn.test:1337\r\n\r\nGET {p} HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n", answers: []string{plain("plain")}, want: []int{200, 200}, open: true, asked: 1, text: "plain"},
		{name: "answer about internals", answers: []string{ok200 + storable + "Cdnlab-Secret: evil\r\nX-Cache: evil\r\nContent-Length: 5\r\n\r\nplain"}, want: []int{200}, open: true, asked: 1, lacks: "evil"},
		{name: "error with the word of a tier", answers: []string{"HTTP/1.1 503 Service Unavailable\r\nCdnlab-Error: evil\r\nContent-Length: 4\r\n\r\nlate"}, want: []int{503}, open: true, asked: anyNumber, lacks: "evil", text: "late"},
	}
}

func rangeAbuse() (all []attack) {
	for name, value := range map[string]string{
		"reversed": "bytes=4-1", "negative": "bytes=-1--1", "no digits": "bytes=a-b", "no bytes": "lines=0-1", "huge": "bytes=0-99999999999999999999999", "many": "bytes=" + strings.Repeat("0-,", 1000) + "0-", "many small": "bytes=0-0" + strings.Repeat(",0-0", 1000), "overlapping": "bytes=0-,0-,0-,0-,0-",
		"signs": "bytes=+0-+1", "hexadecimal": "bytes=0x0-0x1", "spaces": "bytes= 0 - 1", "empty": "bytes=", "empty members": "bytes=,,,", "huge start": "bytes=99999999999999999999-", "zero suffix": "bytes=-0", "all from the end": "bytes=-99999999999999", "two units": "bytes=0-1,lines=0-1",
	} {
		all = append(all, attack{name: "range: " + name, raw: getHead + "\r\n" + getHead + "Range: " + value + "\r\n\r\n", answers: []string{plain("plain")}, want: []int{200, 0}, open: true, asked: 1})
	}
	return append(all,
		attack{name: "range: of what is not stored fetches all once", raw: getHead + "Range: bytes=0-1\r\n\r\n", want: []int{206}, open: true, asked: 1, text: "pl"},
		attack{name: "range: wrong Content-Range", raw: getHead + "Range: bytes=0-1\r\n\r\n", answers: []string{"HTTP/1.1 206 Partial Content\r\n" + storable + "Content-Range: bytes 9-1/5\r\nContent-Length: 4\r\n\r\nevil"}, want: []int{0}, open: true, asked: anyNumber},
	)
}
