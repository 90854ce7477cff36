// Package evict decides what a cache gives up (a [Policy]) and what it takes in (an [Admission]).
//
// It is pure: no clock, goroutine, lock or global source of chance. The live cache and the offline simulator call the same
// code. A policy only orders nodes; who owns the entries has a [Node] as the first field of each (see [Entry]), finds
// them by key, accounts for the bytes and guards all calls. What the owner does with a request for a key:
//
//	held ──▶ Hit
//	else     Admit (filter) ──▶ Admits (policy, if it is an Admitter) ──▶ Victim until it fits ──▶ Add (AddExpiring, if the policy is an Expirer)
//
// The policies follow libCacheSim, whose figures on a trace in testdata the tests compare with:
//
//	lru       the least recently used
//	lfu       the least frequently used; among those, the one that came to its frequency first
//	fifo      the oldest
//	ttl       what expires first; what never expires last, the least recently used first
//	random    any
//	s3fifo    a small queue for what is new, a main one for what was used twice there, a ghost of what left
//	sieve     the oldest, from where the hand stands, that was not used since the hand last passed
//	wtinylfu  a small LRU window, from which the main part takes what was used more often than what it would give up
//	gdsf      the lowest of age + frequency / size
//
// The filters:
//
//	always           everything
//	second-hit       what was asked for before, not long ago
//	leave-copy-down  what the tier above had stored
//	size             what is as large as a limit, or smaller
//	probability      a share, by chance
package evict
