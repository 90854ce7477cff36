// Package httpcache holds the rules of HTTP caching for a shared cache as pure functions: what may be stored (RFC 9111 §3),
// for how long and when it may be served (§4), how it is validated and freshened (§4.3), what unsafe methods invalidate
// (§4.4), preconditions and ranges (RFC 9110 §13, §14), stale content by consent (RFC 5861), Cache-Status (RFC 9211) and
// CDN-Cache-Control (RFC 9213).
//
// Headers are parsed once, at the door: those of a request into an [Ask], those of a response that is to be stored into a
// [Meta] by [Admit]. [Decide] then works on these two and the time alone and allocates nothing, so that a server and a
// simulator call the same code. Nothing here opens a socket, reads a clock or keeps state.
//
// Instants are int64 nanoseconds since the Unix epoch, spans of time are [time.Duration].
package httpcache
