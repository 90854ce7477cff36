// Package edge is a server of a PoP, the tier that clients talk to.
//
//	client ──▶ edge: RAM cache ──▶ its hub ┐
//	                               next hub ├──▶ origin
//	                                 origin ┘
//
// The way of a request through the cache is that of package proxy. What is the edge's own: which parent is asked (parent.go),
// how one that failed is found to be back (watch.go), where the client sits, and the access log.
//
// A line of the access log is a JSON object. Bytes that are not UTF-8 show as U+FFFD. A body that is in memory in one piece
// counts as sent once it is handed to the connection.
//
//	time        when the request's head had arrived, RFC 3339 in UTC with microseconds
//	node        this server
//	client      the client's address as outsiders see it
//	place       its place in the topology; absent when it has none
//	method host path status
//	bytes       of the response's body that were sent
//	ttfb_ms     until the response's head was ready, total_ms until its body was sent
//	cache       HIT, MISS, STALE, REVALIDATED, PASS (the cache had no part in it) or ERROR (an error of this server)
//	request_id  as in X-Request-Id
package edge
