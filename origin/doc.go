// Package origin is where content comes from: the last stop of a request, behind edges and hubs.
//
//	client ─▶ edge ─▶ hub ─▶ origin ─┬─ builtin   object store, samples, /synthetic/, /dynamic/
//	                                 ├─ dir       a directory of files
//	                                 └─ app       the user's own application, over HTTP
//
// A node serves the sites of the topology that name it; another Host is answered 404 with the hosts that exist. Its own
// address and name answer /-/health, /-/metrics and /-/stats (package probe) and, for the kind builtin, the objects API.
//
// # Trust
//
// What a request says about its client (X-Forwarded-For, X-Forwarded-Proto, X-Request-Id, CDN-Client-City, CDN-Client-Country) is
// believed when it comes with the lab's secret in Cdnlab-Secret, as the tiers send it, and otherwise replaced by what the
// connection shows. X-Forwarded-For stays as the tier wrote it: the client alone, without the lab's own nodes.
//
// # Kind builtin
//
// Objects are named by site and path. The path of a URL is percent-decoded exactly once, so that every spelling of a path names
// one object and meets one access rule; dot segments, control characters and what is not UTF-8 are refused. A path that ends in
// a slash is answered with its index.html.
//
//	PUT, DELETE /path                           on a site, with Authorization: Bearer TOKEN; If-Match and If-None-Match are honoured
//	GET    /-/objects?site=&prefix=&after=&limit=    a page of the listing; "next" is the "after" of the next page
//	GET, PUT, DELETE /-/objects/item?site=&path=     GET with &version=N for an old one; DELETE with it removes it for good;
//	                                            PUT stores each "Cdnlab-Header: Name: value" with the object
//	GET    /-/objects/versions?site=&path=      newest first
//	POST   /-/objects/rollback?site=&path=&version=N    an old version again, as a new one
//	POST   /-/objects/sign?site=&path=&for=1h   a signed URL, for up to a week
//
// The API takes the token or the secret. A PUT on a site stores the headers that describe an entity (Content-Type, Content-Encoding,
// Content-Language, Content-Disposition, Cache-Control, CDN-Cache-Control, Expires, Surrogate-Control, Surrogate-Key, Cache-Tag,
// Vary, Link). A PUT that was answered 200 or 201 is on the disk and survives a crash; any other leaves nothing (507 when the
// disk is full, 413 past Config.MaxObject). Beside the current version, 10 old ones are kept. A DELETE is a version, too: it
// hides the object, or the sample of that path, and can be rolled back.
//
// Samples, on every site until an object of the same path takes their place:
//
//	/, /index.html           public, max-age=60                                  /hello.txt    public, max-age=60
//	/style.css, /app.js      public, max-age=3600, stale-while-revalidate=60     /private.txt  private, max-age=60
//	/logo.svg                public, max-age=86400, immutable                    /nostore.txt  no-store
//	/launch.mp4              public, max-age=600; 8 MiB, no film                 /large.bin    public, max-age=600; 100 MiB
//
// For experiments, /synthetic/SIZE/ID is SIZE bytes (up to 1 GiB) that follow from the topology's seed, SIZE and ID, with a strong
// ETag, ranges, and neither Cache-Control nor Last-Modified, so that the site's own rules decide. /dynamic/ makes answers to order:
// time, greeting, headers, delay/200ms, size/1MiB, status/503, each with the parameters delay, size, status and ttl.
//
// # Access
//
// The site's rule with the longest prefix guards a path: public, token (the bearer token) or signed (a signed URL that has not
// expired, or the token). A refusal is 401 or 403 with a sentence. That a shared cache serves guarded content to somebody without
// the right is excluded at one place, which all responses of guarded paths pass: they carry Cache-Control: private, and no-store
// unless the object's own Cache-Control says how long its reader may keep it; public, s-maxage and the headers aimed at CDNs (RFC
// 9213) are taken out. Conditional requests are judged after the access rule, so a 304 tells nothing either.
//
// # Kind dir
//
// Files are reached through os.Root: neither a path nor a symbolic link leaves the directory. Names that start with a dot do not exist,
// but for /.well-known/; directories are answered with their index.html and not listed. The ETag is made of the file's time and
// size, weak for the first second after a change. A file that changes while it is served breaks the transfer off.
//
// # Kind app
//
// Methods, targets, headers, cookies and bodies pass unchanged in both directions, streamed; WebSockets are tunnelled, server-sent events
// flushed one by one, trailers and 1xx responses passed on. Added are Via, CDN-Loop, X-Forwarded-Host and Server-Timing. An app
// that does not answer gives a 502 that carries Cdnlab-Error: origin-unreachable; no other response of an origin has that header.
//
// The kinds builtin and dir run on fasthttp; app runs on net/http, which does all of the above and is what a proxy of any app
// needs, while the hot path of a CDN lies in front of it.
package origin
