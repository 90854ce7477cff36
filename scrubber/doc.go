// Package scrubber limits what clients may ask for. It stands inside every edge, before any other work is done for a request:
//
//	client ──▶ edge: Check ──▶ cache, hub, origin
//	              │
//	              ├─ on the block list ─────────────▶ 429, or 403 when a person put it there
//	              ├─ over the limit of a rule ──────▶ 429 with Retry-After; Block puts the client on the list
//	              ├─ its turn is to come ───────────▶ passes after Delay, unless as many as MaxHeld wait already: 429
//	              └─ otherwise ─────────────────────▶ passes, with RateLimit and RateLimit-Policy in the response
//
// A [Rule] matches requests by site and path, takes a key from each (the client's address, the site, the class of the path, a
// header field, or several of these) and applies a [Limit] to each key by one of five algorithms. At 10 per second they let in:
//
//	FixedWindow     10 in each second, so 20 around its end            remembers a count
//	SlidingLog      10 in any second                                   10 instants
//	SlidingCounter  10 in any second if they come evenly; the default  two counts
//	TokenBucket     Burst at once, then one each 100 ms                a level
//	LeakyBucket     one each 100 ms; Burst may wait for their turn     a level
//
// The algorithms are pure state machines over an instant that the caller passes ([Limiter] is one for a single key), exact in
// integers, and they neither allocate nor read a clock. The servers and a simulator run the same ones.
//
// [Limits] puts rules together. The states of a rule's keys live in a table of fixed size, [Config.Memory], which holds 262,144
// keys by default and forgets, when it is full, the keys that have used the least: ten million clients with a request each do
// not free the one that is over its limit, and none of them is refused for want of room. What a table of n places cannot do is
// to count clients that come back more rarely than n others come by. [Fill] says when that happens. Keys are hashed with a
// secret, so that nobody can choose addresses that push each other out.
//
// The client is the peer, or what a trusted proxy says of it: see [ClientAddr].
package scrubber
